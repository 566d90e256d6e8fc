"""The limits of a project, as documented, and what is counted against them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DAY_MS = 24 * 60 * 60 * 1000


class CreationKind(StrEnum):
    """What is counted by the day. Members of a task group are no TASK: the group counts, once, as GROUP."""

    TASK = "task"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Quotas:
    """Of each project. parallel_tasks 0: as many as run on the machine.

    v1_tasks_per_day, v1_waiting_tasks: at these numbers of the same tasks none is created through V1.
    Source: API reference 5.2.3, 5.3.1, 6.2, 6.10.
    """

    tasks_per_day: int = 1500
    waiting_tasks: int = 1500
    v1_tasks_per_day: int = 200
    v1_waiting_tasks: int = 50
    parallel_tasks: int = 0
    groups_per_day: int = 100
    sync_tasks: int = 5
