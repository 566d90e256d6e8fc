"""The sync ledger's part in multipart uploads: what is open, what may be, and what the sweeper gets to abort."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from omsd.domain.model import ShardId, TaskId
from omsd.domain.sync import EventId, SyncNumber, work_id_of
from omsd.ports.objectcopies import IntentOpen, IntentSettled, UploadClosed, UploadOpened
from omsd.ports.syncstore import DropSyncIntent, DropSyncUpload, PutSyncIntent, PutSyncUpload, SyncChange
from omsd.ports.taskchanges import DropIntent, DropUpload, PutIntent, PutSweep, PutUpload
from omsd.service.sync_hot import HotSync, SyncStage
from omsd.service.sync_inbox import UploadNoted
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

# What is swept belongs to no shard.
_NO_SHARD = ShardId(0)
_SHOWN = 20


class SyncUploadBook:
    """sweeps_due: called when the sweeper has something to do."""

    def __init__(self, sweeps_due: Callable[[], None]) -> None:
        self._sweeps_due = sweeps_due
        self._coming: Counter[SyncNumber] = Counter()

    def told(self, news: UploadNoted) -> None:
        """A note is on its way to the ledger."""
        self._coming[news.number] += 1

    def are_coming(self, task_id: TaskId) -> bool:
        """Are notes of the task on their way, or being stored?"""
        return any(work_id_of(number) == task_id for number in self._coming)

    def apply(self, news: UploadNoted, hot: HotSync | None, stage: SyncStage) -> None:
        """The note is stored; of a deleted task it is for the sweeper, as all it left."""
        stage.after.append(lambda: self._stored(news))
        if hot is None:
            if isinstance(news.note, UploadOpened | UploadClosed):
                stage.changes += _swept_note(work_id_of(news.number), news.note)
            return
        number = hot.task.number
        match news.note:
            case IntentOpen(intent):
                hot.intents[intent.key] = (intent, news.event_id)
                stage.changes.append(PutSyncIntent(number, news.event_id, intent))
            case IntentSettled(key):
                self._settle(hot, key, stage)
            case UploadOpened(upload, settled):
                hot.uploads[upload] = news.event_id
                stage.changes.append(PutSyncUpload(number, news.event_id, upload))
                if settled:
                    self._settle(hot, upload.key, stage)
            case UploadClosed(upload):
                hot.uploads.pop(upload, None)
                stage.changes.append(DropSyncUpload(number, upload))

    def leave(self, hot: HotSync, stage: SyncStage, event_id: EventId | None = None) -> None:
        """What the event, or all of the task, may have left open is the sweeper's from now on."""
        uploads = [one for one, owner in hot.uploads.items() if event_id in (None, owner)]
        intents = [one for one, owner in hot.intents.values() if event_id in (None, owner)]
        # A copy that is being cut may still tell of an upload.
        late = event_id is None and bool(hot.copies)
        if not uploads and not intents and not late:
            return
        if hot.work is None:
            _log.warning(
                "uploads_left_open",
                sync_task_id=hot.task.sync_task_id,
                reason="there are no keys to abort them with",
                uploads=[f"{upload.key} {upload.upload_id}" for upload in uploads[:_SHOWN]],
            )
            return
        task, work_id = hot.task, hot.task.work_id
        for upload in uploads:
            del hot.uploads[upload]
            stage.changes += [DropSyncUpload(task.number, upload), PutUpload(work_id, _NO_SHARD, upload)]
        for intent in intents:
            del hot.intents[intent.key]
            stage.changes += [DropSyncIntent(task.number, intent.key), PutIntent(work_id, _NO_SHARD, intent)]
        keys = hot.work.credentials.destination
        stage.changes.append(PutSweep(work_id, task.spec.destination, keys, due=True))
        stage.after.append(self._sweeps_due)

    def _settle(self, hot: HotSync, key: str, stage: SyncStage) -> None:
        hot.intents.pop(key, None)
        stage.changes.append(DropSyncIntent(hot.task.number, key))

    def _stored(self, news: UploadNoted) -> None:
        self._coming[news.number] -= 1
        if not self._coming[news.number]:
            del self._coming[news.number]
        news.noted()


def _swept_note(work_id: TaskId, note: UploadOpened | UploadClosed) -> Iterator[SyncChange]:
    match note:
        case UploadOpened(upload, settled):
            yield PutUpload(work_id, _NO_SHARD, upload)
            if settled:
                yield DropIntent(work_id, upload.key)
        case UploadClosed(upload):
            yield DropUpload(work_id, upload)
