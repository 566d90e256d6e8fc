"""Synchronization tasks: what they are, what may be done to them in which state, and how an event names its object."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NewType
from urllib.parse import unquote_to_bytes

from omsd.domain.errors import Refusal, RequestError
from omsd.domain.model import TaskId, TaskSpec

SyncTaskId = NewType("SyncTaskId", str)
SyncNumber = NewType("SyncNumber", int)
EventId = NewType("EventId", int)

# Far below the ids of probes, which are negative too.
_FIRST_WORK_ID = -(2**40)

_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*", re.DOTALL)


class SyncState(StrEnum):
    """A stopped task takes no events, but finishes those it has accepted."""

    SYNCHRONIZING = "SYNCHRONIZING"
    STOPPED = "STOPPED"


class SyncCall(StrEnum):
    """What a caller may want of a task that exists."""

    START = "start"
    STOP = "stop"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class SyncTask:
    """A synchronization task as it is stored. Times are Unix milliseconds.

    number: short name inside this daemon. deletes: objects gone at the source are deleted at the destination.
    """

    number: SyncNumber
    sync_task_id: SyncTaskId
    project_id: str
    spec: TaskSpec
    state: SyncState
    created_ms: int
    last_started_ms: int
    deletes: bool = False

    @property
    def work_id(self) -> TaskId:
        """What workers know the task by; never the id of a migration task."""
        return work_id_of(self.number)


def work_id_of(number: SyncNumber) -> TaskId:
    """What workers, and the sweeper, know a synchronization task by."""
    return TaskId(_FIRST_WORK_ID - number)


@dataclass(frozen=True, slots=True)
class KeyNames:
    """The key an event means. literal: the key if a + was meant as one, tried when there is no object `key`; "" = the same."""

    key: str
    literal: str = ""

    @property
    def lane(self) -> str:
        """Events that may touch the same object are in one lane."""
        return self.key.replace("+", " ")


@dataclass(frozen=True, slots=True)
class SyncEvent:
    """An accepted event. restore_since_s: when its archived object's restore was first asked for, 0 = it was not."""

    event_id: EventId
    names: KeyNames
    accepted_ms: int
    restore_since_s: float = 0.0


def parse_key(text: str) -> KeyNames:
    """The key of a URL-encoded name, where + is a space as in forms. Raises ValueError if it is no such name.

    Source: API reference 5.3.1, whose examples leave open what a + is.
    """
    if not _ESCAPES.fullmatch(text):
        raise ValueError("every % must begin an escape like %2F")
    try:
        literal = unquote_to_bytes(text).decode()
        key = unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise ValueError("must be UTF-8, URL-encoded") from None
    if "\0" in key:
        raise ValueError("must not contain %00")
    return KeyNames(key, literal if literal != key else "")


def step(task: SyncTask, call: SyncCall, now_ms: int) -> SyncTask | None:
    """The task after the call, None if it is gone. Raises RequestError if the call does not fit its state."""
    runs = task.state is SyncState.SYNCHRONIZING
    match call:
        case SyncCall.START:
            if runs:
                raise _wrong_state("OMS.0065", task, "runs already; stop it first")
            return replace(task, state=SyncState.SYNCHRONIZING, last_started_ms=now_ms)
        case SyncCall.STOP:
            if not runs:
                raise _wrong_state("OMS.0066", task, "is stopped already")
            return replace(task, state=SyncState.STOPPED)
        case SyncCall.DELETE:
            if runs:
                raise _wrong_state("OMS.0063", task, "runs; stop it first")
            return None


def check_takes_events(task: SyncTask) -> None:
    """Raises RequestError if the task is stopped."""
    if task.state is not SyncState.SYNCHRONIZING:
        raise _wrong_state("OMS.2002", task, "is stopped; start it first")


def _wrong_state(code: str, task: SyncTask, what: str) -> RequestError:
    return RequestError(code, f"synchronization task {task.sync_task_id} {what}", refusal=Refusal.STATE)
