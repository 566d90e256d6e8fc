"""The pump: a body on its way from source to destination, seen by digest, progress and throttle."""

from __future__ import annotations

import asyncio

from omsd.engine.digest import Digest
from omsd.engine.throttle import Throttle
from omsd.ports.objectstore import ByteSink, ByteSource


class Meter:
    """Bytes that moved in one shard: in all (only grows), and of objects that are not final yet."""

    __slots__ = ("moved_total_bytes", "moving_bytes")

    def __init__(self) -> None:
        self.moved_total_bytes = 0
        self.moving_bytes = 0

    def add(self, size_bytes: int) -> None:
        """These bytes moved, for an object under way."""
        self.moved_total_bytes += size_bytes
        self.moving_bytes += size_bytes

    def settle(self, size_bytes: int) -> None:
        """That many of the moving bytes now belong to a final object, or will be sent again."""
        self.moving_bytes -= size_bytes


class BodyTap:
    """A ByteSource that passes another one on and sees each chunk once."""

    __slots__ = ("_digest", "_inner", "_loop", "_meter", "_resting", "_sink", "_throttle", "_wants_pause")

    def __init__(self, inner: ByteSource, digest: Digest, meter: Meter, throttle: Throttle) -> None:
        self._inner = inner
        self._digest = digest
        self._meter = meter
        self._throttle = throttle
        self._sink: ByteSink | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._wants_pause = False
        self._loop = asyncio.get_running_loop()

    def start(self, sink: ByteSink) -> None:
        self._sink = sink
        self._inner.start(self)

    def pause(self) -> None:
        self._wants_pause = True
        self._inner.pause()

    def resume(self) -> None:
        self._wants_pause = False
        if self._resting is None:
            self._inner.resume()

    def feed(self, chunk: bytes) -> None:
        assert self._sink is not None
        self._digest.update(chunk)
        self._meter.add(len(chunk))
        self._sink.feed(chunk)
        rest_s = self._throttle.spend(len(chunk))
        if rest_s > 0.0 and self._resting is None:
            self._inner.pause()
            self._resting = self._loop.call_later(rest_s, self._rested)

    def end(self) -> None:
        assert self._sink is not None
        self._stop_resting()
        self._sink.end()

    def fail(self, error: Exception) -> None:
        assert self._sink is not None
        self._stop_resting()
        self._sink.fail(error)

    def _rested(self) -> None:
        self._resting = None
        if not self._wants_pause:
            self._inner.resume()

    def _stop_resting(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
