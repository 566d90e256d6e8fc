"""Single copies in real worker processes on stores in memory."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from omsd.domain.model import OpenUpload, OutcomeKind, TaskId
from omsd.domain.sync import KeyNames
from omsd.ports.objectcopies import CopyOrder, WorkerGoneError
from tests.executors.test_local import running, work


def unheard(upload: OpenUpload, opened: bool) -> None:
    raise AssertionError((upload, opened))


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
        async with asyncio.timeout(30):
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


async def test_a_stop_waits_for_copies_and_takes_no_more() -> None:
    async with running(objects=30) as (executor, _):
        async with asyncio.TaskGroup() as group:
            copies = [
                group.create_task(executor.copy(work(), CopyOrder(KeyNames(f"{n:06}")), unheard))
                for n in range(30)
            ]
            await asyncio.sleep(0)
            await executor.stop(grace_s=20)
        assert all(copy.result().outcome for copy in copies)
        assert not (await _lost(executor.copy(work(), CopyOrder(KeyNames("000001")), unheard))).begun


async def _lost(copy: object) -> WorkerGoneError:
    with pytest.raises(WorkerGoneError) as caught:
        await copy  # type: ignore[misc]
    return caught.value
