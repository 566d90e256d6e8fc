"""The life of a task through service, ledger, scheduler and store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from omsd.domain.errors import Refusal, RequestError
from omsd.domain.events import ShardProgress
from omsd.domain.model import Counters, LeaseId, LiveProgress, TaskState
from omsd.domain.shards import OpenUpload
from omsd.service import requests
from tests.service.harness import PROJECT, control_process, create_request, start_request, world


async def test_a_task_runs_to_its_end_with_exact_counters(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task = await control.service.create(PROJECT, create_request())
        assert task.name.startswith("from-into-20231114221320000_1")
        await control.run_out(task.task_id)
        view = await control.reach(task.task_id, TaskState.SUCCEEDED)
        assert view.counters == Counters(10, 1000, 10, 0, 0, 1000)
        assert (view.progress, view.listing_over, view.left_ms) == (1.0, True, 0)
        await control.until(lambda: task.task_id in control.executor.forgotten)
        assert await control.store.credentials(task.task_id) is None


async def test_an_empty_source_fails_the_task(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(0)) as control:
        task = await control.service.create(PROJECT, create_request())
        await control.run_out(task.task_id)
        assert (await control.task(task.task_id)).error_code == "TRF.0012"


async def test_a_pause_keeps_what_is_done_and_a_start_goes_on_from_there(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        await control.executor.work(lease, 4)
        await control.service.stop(PROJECT, task_id)
        assert (await control.task(task_id)).state is TaskState.PAUSING
        assert control.executor.running[lease].told == "drain"
        await control.executor.work(lease, 1)
        await control.executor.release(lease)
        paused = await control.reach(task_id, TaskState.PAUSED)
        assert paused.counters.successful_num == 5
        assert await control.store.credentials(task_id) is None

        await control.service.start(PROJECT, task_id, start_request())
        again = await control.lease(task_id)
        run = control.executor.running[again]
        assert run.work.credentials.source.access_key == "SRCAK2"
        assert (run.shard.checkpoint.after, run.shard.attempt) == ("key004", 2)
        await control.run_out(task_id)
        assert (await control.reach(task_id, TaskState.SUCCEEDED)).counters.successful_num == 10
        assert set(here.written.values()) == {1}


async def test_a_shard_that_does_not_drain_within_the_grace_is_cut(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        await control.service.stop(PROJECT, task_id)
        await control.advance(9)
        assert control.executor.running[lease].told == "drain"
        await control.advance(2)
        await control.until(lambda: control.executor.running[lease].told == "cut")
        await control.executor.release(lease)
        await control.reach(task_id, TaskState.PAUSED)


async def test_uploads_left_open_are_handed_to_the_next_lease(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        left, closed = OpenUpload("k", "u1"), OpenUpload("k", "u2")
        await control.executor.open_upload(lease, left)
        await control.executor.open_upload(lease, closed)
        await control.executor.close_upload(lease, closed)
        await control.executor.release(lease)
        again = await control.lease(task_id)
        assert control.executor.stale_log[-1] == (left,)
        await control.executor.close_upload(again, left)
        await control.run_out(task_id)
        assert await control.store.stale_uploads(task_id, control.executor.run_log[-1][1].shard_id) == ()


async def test_at_most_the_configured_number_of_tasks_runs(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), max_parallel_tasks=1, slots=4) as control:
        low = await control.service.create(PROJECT, create_request(task_priority="LOW"))
        await control.lease(low.task_id)
        medium = await control.service.create(PROJECT, create_request())
        high = await control.service.create(PROJECT, create_request(task_priority="HIGH"))
        assert {run.work.task_id for run in control.executor.running.values()} == {low.task_id}
        await control.run_out(low.task_id)
        await control.lease(high.task_id)
        assert (await control.task(medium.task_id)).state is TaskState.WAITING
        await control.run_out(high.task_id)
        await control.run_out(medium.task_id)
        await control.reach(medium.task_id, TaskState.SUCCEEDED)


async def test_a_bandwidth_policy_is_in_force_at_once_and_follows_its_windows(tmp_path: Path) -> None:
    rule = requests.BandwidthRule
    async with control_process(tmp_path, world()) as control:  # 22:13:20 UTC
        request = create_request(
            bandwidth_policy=(rule(start="22:00", end="22:14", max_bandwidth=2_000_000),)
        )
        task_id = (await control.service.create(PROJECT, request)).task_id
        await control.lease(task_id)
        assert control.executor.budgets[task_id] == 2_000_000
        await control.advance(41)
        await control.until(lambda: control.executor.budgets[task_id] is None)
        await control.service.update_bandwidth(
            PROJECT, task_id, (rule(start="22:00", end="23:00", max_bandwidth=3_000_000),)
        )
        assert control.executor.budgets[task_id] == 3_000_000


async def test_live_progress_is_shown_and_never_counted_twice(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        for moved in (0, 250, 500):
            control.clock.advance(1)
            progress = LiveProgress(Counters(5, 500, 5, 0, 0, 500), 50, moved, listing_over=True)
            await control.executor.sink.emit(ShardProgress(lease, progress))
            await control.settle()
        view = await control.service.get(PROJECT, task_id)
        assert (view.counters.successful_num, view.complete_size_bytes, view.listing_over) == (5, 550, True)
        assert view.speed_bytes_per_s == 250
        assert view.task.counters.successful_num == 0
        await control.executor.work(lease, 5)
        await control.settle()
        assert (await control.service.get(PROJECT, task_id)).counters.successful_num == 5
        await control.executor.release(lease)
        await control.settle()
        assert (await control.service.get(PROJECT, task_id)).counters.successful_num == 5


async def test_active_time_counts_only_while_the_task_works(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        control.clock.advance(3)
        control.clock.jump(-3600)
        assert (await control.service.get(PROJECT, task_id)).total_ms == 3000
        await control.service.stop(PROJECT, task_id)
        await control.executor.release(lease)
        await control.reach(task_id, TaskState.PAUSED)
        control.clock.advance(100)
        assert (await control.service.get(PROJECT, task_id)).total_ms == 3000


async def test_other_projects_do_not_see_the_task(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        for call in (control.service.get, control.service.stop, control.service.delete):
            with pytest.raises(RequestError) as refused:
                await call("other", task_id)
            assert (refused.value.code, refused.value.refusal) == ("OMS.0054", Refusal.NOT_FOUND)
        assert (await control.service.list("other", requests.ListTasks())).count == 0


async def test_a_batch_update_is_all_or_nothing(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), max_parallel_tasks=1) as control:
        first = await control.service.create(PROJECT, create_request())
        await control.lease(first.task_id)
        second = await control.service.create(PROJECT, create_request())
        rules = (requests.BandwidthRule(start="00:00", end="12:00", max_bandwidth=2_000_000),)
        with pytest.raises(RequestError) as refused:
            await control.service.batch_update(
                PROJECT, requests.BatchUpdateTasks(ids=(second.task_id, 7), bandwidth_policy=rules)
            )
        assert refused.value.code == "OMS.0054"
        assert (await control.task(second.task_id)).windows == ()
        await control.service.batch_update(
            PROJECT,
            requests.BatchUpdateTasks(
                ids=(first.task_id, second.task_id), bandwidth_policy=rules, task_priority="HIGH"
            ),
        )
        tasks = [await control.task(task.task_id) for task in (first, second)]
        assert [len(task.windows) for task in tasks] == [1, 1]
        # Migrating: the priority stays.
        assert [task.priority.value for task in tasks] == ["MEDIUM", "HIGH"]


async def test_a_repeated_request_makes_one_task(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        request = create_request(request_id="same")
        made = await asyncio.gather(*(control.service.create(PROJECT, request) for _ in range(8)))
        assert len({task.task_id for task in made}) == 1
        again = await control.service.create(PROJECT, request)
        assert again.task_id == made[0].task_id
        with pytest.raises(RequestError) as refused:
            await control.service.create(PROJECT, create_request(request_id="same", description="other"))
        assert (refused.value.code, refused.value.violations[0].field) == ("OMS.1003", "request_id")
        other = await control.service.create("other", request)
        assert other.task_id != again.task_id


async def test_a_watch_shows_each_step_and_ends_with_the_task(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        seen = []

        async def watch() -> None:
            async for view in control.service.watch(PROJECT, task_id):
                seen.append((view.task.state, view.counters.successful_num))

        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            await control.until(lambda: seen)
            await control.executor.work(lease, 4)
            await control.settle()
            assert len(seen) == 1
            control.clock.advance(0.5)
            await control.until(lambda: len(seen) == 2)
            await control.run_out(task_id)
            # The end is told at once, no clock need move.
            await control.until(lambda: seen[-1][0] is TaskState.SUCCEEDED)
        assert seen[0] == (TaskState.MIGRATING, 0)
        assert seen[1] == (TaskState.MIGRATING, 4)
        assert seen[-1] == (TaskState.SUCCEEDED, 10)


async def test_a_watch_ends_when_the_task_is_deleted(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        lease = await control.lease(task_id)
        await control.service.stop(PROJECT, task_id)
        await control.executor.release(lease)
        await control.reach(task_id, TaskState.PAUSED)
        states = []

        async def watch() -> None:
            async for view in control.service.watch(PROJECT, task_id):
                states.append(view.task.state)

        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            await control.until(lambda: states)
            await control.service.delete(PROJECT, task_id)
            await control.until(watching.done)
        assert states == [TaskState.PAUSED]
        with pytest.raises(RequestError):
            await control.service.get(PROJECT, task_id)


async def test_a_full_disk_ends_the_ledger_and_acknowledges_nothing(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), die_at=1) as control:
        with pytest.raises(RequestError) as refused:
            await control.service.create(PROJECT, create_request())
        assert (refused.value.code, refused.value.refusal) == ("OMS.1001", Refusal.INTERNAL)
        await control.until(lambda: control.died)
        with pytest.raises(RequestError) as refused:
            await control.service.create(PROJECT, create_request())
        assert refused.value.refusal is Refusal.BUSY
        assert (await control.service.list(PROJECT, requests.ListTasks())).count == 0


async def test_events_of_unknown_leases_are_ignored(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        await control.executor.sink.emit(ShardProgress(LeaseId(99), LiveProgress()))
        await control.settle()
        assert not control.died
