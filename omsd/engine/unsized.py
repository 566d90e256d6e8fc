"""Bodies that come without a length, held to the size that their object was listed with.

HTTP ends such a body with its connection, so one that broke off looks whole. Services send them for objects that are unpacked on the way
(Content-Encoding: gzip), proxies for what they chunk again; a destination wants to know the length before the first byte.
"""

from __future__ import annotations

from dataclasses import replace

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.ports.objectstore import ByteSink, Reading


class SizedReading:
    """A Reading of just so many bytes: fewer or more are a failure."""

    __slots__ = ("_inner", "_left_bytes", "_sink", "head", "pause", "resume", "size_bytes")

    def __init__(self, inner: Reading, size_bytes: int) -> None:
        self.head = replace(inner.head, size_bytes=size_bytes)
        self.size_bytes = size_bytes
        self.pause = inner.pause
        self.resume = inner.resume
        self._inner = inner
        self._left_bytes = size_bytes
        self._sink: ByteSink | None = None

    def start(self, sink: ByteSink) -> None:
        """Begin to push."""
        self._sink = sink
        self._inner.start(self)

    def feed(self, chunk: bytes) -> None:
        """Count, and hand on."""
        self._left_bytes -= len(chunk)
        if self._left_bytes < 0:
            self.fail(self._wrong())
        elif self._sink is not None:
            self._sink.feed(chunk)

    def end(self) -> None:
        """All must have come."""
        if self._left_bytes:
            self.fail(self._wrong())
        elif self._sink is not None:
            self._sink.end()

    def fail(self, error: Exception) -> None:
        """What comes after a failure is nobody's."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.fail(error)

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole body."""
        data = await self._inner.read_all(limit_bytes)
        self._left_bytes -= len(data)
        if self._left_bytes:
            raise self._wrong()
        return data

    async def close(self) -> None:
        """Give the connection back, or drop it."""
        await self._inner.close()

    def _wrong(self) -> StoreError:
        came = "more" if self._left_bytes < 0 else f"{self._left_bytes} fewer"
        return StoreError(
            StoreErrorKind.TRUNCATED,
            f"{self.head.key}: a body without a length had {came} than the {self.size_bytes} bytes of the object",
        )
