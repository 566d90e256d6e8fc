"""The control process dies at every commit; whatever was lost or not, the counters are exact afterwards."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from omsd.domain.model import Counters, TaskState
from omsd.domain.object_lists import HEADER
from omsd.domain.shards import OpenUpload
from omsd.service import requests
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.deaths import dying, until_leased, until_rest
from tests.service.harness import PROJECT, Control, control_process, create_request, start_request

FOLDERS = create_request(
    request_id="the-one",
    src_node=requests.SrcNode(
        cloud_type="AWS", region="us-east-1", ak="A", sk="S", bucket="from", object_key=("a/", "b/")
    ),
)
# Fewer only if events happen to share a commit.
SURE_COMMITS = 9
EXPECTED = Counters(12, 1200, 9, 1, 2, 900, 100, 200)


def mixed_world() -> World:
    sizes = {f"{folder}/{number}": 100 for folder in "ab" for number in range(6)}
    return World(sizes, broken={"a/3": "TRF.0152", "b/5": "TRF.0152"}, skipped={"b/1"})


async def story(control: Control) -> None:
    """Create, migrate a part, pause, start again, migrate the rest; everything may be cut short by a death."""
    task_id = (await control.service.create(PROJECT, FOLDERS)).task_id
    for _ in range(2):
        for lease in await until_leased(control, task_id, 2):
            await control.executor.work(lease, 2)
    await control.service.stop(PROJECT, task_id)
    for lease in await until_leased(control, task_id, 2):
        await control.executor.release(lease)
    await until_rest(control, task_id)
    await control.service.start(PROJECT, task_id, start_request())
    for lease in await until_leased(control, task_id, 2):
        await control.executor.finish(lease)
    await until_rest(control, task_id)


async def finish(control: Control) -> int:
    """What an operator does after a restart: look, start what is paused, wait."""
    task_id = (await control.service.create(PROJECT, FOLDERS)).task_id
    while (task := await control.task(task_id)).state is not TaskState.FAILED:
        if task.state is TaskState.PAUSED:
            await control.service.start(PROJECT, task_id, start_request())
        await control.run_out(task_id)
    return task_id


# The story makes fewer commits than this; a death that does not come tests nothing but costs little.
@pytest.mark.parametrize("durable", [False, True], ids=["lost", "durable"])
@pytest.mark.parametrize("die_at", range(1, 17))
async def test_counters_are_exact_after_a_death_at_any_commit(
    tmp_path: Path, die_at: int, durable: bool
) -> None:
    world, clock = mixed_world(), FakeClock()
    with dying() as causes:
        async with control_process(tmp_path, world, clock=clock, die_at=die_at, durable=durable) as control:
            await story(control)
    assert causes or die_at > SURE_COMMITS
    async with control_process(tmp_path, world, clock=clock) as control:
        task_id = await finish(control)
        view = await control.service.get(PROJECT, task_id)
        assert view.counters == EXPECTED
        assert view.task.error_code == "TRF.0152"
        page = await control.store.failed_page(task_id, 0, 100)
        assert [row.key for row in page] == sorted(world.broken)
        assert await control.store.failure_tally(task_id) == {
            "TRF.0152": (2, view.task.error_message.split("first: ")[1].split(";")[0])
        }
        assert lines_of(world) == {
            "success": sorted(set(world.sizes) - set(world.broken) - world.skipped),
            "skip": sorted(world.skipped),
            "failed": sorted(world.broken),
        }
        assert (await control.service.list(PROJECT, requests.ListTasks())).count == 1
        # Written twice at most: what was under way when it died.
        assert set(world.written) == set(world.sizes) - set(world.broken) - world.skipped
        assert max(world.written.values()) <= 2


def lines_of(world: World) -> dict[str, list[str]]:
    """The keys in each object list, as often as they are there."""
    found: dict[str, list[str]] = {}
    for key, text in world.lists.items():
        kind = key.split("/")[1].removesuffix("_object_lists")
        assert text.startswith(HEADER)
        found[kind] = sorted(unquote(line.split("\t")[0]) for line in text.splitlines()[1:])
    return found


async def test_the_story_makes_as_many_commits_as_are_tested(tmp_path: Path) -> None:
    async with control_process(tmp_path, mixed_world()) as control:
        await story(control)
        assert SURE_COMMITS <= control.store.commits_num < 17


async def test_a_running_task_goes_on_by_itself_after_a_restart(tmp_path: Path) -> None:
    world, clock = mixed_world(), FakeClock()
    async with control_process(tmp_path, world, clock=clock) as control:
        task_id = (await control.service.create(PROJECT, FOLDERS)).task_id
        first, _ = await until_leased(control, task_id, 2)
        await control.executor.open_upload(first, OpenUpload("k", "u"))
        await control.executor.work(first, 3)
        await control.advance(5)
        await control.executor.work(first, 1)
        await control.settle()
    clock.advance(1000)
    async with control_process(tmp_path, world, clock=clock) as control:
        assert control.recovery.migrating_num == 1
        assert (await control.task(task_id)).state is TaskState.MIGRATING
        await until_leased(control, task_id, 2)
        shards = {shard.prefix: shard for _, shard in control.executor.run_log}
        assert (shards["a/"].checkpoint.after, shards["a/"].attempt) == ("a/3", 2)
        assert (OpenUpload("k", "u"),) in control.executor.stale_log
        view = await control.service.get(PROJECT, task_id)
        assert view.counters.listed_num == 4
        # The time it was down is no time at work.
        assert view.total_ms == 5000
        assert view.task.started_ms == int(FakeClock().now_s() * 1000)


async def test_a_pausing_task_is_paused_after_a_restart_and_its_keys_are_dropped(tmp_path: Path) -> None:
    world = mixed_world()
    async with control_process(tmp_path, world) as control:
        task_id = (await control.service.create(PROJECT, FOLDERS)).task_id
        await until_leased(control, task_id, 2)
        await control.service.stop(PROJECT, task_id)
    async with control_process(tmp_path, world) as control:
        assert control.recovery.pausing_num == 1
        assert (await control.task(task_id)).state is TaskState.PAUSED
        assert await control.store.credentials(task_id) is None


async def test_waiting_tasks_still_wait_after_a_restart(tmp_path: Path) -> None:
    async with control_process(tmp_path, mixed_world(), max_parallel_tasks=0) as control:
        task_id = (await control.service.create(PROJECT, FOLDERS)).task_id
    async with control_process(tmp_path, mixed_world()) as control:
        assert control.recovery.waiting_num == 1
        await until_leased(control, task_id, 2)


async def test_a_lost_key_file_fails_running_tasks_and_says_what_to_do(tmp_path: Path) -> None:
    world = mixed_world()
    async with control_process(tmp_path, world) as control:
        task_id = (await control.service.create(PROJECT, FOLDERS)).task_id
        await until_leased(control, task_id, 2)
    (tmp_path / "key").unlink()
    async with control_process(tmp_path, world) as control:
        task = await control.task(task_id)
        assert task.state is TaskState.FAILED
        assert "AK/SK" in task.error_message
        await control.service.start(PROJECT, task_id, start_request())
        await control.run_out(task_id)
        assert (await control.service.get(PROJECT, task_id)).counters.listed_num == 12
