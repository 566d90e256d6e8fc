"""What fails in a task's life, and how it goes on: objects, shards, workers, checks before the first object."""

from __future__ import annotations

from pathlib import Path

import pytest

from omsd.domain.errors import Failure, Refusal, RequestError, Side, StoreError, StoreErrorKind, failure_of
from omsd.domain.model import Counters, TaskState
from omsd.domain.shards import OpenUpload
from omsd.ports.executor import ProbeResult
from omsd.service import requests
from tests.fakes.executor import World
from tests.service.harness import PROJECT, control_process, create_request, start_request, world


def two_folders() -> requests.SrcNode:
    """A source that is planned as two shards."""
    return requests.SrcNode(
        cloud_type="AWS", region="us-east-1", ak="A", sk="S", bucket="from", object_key=("a/", "b/")
    )


async def test_failed_objects_fail_the_task_and_can_be_retried_alone(tmp_path: Path) -> None:
    here = world()
    here.broken = {"key002": "TRF.0152", "key007": "TRF.0152"}
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        await control.run_out(task_id)
        failed = await control.reach(task_id, TaskState.FAILED)
        assert failed.task.error_code == "TRF.0152"
        assert "2 of 10" in failed.task.error_message
        assert failed.task.lists.failed_key
        assert failed.progress < 1

        here.broken = {}
        await control.service.start(PROJECT, task_id, start_request(failed_only=True))
        waiting = await control.task(task_id)
        assert (waiting.counters.failed_num, waiting.counters.listed_num, waiting.run) == (0, 10, 1)
        await control.run_out(task_id)
        done = await control.reach(task_id, TaskState.SUCCEEDED)
        assert done.counters == Counters(10, 1000, 10, 0, 0, 1000)
        assert set(here.written.values()) == {1}


async def test_different_failures_are_summed_up_in_one_code(tmp_path: Path) -> None:
    here = world()
    here.broken = {"key002": "TRF.0152", "key007": "TRF.0160"}
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        await control.run_out(task_id)
        assert (await control.task(task_id)).error_code == "TRF.0062"


async def test_without_recording_the_failures_count_but_cannot_be_retried_alone(tmp_path: Path) -> None:
    here = world()
    here.broken = {"key002": "TRF.0152"}
    async with control_process(tmp_path, here) as control:
        request = create_request(enable_failed_object_recording=False)
        task_id = (await control.service.create(PROJECT, request)).task_id
        await control.run_out(task_id)
        failed = await control.reach(task_id, TaskState.FAILED)
        assert (failed.task.error_code, failed.task.lists.failed_key) == ("TRF.0152", "")
        with pytest.raises(RequestError) as refused:
            await control.service.start(PROJECT, task_id, start_request(failed_only=True))
        assert refused.value.code == "OMS.0167"


async def test_starting_a_failed_task_is_a_new_run(tmp_path: Path) -> None:
    here = world()
    here.broken = {"key002": "TRF.0152"}
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        await control.run_out(task_id)
        here.broken, here.skipped = {}, set(here.written)
        await control.service.start(PROJECT, task_id, start_request())
        await control.run_out(task_id)
        done = await control.reach(task_id, TaskState.SUCCEEDED)
        assert done.task.run == 2
        assert done.counters == Counters(10, 1000, 1, 9, 0, 100, 900)


async def test_a_paused_task_started_for_failures_also_goes_on_with_the_rest(tmp_path: Path) -> None:
    here = world()
    here.broken = {"key001": "TRF.0152"}
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        await control.executor.work(lease, 3)
        await control.service.stop(PROJECT, task_id)
        await control.executor.release(lease)
        await control.reach(task_id, TaskState.PAUSED)
        here.broken = {}
        await control.service.start(PROJECT, task_id, start_request(failed_only=True))
        await control.run_out(task_id)
        assert (await control.reach(task_id, TaskState.SUCCEEDED)).counters == Counters(
            10, 1000, 10, 0, 0, 1000
        )


async def test_a_decisive_failure_ends_the_task_and_cuts_its_other_shards(tmp_path: Path) -> None:
    here = World({f"{top}/{number}": 1 for top in "ab" for number in range(5)})
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request(src_node=two_folders()))).task_id
        first = await control.lease(task_id, 2)
        other = next(lease for lease in control.executor.running if lease != first)
        await control.executor.fail(first, Failure("TRF.0058", "gone"), decisive=True)
        failed = await control.reach(task_id, TaskState.FAILED)
        assert failed.task.error_code == "TRF.0058"
        assert control.executor.running[other].told == "cut"
        # What the other shard has finished is still accounted for, but starts nothing.
        await control.executor.work(other, 2)
        await control.executor.fail(other, Failure("TRF.0061", "second"), decisive=True)
        await control.until(lambda: task_id in control.executor.forgotten)
        after = await control.task(task_id)
        assert (after.error_code, after.counters.successful_num) == ("TRF.0058", 2)


async def test_a_shard_is_tried_five_times_with_growing_rests(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        for rest_s in (2, 4, 8, 16):
            lease = await control.lease(task_id)
            await control.executor.fail(lease, Failure("TRF.0061", "busy"), decisive=False)
            await control.advance(rest_s - 0.5)
            assert not control.executor.running
            await control.advance(1)
        lease = await control.lease(task_id)
        await control.executor.fail(lease, Failure("TRF.0061", "busy"), decisive=False)
        assert (await control.reach(task_id, TaskState.FAILED)).task.error_code == "TRF.0061"


async def test_shards_of_a_lost_worker_run_again(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        await control.executor.work(lease, 3)
        await control.executor.work(lease, 2, report=False)
        await control.executor.lose(lease)
        await control.advance(3)
        again = await control.lease(task_id)
        assert control.executor.running[again].shard.attempt == 2
        await control.run_out(task_id)
        assert (await control.reach(task_id, TaskState.SUCCEEDED)).counters.successful_num == 10


async def test_reports_of_void_leases_change_nothing(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        kept = control.executor.running[lease]
        await control.executor.release(lease)
        again = await control.lease(task_id)
        assert again != lease
        control.executor.running[lease] = kept
        await control.executor.work(lease, 5)
        await control.executor.finish(lease)
        await control.run_out(task_id)
        assert (await control.reach(task_id, TaskState.SUCCEEDED)).counters.listed_num == 10


async def test_a_batch_that_comes_twice_counts_once(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        await control.executor.work(lease, 4)
        assert control.executor.last_batch is not None
        await control.executor.sink.emit(control.executor.last_batch)
        await control.run_out(task_id)
        assert (await control.reach(task_id, TaskState.SUCCEEDED)).counters.listed_num == 10


async def test_leases_of_the_failed_run_do_not_count_in_the_new_one(tmp_path: Path) -> None:
    here = World({f"{folder}/{number}": 1 for folder in "ab" for number in range(5)})
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request(src_node=two_folders()))).task_id
        first = await control.lease(task_id, 2)
        other = next(lease for lease in control.executor.running if lease != first)
        await control.executor.fail(first, Failure("TRF.0058", "gone"), decisive=True)
        await control.reach(task_id, TaskState.FAILED)
        await control.service.start(PROJECT, task_id, start_request())
        await control.executor.work(other, 3)
        left = OpenUpload("k", "u")
        await control.executor.open_upload(other, left)
        await control.settle()
        waiting = await control.task(task_id)
        assert (waiting.state, waiting.counters, waiting.run) == (TaskState.WAITING, Counters(), 2)
        await control.executor.release(other)
        await control.lease(task_id, 2)
        # It was opened all the same, so the new run aborts it.
        assert (left,) in control.executor.stale_log
        await control.run_out(task_id)
        assert (await control.reach(task_id, TaskState.SUCCEEDED)).counters.listed_num == 10


async def test_a_failed_preflight_fails_the_task_with_its_cause(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        gone = ProbeResult(Side.DESTINATION, Failure("TRF.0058", "the bucket is gone"))
        control.executor.probe_answers = [ProbeResult(), gone]
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        failed = await control.reach(task_id, TaskState.FAILED)
        assert failed.task.error_code == "TRF.0058"
        assert not control.executor.run_log


async def test_a_preflight_waits_for_trouble_to_pass(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        busy = RequestError("OMS.2004", "no worker", refusal=Refusal.BUSY)
        trouble = ProbeResult(Side.SOURCE, Failure("TRF.0157", "503"))
        control.executor.probe_answers = [ProbeResult(), busy, trouble]
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        for wait_s in (2, 4):
            await control.until(lambda: len(control.clock.sleeping()))
            await control.advance(wait_s)
        await control.run_out(task_id)
        await control.reach(task_id, TaskState.SUCCEEDED)


PROBES = [
    (Side.SOURCE, "TRF.0155", "OMS.1014", "src_node.bucket"),
    (Side.SOURCE, "TRF.0151", "OMS.1014", "src_node.ak"),
    (Side.SOURCE, "TRF.0157", "OMS.1014", "src_node.endpoint"),
    (Side.DESTINATION, "TRF.0058", "OMS.1020", "dst_node.bucket"),
    (Side.DESTINATION, "TRF.0057", "OMS.1020", "dst_node.ak"),
    (Side.DESTINATION, "TRF.0061", "OMS.1020", "dst_node.endpoint"),
]


@pytest.mark.parametrize(("side", "trf_code", "code", "field"), PROBES)
async def test_an_end_that_cannot_be_used_is_named_and_nothing_is_created(
    tmp_path: Path, side: Side, trf_code: str, code: str, field: str
) -> None:
    async with control_process(tmp_path, world()) as control:
        why = failure_of(StoreError(StoreErrorKind.NO_SUCH_BUCKET, "why"), side).message
        control.executor.probe_answers = [ProbeResult(side, Failure(trf_code, why))]
        with pytest.raises(RequestError) as refused:
            await control.service.create(PROJECT, create_request())
        assert refused.value.code == code
        assert "why" in refused.value.message
        # There is no task that could be started.
        assert refused.value.message.endswith("create the bucket, and repeat the call")
        assert [violation.field for violation in refused.value.violations] == [field]
        assert (await control.service.list(PROJECT, requests.ListTasks())).count == 0
