"""What the sync ledger holds in memory, and what one of its transactions will hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from omsd.domain.model import TaskWork
from omsd.domain.shards import OpenUpload, UploadIntent
from omsd.domain.sync import EventId, SyncNumber, SyncState, SyncTask
from omsd.domain.sync_figures import FIVE_MINUTES_MS, Figures, TimedFigures, interval_start
from omsd.domain.sync_queue import QueuedEvent, SyncQueue
from omsd.ports.objectcopies import CopyOrder
from omsd.ports.syncstore import AddFigures, DeleteSync, DropEvents, SyncChange
from omsd.service.sync_inbox import WaitingCall


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """tasks_num: of a project. queued_num: events of a task that are not finished. copies_num: of a task, at once."""

    tasks_num: int = 5
    queued_num: int = 20_000
    copies_num: int = 32


@dataclass(slots=True)
class HotSync:
    """A task with its events. work None: there are no credentials, so nothing is copied."""

    task: SyncTask
    work: TaskWork | None
    queue: SyncQueue = field(default_factory=SyncQueue)
    copies: dict[EventId, asyncio.Task[None]] = field(default_factory=dict)
    uploads: dict[OpenUpload, EventId] = field(default_factory=dict)
    intents: dict[str, tuple[UploadIntent, EventId]] = field(default_factory=dict)
    restores: dict[EventId, float] = field(default_factory=dict)

    @property
    def drained(self) -> bool:
        """Is it stopped, and everything it had accepted over?"""
        return self.task.state is SyncState.STOPPED and not len(self.queue)

    def order(self, queued: QueuedEvent) -> CopyOrder:
        """What a worker is told to do for the event."""
        event_id = queued.event.event_id
        stale = tuple(
            upload for upload, owner in self.uploads.items() if owner == event_id or owner not in self.queue
        )
        intents = tuple(
            intent for intent, owner in self.intents.values() if owner == event_id or owner not in self.queue
        )
        return CopyOrder(
            queued.event.names,
            deletes=self.task.deletes,
            redo_since_s=queued.event.accepted_ms / 1000 if queued.tried else 0.0,
            stale_uploads=stale,
            intents=intents,
            restore_since_s=self.restores.get(event_id, 0.0),
        )


@dataclass(slots=True)
class SyncStage:
    """One transaction. answers: given once it is committed; after: done then, before them."""

    now_ms: int
    changes: list[SyncChange] = field(default_factory=list)
    figures: dict[SyncNumber, Figures] = field(default_factory=dict)
    ended: list[EventId] = field(default_factory=list)
    answers: list[tuple[WaitingCall, SyncTask]] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)

    def count(self, number: SyncNumber, figures: Figures) -> None:
        """These come on top of the task's figures."""
        self.figures[number] = self.figures.get(number, Figures()).plus(figures)

    def all_changes(self) -> list[SyncChange]:
        """Deletions of tasks come last: what else is said of them must find them."""
        start_ms = interval_start(self.now_ms, FIVE_MINUTES_MS)
        changes = list(self.changes)
        changes += [
            AddFigures(number, TimedFigures(start_ms, figures)) for number, figures in self.figures.items()
        ]
        if self.ended:
            changes.append(DropEvents(tuple(self.ended)))
        changes.sort(key=lambda change: isinstance(change, DeleteSync))
        return changes
