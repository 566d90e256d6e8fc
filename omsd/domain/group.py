"""Task groups: a source that is split into migration tasks. The frozen types, and what the tasks of a group are in sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NewType

from omsd.domain.model import BandwidthWindow, Counters, GroupId, TaskId, TaskSpec, TaskState

# Of one daemon, from 1: the order of creation, and what sealed keys are bound to.
GroupNumber = NewType("GroupNumber", int)

# Never the number of a task, whose keys are sealed in the same way; synchronization tasks are below zero, too, and near it.
_FIRST_SEAL = -(2**62)
_NO_TASK = TaskId(0)


class GroupState(IntEnum):
    """Numbers as documented."""

    WAITING = 0
    CREATING = 1
    MONITORING = 2
    PAUSED = 3
    CREATION_FAILED = 4
    MIGRATION_FAILED = 5
    COMPLETED = 6
    PAUSING = 7
    DELETING = 8
    DELETED = 9


class Goal(StrEnum):
    """What all tasks of a group are being brought to, some at a time."""

    NONE = ""
    PAUSE = "pause"
    RESUME = "resume"  # the paused ones start
    RETRY = "retry"  # the failed ones start over
    RETRY_FAILED = "retry_failed"  # of the failed ones only the failed objects, where they are recorded
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class PlanPosition:
    """How far the splitting of the source has come; all of it is committed with each step.

    PREFIX: prefix_num: index of the reduced prefix that is being measured; after: its last key that was measured, "" = none yet.
    LIST, URL_LIST: after: the last list file that has a task.
    begin_prefix_num, begin_after: where the coming task begins, in the same terms. found_num, found_size_bytes: what was measured since.
    over: the source is split to its end.
    """

    prefix_num: int = 0
    after: str = ""
    begin_prefix_num: int = 0
    begin_after: str = ""
    found_num: int = 0
    found_size_bytes: int = 0
    over: bool = False


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """A group as it is stored. Times are Unix milliseconds, 0 = not yet.

    spec: what its tasks are asked to do together; each has a part of it. windows: the limit of all tasks together.
    active_ms: time in which tasks were made or ran before active_since_ms; active_since_ms 0: neither is the case.
    goal: what its tasks are brought to; goal_after: those up to this one are. request_id "" = none given. error_* "" unless failed.
    """

    group_id: GroupId
    number: GroupNumber
    project_id: str
    spec: TaskSpec
    state: GroupState
    windows: tuple[BandwidthWindow, ...]
    created_ms: int
    request_id: str = ""
    request_fingerprint: str = ""
    started_ms: int = 0
    ended_ms: int = 0
    active_ms: int = 0
    active_since_ms: int = 0
    error_code: str = ""
    error_message: str = ""
    position: PlanPosition = PlanPosition()
    goal: Goal = Goal.NONE
    goal_after: TaskId = _NO_TASK

    @property
    def seal_id(self) -> TaskId:
        """What its keys are sealed for; no task has this id."""
        return TaskId(_FIRST_SEAL + self.number)


@dataclass(frozen=True, slots=True)
class MemberTally:
    """How many tasks of a group are in each state."""

    waiting: int = 0
    migrating: int = 0
    paused: int = 0
    failed: int = 0
    succeeded: int = 0
    pausing: int = 0

    @classmethod
    def of(cls, numbers: Mapping[TaskState, int]) -> MemberTally:
        """From the number of tasks by state."""
        return cls(**{state.name.lower(): number for state, number in numbers.items() if number})

    @property
    def total(self) -> int:
        """All of them."""
        return self.at_work + self.waiting + self.paused + self.failed + self.succeeded

    @property
    def at_work(self) -> int:
        """A slot is theirs."""
        return self.migrating + self.pausing

    @property
    def unrested(self) -> int:
        """They move something, or will without being asked."""
        return self.at_work + self.waiting


@dataclass(frozen=True, slots=True)
class GroupSums:
    """What the tasks of a group are together.

    counters: the sum of theirs. expected_num, expected_size_bytes: objects of tasks as far as they are known: what was measured when
    a task was made until it has listed more, or all. failed_lists_num: tasks whose failed list is stored; failed_list_error: code of why
    some other's is not, "" = nothing went wrong.
    """

    tally: MemberTally = MemberTally()
    counters: Counters = field(default_factory=Counters)
    expected_num: int = 0
    expected_size_bytes: int = 0
    parts_size_bytes: int = 0
    failed_lists_num: int = 0
    failed_list_error: str = ""
