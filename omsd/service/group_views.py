"""What callers see of a task group: the durable state joined with what its running tasks do."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.group import MemberTally, TaskGroup
from omsd.domain.model import Counters
from omsd.domain.notices import SmnInfo
from omsd.service.views import TaskView


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group at one moment; every sum is over the tasks that exist.

    total_task_num: created tasks and the one that is being measured. counters: durable plus what running tasks did since.
    total_num, total_size_bytes: objects found so far, created_num, created_size_bytes: those of created tasks.
    complete_size_bytes: done so far (moved, skipped, and what is on its way); progress 0..1, 1.0 only when the group is completed.
    failed_record_key: folder of the failed lists, "" if none is stored; failed_record_error: why some list is not.
    smn: what became of the notice of its end; None if it has not ended, or nobody wanted to hear of such an end.
    """

    group: TaskGroup
    tally: MemberTally
    total_task_num: int
    counters: Counters
    total_num: int
    total_size_bytes: int
    created_num: int
    created_size_bytes: int
    complete_size_bytes: int
    real_size_bytes: int
    progress: float
    speed_bytes_per_s: int
    total_ms: int
    failed_record_key: str = ""
    failed_record_error: str = ""
    smn: SmnInfo | None = None


@dataclass(frozen=True, slots=True)
class GroupPage:
    """groups: newest first. count: of all matches, not only this page."""

    groups: tuple[GroupView, ...]
    count: int


@dataclass(frozen=True, slots=True)
class WatchedGroup:
    """running: the tasks that are migrating or pausing, oldest first."""

    view: GroupView
    running: tuple[TaskView, ...]
