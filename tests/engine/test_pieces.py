"""Pacer, buffers, account and digest by themselves."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import Counters, Outcome, OutcomeKind
from omsd.domain.shards import Checkpoint, LargeObject, ShardKind
from omsd.engine.buffers import BufferBudget
from omsd.engine.digest import Digest, combine
from omsd.engine.pacer import Pacer, PacerPair
from omsd.engine.records import skipped_of
from omsd.engine.report import ShardAccount
from omsd.engine.settings import EngineSettings
from omsd.engine.stream import Meter
from omsd.ports.objectstore import ListedObject
from tests.waiting import PATIENCE_S


class HandClock:
    """Monotonic time moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def test_pacer_grows_with_success_and_halves_once_per_burst() -> None:
    clock = HandClock()
    pacer = Pacer(64, clock)
    start = pacer.limit
    for _ in range(200):
        await_all = [pacer.acquire() for _ in range(pacer.limit)]
        for acquired in await_all:
            await acquired
        for _ in range(pacer.in_flight):
            pacer.release()
    assert start < pacer.limit <= 64
    before = pacer.limit
    for _ in range(10):
        pacer.note_error(StoreError(StoreErrorKind.THROTTLED, "slow down"))
    assert pacer.limit == before // 2
    clock.now_s += 1.0
    pacer.note_error(StoreError(StoreErrorKind.THROTTLED, "slow down"))
    assert pacer.limit == before // 4


async def rounds(pacer: Pacer, number: int, count: int) -> None:
    """So many rounds with as much in flight as may be, `count` requests at a time; each that ends is followed by others at once."""
    for _ in range(number):
        for _ in range(pacer.limit // count):
            await fill(pacer, count)
            pacer.release(count)
    while pacer.in_flight:
        pacer.release(count)


async def fill(pacer: Pacer, count: int) -> None:
    """Take what is free."""
    while pacer.in_flight + count <= pacer.limit:
        await pacer.acquire(count)


@pytest.mark.parametrize("count", [1, 2])
async def test_pacer_grows_fast_until_the_first_refusal_and_slowly_after_it(count: int) -> None:
    clock = HandClock()
    pacer = Pacer(1024, clock)
    start = pacer.limit
    await rounds(pacer, 5, count)
    assert pacer.limit >= 5 * start
    pacer.note_error(StoreError(StoreErrorKind.THROTTLED, "slow down"))
    halved = pacer.limit
    await rounds(pacer, 5, count)
    assert halved + 1 <= pacer.limit <= halved + 5 * count


async def test_a_pacer_that_is_not_used_up_does_not_grow() -> None:
    pacer = Pacer(64)
    start = pacer.limit
    for _ in range(100):
        await pacer.acquire()
        pacer.release()
    assert pacer.limit == start


async def test_retry_after_closes_the_endpoint_for_that_time() -> None:
    pacer = Pacer(8)
    pacer.note_error(StoreError(StoreErrorKind.THROTTLED, "later", retry_after_s=0.05))
    began = asyncio.get_running_loop().time()
    await pacer.acquire()
    assert asyncio.get_running_loop().time() - began >= 0.045


async def test_opposite_copies_never_wait_for_each_other() -> None:
    one, other = Pacer(1), Pacer(1)
    there, back, same = PacerPair(one, other), PacerPair(other, one), PacerPair(one, one)

    async def use(pair: PacerPair) -> None:
        for _ in range(50):
            await pair.acquire()
            await asyncio.sleep(0)
            pair.release(succeeded=True)

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        for pair in (there, back, same, there, back, same):
            group.create_task(use(pair))
    assert one.in_flight == other.in_flight == 0


async def test_a_cancelled_wait_for_the_pacer_loses_no_place() -> None:
    pacer = Pacer(1)
    await pacer.acquire()
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(pacer.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        pacer.release()
        await waiters[1]
        assert pacer.in_flight == 1
        pacer.release()
    assert pacer.in_flight == 1


async def test_buffer_budget_is_never_exceeded_and_served_in_order() -> None:
    budget = BufferBudget(100)
    served: list[int] = []
    held = 0

    async def use(number: int, size: int) -> None:
        nonlocal held
        async with budget.reserve(size):
            held += min(size, 100)
            assert held <= 100
            served.append(number)
            await asyncio.sleep(0)
            held -= min(size, 100)

    async with asyncio.TaskGroup() as group:
        for number, size in enumerate([60, 60, 10, 500, 5]):
            group.create_task(use(number, size))
    assert served == [0, 1, 2, 3, 4]
    assert budget.free_bytes == 100


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_combined_parts_equal_the_whole(parts: list[bytes]) -> None:
    whole = Digest(xz=True, nvme=True)
    pieces = []
    for part in parts:
        whole.update(part)
        piece = Digest(xz=True, nvme=True)
        piece.update(part)
        pieces.append((piece.checksums(), len(part)))
    assert combine(pieces) == whole.checksums()


@given(st.integers(0, 60), st.integers(1, 9), st.randoms(use_true_random=False))
def test_batches_are_in_order_without_gaps_whatever_the_order_of_settling(
    number: int, limit: int, rng: random.Random
) -> None:
    account = ShardAccount(ShardKind.RANGE, Checkpoint(), Meter(), EngineSettings())
    positions = [account.open_position(1) for _ in range(number)]
    rng.shuffle(positions)
    taken: list[str] = []
    listed_num = 0
    for position in positions:
        key = f"{position:03}"
        large = rng.random() < 0.2
        record = LargeObject(key, 2) if large else Outcome(key, 2, OutcomeKind.SUCCESS)
        account.settle(position, record, 1)
        live = account.live().counters
        assert len(taken) + live.listed_num == number
        while rng.random() < 0.5 and (batch := account.take_batch(limit)) is not None:
            checkpoint = batch.checkpoint
            taken += sorted(entry.key for entry in (*batch.outcomes, *batch.handed))
            listed_num += batch.counters.listed_num
            assert batch.counters.listed_size_bytes == 2 * batch.counters.listed_num
            assert batch.counters.accounted_num == len(batch.outcomes)
            assert checkpoint == Checkpoint(len(taken), taken[-1])
    while (batch := account.take_batch(limit)) is not None:
        taken += sorted(entry.key for entry in (*batch.outcomes, *batch.handed))
        listed_num += batch.counters.listed_num
    assert listed_num == number
    assert taken == [f"{position:03}" for position in range(number)]
    assert account.all_final
    assert account.live().counters.listed_size_bytes == 0


def test_a_skipped_object_has_the_record_that_its_names_would_give() -> None:
    record = skipped_of(ListedObject("k", 7, 3.5, "e", "STANDARD"), "why")
    assert record == Outcome("k", 7, OutcomeKind.SKIPPED, last_modified_s=3.5, reason="why")
    assert record._fields == Outcome._fields


def test_objects_passed_over_in_a_run_count_like_those_settled_one_by_one() -> None:
    account = ShardAccount(ShardKind.RANGE, Checkpoint(), Meter(), EngineSettings())
    run = [Outcome(key, 3, OutcomeKind.SKIPPED) for key in "ab"]
    account.pass_over(run)
    assert account.is_idle
    position = account.open_position(5)
    assert not account.is_idle
    assert account.live().counters == Counters(3, 11, 0, 2, 0, 0, 6, 0)
    first = account.take_batch(10)
    account.settle(position, Outcome("c", 5, OutcomeKind.SUCCESS), 5)
    account.pass_over([Outcome("d", 1, OutcomeKind.SKIPPED)])
    second = account.take_batch(10)
    assert first is not None
    assert second is not None
    assert first.outcomes == tuple(run)
    assert first.checkpoint == Checkpoint(2, "b")
    assert second.counters == Counters(2, 6, 1, 1, 0, 5, 1, 0)
    assert second.checkpoint == Checkpoint(4, "d")
    assert account.live().counters == Counters()
    assert account.all_final
