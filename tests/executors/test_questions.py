"""Questions that real worker processes answer while the control process goes on."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from omsd.domain.errors import OmsdError, RequestError, StoreError, StoreErrorKind
from omsd.domain.model import CloudType, Credentials, Location
from omsd.domain.questions import (
    BucketNames,
    FindPrefix,
    FolderEntry,
    FolderPage,
    ListBuckets,
    ListFolder,
    PrefixFound,
)
from omsd.executors import protocol
from omsd.executors.asking import answer_of
from tests.executors.test_local import running
from tests.waiting import PATIENCE_S

FULL = Location(CloudType.AWS, "r", "full")
KEYS = Credentials("ak", "sk")


async def test_answers_come_back_to_who_asked() -> None:
    async with running(objects=30) as (executor, _):
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(
                    executor.ask(FindPrefix(FULL, KEYS, f"{number:06}"), PrefixFound, deadline_s=PATIENCE_S)
                )
                for number in range(20, 40)
            ]
        assert [task.result().exists for task in asked] == [True] * 10 + [False] * 10
        page = await executor.ask(ListFolder(FULL, KEYS, "", "000027", 5), FolderPage, deadline_s=PATIENCE_S)
        assert page == FolderPage((FolderEntry("000028", 100), FolderEntry("000029", 100)), False)


async def test_what_a_cloud_refuses_is_raised_with_its_kind() -> None:
    async with running() as (executor, _):
        nowhere = Location(CloudType.AWS, "r", "bad-bucket")
        with pytest.raises(StoreError) as caught:
            await executor.ask(FindPrefix(nowhere, KEYS, ""), PrefixFound, deadline_s=PATIENCE_S)
        assert caught.value.kind is StoreErrorKind.NO_SUCH_BUCKET
        with pytest.raises(StoreError) as caught:
            await executor.ask(ListBuckets(FULL, KEYS), BucketNames, deadline_s=PATIENCE_S)
        assert caught.value.kind is StoreErrorKind.UNSUPPORTED


async def kill_once_asked(pid: int, number: signal.Signals) -> None:
    """The question is on its way: it is sent in the first step of its task, which began before this one."""
    for _ in range(10):
        await asyncio.sleep(0)
    os.kill(pid, number)


async def test_a_worker_that_is_killed_makes_its_questions_busy_not_hang() -> None:
    async with running() as (executor, _):
        (pid,) = executor.worker_pids()
        os.kill(pid, signal.SIGSTOP)
        async with asyncio.timeout(PATIENCE_S):  # long before the deadline of the question
            error, _ = await asyncio.gather(
                executor.ask(FindPrefix(FULL, KEYS, ""), PrefixFound, deadline_s=10 * PATIENCE_S),
                kill_once_asked(pid, signal.SIGKILL),
                return_exceptions=True,
            )
        assert isinstance(error, RequestError)
        assert error.code == "OMS.2004"


async def test_more_questions_than_a_worker_takes_are_refused_at_once() -> None:
    async with running() as (executor, _):
        (pid,) = executor.worker_pids()
        os.kill(pid, signal.SIGSTOP)
        *answers, error, _ = await asyncio.gather(
            *(
                executor.ask(FindPrefix(FULL, KEYS, ""), PrefixFound, deadline_s=PATIENCE_S)
                for _ in range(33)
            ),
            kill_once_asked(pid, signal.SIGCONT),
            return_exceptions=True,
        )
        assert answers == [PrefixFound(True)] * 32
        assert isinstance(error, RequestError)
        assert error.code == "OMS.2004"


def test_a_fault_of_ours_is_no_answer() -> None:
    with pytest.raises(OmsdError) as caught:
        answer_of(protocol.Answered(1, b"", None), PrefixFound)
    assert caught.value.code == "OMS.1001"
    assert not isinstance(caught.value, StoreError | RequestError)
