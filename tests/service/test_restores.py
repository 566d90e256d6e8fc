"""Objects whose restore is under way: listed, not final, and in shards that rest; and caveats of what was migrated."""

from __future__ import annotations

from pathlib import Path

from omsd.domain.caveats import Caveat
from omsd.domain.errors import Failure
from omsd.domain.events import ShardBatch, ShardDone
from omsd.domain.model import Counters, LeaseId, Outcome, OutcomeKind, TaskState
from omsd.domain.shards import Checkpoint
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.harness import PROJECT, Control, control_process, create_request, start_request

REST_S = 300.0


def keys_of(text: str) -> list[str]:
    """The keys of an object list."""
    return [line.split("\t")[0] for line in text.splitlines()[1:]]


async def put_off(control: Control, lease_id: LeaseId, *, since_s: float, rest_s: float = REST_S) -> None:
    """A shard that lists a, b and c ends: a is copied, the restore of b and c was asked for."""
    del control.executor.running[lease_id]
    copied = Outcome("a", 1, OutcomeKind.SUCCESS, caveats=(Caveat.TAGS_NOT_WRITTEN,))
    counters = Counters(listed_num=3, listed_size_bytes=1, successful_num=1, successful_size_bytes=1)
    batch = ShardBatch(lease_id, (copied,), counters, Checkpoint(3, "c"), ("b", "c"), since_s, rest_s)
    await control.channel.emit(batch)
    await control.channel.emit(batch)  # a report that comes twice counts once
    await control.channel.emit(ShardDone(lease_id))
    await control.settle()


async def test_what_is_put_off_is_asked_after_once_it_has_rested(tmp_path: Path) -> None:
    world = World({"a": 1, "b": 20, "c": 300})
    async with control_process(tmp_path, world) as control:
        task_id = (await control.service.create(PROJECT, create_request(enable_restore=True))).task_id
        await put_off(control, await control.lease(task_id), since_s=77.0)
        task = await control.task(task_id)
        assert task.state is TaskState.MIGRATING
        assert (task.counters.listed_num, task.counters.accounted_num) == (3, 1)
        await control.advance(REST_S - 1)
        await control.settle()
        assert not control.executor.running
        assert (await control.service.get(PROJECT, task_id)).listing_over, "nothing is left to be listed"
        await control.advance(2)
        lease_id = await control.lease(task_id)
        shard = control.executor.running[lease_id].shard
        assert (shard.keys, shard.restore_since_s) == (("b", "c"), 77.0)
        await control.executor.finish(lease_id)
        view = await control.reach(task_id, TaskState.SUCCEEDED)
        assert view.counters == Counters(3, 321, 3, 0, 0, 321, 0, 0)
        assert view.task.caveats == ((Caveat.TAGS_NOT_WRITTEN, 1),)
        assert [keys_of(text) for text in world.lists.values()] == [["a", "b", "c"]]


async def test_the_lists_have_what_was_put_off_once_and_as_it_ended(tmp_path: Path) -> None:
    world = World({"a": 1, "b": 20, "c": 300}, broken={"b": "TRF.0202"}, skipped={"c"})
    async with control_process(tmp_path, world) as control:
        task_id = (await control.service.create(PROJECT, create_request(enable_restore=True))).task_id
        await put_off(control, await control.lease(task_id), since_s=77.0)
        await control.advance(REST_S + 1)
        lease_id = await control.lease(task_id)
        assert not world.lists, "they go up when every object is final"
        await control.executor.finish(lease_id)
        await control.reach(task_id, TaskState.FAILED)
        task = await control.task(task_id)
        assert task.error_code == "TRF.0202"
        assert {key.split("/")[1]: keys_of(text) for key, text in world.lists.items()} == {
            "success_object_lists": ["a"],
            "failed_object_lists": ["b"],
            "skip_object_lists": ["c"],
        }
        assert task.counters.listed_num == task.counters.accounted_num == 3


async def test_a_decisive_failure_asks_after_nothing_that_was_put_off(tmp_path: Path) -> None:
    world = World({"a": 1, "b": 20, "c": 300})
    async with control_process(tmp_path, world) as control:
        task_id = (await control.service.create(PROJECT, create_request(enable_restore=True))).task_id
        await put_off(control, await control.lease(task_id), since_s=77.0, rest_s=0.0)
        gone = Failure("TRF.0155", "the source bucket is gone")
        await control.executor.fail(await control.lease(task_id), gone, decisive=True)
        await control.reach(task_id, TaskState.FAILED)
        assert [keys_of(text) for text in world.lists.values()] == [["a"]]
        ran = len(control.executor.run_log)
        await control.service.start(PROJECT, task_id, start_request())
        await control.run_out(task_id)
        assert (await control.task(task_id)).state is TaskState.SUCCEEDED
        assert len(control.executor.run_log) > ran


async def test_what_is_put_off_survives_a_kill_and_a_pause(tmp_path: Path) -> None:
    world, clock = World({"a": 1, "b": 20, "c": 300}), FakeClock()
    async with control_process(tmp_path, world, clock=clock) as control:
        task_id = (await control.service.create(PROJECT, create_request(enable_restore=True))).task_id
        await put_off(control, await control.lease(task_id), since_s=77.0)
    async with control_process(tmp_path, world, clock=clock) as control:
        lease_id = await control.lease(task_id)  # after a restart it is asked at once
        assert control.executor.running[lease_id].shard.restore_since_s == 77.0
        await control.service.stop(PROJECT, task_id)
        await control.until(lambda: control.executor.running[lease_id].told)
        await control.executor.release(lease_id)
        await control.reach(task_id, TaskState.PAUSED)
        await control.service.start(PROJECT, task_id, start_request())
        await control.run_out(task_id)
        task = await control.task(task_id)
        assert (task.state, task.counters) == (TaskState.SUCCEEDED, Counters(3, 321, 3, 0, 0, 321, 0, 0))
        assert dict(task.caveats) == {Caveat.TAGS_NOT_WRITTEN: 1}
