"""The pump: a body on its way from source to destination, seen by digest, progress and throttle."""

from __future__ import annotations

from collections import deque

from omsd.engine.digest import Digest
from omsd.engine.throttle import Gate, Throttle, Ticket
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


class PacedBody:
    """A ByteSource that passes another one on at a gate's pace, in quanta; the other one pauses until what came has passed."""

    __slots__ = (
        "_allowed_bytes",
        "_at",
        "_chunks",
        "_draining",
        "_gate",
        "_inner",
        "_over",
        "_sink",
        "_ticket",
        "_wants_pause",
    )

    def __init__(self, inner: ByteSource, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate
        self._sink: ByteSink | None = None
        self._chunks: deque[bytes] = deque()
        self._at = 0
        self._allowed_bytes = 0
        self._ticket: Ticket | None = None
        self._wants_pause = False
        self._draining = False
        self._over = False

    def came(self, chunk: bytes) -> None:
        """A chunk has been read."""

    def passes(self, size_bytes: int) -> None:
        """So much is handed on."""

    def start(self, sink: ByteSink) -> None:
        """Chunks come at the pace of the gate."""
        self._sink = sink
        self._inner.start(self)

    def pause(self) -> None:
        """The sink wants no more for now."""
        self._wants_pause = True
        self._inner.pause()

    def resume(self) -> None:
        """What was kept back comes first."""
        self._wants_pause = False
        if self._chunks:
            self._drain()
        else:
            self._inner.resume()

    def feed(self, chunk: bytes) -> None:
        """Hand the chunk on, or keep it until the gate allows it."""
        self.came(chunk)
        if not self._gate.limited and not self._chunks and self._sink is not None:
            self._gate.moved_bytes += len(chunk)
            self.passes(len(chunk))
            self._sink.feed(chunk)
            return
        self._chunks.append(chunk)
        self._inner.pause()
        self._drain()

    def end(self) -> None:
        """The body is over; the sink hears of it after what is kept back."""
        self._over = True
        if not self._chunks:
            self._finish()

    def fail(self, error: Exception) -> None:
        """The body failed; what is kept back is dropped."""
        sink = self._sink
        self.close()
        if sink is not None:
            sink.fail(error)

    def close(self) -> None:
        """Nothing more is handed on; safe to repeat."""
        self._sink = None
        self._chunks.clear()
        self._allowed_bytes = 0
        if self._ticket is not None:
            self._gate.withdraw(self._ticket)
            self._ticket = None

    def _finish(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.end()

    def _granted(self) -> None:
        if self._ticket is not None:
            self._allowed_bytes, self._ticket = self._ticket.size_bytes, None
            self._drain()

    def _drain(self) -> None:
        # A sink may pause and resume inside feed(), an inner source may push inside resume(): the outer loop goes on.
        if self._draining:
            return
        self._draining = True
        try:
            while self._pass_chunks():
                if self._over:
                    self._finish()
                    return
                self._inner.resume()
                if not self._chunks:
                    return
        finally:
            self._draining = False

    def _pass_chunks(self) -> bool:
        """Hand on what may be; True if nothing is left and the inner source may go on."""
        while self._chunks:
            if not self._allowed_bytes:
                if self._wants_pause or self._ticket is not None:
                    return False
                left_bytes = len(self._chunks[0]) - self._at
                size_bytes = min(self._gate.quantum_bytes, left_bytes)
                self._ticket = self._gate.ask(size_bytes, self._granted, left_bytes, divisible=True)
                if self._ticket is not None:
                    return False
                self._allowed_bytes = size_bytes
            self._pass_slice()
        return not self._wants_pause

    def _pass_slice(self) -> None:
        assert self._sink is not None
        chunk, at = self._chunks[0], self._at
        size_bytes, self._allowed_bytes = self._allowed_bytes, 0
        self._at = at + size_bytes
        if self._at == len(chunk):
            self._chunks.popleft()
            self._at = 0
        self.passes(size_bytes)
        self._sink.feed(chunk if size_bytes == len(chunk) else chunk[at : at + size_bytes])


class BodyTap(PacedBody):
    """The body of an object under way: digested and metered as it comes, handed on at the pace of the task's throttle."""

    __slots__ = ("_digest", "_meter", "_outgoing")

    def __init__(self, inner: ByteSource, digest: Digest, meter: Meter, throttle: Throttle) -> None:
        super().__init__(inner, throttle.incoming)
        self._digest = digest
        self._meter = meter
        self._outgoing = throttle.outgoing

    def came(self, chunk: bytes) -> None:
        """Digest and count it."""
        self._digest.update(chunk)
        self._meter.add(len(chunk))

    def passes(self, size_bytes: int) -> None:
        """The outgoing side is charged and not asked: the incoming one has made the pace."""
        self._outgoing.charge(size_bytes)


class BytesBody:
    """A ByteSource of bytes that are here already: one chunk."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def start(self, sink: ByteSink) -> None:
        """Push everything at once."""
        sink.feed(self._data)
        sink.end()

    def pause(self) -> None:
        """There is nothing that could be paused."""

    def resume(self) -> None:
        """Everything was pushed by start()."""
