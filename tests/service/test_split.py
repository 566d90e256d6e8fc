"""Shards that split while they run: exact counters, no key in two shards or in none, also after a death at any commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from omsd.domain.events import ShardProgress, ShardSplit
from omsd.domain.model import Counters, LiveProgress, ShardId
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.deaths import dying, finish_all, until_leased
from tests.service.harness import PROJECT, Control, control_process, create_request

WHOLE = create_request(request_id="the-one")
SURE_COMMITS = 7
EXPECTED = Counters(20, 2000, 18, 1, 1, 1800, 100, 100)


def world() -> World:
    return World({f"{number:02}": 100 for number in range(20)}, broken={"13": "TRF.0152"}, skipped={"07"})


async def story(control: Control) -> None:
    """One shard becomes three, then four; everything may be cut short by a death."""
    task_id = (await control.service.create(PROJECT, WHOLE)).task_id
    (first,) = await until_leased(control, task_id, 1)
    await control.executor.work(first, 3)
    await control.executor.give_away(first, "08", "15")
    leases = await until_leased(control, task_id, 2)
    await control.executor.work(leases[1], 2)
    await control.executor.give_away(leases[1], "12")
    await control.executor.finish(first)
    await finish_all(control, task_id)


@pytest.mark.parametrize("durable", [False, True], ids=["lost", "durable"])
@pytest.mark.parametrize("die_at", range(1, 13))
async def test_counters_are_exact_after_a_death_at_any_commit(
    tmp_path: Path, die_at: int, durable: bool
) -> None:
    source, clock = world(), FakeClock()
    with dying() as causes:
        async with control_process(tmp_path, source, clock=clock, die_at=die_at, durable=durable) as control:
            await story(control)
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
        (first,) = await until_leased(control, task_id, 1)
        await control.executor.work(first, 3)
        await control.executor.give_away(first, "08", "15")
        await control.settle()
    async with control_process(tmp_path, source, slots=3) as control:
        await until_leased(control, task_id, 3)
        shards = {shard.shard_id: shard for _, shard in control.executor.run_log}
        spans = [(shard.after, shard.until, shard.checkpoint.after) for _, shard in sorted(shards.items())]
        assert spans == [("", "08", "02"), ("08", "15", ""), ("15", "", "")]
        # The last never ran before: what it finds at the destination is not of this run.
        assert [shards[ShardId(number)].attempt for number in (1, 3)] == [2, 1]


async def test_what_a_second_lease_gives_away_may_have_been_written_by_the_first(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, WHOLE)).task_id
        (first,) = await until_leased(control, task_id, 1)
        await control.executor.work(first, 10, report=False)
        await control.executor.release(first)
        await control.until(lambda: len(control.executor.run_log) == 2)
        (second,) = await until_leased(control, task_id, 1)
        await control.executor.give_away(second, "05")
        await until_leased(control, task_id, 2)
        assert control.executor.run_log[-1][1].attempt == 2


async def test_the_listing_is_over_only_when_that_of_every_piece_is(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, WHOLE)).task_id
        (first,) = await until_leased(control, task_id, 1)
        await control.executor.give_away(first, "08")
        over = LiveProgress(Counters(9, 900), listing_over=True)
        await control.executor.sink.emit(ShardProgress(first, over))
        await control.settle()
        assert not (await control.service.get(PROJECT, task_id)).listing_over
        _, second = await until_leased(control, task_id, 2)
        await control.executor.sink.emit(ShardProgress(second, over))
        await control.settle()
        assert (await control.service.get(PROJECT, task_id)).listing_over


async def test_a_split_told_twice_or_by_a_void_lease_changes_nothing(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), slots=4) as control:
        task_id = (await control.service.create(PROJECT, WHOLE)).task_id
        (first,) = await until_leased(control, task_id, 1)
        await control.executor.give_away(first, "08")
        await control.executor.sink.emit(ShardSplit(first, ("08",)))
        await control.executor.sink.emit(ShardSplit(999, ("03",)))  # type: ignore[arg-type]
        await control.settle()
        assert len(await control.store.open_shards(task_id)) == 2


async def test_a_range_is_asked_to_split_once_for_each_worker_that_has_nothing(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), slots=4) as control:
        task_id = (await control.service.create(PROJECT, WHOLE)).task_id
        (first,) = await until_leased(control, task_id, 1)
        assert control.executor.split_log == []
        control.executor.idle_num = 2
        control.scheduler.set_priority(task_id, (await control.task(task_id)).priority)
        await control.until(lambda: control.executor.split_log == [first])
        control.executor.idle_num = 0
        await control.executor.give_away(first, "08")
        await until_leased(control, task_id, 2)
        control.executor.idle_num = 2
        control.scheduler.set_priority(task_id, (await control.task(task_id)).priority)
        await control.until(lambda: len(control.executor.split_log) == 3)
        assert sorted(control.executor.split_log[1:]) == sorted(control.executor.running)
