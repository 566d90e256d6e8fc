"""Which events of synchronization tasks are copied when: as many at once as a task may have; what came of it goes to the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from omsd.domain.model import TaskWork
from omsd.domain.sync import EventId, SyncNumber
from omsd.ports.clock import Clock
from omsd.ports.objectcopies import CopyOrder, ObjectCopies, UploadNote, WorkerGoneError
from omsd.ports.syncstore import SyncStore
from omsd.service.sync_hot import HotSync
from omsd.service.sync_inbox import CopyEnded, SyncInbox, UploadNoted
from omsd.service.sync_uploads import SyncUploadBook


class SyncCopier:
    """copies_num: of a task, at once. Reads the tasks it is given; all it learns is put into the inbox."""

    def __init__(
        self,
        store: SyncStore,
        copies: ObjectCopies,
        clock: Clock,
        inbox: SyncInbox,
        uploads: SyncUploadBook,
        *,
        copies_num: int,
    ) -> None:
        self._store = store
        self._copies = copies
        self._clock = clock
        self._inbox = inbox
        self._uploads = uploads
        self._copies_num = copies_num
        self._held = False

    def hold(self) -> None:
        """Begin no more copies."""
        self._held = True

    def next_s(self, tasks: Iterable[HotSync]) -> float | None:
        """When the first resting event is ready, on the monotonic clock; None if nothing rests that could be copied.

        A task that has no room for another copy hears of it when one ends.
        """
        if self._held:
            return None
        rests = (hot.queue.next_s() for hot in tasks if self._has_room(hot))
        return min((at_s for at_s in rests if at_s is not None), default=None)

    def dispatch(self, tasks: Iterable[HotSync], copying: asyncio.TaskGroup) -> None:
        """Events that are ready are being copied."""
        if self._held:
            return
        now_s = self._clock.monotonic_s()
        for hot in tasks:
            while hot.work is not None and self._has_room(hot):
                queued = hot.queue.take(now_s)
                if queued is None:
                    break
                event_id = queued.event.event_id
                hot.copies[event_id] = copying.create_task(
                    self._copy(hot.task.number, hot.work, hot.order(queued), event_id),
                    name=f"sync event {event_id}",
                )

    def _has_room(self, hot: HotSync) -> bool:
        return hot.work is not None and len(hot.copies) < self._copies_num

    async def _copy(self, number: SyncNumber, work: TaskWork, order: CopyOrder, event_id: EventId) -> None:
        def note(note: UploadNote, noted: Callable[[], None]) -> None:
            news = UploadNoted(number, event_id, note, noted)
            self._uploads.told(news)
            self._inbox.put(news)

        try:
            if order.intents:
                order = await self._with_recorded(order)
            result = await self._copies.copy(work, order, note)
        except WorkerGoneError as error:
            self._inbox.put(CopyEnded(number, event_id, None, error.begun))
        else:
            self._inbox.put(CopyEnded(number, event_id, result))

    async def _with_recorded(self, order: CopyOrder) -> CopyOrder:
        """What anybody has recorded as open is not what an intent left."""
        intents = []
        for intent in order.intents:
            recorded = await self._store.recorded_uploads(intent.key)
            intents.append(replace(intent, known=tuple(dict.fromkeys((*intent.known, *recorded)))))
        return replace(order, intents=tuple(intents))
