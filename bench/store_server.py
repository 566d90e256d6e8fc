"""A store of ours that holds nothing: objects of any size to read, and a sink that counts what arrives, by tenths of a second.

`python -m bench.store_server`: prints its two ports (objects are read from the first and written to the second) and serves until
its input ends. A key ends in its size: `name-1048576`. GET /-/counts on either port tells what went through.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import cast

import uvloop

BINS_PER_S = 10
# Bodies up to this do not count as uploads: they only warm connections up.
WARM_BYTES = 64 * 1024
_BLOCK = bytes(256 * 1024)
_EMPTY_LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
_NO_UPLOADS = b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
_UPLOAD = b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
_DONE = b'<CompleteMultipartUploadResult><ETag>"e1"</ETag></CompleteMultipartUploadResult>'


class Counts:
    """Bytes by bin of the monotonic clock: read by clients, and arrived. uploads: whose bodies arrive now."""

    def __init__(self) -> None:
        self.read: Counter[int] = Counter()
        self.arrived: Counter[int] = Counter()
        self.uploads: set[object] = set()

    def as_json(self) -> bytes:
        text = {"read": self.read, "arrived": self.arrived, "uploads": len(self.uploads)}
        return json.dumps(text).encode()


def current_bin() -> int:
    return int(time.monotonic() * BINS_PER_S)


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests come one after the other."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._head = b""
        self._body_left = 0
        self._answer = b""
        self._send_left = 0
        self._writable = True
        self._counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=256 * 1024)

    def connection_lost(self, exc: Exception | None) -> None:
        self._send_left = 0
        self._end_upload()

    def data_received(self, data: bytes) -> None:
        while data:
            if self._body_left:
                taken = min(self._body_left, len(data))
                if self._counted:
                    self._counts.arrived[current_bin()] += taken
                self._body_left -= taken
                data = data[taken:]
                if not self._body_left:
                    self._end_upload()
                    self._transport.write(self._answer)
                continue
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._head = b""
            self._take(head.decode("latin-1"))

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._send()

    def _take(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path, _, query = target.partition("?")
        length = int(headers.get("content-length", "0"))
        if path == "/-/counts":
            self._transport.write(_answer(self._counts.as_json()))
        elif method == "PUT":
            if headers.get("expect") == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expect_body(length, _answer(b""), counted=True)
        elif method == "POST":
            self._expect_body(length, _answer(_UPLOAD if query.startswith("uploads") else _DONE))
        elif "-" not in path:
            listing = _NO_UPLOADS if "uploads=" in query else _EMPTY_LISTING
            self._transport.write(_answer(listing))
        else:
            self._serve_object(method, int(path.rpartition("-")[2]), headers.get("range", ""))

    def _expect_body(self, length: int, answer: bytes, *, counted: bool = False) -> None:
        self._body_left, self._answer, self._counted = length, answer, counted
        if not length:
            self._transport.write(answer)
        elif length > WARM_BYTES:
            self._counts.uploads.add(self)

    def _end_upload(self) -> None:
        self._counts.uploads.discard(self)

    def _serve_object(self, method: str, size: int, span: str) -> None:
        extra, status, length = "", "200 OK", size
        if span:
            start, _, end = span.removeprefix("bytes=").partition("-")
            last = min(int(end) if end else size - 1, size - 1)
            length = last - int(start) + 1
            status, extra = "206 Partial Content", f"content-range: bytes {start}-{last}/{size}\r\n"
        self._transport.write(_head(length, status, extra))
        if method == "GET":
            self._send_left = length
            self._send()

    def _send(self) -> None:
        while self._send_left and self._writable:
            block = _BLOCK[: self._send_left] if self._send_left < len(_BLOCK) else _BLOCK
            self._send_left -= len(block)
            self._counts.read[current_bin()] += len(block)
            self._transport.write(block)


def _head(length: int, status: str = "200 OK", extra: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{extra}"
        'etag: "e1"\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n'
    ).encode()


def _answer(body: bytes) -> bytes:
    return _head(len(body)) + body


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    counts = Counts()
    servers = [await loop.create_server(lambda: Connection(counts), "127.0.0.1", 0) for _ in range(2)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for server in servers:
        server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
