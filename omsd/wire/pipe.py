"""Small ready-made sources, sinks and taps for pushed bodies. No hashing, no sockets."""

from __future__ import annotations

import asyncio

from omsd.wire.errors import WireError, WireErrorKind
from omsd.wire.message import ByteSink, ByteSource

_PIECE_BYTES = 256 * 1024


class BytesSource:
    """Pushes bytes that are already here, in pieces, so that a pause is obeyed."""

    __slots__ = ("_at", "_data", "_paused", "_pushing", "_sink")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._paused = False
        self._pushing = False
        self._sink: ByteSink | None = None

    def start(self, sink: ByteSink) -> None:
        """Begin to push."""
        self._sink = sink
        self._push()

    def pause(self) -> None:
        """Stop after the piece under way."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._push()

    def _push(self) -> None:
        # A sink may pause and resume from inside feed(): the loop below then just goes on.
        if self._pushing:
            return
        self._pushing = True
        try:
            while self._sink is not None and not self._paused:
                if self._at >= len(self._data):
                    sink, self._sink = self._sink, None
                    sink.end()
                    return
                at = self._at
                self._at = at + _PIECE_BYTES
                self._sink.feed(self._data if len(self._data) <= _PIECE_BYTES else self._data[at : self._at])
        finally:
            self._pushing = False


class CollectSink:
    """Keeps a whole body of at most limit_bytes."""

    __slots__ = ("_chunks", "_done", "_error", "_limit_bytes", "_size_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._chunks: list[bytes] = []
        self._error: Exception | None = None
        self._done = asyncio.Event()

    def feed(self, chunk: bytes) -> None:
        """Keep the chunk; a body over the limit is given up at once."""
        self._size_bytes += len(chunk)
        if self._size_bytes <= self._limit_bytes:
            self._chunks.append(chunk)
        elif self._error is None:
            self._chunks.clear()
            self.fail(
                WireError(WireErrorKind.OVERLONG, f"more than {self._limit_bytes} body bytes", answered=True)
            )

    def end(self) -> None:
        """The body is whole."""
        self._done.set()

    def fail(self, error: Exception) -> None:
        """The body is broken."""
        if self._error is None:
            self._error = error
        self._done.set()

    async def wait(self) -> bytes:
        """The whole body; raises what fail() was given, or WireError OVERLONG."""
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return b"".join(self._chunks)


class Tap:
    """A source that wraps another and sees every chunk on its way; override see(), and finish() for what is due at the end.

    hold() and release() let the tap itself stop the flow (a throttle), beside the pauses of the sink: it flows when neither wants
    it stopped.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._sink: ByteSink | None = None
        self._paused = False
        self._held = False

    def see(self, chunk: bytes) -> None:
        """A chunk passes."""

    def finish(self) -> None:
        """All bytes passed; an exception becomes the body's failure."""

    def hold(self) -> None:
        """Stop the flow, whatever the sink wants."""
        self._held = True
        self._source.pause()

    def release(self) -> None:
        """Take hold() back."""
        if self._held:
            self._held = False
            if not self._paused:
                self._source.resume()

    def start(self, sink: ByteSink) -> None:
        """Begin to push through this tap."""
        self._sink = sink
        self._source.start(self)

    def pause(self) -> None:
        """Stop for the sink."""
        self._paused = True
        self._source.pause()

    def resume(self) -> None:
        """Go on for the sink."""
        self._paused = False
        if not self._held:
            self._source.resume()

    def feed(self, chunk: bytes) -> None:
        """See the chunk, hand it on."""
        self.see(chunk)
        if self._sink is not None:
            self._sink.feed(chunk)

    def end(self) -> None:
        """Finish, then end the sink, or fail it with what finish() raised."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            self.finish()
        except Exception as error:
            sink.fail(error)
        else:
            sink.end()

    def fail(self, error: Exception) -> None:
        """Fail the sink."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.fail(error)
