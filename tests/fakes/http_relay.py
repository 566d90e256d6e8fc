"""HTTP/1.1 heads and bodies read from asyncio streams, for the fault proxy; no faults here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """First line and headers, byte for byte as they came."""

    first_line: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    def get(self, name: str) -> str:
        """The first header of this name, "" if there is none."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == wanted), "")

    def without(self, name: str) -> Head:
        """The same head without this header."""
        wanted = name.lower().encode()
        return Head(self.first_line, tuple(h for h in self.headers if h[0].lower() != wanted))

    def with_header(self, name: str, value: str) -> Head:
        """The same head with this header instead of any of its name."""
        kept = self.without(name)
        return Head(kept.first_line, (*kept.headers, (name.encode(), value.encode())))

    def render(self) -> bytes:
        """The head as bytes, blank line included."""
        lines = [self.first_line, *(key + b": " + value for key, value in self.headers)]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first_line.split(b" ", 2)[1])

    @property
    def keeps_alive(self) -> bool:
        """May another exchange follow on this connection?"""
        connection = self.get("connection").lower()
        if b"HTTP/1.0" in self.first_line:
            return connection == "keep-alive"
        return connection != "close"


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head; None if the peer closed before its first byte."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    first, *rest = raw[:-4].split(b"\r\n")
    headers = []
    for line in rest:
        key, _, value = line.partition(b":")
        headers.append((key, value.strip()))
    return Head(first, tuple(headers))


def body_length(head: Head, *, of_answer_to: str = "") -> int | None:
    """Bytes of the body that follows; None if it is chunked or ends with the connection.

    of_answer_to: the request's method if this is an answer's head.
    """
    if of_answer_to and (of_answer_to == "HEAD" or head.status in (204, 304) or head.status < 200):
        return 0
    if head.get("transfer-encoding").lower() == "chunked":
        return None
    if length := head.get("content-length"):
        return int(length)
    return None if of_answer_to else 0


async def iter_body(reader: asyncio.StreamReader, head: Head, length: int | None) -> AsyncIterator[bytes]:
    """The body's bytes, without chunk framing. Raises IncompleteReadError if the peer cut it short."""
    if length is None and head.get("transfer-encoding").lower() == "chunked":
        async for piece in _iter_chunks(reader):
            yield piece
    elif length is None:
        while piece := await reader.read(READ_BYTES):
            yield piece
    else:
        async for piece in _iter_exactly(reader, length):
            yield piece


async def _iter_exactly(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    left = length
    while left:
        piece = await reader.read(min(left, READ_BYTES))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


async def _iter_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readline()).partition(b";")[0], 16):
        async for piece in _iter_exactly(reader, size):
            yield piece
        await reader.readexactly(2)
    while (await reader.readline()).strip():
        pass  # trailers


def framed(piece: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


LAST_CHUNK = b"0\r\n\r\n"
