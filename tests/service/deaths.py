"""Stories that the death of the control process may cut short anywhere: what it may end by, and waits that end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from omsd.domain.errors import RequestError
from omsd.domain.model import LeaseId, TaskId, TaskState
from tests.service.harness import Control

_RESTING = {TaskState.PAUSED, TaskState.FAILED, TaskState.SUCCEEDED}


@contextmanager
def dying() -> Iterator[list[BaseException]]:
    """The block may end by the death that was ordered, and by nothing else; what it ended by."""
    causes: list[BaseException] = []
    try:
        yield causes
    except* Exception as deaths:
        causes += _leaves(deaths)
    unexpected = [cause for cause in causes if not _is_the_death(cause)]
    assert not unexpected, unexpected


def _leaves(group: BaseException) -> list[BaseException]:
    if isinstance(group, BaseExceptionGroup):
        return [leaf for each in group.exceptions for leaf in _leaves(each)]
    return [group]


def _is_the_death(error: BaseException) -> bool:
    return (
        "disk is full" in str(error)
        or (isinstance(error, RequestError) and error.code == "OMS.2004")
        or (type(error).__name__ == "ChannelClosedError")
    )


def raise_death(control: Control) -> None:
    """Nothing, unless the process has died."""
    if control.died:
        raise control.died[0]


async def until(control: Control, condition: Callable[[], object]) -> None:
    """The condition holds. Raises the death if that came first."""
    await control.until(lambda: control.died or condition())
    raise_death(control)


async def until_leased(control: Control, task_id: int, number: int) -> list[LeaseId]:
    """The leases of the task in their order, once there are that many."""
    await until(control, lambda: len(control.executor.leases_of(TaskId(task_id))) >= number)
    return sorted(control.executor.leases_of(TaskId(task_id)))


async def until_rest(control: Control, task_id: int) -> None:
    """The task is paused or has ended."""
    while (await control.task(task_id)).state not in _RESTING:
        raise_death(control)
        await asyncio.sleep(0.001)


async def finish_all(control: Control, task_id: int) -> None:
    """Every lease of the task, and those that follow, ended with its work done; the task is at rest."""
    while (await control.task(task_id)).state is TaskState.MIGRATING:
        raise_death(control)
        for lease in control.executor.leases_of(TaskId(task_id)):
            await control.executor.finish(lease)
        await control.settle()
    await until_rest(control, task_id)
