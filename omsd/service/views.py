"""What callers see of a task: the durable state joined with what is under way."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.model import Counters, Task
from omsd.domain.notices import SmnInfo


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task at one moment.

    counters: durable plus what running shards did since. complete_size_bytes: done so far (moved, skipped, and what is on its way);
    progress 0..1, 1.0 only when nothing is left. speed over the last seconds, 0 unless Migrating. left_ms 0 if unknown or nothing is left.
    smn: what became of the notice of its end; None if it has not ended, or nobody wanted to hear of such an end.
    """

    task: Task
    counters: Counters
    listing_over: bool
    complete_size_bytes: int
    real_size_bytes: int
    progress: float
    speed_bytes_per_s: int
    total_ms: int
    left_ms: int
    smn: SmnInfo | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """tasks: newest first. count: of all matches, not only this page."""

    tasks: tuple[TaskView, ...]
    count: int
