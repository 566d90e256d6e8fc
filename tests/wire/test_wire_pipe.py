"""Sources, sinks and taps without any socket."""

from __future__ import annotations

import pytest

from omsd.wire import BytesSource, CollectSink, Tap, WireError, WireErrorKind
from tests.wire.bodies import BLOCK, HandSource, RecordingSink


class CountingTap(Tap):
    """Counts what passes; may refuse the end."""

    def __init__(self, source: object, error: Exception | None = None) -> None:
        super().__init__(source)  # type: ignore[arg-type]
        self.seen_bytes = 0
        self.error = error

    def see(self, chunk: bytes) -> None:
        self.seen_bytes += len(chunk)

    def finish(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("size_bytes", [0, 1, 262_144, 262_145, 1_000_000])
def test_bytes_come_whole_and_in_order(size_bytes: int) -> None:
    data, sink = (BLOCK * 16)[:size_bytes], RecordingSink()
    BytesSource(data).start(sink)
    assert b"".join(sink.chunks) == data
    assert sink.outcomes == ["end"]


def test_bytes_obey_pauses_even_from_inside_feed() -> None:
    class PausingSink(RecordingSink):
        def feed(self, chunk: bytes) -> None:
            super().feed(chunk)
            source.pause()

    source, sink = BytesSource(BLOCK * 16), PausingSink()
    source.start(sink)
    assert len(sink.chunks) == 1
    rounds = 0
    while not sink.outcomes:
        source.resume()
        rounds += 1
    assert (rounds, sink.outcomes) == (4, ["end"])
    assert b"".join(sink.chunks) == BLOCK * 16


async def test_collect_keeps_up_to_its_limit() -> None:
    sink = CollectSink(10)
    BytesSource(b"0123456789").start(sink)
    assert await sink.wait() == b"0123456789"
    sink = CollectSink(9)
    BytesSource(b"0123456789").start(sink)
    with pytest.raises(WireError) as caught:
        await sink.wait()
    assert caught.value.kind is WireErrorKind.OVERLONG


def test_tap_sees_every_chunk_once_and_hands_on_the_end() -> None:
    tap, sink = CountingTap(BytesSource(BLOCK * 16)), RecordingSink()
    tap.start(sink)
    assert tap.seen_bytes == sink.size_bytes == 16 * len(BLOCK)
    assert sink.outcomes == ["end"]


def test_tap_that_refuses_the_end_fails_its_sink() -> None:
    error, sink = ValueError("digest"), RecordingSink()
    CountingTap(BytesSource(b"x"), error).start(sink)
    assert sink.outcomes == [error]


def test_tap_hands_on_a_failure_once() -> None:
    source, sink, error = HandSource(), RecordingSink(), ValueError("gone")
    CountingTap(source).start(sink)
    assert source.sink is not None
    source.sink.fail(error)
    source.sink.fail(error)
    source.sink.end()
    assert sink.outcomes == [error]


def test_tap_flows_only_when_neither_tap_nor_sink_wants_it_stopped() -> None:
    source = HandSource()
    tap = Tap(source)
    tap.start(RecordingSink())
    tap.hold()
    tap.pause()
    tap.resume()
    assert source.paused
    tap.pause()
    tap.release()
    assert source.paused
    tap.resume()
    assert not source.paused
