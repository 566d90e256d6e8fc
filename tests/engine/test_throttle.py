"""A task's bytes at the pace of its grant, on time that is moved by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.engine.digest import Digest
from omsd.engine.stream import BodyTap, BytesBody, Meter, PacedBody
from omsd.engine.throttle import Gate, Throttle
from omsd.ports.objectstore import ByteSink
from tests.engine.harness import Report, bodies, fill, make_run, memory_store

KIB = 1024


@dataclass
class HandTimer:
    at_s: float
    call: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class HandTime:
    """Monotonic time and its timers. late_s: how much later than asked for a timer comes."""

    now_s: float = 100.0
    late_s: float = 0.0
    _timers: list[tuple[float, int, HandTimer]] = field(default_factory=list)
    _turns: itertools.count[int] = field(default_factory=itertools.count)

    def monotonic(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, call: Callable[[], None]) -> HandTimer:
        timer = HandTimer(self.now_s + delay_s + self.late_s, call)
        heapq.heappush(self._timers, (timer.at_s, next(self._turns), timer))
        return timer

    def advance(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self._timers and self._timers[0][0] <= end_s:
            at_s, _, timer = heapq.heappop(self._timers)
            self.now_s = max(self.now_s, at_s)
            if not timer.cancelled:
                timer.call()
        self.now_s = end_s


@dataclass
class Arrivals:
    """A sink that notes when which bytes came."""

    time: HandTime
    sizes: list[tuple[float, int]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    ended: bool = False
    error: Exception | None = None

    def feed(self, chunk: bytes) -> None:
        assert not self.ended
        self.sizes.append((self.time.now_s, len(chunk)))
        self.chunks.append(chunk)

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)

    def end(self) -> None:
        assert not self.ended
        self.ended = True

    def fail(self, error: Exception) -> None:
        self.error = error

    def between(self, start_s: float, end_s: float) -> int:
        return sum(size for at_s, size in self.sizes if start_s < at_s <= end_s)


class Source:
    """Pushes chunks whenever it is not paused, as a fast connection does."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.left = list(chunks)
        self.paused = False
        self._sink: ByteSink | None = None
        self._pushing = False

    def start(self, sink: ByteSink) -> None:
        self._sink = sink
        self._push()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self._push()

    def fail(self, error: Exception) -> None:
        assert self._sink is not None
        self._sink.fail(error)

    def _push(self) -> None:
        if self._pushing or self._sink is None:
            return
        self._pushing = True
        while self.left and not self.paused:
            self._sink.feed(self.left.pop(0))
        if not self.left and not self.paused:
            sink, self._sink = self._sink, None
            sink.end()
        self._pushing = False


def limited(time: HandTime, rate: int | None) -> Throttle:
    throttle = Throttle(time.monotonic, time.call_later)
    throttle.set_limit(rate)
    return throttle


def start_tap(time: HandTime, throttle: Throttle, source: Source) -> Arrivals:
    arrivals = Arrivals(time)
    BodyTap(source, Digest(xz=True, nvme=False), Meter(), throttle).start(arrivals)
    return arrivals


@pytest.mark.parametrize("rate", [300_000, 1_000_000, 50_000_000, 200_000_000])
@pytest.mark.parametrize("bodies", [1, 50])
@pytest.mark.parametrize("late_s", [0.0, 0.02])
def test_every_second_carries_the_limit_whatever_the_number_of_bodies(
    rate: int, bodies: int, late_s: float
) -> None:
    time = HandTime(late_s=late_s)
    gate = Gate(time.monotonic, time.call_later)
    gate.set_rate(rate)
    chunk = bytes(256 * KIB)
    sinks = [Arrivals(time) for _ in range(bodies)]
    for sink in sinks:
        PacedBody(Source([chunk] * (3 * rate // len(chunk) + 2)), gate).start(sink)
    time.advance(2.2)
    for start_s in (100.0, 100.4, 101.0, 101.2):
        moved = sum(sink.between(start_s, start_s + 1.0) for sink in sinks)
        assert moved == pytest.approx(rate, rel=0.1)


def test_bodies_take_turns_in_quanta() -> None:
    time = HandTime()
    throttle = limited(time, 1_000_000)
    taps = [start_tap(time, throttle, Source([bytes(256 * KIB)])) for _ in range(5)]
    time.advance(1.0)
    shares = [sum(size for _, size in tap.sizes) for tap in taps]
    assert max(shares) - min(shares) <= 2 * 10_000
    assert max(size for tap in taps for _, size in tap.sizes) <= 10_000


def test_the_source_is_paused_until_what_came_has_passed_on() -> None:
    time = HandTime()
    source = Source([bytes(100_000)] * 10)
    start_tap(time, limited(time, 100_000), source)
    assert (source.paused, len(source.left)) == (True, 9)
    time.advance(0.5)
    assert len(source.left) == 9
    time.advance(0.6)
    assert len(source.left) == 8


def test_idle_time_is_not_saved_up() -> None:
    time = HandTime()
    throttle = limited(time, 1_000_000)
    time.advance(3600.0)
    tap = start_tap(time, throttle, Source([bytes(256 * KIB)] * 12))
    assert tap.between(0.0, time.now_s) <= 100_000
    start_s = time.now_s
    time.advance(1.0)
    assert len(tap.data) <= 1_100_000
    assert tap.between(start_s + 0.5, start_s + 1.0) == pytest.approx(500_000, rel=0.05)


def test_a_grant_holds_as_long_as_no_other_comes() -> None:
    time = HandTime()
    tap = start_tap(time, limited(time, 50_000), Source([bytes(64 * KIB)] * 200))
    time.advance(120.0)
    assert len(tap.data) == pytest.approx(50_000 * 120, rel=0.02)


@pytest.mark.parametrize(("before", "after"), [(10_000, 1_000_000), (1_000_000, 10_000), (1_000_000, None)])
def test_a_change_acts_at_once_also_on_who_waits(before: int, after: int | None) -> None:
    time = HandTime()
    throttle = limited(time, before)
    taps = [start_tap(time, throttle, Source([bytes(256 * KIB)] * 40)) for _ in range(5)]
    time.advance(1.0)
    changed_s = time.now_s
    throttle.set_limit(after)
    time.advance(2.0)
    moved = sum(tap.between(changed_s - 1e-9, changed_s + 2.0) for tap in taps)
    if after is None:
        assert all(tap.ended for tap in taps)
    else:
        assert moved == pytest.approx(2 * after, rel=0.15)


def test_after_a_fall_bodies_that_wait_go_on_in_the_new_small_steps() -> None:
    time = HandTime()
    throttle = limited(time, 50_000_000)
    taps = [start_tap(time, throttle, Source([bytes(256 * KIB)] * 40)) for _ in range(25)]
    time.advance(0.1)
    throttle.set_limit(500_000)
    time.advance(1.0)
    for _ in range(10):
        start_s = time.now_s
        time.advance(1.0)
        moved = sum(tap.between(start_s, time.now_s) for tap in taps)
        assert moved == pytest.approx(500_000, rel=0.03)


def test_a_grant_of_nothing_moves_nothing_and_ends_with_the_next_one() -> None:
    time = HandTime()
    throttle = limited(time, 0)
    tap = start_tap(time, throttle, Source([bytes(1000)]))
    time.advance(1000.0)
    assert tap.data == b""
    assert throttle.waiting_bytes == 1000
    throttle.set_limit(1_000_000)
    assert tap.ended
    assert throttle.waiting_bytes == 0


@given(
    chunks=st.lists(st.binary(max_size=3000), max_size=8),
    pauses=st.lists(st.sampled_from(["pause", "resume", "unlimited", "limited", "wait"]), max_size=12),
)
def test_every_byte_passes_once_and_in_order_whatever_happens_on_the_way(
    chunks: list[bytes], pauses: list[str]
) -> None:
    time = HandTime()
    throttle = limited(time, 20_000)
    source, arrivals = Source(chunks), Arrivals(time)
    tap = BodyTap(source, Digest(xz=True, nvme=False), Meter(), throttle)
    tap.start(arrivals)
    for step in pauses:
        match step:
            case "pause":
                tap.pause()
            case "resume":
                tap.resume()
            case "unlimited":
                throttle.set_limit(None)
            case "limited":
                throttle.set_limit(20_000)
            case _:
                time.advance(0.05)
    tap.resume()
    time.advance(10.0)
    assert arrivals.data == b"".join(chunks)
    assert arrivals.ended
    assert throttle.take_moved() == len(arrivals.data)
    assert throttle.waiting_bytes == 0


def test_a_sink_that_is_full_gets_nothing_and_keeps_nobody_else_waiting() -> None:
    time = HandTime()
    throttle = limited(time, 1_000_000)
    source, arrivals = Source([bytes(256 * KIB)] * 8), Arrivals(time)
    full = BodyTap(source, Digest(xz=True, nvme=False), Meter(), throttle)
    full.start(arrivals)
    full.pause()
    other = start_tap(time, throttle, Source([bytes(256 * KIB)] * 8))
    time.advance(1.0)
    assert len(arrivals.data) <= 20_000
    assert len(other.data) == pytest.approx(1_000_000, rel=0.05)


def test_a_body_that_fails_or_is_closed_leaves_the_queue() -> None:
    time = HandTime()
    throttle = limited(time, 10_000)
    source = Source([bytes(50_000)] * 2)
    broken = start_tap(time, throttle, source)
    arrivals = Arrivals(time)
    closed = PacedBody(BytesBody(bytes(50_000)), throttle.outgoing)
    closed.start(arrivals)
    source.fail(ValueError("gone"))
    closed.close()
    moved = len(broken.data) + len(arrivals.data)
    time.advance(60.0)
    assert isinstance(broken.error, ValueError)
    assert len(broken.data) + len(arrivals.data) == moved
    assert throttle.waiting_bytes == 0


def test_whole_bodies_are_admitted_one_behind_the_other_and_count_once() -> None:
    time = HandTime()
    gate = Gate(time.monotonic, time.call_later)
    gate.set_rate(1_000_000)
    came: list[tuple[int, float]] = []
    for number in range(3):
        if gate.ask(1_000_000, lambda number=number: came.append((number, time.now_s))) is None:  # type: ignore[misc]
            came.append((number, time.now_s))
    time.advance(10.0)
    assert [(number, round(at_s, 6)) for number, at_s in came] == [(0, 100.0), (1, 101.0), (2, 102.0)]
    assert gate.moved_bytes == 3_000_000


async def test_a_cancelled_wait_for_admission_leaves_the_queue() -> None:
    gate = Gate()
    gate.set_rate(1000)
    await gate.admit(10_000)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(gate.admit(10_000))
        await asyncio.sleep(0)
        assert gate.waiting_bytes == 10_000
        waiting.cancel()
    assert gate.waiting_bytes == 0


async def test_objects_held_whole_streamed_and_in_parts_all_spend_the_grant_once() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    sizes = {**{f"small{n}": 3 * KIB for n in range(30)}, "middle": 14 * KIB, "large": 40 * KIB, "empty": 0}
    await fill(source, {key: bytes(size) for key, size in sizes.items()})
    throttle = Throttle()
    throttle.set_limit(sum(sizes.values()))
    began_s = asyncio.get_running_loop().time()
    assert await make_run(source, destination, report, throttle=throttle).run()
    # A second's worth of bytes; counted twice it would take two.
    assert 0.8 <= asyncio.get_running_loop().time() - began_s <= 1.7
    assert bodies(destination) == bodies(source)
    assert throttle.take_moved() == sum(sizes.values())
    assert throttle.waiting_bytes == 0


async def test_a_cut_under_a_limit_leaves_nobody_waiting() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {f"{n}": bytes(10 * KIB * (1 + n % 3)) for n in range(12)})
    throttle = Throttle()
    throttle.set_limit(1000)
    run = make_run(source, destination, report, throttle=throttle)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run.run())
        while not throttle.waiting_bytes:
            await asyncio.sleep(0)
        run.cut()
        assert not await running
    assert throttle.waiting_bytes == 0
    assert not report.open_uploads
