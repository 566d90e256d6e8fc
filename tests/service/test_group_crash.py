"""The control process dies at every commit of a group's life: afterwards no task exists twice, none is missing, all sums are exact."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from omsd.domain.group import GroupState
from omsd.domain.group_plan import TaskTarget
from omsd.domain.model import Counters
from omsd.domain.questions import MeasureStretch
from omsd.service.group_requests import ListTaskGroups, RetryTaskGroup
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.deaths import dying, until
from tests.service.group_harness import create_group, members, run_out_group, split, start_group
from tests.service.harness import PROJECT, Control, control_process
from tests.waiting import PATIENCE_S

WHOLE = create_group("a/", "b/", request_id="the-one")
# Fewer only if events happen to share a commit; the story makes fewer than LAST.
SURE_COMMITS = 18
LAST = 60
SIZES = {f"{folder}/{number}": 100 for folder in "ab" for number in range(5)}


async def story(control: Control) -> None:
    """Create, migrate a part, pause, start, migrate the rest; everything may be cut short by a death."""
    control.executor.most_measured = 3
    group_id = (await control.groups.create(PROJECT, WHOLE)).group_id
    await until(control, lambda: len(control.executor.running) > 0)
    for lease in list(control.executor.running):
        await control.executor.work(lease, 1)
    await control.groups.stop(PROJECT, group_id)
    await run_out_group(control, group_id)
    view = await control.groups.get(PROJECT, group_id)
    if view.group.state is GroupState.PAUSED:
        await control.groups.start(PROJECT, group_id, start_group())
    await run_out_group(control, group_id)


async def finish(control: Control) -> str:
    """What an operator does after a restart: look, start what is paused, wait."""
    control.executor.most_measured = 3
    group_id = (await control.groups.create(PROJECT, WHOLE)).group_id
    while (view := await run_out_group(control, group_id)).group.state is not GroupState.COMPLETED:
        assert view.group.state is GroupState.PAUSED, view
        await control.groups.start(PROJECT, group_id, start_group())
    return group_id


@pytest.mark.parametrize("durable", [False, True], ids=["lost", "durable"])
@pytest.mark.parametrize("die_at", range(1, LAST, 2))
async def test_every_object_is_migrated_once_after_a_death_at_any_commit(
    tmp_path: Path, die_at: int, durable: bool
) -> None:
    world, clock = World(dict(SIZES)), FakeClock()
    # Even numbers with one outcome, odd ones with the other: every commit is met.
    die_at += durable
    with dying() as causes:
        async with control_process(tmp_path, world, clock=clock, die_at=die_at, durable=durable) as control:
            await story(control)
    assert causes or die_at > SURE_COMMITS
    async with control_process(tmp_path, world, clock=clock) as control:
        group_id = await finish(control)
        view = await control.groups.get(PROJECT, group_id)
        assert view.counters == Counters(10, 1000, 10, 0, 0, 1000)
        assert (view.total_num, view.created_num) == (10, 10)
        specs = [task.spec for task in await members(control, group_id)]
        assert [(spec.object_keys, spec.after, spec.until) for spec in specs] == [
            (("a/",), "", "a/3"),
            (("a/", "b/"), "a/3", "b/2"),
            (("b/",), "b/2", ""),
        ]
        assert (await control.groups.list(PROJECT, ListTaskGroups())).count == 1
        assert await control.group_store.group_credentials(view.group) is None
        assert set(world.written) == set(SIZES)
        # Written twice at most: what was under way when it died.
        assert max(world.written.values()) <= 2


async def test_the_story_makes_as_many_commits_as_are_tested(tmp_path: Path) -> None:
    async with control_process(tmp_path, World(dict(SIZES))) as control:
        await story(control)
        assert SURE_COMMITS <= control.store.commits_num < LAST


@pytest.mark.parametrize("die_at", range(2, 12, 2))
async def test_a_deletion_that_was_begun_is_finished_after_a_death(tmp_path: Path, die_at: int) -> None:
    world, clock = World(dict(SIZES)), FakeClock()
    async with control_process(tmp_path, world, clock=clock) as control:
        group_id = (await control.groups.create(PROJECT, WHOLE)).group_id
        await run_out_group(control, group_id)
    with dying():
        async with control_process(tmp_path, world, clock=clock, die_at=die_at) as control:
            await control.groups.delete(PROJECT, group_id)
            while not control.died and (await control.groups.list(PROJECT, ListTaskGroups())).count:
                await asyncio.sleep(0.001)
    async with control_process(tmp_path, world, clock=clock) as control:
        page = await control.groups.list(PROJECT, ListTaskGroups())
        if page.count and page.groups[0].group.state is not GroupState.DELETING:
            await control.groups.delete(PROJECT, group_id)
        async with asyncio.timeout(PATIENCE_S):
            while (await control.groups.list(PROJECT, ListTaskGroups())).count:
                await asyncio.sleep(0.001)
        assert await members(control, group_id) == []


async def test_a_retry_of_many_tasks_goes_on_where_it_was_after_a_death(tmp_path: Path) -> None:
    """More tasks than one step takes; each is started once."""
    world, clock = World({f"{number}": 1 for number in range(8)}), FakeClock()
    world.broken = dict.fromkeys(world.sizes, "TRF.0152")
    target = TaskTarget(1, 100)
    async with control_process(tmp_path, world, clock=clock, target=target) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        view = await run_out_group(control, group_id)
        assert (view.group.state, view.tally.failed) == (GroupState.MIGRATION_FAILED, 8)
    world.broken = {}
    keys = RetryTaskGroup(src_ak="A", src_sk="B", dst_ak="C", dst_sk="D")
    with dying() as causes:
        async with control_process(
            tmp_path, world, clock=clock, die_at=3, max_parallel_tasks=0, members_per_step=3
        ) as control:
            await control.groups.retry(PROJECT, group_id, keys)
            await until(control, lambda: False)
    assert causes
    async with control_process(
        tmp_path, world, clock=clock, max_parallel_tasks=0, members_per_step=3
    ) as control:
        assert (await control.groups.get(PROJECT, group_id)).tally.waiting >= 3
    async with control_process(tmp_path, world, clock=clock, members_per_step=3) as control:
        view = await run_out_group(control, group_id)
        assert (view.group.state, view.tally.succeeded) == (GroupState.COMPLETED, 8)
        assert {task.run for task in await members(control, group_id)} == {2}
        assert set(world.written.values()) == {1}


async def test_creation_goes_on_by_itself_after_a_restart(tmp_path: Path) -> None:
    world, clock = World(dict(SIZES)), FakeClock()
    async with control_process(tmp_path, world, clock=clock) as control:
        control.executor.most_measured = 3
        control.executor.hold_after = 3
        group_id = (await control.groups.create(PROJECT, WHOLE)).group_id
        await control.until(lambda: len(control.executor.questions) == 4)
        await control.settle()
        assert (await control.groups.get(PROJECT, group_id)).group.state is GroupState.CREATING
    async with control_process(tmp_path, world, clock=clock) as control:
        assert control.recovery.groups_num == 1
        assert len(await split(control, group_id)) == 3
        # It went on behind what was measured before.
        first = control.executor.questions[0]
        assert isinstance(first, MeasureStretch)
        assert (first.wanted.prefix, first.wanted.objects_num) == ("b/", 3)
        assert (await run_out_group(control, group_id)).group.state is GroupState.COMPLETED


async def test_a_lost_key_file_fails_the_creation_and_says_what_to_do(tmp_path: Path) -> None:
    world, clock = World(dict(SIZES)), FakeClock()
    async with control_process(tmp_path, world, clock=clock) as control:
        control.executor.hold_after = 1
        group_id = (await control.groups.create(PROJECT, WHOLE)).group_id
        await control.until(lambda: len(control.executor.questions) == 2)
        await control.settle()
    (tmp_path / "key").unlink()
    async with control_process(tmp_path, world, clock=clock) as control:
        view = await control.reach_group(group_id, GroupState.CREATION_FAILED)
        assert "AK/SK" in view.group.error_message
