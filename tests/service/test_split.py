"""Shards that split while they run: exact counters, no key in two shards or in none, also after a death at any commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from omsd.domain.events import ShardProgress, ShardSplit
from omsd.domain.model import Counters, LiveProgress, ShardId, TaskState
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.harness import PROJECT, Control, control_process, create_request
from tests.service.test_crash import _is_the_death, _leaves, until_rest

WHOLE = create_request(request_id="the-one")
SURE_COMMITS = 7
EXPECTED = Counters(20, 2000, 18, 1, 1, 1800, 100, 100)


def world() -> World:
    return World({f"{number:02}": 100 for number in range(20)}, broken={"13": "TRF.0152"}, skipped={"07"})


async def some_lease(control: Control, task_id: int, number: int) -> list[int]:
    await control.until(lambda: control.died or len(control.executor.leases_of(task_id)) >= number)  # type: ignore[arg-type]
    if control.died:
        raise control.died[0]
    return sorted(control.executor.leases_of(task_id))  # type: ignore[arg-type]


async def story(control: Control) -> None:
    """One shard becomes three, then four; everything may be cut short by a death."""
    task_id = (await control.service.create(PROJECT, WHOLE)).task_id
    (first,) = await some_lease(control, task_id, 1)
    await control.executor.work(first, 3)  # type: ignore[arg-type]
    await control.executor.give_away(first, "08", "15")  # type: ignore[arg-type]
    leases = await some_lease(control, task_id, 2)
    await control.executor.work(leases[1], 2)  # type: ignore[arg-type]
    await control.executor.give_away(leases[1], "12")  # type: ignore[arg-type]
    await control.executor.finish(first)  # type: ignore[arg-type]
    while (await control.task(task_id)).state is TaskState.MIGRATING:
        if control.died:
            raise control.died[0]
        for lease in control.executor.leases_of(task_id):  # type: ignore[arg-type]
            await control.executor.finish(lease)
        await control.settle()
    await until_rest(control, task_id)


@pytest.mark.parametrize("durable", [False, True], ids=["lost", "durable"])
@pytest.mark.parametrize("die_at", range(1, 13))
async def test_counters_are_exact_after_a_death_at_any_commit(
    tmp_path: Path, die_at: int, durable: bool
) -> None:
    source, clock = world(), FakeClock()
    causes: list[BaseException] = []
    try:
        async with control_process(tmp_path, source, clock=clock, die_at=die_at, durable=durable) as control:
            await story(control)
    except* Exception as deaths:
        causes = _leaves(deaths)
    assert all(_is_the_death(cause) for cause in causes), causes
    assert causes or die_at > SURE_COMMITS
    async with control_process(tmp_path, source, clock=clock) as control:
        task_id = (await control.service.create(PROJECT, WHOLE)).task_id
        await control.run_out(task_id)
        view = await control.service.get(PROJECT, task_id)
        assert view.counters == EXPECTED
        assert set(source.written) == set(source.sizes) - set(source.broken) - source.skipped
        assert max(source.written.values()) <= 2


async def test_after_a_restart_the_pieces_go_on_where_they_were(tmp_path: Path) -> None:
    source = world()
    async with control_process(tmp_path, source) as control:
        task_id = (await control.service.create(PROJECT, WHOLE)).task_id
        (first,) = await some_lease(control, task_id, 1)
        await control.executor.work(first, 3)  # type: ignore[arg-type]
        await control.executor.give_away(first, "08", "15")  # type: ignore[arg-type]
        await control.settle()
    async with control_process(tmp_path, source, slots=3) as control:
        await some_lease(control, task_id, 3)
        shards = {shard.shard_id: shard for _, shard in control.executor.run_log}
        spans = [(shard.after, shard.until, shard.checkpoint.after) for _, shard in sorted(shards.items())]
        assert spans == [("", "08", "02"), ("08", "15", ""), ("15", "", "")]
        # The last never ran before: what it finds at the destination is not of this run.
        assert [shards[ShardId(number)].attempt for number in (1, 3)] == [2, 1]


async def test_what_a_second_lease_gives_away_may_have_been_written_by_the_first(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, WHOLE)).task_id
        (first,) = await some_lease(control, task_id, 1)
        await control.executor.work(first, 10, report=False)  # type: ignore[arg-type]
        await control.executor.release(first)  # type: ignore[arg-type]
        await control.until(lambda: len(control.executor.run_log) == 2)
        (second,) = await some_lease(control, task_id, 1)
        await control.executor.give_away(second, "05")  # type: ignore[arg-type]
        await some_lease(control, task_id, 2)
        assert control.executor.run_log[-1][1].attempt == 2


async def test_the_listing_is_over_only_when_that_of_every_piece_is(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, WHOLE)).task_id
        (first,) = await some_lease(control, task_id, 1)
        await control.executor.give_away(first, "08")  # type: ignore[arg-type]
        over = LiveProgress(Counters(9, 900), listing_over=True)
        await control.executor.sink.emit(ShardProgress(first, over))  # type: ignore[arg-type]
        await control.settle()
        assert not (await control.service.get(PROJECT, task_id)).listing_over
        _, second = await some_lease(control, task_id, 2)
        await control.executor.sink.emit(ShardProgress(second, over))  # type: ignore[arg-type]
        await control.settle()
        assert (await control.service.get(PROJECT, task_id)).listing_over


async def test_a_split_told_twice_or_by_a_void_lease_changes_nothing(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), slots=4) as control:
        task_id = (await control.service.create(PROJECT, WHOLE)).task_id
        (first,) = await some_lease(control, task_id, 1)
        await control.executor.give_away(first, "08")  # type: ignore[arg-type]
        await control.executor.sink.emit(ShardSplit(first, ("08",)))  # type: ignore[arg-type]
        await control.executor.sink.emit(ShardSplit(999, ("03",)))  # type: ignore[arg-type]
        await control.settle()
        assert len(await control.store.open_shards(task_id)) == 2  # type: ignore[arg-type]


async def test_a_range_is_asked_to_split_once_for_each_worker_that_has_nothing(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), slots=4) as control:
        task_id = (await control.service.create(PROJECT, WHOLE)).task_id
        (first,) = await some_lease(control, task_id, 1)
        assert control.executor.split_log == []
        control.executor.idle_num = 2
        control.scheduler.set_priority(task_id, (await control.task(task_id)).priority)  # type: ignore[arg-type]
        await control.until(lambda: control.executor.split_log == [first])
        control.executor.idle_num = 0
        await control.executor.give_away(first, "08")  # type: ignore[arg-type]
        await some_lease(control, task_id, 2)
        control.executor.idle_num = 2
        control.scheduler.set_priority(task_id, (await control.task(task_id)).priority)  # type: ignore[arg-type]
        await control.until(lambda: len(control.executor.split_log) == 3)
        assert sorted(control.executor.split_log[1:]) == sorted(control.executor.running)
