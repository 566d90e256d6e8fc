"""Reads the head of one answer, and chunked bodies, out of received bytes. httptools does the parsing; bounds are ours.

Heads that are plain in every respect are read without it, see read_plain_head().
"""

from __future__ import annotations

import re
from collections import deque
from enum import IntEnum, auto

import httptools

from omsd.wire.errors import WireError, WireErrorKind
from omsd.wire.message import Head

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 256

_END = b"\r\n\r\n"
_PRINTABLE = bytes(range(0x20, 0x7F))
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Header names as services spell them, to lower case. Servers choose what comes in here, so it is bounded.
_NAMES: dict[str, str] = {}
_MAX_NAMES = 1024
_MAX_SHAPE_LINES = 32


class Framing(IntEnum):
    """How the body of an answer is delimited. Numbers, because hashing another member is a call into Python."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


_NO_BODY, _COUNTED = Framing.NONE, Framing.LENGTH


def read_plain_head(data: bytes) -> tuple[Head, bytes] | None:
    """Head of an ordinary answer and the bytes behind it; None for everything else, which AnswerParser then judges.

    Ordinary: all there, HTTP/1.1, status 200 to 599, printable ASCII, `name: value` lines without a repeated name, a body of
    known length. Measured with the 14 headers of SeaweedFS: 5 us instead of 18 us, and half of that if such heads have been
    met often.
    """
    end = data.find(_END)
    if not 0 <= end <= MAX_HEAD_BYTES - len(_END):
        return None
    text = data[:end].decode("latin-1")
    if ":  " in text or " \r\n" in text or text.endswith(" "):
        return None
    for shape in _SHAPES:
        if told := shape.match(text):
            status, *values = told.groups()
            return Head(int(status), dict(zip(shape.names, values, strict=True))), data[end + len(_END) :]
    head = _plain_head(text)
    if head is None:
        return None
    _note_shape(text, tuple(head.headers))
    return head, data[end + len(_END) :]


def _plain_head(text: str) -> Head | None:
    first, *lines = text.split("\r\n")
    # What is left without the printable characters must be the line ends we split at, and nothing else.
    if len(text.encode("latin-1").translate(None, _PRINTABLE)) != 2 * len(lines) or len(lines) > MAX_HEADERS:
        return None
    status = first[9:12]
    if (
        first[:9] != "HTTP/1.1 "
        or first[12:13] != " "
        or not status.isdigit()
        or not "200" <= status <= "599"
    ):
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        lower = _NAMES.get(name) or _lower_of(name)
        if not colon or not lower:
            return None
        headers[lower] = value
    length = headers.get("content-length", "")
    if len(headers) != len(lines) or not length.isdigit():
        return None
    if "transfer-encoding" in headers or "upgrade" in headers:
        return None
    return Head(int(status), headers)


class _Shape:
    """Ordinary heads whose lines have these names: a service answers one kind of request with the same ones for every object."""

    __slots__ = ("match", "names")

    def __init__(self, names: tuple[str, ...], spelled: list[str]) -> None:
        values = [r"(\d+)" if name == "content-length" else "([ -~]*+)" for name in names]
        lines = [f"\r\n{re.escape(name)}: {value}" for name, value in zip(spelled, values, strict=True)]
        self.names = names
        self.match = re.compile(rf"HTTP/1\.1 ([2-5]\d\d) [ -~]*+{''.join(lines)}", re.ASCII).fullmatch


# Of reads and of writes, at two ends. Most heads are one of them.
_SHAPES: deque[_Shape] = deque(maxlen=4)
# How often other names were met. A shape takes 0.5 ms to make; where names vary with every object none is made.
_MET: dict[tuple[str, ...], int] = {}
_MET_OFTEN = 200


def _note_shape(text: str, names: tuple[str, ...]) -> None:
    """A head that was found ordinary is of no known shape: it gets one if it is met often, and the oldest is given up for it."""
    if len(_MET) >= _MAX_NAMES:
        _MET.clear()
    _MET[names] = _MET.get(names, 0) + 1
    if _MET[names] >= _MET_OFTEN and len(names) <= _MAX_SHAPE_LINES:
        del _MET[names]
        _SHAPES.append(_Shape(names, [line.partition(": ")[0] for line in text.split("\r\n")[1:]]))


def _lower_of(name: str) -> str:
    """The name in lower case, "" if it is no name."""
    if not _TOKEN.fullmatch(name):
        return ""
    lower = name.lower()
    if len(_NAMES) < _MAX_NAMES:
        _NAMES[name] = lower
    return lower


class _StopParsingError(Exception):
    """Raised inside a parser callback to end the parsing; the reason is kept beside it."""


class AnswerParser:
    """One answer: first its head through read_head(), then, if it is chunked, its body through read_chunked().

    Other bodies are counted by the connection and never come here: a parser callback per chunk costs a copy of each.
    """

    __slots__ = (
        "_count",
        "_idle_bytes",
        "_parser",
        "_pieces",
        "_seen",
        "_tail",
        "_too_large",
        "complete",
        "head",
        "leftover",
    )

    def __init__(self) -> None:
        self.head: Head | None = None
        self.complete = False  # a chunked body is whole
        self.leftover = False  # bytes came behind its end
        self._parser = httptools.HttpResponseParser(self)
        self._seen: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._count = 0
        self._idle_bytes = 0
        self._tail = b""
        self._too_large = False

    @property
    def version(self) -> str:
        """1.1 or 1.0, once the head is there."""
        return str(self._parser.get_http_version())

    def read_head(self, data: bytes) -> bytes | None:
        """The bytes behind the head once it is whole (self.head is set), else None.

        Raises WireError PROTOCOL or HEADERS_TOO_LARGE.
        """
        seen = len(self._tail)
        window = self._tail + data if seen else data
        end = window.find(_END)
        stop = end + len(_END) - seen if end >= 0 else len(data)
        self._count_idle(stop)
        # What stands before the blank line cannot hold body bytes, so the parser gets exactly the head, and garbage is
        # refused as soon as it comes.
        self._parse(data if stop == len(data) else data[:stop])
        if self.head is not None:
            self._idle_bytes = 0
            return data[stop:]
        if end >= 0:
            raise WireError(WireErrorKind.PROTOCOL, "a blank line where a head was due", answered=True)
        self._tail = window[-(len(_END) - 1) :]
        return None

    def read_chunked(self, data: bytes) -> bytes:
        """The body bytes in data; self.complete once the body is whole.

        Raises WireError PROTOCOL, or HEADERS_TOO_LARGE for endless chunk extensions or trailers.
        """
        self._parse(data)
        pieces = self._pieces
        if not pieces:
            self._count_idle(len(data))
            return b""
        self._idle_bytes = 0
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    def on_message_begin(self) -> None:
        """A second message in one answer is not ours."""
        if self.complete:
            raise _StopParsingError

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the head; those of a trailer are only counted."""
        self._count += 1
        if self._count > MAX_HEADERS:
            self._too_large = True
            raise _StopParsingError
        if self.head is not None:
            return
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        seen = self._seen
        seen[key] = f"{seen[key]}, {text}" if key in seen else text

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.head = Head(int(self._parser.get_status_code()), self._seen)

    def on_body(self, chunk: bytes) -> None:
        """Bytes of a chunked body; delivered after the parser has returned, so that no sink runs inside it."""
        self._pieces.append(chunk)

    def on_message_complete(self) -> None:
        """The chunked body is whole; also called for heads without a body."""
        self.complete = True

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self._too_large:
                raise _too_large() from error
            if not self.complete:
                raise WireError(WireErrorKind.PROTOCOL, f"not HTTP: {error}", answered=True) from error
            self.leftover = True

    def _count_idle(self, size_bytes: int) -> None:
        self._idle_bytes += size_bytes
        if self._idle_bytes > MAX_HEAD_BYTES:
            raise _too_large()


def framing_of(method: str, head: Head) -> tuple[Framing, int]:
    """How the body of this answer is delimited (RFC 9112 6.3): and its size, -1 if unknown."""
    if method == "HEAD" or head.status in (204, 304):
        return _NO_BODY, 0
    coding = head.headers.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked":
            raise WireError(WireErrorKind.PROTOCOL, f"transfer coding {coding[:80]!r}", answered=True)
        return Framing.CHUNKED, -1
    length = head.headers.get("content-length")
    if length is None:
        return Framing.UNTIL_CLOSE, -1
    if not (length.isascii() and length.isdigit()):
        raise WireError(WireErrorKind.PROTOCOL, f"content length {length[:80]!r}", answered=True)
    return _COUNTED, int(length)


def keeps_alive(head: Head, version: str) -> bool:
    """The peer means to answer more requests on this connection."""
    connection = head.headers.get("connection")
    if connection is None:
        return version == "1.1"
    tokens = {token.strip().lower() for token in connection.split(",")}
    return "close" not in tokens and (version == "1.1" or "keep-alive" in tokens)


def _too_large() -> WireError:
    return WireError(
        WireErrorKind.HEADERS_TOO_LARGE,
        f"a head or trailer over {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} lines",
        answered=True,
    )
