"""Object lists in a control process: complete at the end, never in the way of the task's result."""

from __future__ import annotations

from pathlib import Path

import pytest

from omsd.domain.errors import Failure
from omsd.domain.model import OutcomeKind, TaskState
from omsd.domain.shards import ShardKind
from tests.fakes.executor import World
from tests.service.harness import PROJECT, Control, control_process, create_request, start_request

FAILED_LIST = "oms/failed_object_lists/{}/failed-objects-list.txt"


def world() -> World:
    sizes = {f"k/{number}": 10 for number in range(6)}
    return World(sizes, broken={"k/1": "TRF.0152", "k/4": "TRF.0152"}, skipped={"k/2"})


def keys_of(text: str) -> list[str]:
    return [line.split("\t")[0] for line in text.splitlines()[1:]]


def spooled(folder: Path) -> list[Path]:
    return [path for path in (folder / "spool").rglob("*") if path.is_file()]


async def report_lease(control: Control, task_id: int) -> int:
    """Finish all work; the lease of the shard that uploads the lists."""
    while True:
        await control.until(lambda: control.executor.leases_of(task_id))
        for lease_id in control.executor.leases_of(task_id):
            if control.executor.running[lease_id].shard.kind is ShardKind.REPORT:
                return lease_id
            await control.executor.finish(lease_id)


async def test_the_lists_hold_each_object_once_and_the_spool_is_gone(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        await control.run_out(task_id)
        task = await control.task(task_id)
        assert (task.state, task.lists.failed_key, task.lists.failed_error) == (
            TaskState.FAILED,
            FAILED_LIST.format(task_id),
            "",
        )
        assert {key: keys_of(text) for key, text in here.lists.items()} == {
            FAILED_LIST.format(task_id): ["k/1", "k/4"],
            f"oms/skip_object_lists/{task_id}/skip-objects-list.txt": ["k/2"],
            f"oms/success_object_lists/{task_id}/success-objects-list.txt": ["k/0", "k/3", "k/5"],
        }
        await control.settle()
        assert not spooled(tmp_path)


async def test_the_task_is_still_migrating_while_its_lists_go_up(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), reports=False) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await report_lease(control, task_id)
        view = await control.service.get(PROJECT, task_id)
        assert (view.task.state, view.listing_over, view.counters.accounted_num) == (
            TaskState.MIGRATING,
            True,
            6,
        )
        await control.executor.finish(lease)
        await control.reach(task_id, TaskState.FAILED)


async def test_a_pause_while_the_lists_go_up_stores_the_rest_later(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here, reports=False) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await report_lease(control, task_id)
        shard = control.executor.running[lease].shard
        await control.executor.store_lists(lease, shard, 1)
        await control.service.stop(PROJECT, task_id)
        await control.executor.release(lease)
        await control.reach(task_id, TaskState.PAUSED)
        assert len(spooled(tmp_path)) == 2
        await control.service.start(PROJECT, task_id, start_request())
        lease = await report_lease(control, task_id)
        assert len(control.executor.running[lease].shard.lists) == 2
        await control.executor.finish(lease)
        await control.reach(task_id, TaskState.FAILED)
        assert len(here.lists) == 3


async def test_a_worker_lost_with_the_lists_is_replaced_and_given_up_only_after_many(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), reports=False) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        for _ in range(5):
            await control.executor.lose(await report_lease(control, task_id))
            await control.advance(60)
        await control.reach(task_id, TaskState.FAILED)
        task = await control.task(task_id)
        assert task.error_code == "TRF.0152"
        assert {task.lists.failed_error, task.lists.success_error, task.lists.skipped_error} == {"OMS.0304"}
        assert (await control.service.get(PROJECT, task_id)).counters.accounted_num == 6


async def test_refused_lists_leave_the_result_as_it_is(tmp_path: Path) -> None:
    here = World({"a": 1, "b": 1}, skipped={"b"}, list_errors={OutcomeKind.SUCCESS: "OMS.0307"})
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        await control.run_out(task_id)
        task = await control.task(task_id)
        assert (task.state, task.lists.success_error, task.lists.skipped_error) == (
            TaskState.SUCCEEDED,
            "OMS.0307",
            "",
        )


async def test_a_damaged_spool_is_told_and_nothing_of_it_is_uploaded(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here, reports=False) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await report_lease(control, task_id)
        for path in spooled(tmp_path):
            path.write_bytes(path.read_bytes()[:-1] + b"X")
        await control.executor.finish(lease)
        await control.reach(task_id, TaskState.FAILED)
        lists = (await control.task(task_id)).lists
        assert (lists.failed_error, lists.success_error, lists.skipped_error) == ("OMS.0303",) * 3
        assert not here.lists


async def test_without_recording_there_is_no_failed_list(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here) as control:
        request = create_request(enable_failed_object_recording=False)
        task_id = (await control.service.create(PROJECT, request)).task_id
        await control.run_out(task_id)
        lists = (await control.task(task_id)).lists
        assert (lists.failed_key, lists.failed_error) == ("", "")
        assert {key.split("/")[1] for key in here.lists} == {"success_object_lists", "skip_object_lists"}


async def test_a_retry_of_failed_objects_has_lists_of_its_own(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        await control.run_out(task_id)
        del here.broken["k/1"]
        first = dict(here.lists)
        await control.service.start(PROJECT, task_id, start_request(failed_only=True))
        await control.run_out(task_id)
        again = {key: keys_of(text) for key, text in here.lists.items() if key not in first}
        failed_key = FAILED_LIST.format(task_id).replace(".txt", "-run-2.txt")
        assert again == {
            failed_key: ["k/4"],
            f"oms/success_object_lists/{task_id}/success-objects-list-run-2.txt": ["k/1"],
        }
        assert (await control.task(task_id)).lists.failed_key == failed_key


async def test_failed_objects_of_a_paused_task_that_are_retried_leave_the_failed_list(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        await control.executor.work(lease, 3)
        await control.service.stop(PROJECT, task_id)
        await control.executor.release(lease)
        await control.reach(task_id, TaskState.PAUSED)
        here.broken.clear()
        await control.service.start(PROJECT, task_id, start_request(failed_only=True))
        await control.run_out(task_id)
        assert (await control.task(task_id)).state is TaskState.SUCCEEDED
        (success,) = [keys_of(text) for key, text in here.lists.items() if "success" in key]
        assert sorted(success) == ["k/0", "k/1", "k/3", "k/4", "k/5"]
        assert not any("failed" in key for key in here.lists)
        await control.settle()
        assert not spooled(tmp_path)


async def test_a_decisive_failure_stores_what_is_listed_and_begins_nothing_else(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here, reports=False) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        await control.executor.work(lease, 2)
        await control.executor.fail(lease, Failure("TRF.0155", "the source bucket is gone"), decisive=True)
        lease = await report_lease(control, task_id)
        assert control.executor.running[lease].shard.deadline_s == 30.0
        assert (await control.task(task_id)).state is TaskState.MIGRATING
        await control.executor.finish(lease)
        await control.reach(task_id, TaskState.FAILED)
        assert (await control.task(task_id)).error_code == "TRF.0155"
        assert {key.split("/")[1]: keys_of(text) for key, text in here.lists.items()} == {
            "success_object_lists": ["k/0"],
            "failed_object_lists": ["k/1"],
        }


async def test_a_death_before_a_doomed_task_has_failed_only_repeats_what_led_there(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here, reports=False) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        await control.executor.work(lease, 2)
        await control.executor.fail(lease, Failure("TRF.0155", "gone"), decisive=True)
        await report_lease(control, task_id)
    async with control_process(tmp_path, here) as control:
        await control.run_out(task_id)
        view = await control.service.get(PROJECT, task_id)
        assert view.counters.accounted_num == 6
        assert sum(len(keys_of(text)) for text in here.lists.values()) == 6


async def test_deleted_tasks_leave_no_spool_even_after_a_death(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        await control.executor.work(lease, 3)
        await control.service.stop(PROJECT, task_id)
        await control.executor.release(lease)
        await control.reach(task_id, TaskState.PAUSED)
        assert spooled(tmp_path)
        await control.service.delete(PROJECT, task_id)
        await control.settle()
        assert not spooled(tmp_path)
    left = tmp_path / "spool" / "123" / "run-1"
    left.mkdir(parents=True)
    (left / "success-0001.spool").write_bytes(b"of a task that is gone")
    async with control_process(tmp_path, world()):
        assert not spooled(tmp_path)


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a_death_while_the_lists_go_up_stores_each_of_them(tmp_path: Path, number: int) -> None:
    here = world()
    async with control_process(tmp_path, here, reports=False) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await report_lease(control, task_id)
        await control.executor.store_lists(lease, control.executor.running[lease].shard, number)
        await control.settle()
    async with control_process(tmp_path, here) as control:
        view = await control.reach(task_id, TaskState.FAILED)
        assert view.counters.accounted_num == 6
        assert sorted(key for text in here.lists.values() for key in keys_of(text)) == sorted(here.sizes)
        assert not control.executor.run_log, "objects are not migrated again"
