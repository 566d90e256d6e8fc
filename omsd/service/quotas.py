"""The limits of a project: refused with the documented code, the limit, and when there is room again.

Counted in the store, so a restart forgets nothing; asked by whoever creates, in the same order as the creations are committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from omsd.domain.errors import Refusal, RequestError
from omsd.domain.model import TaskState
from omsd.domain.quotas import DAY_MS, CreationKind, Quotas
from omsd.ports.taskstore import TaskStore
from omsd.service.requests import Dialect


@dataclass(frozen=True, slots=True)
class Limit:
    """How many a project may have. key: of the configuration, in [quotas]."""

    key: str
    num: int


# Source: API reference 5.2.3 and 7.2.
_DAILY = {
    CreationKind.TASK: ("OMS.1021", "migration tasks"),
    CreationKind.GROUP: ("OMS.1037", "task groups"),
}
RUNNING = (TaskState.MIGRATING, TaskState.PAUSING)


class QuotaKeeper:
    """zone: in which times are said."""

    def __init__(self, store: TaskStore, quotas: Quotas, zone: tzinfo) -> None:
        self._store = store
        self.quotas = quotas
        self._zone = zone

    async def check_task(
        self, project_id: str, now_ms: int, dialect: Dialect = Dialect.V2, *, promised_num: int = 0
    ) -> None:
        """The project may create one more migration task, asked for in this dialect. Raises RequestError OMS.1021 or OMS.0077.

        All that was created before must be committed; the caller commits a NoteCreation with the task. promised_num: tasks that its
        groups are about to make.
        """
        await self._check_daily(project_id, CreationKind.TASK, now_ms, self.daily_limit(dialect))
        limit = self.waiting_limit(dialect)
        waiting_num = await self._store.count_in(project_id, (TaskState.WAITING,))
        if waiting_num + promised_num >= limit.num:
            groups_too = f", its task groups are about to make {promised_num} more," if promised_num else ""
            raise RequestError(
                "OMS.0077",
                f"the project has {waiting_num} waiting migration tasks{groups_too} and may have {limit.num} ([quotas] {limit.key}); "
                "there is room again when one of them begins, is stopped or deleted",
                refusal=Refusal.QUOTA,
            )

    async def waiting_room(self, project_id: str) -> int:
        """How many more tasks of the project may wait; 0 or less: none. What was made before must be committed."""
        return self.quotas.waiting_tasks - await self._store.count_in(project_id, (TaskState.WAITING,))

    async def check_group(self, project_id: str, now_ms: int) -> None:
        """The project may create one more task group. Raises RequestError OMS.1037. The caller as above."""
        limit = Limit("groups_per_day", self.quotas.groups_per_day)
        await self._check_daily(project_id, CreationKind.GROUP, now_ms, limit)

    async def _check_daily(self, project_id: str, kind: CreationKind, now_ms: int, limit: Limit) -> None:
        since_ms = now_ms - DAY_MS
        created_num = await self._store.count_created(project_id, kind, since_ms)
        if created_num < limit.num:
            return
        # Room comes when so many have left the window that one fewer than the limit are in it.
        leaves_ms = await self._store.created_at(project_id, kind, since_ms, created_num - limit.num)
        code, noun = _DAILY[kind]
        raise RequestError(
            code,
            f"the project has created {created_num} {noun} in the last 24 hours and may create {limit.num} "
            f"([quotas] {limit.key}); the next can be created at {self._time_text(leaves_ms + DAY_MS)}, "
            f"in {_duration_text(leaves_ms + DAY_MS - now_ms)}",
            refusal=Refusal.QUOTA,
        )

    async def created_num(self, project_id: str, kind: CreationKind, now_ms: int) -> int:
        """How many of the kind the project has created in the last 24 hours."""
        return await self._store.count_created(project_id, kind, now_ms - DAY_MS)

    def daily_limit(self, dialect: Dialect) -> Limit:
        """How many tasks a project may have created in 24 hours when it asks for one more in this dialect."""
        limit = Limit("tasks_per_day", self.quotas.tasks_per_day)
        return _lower(dialect, limit, Limit("v1_tasks_per_day", self.quotas.v1_tasks_per_day))

    def waiting_limit(self, dialect: Dialect) -> Limit:
        """How many of its tasks may wait then."""
        limit = Limit("waiting_tasks", self.quotas.waiting_tasks)
        return _lower(dialect, limit, Limit("v1_waiting_tasks", self.quotas.v1_waiting_tasks))

    def _time_text(self, time_ms: int) -> str:
        # Rounded up: a caller who comes at the time that was said is not refused again.
        return f"{datetime.fromtimestamp(-(-time_ms // 1000), self._zone):%Y-%m-%d %H:%M:%S %Z}"


def _lower(dialect: Dialect, limit: Limit, of_v1: Limit) -> Limit:
    """V1 is no way around the project's own limit."""
    return min(limit, of_v1, key=lambda each: each.num) if dialect is Dialect.V1 else limit


def _duration_text(duration_ms: int) -> str:
    minutes, seconds = divmod(-(-duration_ms // 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{seconds:02}s"
