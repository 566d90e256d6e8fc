"""What callers may ask of synchronization tasks: validated here, decided by the sync ledger, answered after its commit."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import tzinfo

from omsd.domain.sync import SyncCall, SyncState, SyncTask, SyncTaskId
from omsd.domain.sync_figures import (
    DataType,
    Figures,
    Interval,
    TimedFigures,
    gather,
    interval_for,
    interval_start,
)
from omsd.ports.clock import Clock
from omsd.ports.syncstore import SyncStore
from omsd.service.locations import ValidationPolicy
from omsd.service.probing import EndsProbe
from omsd.service.sync_inbox import AcceptEvents, ChangeSync, CreateSync, ReplaceSecret
from omsd.service.sync_ledger import SyncLedger
from omsd.service.sync_receiver import events_path, secret_digest
from omsd.service.sync_requests import CreateSyncTask, ListSyncTasks, StartSyncTask, SyncStatistics
from omsd.service.sync_validation import (
    sync_names,
    validate_create_sync,
    validate_events,
    validate_list_sync,
    validate_month,
    validate_start_sync,
    validate_statistics,
)

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class SyncView:
    """A task at one moment. month: its figures in the month asked for. queued_num: events accepted and not finished."""

    task: SyncTask
    queued_num: int
    month: Figures


@dataclass(frozen=True, slots=True)
class SyncPage:
    """tasks: newest first. count: of all matches."""

    tasks: tuple[SyncView, ...]
    count: int


@dataclass(frozen=True, slots=True)
class StatisticsView:
    """kinds: in the order asked for. timed: oldest first, intervals without anything are left out."""

    sync_task_id: SyncTaskId
    interval: Interval
    kinds: tuple[DataType, ...]
    timed: tuple[TimedFigures, ...]


@dataclass(frozen=True, slots=True)
class EventSecret:
    """What a storage service needs to send notifications for a task. path: of the URL. listen: where, "" = nowhere."""

    secret: str = field(repr=False)
    path: str
    listen: str


class SyncService:
    """Synchronization tasks of all projects; one is seen by its own project only. Every call raises RequestError if refused."""

    def __init__(
        self,
        store: SyncStore,
        ledger: SyncLedger,
        ends: EndsProbe,
        clock: Clock,
        policy: ValidationPolicy,
        zone: tzinfo,
        events_listen: str = "",
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._ends = ends
        self._clock = clock
        self._policy = policy
        self._zone = zone
        self._events_listen = events_listen

    async def create(self, project_id: str, request: CreateSyncTask) -> SyncTask:
        """The task takes events. Source: API reference 5.3.3."""
        valid = validate_create_sync(request, self._policy)
        with sync_names():
            await self._ends.check(valid.spec, valid.credentials)
        return await self._ledger.inbox.call(
            CreateSync(project_id, valid.spec, valid.credentials, valid.deletes)
        )

    async def get(self, project_id: str, sync_task_id: str, query_time: int | None) -> SyncView:
        """The task and the figures of a month. Raises OMS.2002 if the project has no such task."""
        task = self._ledger.find(project_id, SyncTaskId(sync_task_id))
        start_ms, end_ms = validate_month(query_time, self._now_ms(), self._zone)
        month, queued_num = await self._store.total(task.number, start_ms, end_ms)
        return SyncView(task, queued_num, month)

    async def list(self, project_id: str, request: ListSyncTasks) -> SyncPage:
        """A page of the project's tasks, newest first."""
        offset, limit, state = validate_list_sync(request)
        found = [task for task in self._ledger.tasks_of(project_id) if state in (None, task.state)]
        views = [
            SyncView(task, self._ledger.queued_num(task), Figures())
            for task in found[offset : offset + limit]
        ]
        return SyncPage(tuple(views), len(found))

    async def statistics(self, project_id: str, sync_task_id: str, request: SyncStatistics) -> StatisticsView:
        """Figures over a span, by interval. Source: API reference 5.3.5."""
        task = self._ledger.find(project_id, SyncTaskId(sync_task_id))
        valid = validate_statistics(request, self._now_ms())
        interval = interval_for(valid.start_ms, valid.end_ms)
        first_ms = interval_start(valid.start_ms, interval.length_ms)
        fine = await self._store.figures(task.number, first_ms, valid.end_ms + 1)
        return StatisticsView(task.sync_task_id, interval, valid.kinds, gather(fine, interval))

    async def create_events(self, project_id: str, sync_task_id: str, object_keys: tuple[str, ...]) -> None:
        """The events are durable. Source: API reference 5.3.1."""
        task = self._ledger.find(project_id, SyncTaskId(sync_task_id))
        names = validate_events(object_keys)
        await self._ledger.inbox.call(AcceptEvents(project_id, task.sync_task_id, names))

    async def start(self, project_id: str, sync_task_id: str, request: StartSyncTask) -> None:
        """The task takes events again, with these keys. Source: API reference 5.3.8."""
        task = self._ledger.find(project_id, SyncTaskId(sync_task_id))
        credentials = validate_start_sync(request, task.spec)
        if task.state is SyncState.STOPPED:
            with sync_names():
                await self._ends.check(task.spec, credentials)
        await self._ledger.inbox.call(ChangeSync(project_id, task.sync_task_id, SyncCall.START, credentials))

    async def stop(self, project_id: str, sync_task_id: str) -> None:
        """The task takes no more events; what it accepted is finished or counted as failed."""
        await self._ledger.inbox.call(ChangeSync(project_id, SyncTaskId(sync_task_id), SyncCall.STOP))

    async def delete(self, project_id: str, sync_task_id: str) -> None:
        """The task and its figures are gone; what it copied stays."""
        await self._ledger.inbox.call(ChangeSync(project_id, SyncTaskId(sync_task_id), SyncCall.DELETE))

    async def rotate_secret(self, project_id: str, sync_task_id: str) -> EventSecret:
        """A new secret for the task's notifications; it is told here only, and the one before it is not good any more."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        wish = ReplaceSecret(project_id, SyncTaskId(sync_task_id), secret_digest(secret))
        task = await self._ledger.inbox.call(wish)
        return EventSecret(secret, events_path(task.sync_task_id), self._events_listen)

    def _now_ms(self) -> int:
        return int(self._clock.now_s() * 1000)
