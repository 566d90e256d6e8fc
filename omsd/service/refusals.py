"""Refusals that more than one service or ledger gives, in the same words."""

from __future__ import annotations

from typing import TypeVar

from omsd.domain.errors import Refusal, RequestError
from omsd.domain.group import TaskGroup
from omsd.domain.model import Task
from omsd.ports.taskstore import TaskStoreError

Created = TypeVar("Created", Task, TaskGroup)


def unknown_task(task_id: int) -> RequestError:
    """The project has no task with this id."""
    return RequestError(
        "OMS.0054", f"task_id: the project has no migration task {task_id}", refusal=Refusal.NOT_FOUND
    )


def unknown_group(group_id: str) -> RequestError:
    """The project has no group with this id."""
    return RequestError(
        "OMS.1009", f"group_id: the project has no task group {group_id}", refusal=Refusal.NOT_FOUND
    )


def unknown_sync(sync_task_id: str) -> RequestError:
    """The project has no synchronization task with this id."""
    return RequestError(
        "OMS.2002",
        f"sync_task_id: the project has no synchronization task {sync_task_id[:64]}",
        refusal=Refusal.NOT_FOUND,
    )


def same_request(earlier: Created, fingerprint: str) -> Created:
    """What an earlier call with this request_id made. Raises RequestError if that call asked for something else."""
    if earlier.request_fingerprint == fingerprint:
        return earlier
    made = f"task {earlier.task_id}" if isinstance(earlier, Task) else f"task group {earlier.group_id}"
    raise RequestError.of_field(
        "OMS.1003",
        "request_id",
        f"was used for {made} with another content; repeat that request unchanged or choose another id",
    )


def stopping() -> RequestError:
    """The daemon ends."""
    return RequestError("OMS.2004", "the server is stopping; repeat the call later", refusal=Refusal.BUSY)


def refusal_of_end(error: BaseException) -> RequestError:
    """What callers hear who wait for a ledger that this error ends."""
    if isinstance(error, TaskStoreError):
        return RequestError(
            "OMS.1001", f"the state could not be stored: {error.message}", refusal=Refusal.INTERNAL
        )
    return stopping()
