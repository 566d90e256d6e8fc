"""The answer as its reader sees it: head at once, body pushed or read whole, bounded while nobody takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from omsd.wire.errors import WireError, WireErrorKind
from omsd.wire.message import ByteSink, Head
from omsd.wire.pipe import CollectSink

# One read of either loop is at most 256 KB, so the bound is passed by one chunk at most.
HOLD_BYTES = 256 * 1024


class BodyChannel(Protocol):
    """What an answer needs of the connection its body comes from."""

    def pause_body(self) -> None:
        """Stop reading."""

    def resume_body(self) -> None:
        """Read on."""

    def drop(self) -> None:
        """End the connection; what is under way on it is broken."""


def _ignore(chunk: bytes) -> None:
    """Bytes that nobody wants any more."""


class Answer:
    """An answer whose head is complete. It is a ByteSource; no body byte is lost before start().

    size_bytes: of the body, -1 if it was not announced. The connection goes back by itself when the body is read to its end.
    """

    __slots__ = (
        "_channel",
        "_closed",
        "_error",
        "_held",
        "_held_bytes",
        "_over",
        "_paused",
        "_pushing",
        "_sink",
        "deliver",
        "head",
        "size_bytes",
    )

    def __init__(self, head: Head, size_bytes: int, channel: BodyChannel) -> None:
        self.head = head
        self.size_bytes = size_bytes
        self._channel: BodyChannel | None = channel
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._sink: ByteSink | None = None
        self._error: Exception | None = None
        self._over = False
        self._paused = False
        self._pushing = False
        self._closed = False
        # What the connection calls with each chunk: the sink's own feed() while nothing is held back.
        self.deliver: Callable[[bytes], None] = self._hold

    def start(self, sink: ByteSink) -> None:
        """Begin to push into the sink; held bytes are pushed inside the call."""
        if self._sink is not None or self._closed:
            raise RuntimeError("the body was already started or closed")
        self._sink = sink
        self._push()

    def pause(self) -> None:
        """Stop pushing; a chunk on its way may still come."""
        self._paused = True
        if self._channel is not None:
            self._channel.pause_body()

    def resume(self) -> None:
        """Go on pushing."""
        self._paused = False
        self._push()

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole body, instead of start(). Raises WireError: OVERLONG above limit_bytes, or what broke the body."""
        if self.size_bytes > limit_bytes:
            self.abandon()
            raise WireError(
                WireErrorKind.OVERLONG, f"{self.size_bytes} body bytes, over {limit_bytes}", answered=True
            )
        if self._is_at_hand(limit_bytes):
            self._closed = True
            body = b"".join(self._held)
            self._held.clear()
            return body
        sink = CollectSink(limit_bytes)
        try:
            self.start(sink)
            return await sink.wait()
        except BaseException:
            self.abandon()
            raise

    async def close(self) -> None:
        """Drop the connection unless the body was read to its end; a sink that still waits is failed. Safe to repeat."""
        self.abandon()

    def abandon(self) -> None:
        """close(), for callers that cannot await."""
        if self._closed:
            return
        self._closed = True
        if self._error is None and (self._held or not self._over):
            self._error = WireError(WireErrorKind.RESET, "the body was closed before its end", answered=True)
        self._over = True
        self._held.clear()
        self.deliver = _ignore
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.drop()
        self._conclude()

    def finished(self, error: Exception | None) -> None:
        """Nothing more comes; the connection is no longer ours. The sink hears it behind the bytes held for it."""
        if self._over:
            return
        self._channel = None
        self._over = True
        self._error = error
        self.deliver = _ignore
        if self._sink is not None and not self._held:
            self._conclude()

    def _is_at_hand(self, limit_bytes: int) -> bool:
        """The whole body came with its head: no sink has to wait for it."""
        untouched = self._sink is None and not self._closed and not self._paused
        return untouched and self._over and self._error is None and self._held_bytes <= limit_bytes

    def _hold(self, chunk: bytes) -> None:
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes > HOLD_BYTES and self._channel is not None:
            self._channel.pause_body()

    def _push(self) -> None:
        sink = self._sink
        if sink is None or self._pushing:
            return
        held = self._held
        self._pushing = True
        try:
            while held and not self._paused:
                chunk = held.pop(0)
                self._held_bytes -= len(chunk)
                sink.feed(chunk)
        finally:
            self._pushing = False
        if held or self._paused:
            return
        if self._over:
            self._conclude()
        elif self._channel is not None:
            self.deliver = sink.feed
            self._channel.resume_body()

    def _conclude(self) -> None:
        sink, self._sink = self._sink, None
        self._closed = True
        if sink is None:
            return
        if self._error is not None:
            sink.fail(self._error)
        else:
            sink.end()
