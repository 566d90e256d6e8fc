"""The values of one exchange: where to, what is asked, how long it may take, the head of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from omsd.wire.errors import WireError, WireErrorKind


class ByteSink(Protocol):
    """Takes a pushed body; the shape is that of the object store port, which this room may not import."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""

    def end(self) -> None:
        """All bytes came."""

    def fail(self, error: Exception) -> None:
        """No more bytes will come. Exactly one of end() and fail() is called, once."""


class ByteSource(Protocol):
    """Pushes a body into a sink. pause() may let a chunk that is on its way still arrive."""

    def start(self, sink: ByteSink) -> None:
        """Begin to push; called once. May push at once, inside the call."""

    def pause(self) -> None:
        """Stop pushing soon; may be repeated."""

    def resume(self) -> None:
        """Go on pushing; may be repeated."""


class Origin(NamedTuple):
    """Where connections go. scheme: http or https. host: name or address, IPv6 without brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long the peer may keep us waiting.

    connect_s: name resolution, TCP and TLS together. first_byte_s: from the request fully sent to the answer's head.
    stall_s: no byte moved, either way, while neither we nor our source or sink asked for the pause.
    """

    connect_s: float = 10.0
    first_byte_s: float = 60.0
    stall_s: float = 30.0


@dataclass(slots=True)
class Request:
    """One request. target: percent-encoded path and query, sent verbatim. headers: Host included, sent verbatim, in order.

    Content-Length is added unless it is among the headers. body: bytes, or a source of exactly size_bytes bytes.
    idempotent: may be sent again if a kept-alive connection turns out dead. expect_continue: hold the body back until the
    peer says 100 or has said nothing for a second.
    """

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes | ByteSource | None = None
    size_bytes: int = 0
    idempotent: bool = True
    expect_continue: bool = False


@dataclass(slots=True)
class Head:
    """Status and headers of an answer: lower-case names, Latin-1 values, repeated ones joined by ", "."""

    status: int
    headers: dict[str, str]


_BODY_METHODS = frozenset({"PUT", "POST", "PATCH"})


def render_head(request: Request) -> bytes:
    """The request's head as bytes. Raises WireError PROTOCOL if a line break or a blank would change its meaning."""
    headers = request.headers
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    body = request.body
    has_body = body is not None or request.method in _BODY_METHODS
    if has_body and "content-length" not in [name.lower() for name, _ in headers]:
        size = len(body) if isinstance(body, bytes) else request.size_bytes
        lines.append(f"Content-Length: {size}")
    if request.expect_continue and body is not None:
        lines.append("Expect: 100-continue")
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        raise WireError(WireErrorKind.PROTOCOL, "a line break or NUL in the request's head")
    if lines[0].count(" ") != 2:
        raise WireError(WireErrorKind.PROTOCOL, "a blank in the request's method or target")
    return f"{text}\r\n\r\n".encode()
