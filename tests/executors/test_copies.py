"""Single copies in real worker processes on stores in memory."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from omsd.domain.model import OutcomeKind, TaskId
from omsd.domain.sync import KeyNames
from omsd.ports.objectcopies import (
    CopyOrder,
    IntentOpen,
    UploadClosed,
    UploadNote,
    UploadOpened,
    WorkerGoneError,
)
from tests.executors.test_local import running, work
from tests.waiting import PATIENCE_S, until


def unheard(note: UploadNote, noted: Callable[[], None]) -> None:
    raise AssertionError(note)


async def test_copies_of_many_objects_at_once_are_each_answered() -> None:
    async with running(workers=2, objects=50) as (executor, _):
        async with asyncio.TaskGroup() as group:
            copies = [
                group.create_task(executor.copy(work(), CopyOrder(KeyNames(f"{n:06}")), unheard))
                for n in range(50)
            ]
        outcomes = [copy.result().outcome for copy in copies]
        assert {outcome.kind for outcome in outcomes if outcome} == {OutcomeKind.SUCCESS}
        again = await executor.copy(work(), CopyOrder(KeyNames("gone")), unheard)
        assert again.outcome is not None
        assert again.outcome.kind is OutcomeKind.SKIPPED
        executor.forget(TaskId(1))
        once_more = await executor.copy(work(), CopyOrder(KeyNames("000001")), unheard)
        assert once_more.outcome is not None


async def test_an_end_that_cannot_be_used_is_a_failure_that_may_be_mended() -> None:
    async with running() as (executor, _):
        result = await executor.copy(work(source="bad-source"), CopyOrder(KeyNames("000001")), unheard)
        assert result.outcome is not None
        assert (result.outcome.error_code, result.tries_again) == ("TRF.0155", True)


async def test_a_killed_worker_ends_its_copies_and_the_next_one_takes_new_ones() -> None:
    async with running() as (executor, _):
        os.kill(executor.worker_pids()[0], signal.SIGSTOP)
        async with asyncio.TaskGroup() as group:
            copy = group.create_task(_lost(executor.copy(work(), CopyOrder(KeyNames("000001")), unheard)))
            await asyncio.sleep(0)
            os.kill(executor.worker_pids()[0], signal.SIGKILL)
        assert copy.result().begun
        assert not (await _lost(executor.copy(work(), CopyOrder(KeyNames("000001")), unheard))).begun
        async with asyncio.timeout(PATIENCE_S):
            await executor.wait_ready()
        result = await executor.copy(work(), CopyOrder(KeyNames("000001")), unheard)
        assert result.outcome is not None
        assert result.outcome.kind is OutcomeKind.SUCCESS


async def test_a_cancelled_copy_is_dropped_and_the_worker_goes_on() -> None:
    async with running() as (executor, _):
        async with asyncio.TaskGroup() as group:
            copy = group.create_task(executor.copy(work(), CopyOrder(KeyNames("000001")), unheard))
            await asyncio.sleep(0)
            copy.cancel()
        result = await executor.copy(work(), CopyOrder(KeyNames("000002")), unheard)
        assert result.outcome is not None
        # It may have been cut before it had begun: it says that it has ended all the same.
        await until(lambda: not executor.has_cut_copies(TaskId(1)))


async def test_a_stop_waits_for_copies_and_takes_no_more() -> None:
    async with running(objects=30) as (executor, _):
        async with asyncio.TaskGroup() as group:
            copies = [
                group.create_task(executor.copy(work(), CopyOrder(KeyNames(f"{n:06}")), unheard))
                for n in range(30)
            ]
            await asyncio.sleep(0)
            await executor.stop(grace_s=PATIENCE_S)
        assert all(copy.result().outcome for copy in copies)
        assert not (await _lost(executor.copy(work(), CopyOrder(KeyNames("000001")), unheard))).begun


async def test_a_large_object_is_begun_when_its_intent_is_durable_and_tells_of_its_upload() -> None:
    async with running() as (executor, _):
        told: list[UploadNote] = []
        waiting: asyncio.Queue[Callable[[], None]] = asyncio.Queue()

        def note(note: UploadNote, noted: Callable[[], None]) -> None:
            told.append(note)
            if isinstance(note, IntentOpen):
                waiting.put_nowait(noted)

        async with asyncio.TaskGroup() as group:
            order = CopyOrder(KeyNames("huge"))
            copy = group.create_task(executor.copy(work(source="huge", destination="mine"), order, note))
            noted = await waiting.get()
            # Another copy goes all its way meanwhile; this one has not begun.
            assert (await executor.copy(work(), CopyOrder(KeyNames("000001")), unheard)).outcome
            assert [type(one) for one in told] == [IntentOpen]
            noted()
        result = copy.result()
        assert result.outcome is not None
        assert result.outcome.kind is OutcomeKind.SUCCESS, result
        assert isinstance(told[0], IntentOpen)
        assert (told[0].intent.key, told[0].intent.attempts) == ("huge", 1)
        assert [type(one) for one in told] == [IntentOpen, UploadOpened, UploadClosed]


async def test_a_copy_that_is_cut_is_heard_of_until_it_has_ended() -> None:
    async with running() as (executor, _):
        heard = asyncio.Event()

        def note(note: UploadNote, noted: Callable[[], None]) -> None:
            heard.set()

        task = work(source="huge", destination="mine")
        async with asyncio.TaskGroup() as group:
            copy = group.create_task(executor.copy(task, CopyOrder(KeyNames("huge")), note))
            await heard.wait()
            os.kill(executor.worker_pids()[0], signal.SIGSTOP)
            copy.cancel()
        assert executor.has_cut_copies(task.task_id)
        assert not executor.has_cut_copies(TaskId(77))
        os.kill(executor.worker_pids()[0], signal.SIGCONT)
        await until(lambda: not executor.has_cut_copies(task.task_id))


async def _lost(copy: object) -> WorkerGoneError:
    with pytest.raises(WorkerGoneError) as caught:
        await copy  # type: ignore[misc]
    return caught.value
