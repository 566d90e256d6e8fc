"""The sync ledger: what is accepted is durable first, copied once, counted once; calls in every order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from omsd.domain.errors import RequestError
from omsd.domain.model import Credentials
from omsd.domain.shards import OpenUpload, UploadIntent
from omsd.domain.sync import EventId, SyncState, SyncTaskId
from omsd.domain.sync_queue import MAX_TRIES
from omsd.ports.objectcopies import CopyResult, IntentOpen, IntentSettled, UploadClosed, UploadOpened
from omsd.ports.syncstore import AddEvents
from omsd.ports.taskchanges import DropUpload, EndSweep
from omsd.service.sync_hot import SyncLimits
from omsd.service.sync_requests import ListSyncTasks, SyncStatistics
from tests.service.sync_harness import (
    PROJECT,
    SyncControl,
    create_sync,
    failure,
    skip,
    start_sync,
    success,
    sync_control,
)


async def made(control: SyncControl, **changes: object) -> str:
    return (await control.service.create(PROJECT, create_sync(**changes))).sync_task_id


async def accept(control: SyncControl, task_id: str, *keys: str) -> None:
    await control.service.create_events(PROJECT, task_id, keys)


async def refused(call: object, code: str) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await call  # type: ignore[misc]
    assert caught.value.code == code
    return caught.value


async def test_events_are_answered_and_copied_only_when_they_are_durable_and_calls_share_a_commit(
    tmp_path: Path,
) -> None:
    async with sync_control(tmp_path) as control:
        task_id = await made(control)
        control.store.gate.clear()
        before = len(control.store.commits)
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(accept(control, task_id, f"k{n}")) for n in range(50)]
            await control.until(lambda: len(control.store.commits) > before)
            # Whatever could happen without the commit has happened.
            for _ in range(20):
                await asyncio.sleep(0)
            assert not any(call.done() for call in calls)
            assert not control.copies.log
            control.store.gate.set()
        assert len(control.store.commits) - before <= 2
        await control.until(lambda: len(control.copies.log) == 32)


async def test_a_commit_that_fails_refuses_the_call_and_ends_the_ledger(tmp_path: Path) -> None:
    async with sync_control(tmp_path) as control:
        task_id = await made(control)
        control.store.broken = True
        await refused(accept(control, task_id, "a"), "OMS.1001")
        await control.until(lambda: control.died)
        assert not control.copies.log
        await refused(accept(control, task_id, "a"), "OMS.2004")


async def test_repeats_while_queued_are_one_copy_and_an_event_behind_a_running_one_is_another(
    tmp_path: Path,
) -> None:
    async with sync_control(tmp_path, limits=SyncLimits(copies_num=1)) as control:
        task_id = await made(control)
        await accept(control, task_id, "first", "a", "a")
        await accept(control, task_id, "a")
        await control.settled(task_id, request_num=4, skip_num=2)
        await control.until(lambda: "first" in control.copies.running)
        control.copies.end(success("first"))
        await control.until(lambda: "a" in control.copies.running)
        await accept(control, task_id, "a", "a")
        control.copies.end(success("a"))
        await control.until(lambda: control.copies.keys() == ["first", "a", "a"])
        control.copies.end(skip("a"))
        await control.settled(task_id, request_num=6, success_num=2, skip_num=4, size_bytes=20)
        assert (await control.service.get(PROJECT, task_id, None)).queued_num == 0


async def test_a_poison_key_is_tried_with_growing_rests_then_counted_while_others_go_on(
    tmp_path: Path,
) -> None:
    async with sync_control(tmp_path, limits=SyncLimits(copies_num=1)) as control:
        task_id = await made(control)
        await accept(control, task_id, "poison", "good")
        rests: list[float] = []
        for attempt in range(1, MAX_TRIES + 1):
            await control.until(lambda: "poison" in control.copies.running)
            control.copies.end(failure("poison"))
            if attempt == 1:
                await control.until(lambda: "good" in control.copies.running)
                control.copies.end(success("good"))
            if attempt < MAX_TRIES:
                await control.until(control.clock.sleeping)
                rests.append(control.clock.sleeping()[0] - control.clock.monotonic_s())
                control.clock.advance(rests[-1])
        assert rests == pytest.approx([1, 2, 4, 8, 16, 32, 60], rel=0.01)
        await control.settled(task_id, request_num=2, success_num=1, failure_num=1, size_bytes=10)
        redone = [order.redo_since_s for _, order in control.copies.log if order.names.key == "poison"]
        assert redone[0] == 0.0
        assert all(redone[1:]), "what an attempt may have written counts as done"


async def test_what_cannot_be_mended_is_not_tried_again(tmp_path: Path) -> None:
    async with sync_control(tmp_path) as control:
        task_id = await made(control)
        await accept(control, task_id, "long")
        await control.until(lambda: "long" in control.copies.running)
        control.copies.end(failure("long", final=True))
        await control.settled(task_id, request_num=1, failure_num=1)


async def test_without_a_worker_nothing_is_lost_and_no_try_is_used_up(tmp_path: Path) -> None:
    async with sync_control(tmp_path) as control:
        task_id = await made(control)
        await accept(control, task_id, "a")
        for number in range(1, MAX_TRIES + 3):
            await control.until(lambda: "a" in control.copies.running)
            control.copies.lose("a", begun=False)
            await control.until(control.clock.sleeping)
            control.clock.advance(1.0)
            await control.until(lambda number=number: len(control.copies.log) > number)
        control.copies.end(success("a"))
        await control.settled(task_id, request_num=1, success_num=1, size_bytes=10)


async def test_a_restart_goes_on_with_what_was_accepted_and_counts_on(tmp_path: Path) -> None:
    async with sync_control(tmp_path, crash=True) as control:
        task_id = await made(control)
        await accept(control, task_id, "done", "runs", "waits")
        await control.until(lambda: len(control.copies.running) == 3)
        control.copies.end(success("done", 7))
        await control.settled(task_id, request_num=3, success_num=1, size_bytes=7)
        control.copies.note("runs", IntentOpen(UploadIntent("runs", 5.0, ("theirs",))))
        await control.until(lambda: control.copies.noted == ["runs"])
        control.copies.note("runs", UploadOpened(OpenUpload("runs", "u1"), settled=True))
        control.copies.note("runs", UploadOpened(OpenUpload("runs", "u2"), settled=False))
        control.copies.note("runs", UploadClosed(OpenUpload("runs", "u1")))
        control.copies.note("runs", IntentOpen(UploadIntent("runs", 6.0, ("theirs",), 2)))
        control.copies.note("waits", IntentOpen(UploadIntent("waits", 7.0)))
        control.copies.note("waits", IntentSettled("waits"))
        await control.until(lambda: control.copies.noted == ["runs"] * 4 + ["runs", "waits", "waits"])
        await accept(control, task_id, "later")
    async with sync_control(tmp_path) as control:
        assert control.found_num == 3
        await control.until(lambda: len(control.copies.running) == 3)
        orders = {order.names.key: order for _, order in control.copies.log}
        assert set(orders) == {"runs", "waits", "later"}
        assert orders["runs"].redo_since_s == 1_700_000_000.0
        assert orders["runs"].stale_uploads == (OpenUpload("runs", "u2"),)
        # What is recorded cannot be what an answer that was lost has left.
        assert orders["runs"].intents == (UploadIntent("runs", 6.0, ("theirs", "u2"), 2),)
        assert (orders["waits"].stale_uploads, orders["waits"].intents) == ((), ())
        for key in orders:
            control.copies.end(success(key, 1))
        await control.settled(task_id, request_num=4, success_num=4, size_bytes=10)
        assert control.copies.log[0][0].credentials.source == Credentials("SRCAK", "SRCSECRET")


async def test_what_an_event_leaves_open_at_its_end_is_for_the_sweeper(tmp_path: Path) -> None:
    async with sync_control(tmp_path) as control:
        task_id = await made(control)
        await accept(control, task_id, "a", "b")
        await control.until(lambda: len(control.copies.running) == 2)
        control.copies.note("a", IntentOpen(UploadIntent("a", 5.0)))
        control.copies.note("a", UploadOpened(OpenUpload("a", "left"), settled=False))
        control.copies.note("b", UploadOpened(OpenUpload("b", "runs"), settled=True))
        await control.until(lambda: len(control.copies.noted) == 3)
        assert not control.sweeps_due.is_set()
        control.copies.end(failure("a", final=True))
        await control.settled(task_id, request_num=2, failure_num=1)
        await control.until(control.sweeps_due.is_set)
        (work_id,) = await control.tasks.due_sweeps()
        assert work_id == control.copies.log[0][0].task_id
        left = await control.tasks.open_uploads(work_id)
        assert left.uploads == (OpenUpload("a", "left"),)
        assert [(intent.key, intent.known) for intent in left.intents] == [("a", ("left",))]
        swept = await control.tasks.get_sweep(work_id)
        assert swept is not None
        assert (swept[0].bucket, swept[1]) == ("into", Credentials("DSTAK", "DSTSECRET"))
        number = control.ledger.find(PROJECT, SyncTaskId(task_id)).number
        assert await control.store.uploads(number) == ((EventId(2), OpenUpload("b", "runs")),)
        assert await control.store.intents(number) == ()
        await accept(control, task_id, "c")
        await control.until(lambda: "c" in control.copies.running)
        assert control.copies.log[-1][1].stale_uploads == ()


async def test_a_deleted_task_leaves_its_uploads_to_the_sweeper_also_those_it_hears_of_later(
    tmp_path: Path,
) -> None:
    async with sync_control(tmp_path) as control:
        task_id = await made(control)
        await accept(control, task_id, "a", "b")
        await control.until(lambda: len(control.copies.running) == 2)
        control.copies.note("a", UploadOpened(OpenUpload("a", "recorded"), settled=True))
        control.copies.note("b", IntentOpen(UploadIntent("b", 5.0)))
        await control.until(lambda: len(control.copies.noted) == 2)
        await control.service.stop(PROJECT, task_id)
        await control.service.delete(PROJECT, task_id)
        work_id = control.copies.log[0][0].task_id
        await control.until(lambda: sorted(control.copies.cut) == ["a", "b"])
        assert control.ledger.must_wait(work_id)
        control.copies.note("b", UploadOpened(OpenUpload("b", "late"), settled=True))
        control.copies.note("a", UploadClosed(OpenUpload("a", "recorded")))
        await control.until(lambda: len(control.copies.noted) == 4)
        control.copies.late.clear()
        assert not control.ledger.must_wait(work_id)
        left = await control.tasks.open_uploads(work_id)
        assert (left.uploads, left.intents) == ((OpenUpload("b", "late"),), ())
        assert await control.tasks.due_sweeps() == (work_id,)
    async with sync_control(tmp_path) as control:
        # The sweeper and the workers know tasks by numbers; this one is not free yet.
        await made(control)
        (task,) = control.ledger.tasks_of(PROJECT)
        assert task.work_id != work_id
        # It is done with what it found, but something was left to it meanwhile.
        await control.tasks.commit([EndSweep(work_id)])
        assert await control.tasks.due_sweeps() == (work_id,)
        await control.tasks.commit([DropUpload(work_id, OpenUpload("b", "late")), EndSweep(work_id)])
        assert await control.tasks.due_sweeps() == ()


async def test_a_restore_is_waited_for_without_using_up_tries_and_over_a_restart(tmp_path: Path) -> None:
    async with sync_control(tmp_path, crash=True) as control:
        task_id = await made(control)
        await accept(control, task_id, "cold")
        await control.until(lambda: "cold" in control.copies.running)
        control.copies.end(CopyResult(None, rest_s=300.0, restore_since_s=55.0), "cold")
        await control.until(control.clock.sleeping)
        control.clock.advance(300.0)
        await control.until(lambda: len(control.copies.log) == 2)
        assert control.copies.log[-1][1].restore_since_s == 55.0
    async with sync_control(tmp_path) as control:
        await control.until(lambda: control.copies.log)
        assert control.copies.log[-1][1].restore_since_s == 55.0
        control.copies.end(success("cold"))
        await control.settled(task_id, request_num=1, success_num=1, size_bytes=10)


async def test_a_stop_tries_what_rests_once_more_then_drops_the_keys(tmp_path: Path) -> None:
    async with sync_control(tmp_path) as control:
        task_id = await made(control)
        await accept(control, task_id, "poison", "slow")
        await control.until(lambda: len(control.copies.running) == 2)
        control.copies.end(failure("poison"))
        await control.until(control.clock.sleeping)
        await control.service.stop(PROJECT, task_id)
        await refused(accept(control, task_id, "more"), "OMS.2002")
        await control.until(lambda: "poison" in control.copies.running)
        control.copies.end(failure("poison"))
        control.copies.end(success("slow"))
        await control.settled(task_id, request_num=2, success_num=1, failure_num=1, size_bytes=10)
        task = (await control.service.get(PROJECT, task_id, None)).task
        assert task.state is SyncState.STOPPED
        assert await control.store.credentials(task) is None
        assert control.copies.forgotten == [task.work_id]
        await control.service.start(PROJECT, task_id, start_sync())
        await accept(control, task_id, "again")
        await control.until(lambda: "again" in control.copies.running)
        assert control.copies.log[-1][0].credentials.source == Credentials("A2", "S2")


async def test_a_delete_cuts_what_still_runs(tmp_path: Path) -> None:
    async with sync_control(tmp_path) as control:
        task_id = await made(control)
        await accept(control, task_id, "slow")
        await control.until(lambda: control.copies.running)
        await refused(control.service.delete(PROJECT, task_id), "OMS.0063")
        await control.service.stop(PROJECT, task_id)
        await control.service.delete(PROJECT, task_id)
        await control.until(lambda: control.copies.cut == ["slow"])
        await refused(control.service.get(PROJECT, task_id, None), "OMS.2002")
        assert await control.store.tasks() == ()
        assert (await control.service.list(PROJECT, ListSyncTasks())).count == 0


async def test_a_call_over_the_bound_is_refused_whole(tmp_path: Path) -> None:
    async with sync_control(tmp_path, limits=SyncLimits(queued_num=3, copies_num=1)) as control:
        task_id = await made(control)
        await accept(control, task_id, "a", "b")
        await refused(accept(control, task_id, "c", "d"), "OMS.2004")
        await accept(control, task_id, "c")
        await control.until(lambda: "a" in control.copies.running)
        await accept(control, task_id, "b", "c")
        stored = [
            e.names.key
            for batch in control.store.commits
            for c in batch
            if isinstance(c, AddEvents)
            for e in c.events
        ]
        assert stored == ["a", "b", "c"]
        control.copies.end(success("a"))
        await control.until(lambda: "b" in control.copies.running)
        await accept(control, task_id, "d")


async def test_a_project_has_five_tasks_and_sees_only_its_own(tmp_path: Path) -> None:
    async with sync_control(tmp_path) as control:
        ids = [await made(control) for _ in range(5)]
        await refused(control.service.create(PROJECT, create_sync()), "OMS.0077")
        other = (await control.service.create("other", create_sync())).sync_task_id
        page = await control.service.list(PROJECT, ListSyncTasks(limit=2, offset=1))
        assert ([view.task.sync_task_id for view in page.tasks], page.count) == ([ids[3], ids[2]], 5)
        for call in (control.service.stop, control.service.delete):
            await refused(call(PROJECT, other), "OMS.2002")
        await control.service.stop(PROJECT, ids[0])
        await control.service.delete(PROJECT, ids[0])
        await control.service.create(PROJECT, create_sync())


async def test_figures_are_shown_by_interval_and_month(tmp_path: Path) -> None:
    async with sync_control(tmp_path, now_s=1_700_000_100.0) as control:
        task_id = await made(control)
        await accept(control, task_id, "a")
        await control.until(lambda: "a" in control.copies.running)
        control.clock.advance(600)
        control.copies.end(success("a", 5))
        await control.settled(task_id, request_num=1, success_num=1, size_bytes=5)
        view = await control.service.statistics(
            PROJECT, task_id, SyncStatistics(data_type=("request", "SIZE"))
        )
        assert [(t.start_ms // 1000, t.figures.request_num, t.figures.size_bytes) for t in view.timed] == [
            (1_700_000_100, 1, 0),
            (1_700_000_700, 0, 5),
        ]
        before = await control.service.get(PROJECT, task_id, 1_697_000_000_000)
        assert before.month.request_num == 0
        await refused(control.service.get(PROJECT, task_id, -1), "OMS.1003")


async def test_ends_are_asked_before_a_task_is_made_or_started(tmp_path: Path) -> None:
    async with sync_control(tmp_path) as control:
        task_id = await made(control)
        assert len(control.executor.probes) == 1
        await control.service.stop(PROJECT, task_id)
        await control.service.start(PROJECT, task_id, start_sync())
        assert control.executor.probes[-1].credentials.destination == Credentials("A3", "S3")
