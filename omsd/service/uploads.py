"""The ledger's part in multipart uploads: what is open, which parts are there, and who goes on with a large object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from omsd.domain.events import (
    IntentSettled,
    PartsSent,
    UploadClosed,
    UploadIntended,
    UploadOpened,
    UploadSought,
    UploadsSwept,
)
from omsd.domain.model import ShardId, TaskId, TaskState
from omsd.domain.plan import map_key, plan_large
from omsd.domain.shards import LargeObject, OpenUpload, Shard
from omsd.ports.taskchanges import (
    DropIntent,
    DropUpload,
    EndSweep,
    NarrowShard,
    PutIntent,
    PutParts,
    PutUpload,
)
from omsd.ports.taskstore import TaskStore
from omsd.scheduler.scheduler import Scheduler
from omsd.service.hot import HotState, HotTask, Lease, Stage
from omsd.service.moves import Mover

# With so many large objects open, a task lists no further until there are fewer than half: however many its buckets have, their
# shards take up little memory and time. Each lease of a range hands over some more before it ends.
MOST_LARGE = 256

UploadEvent = UploadIntended | UploadOpened | IntentSettled | PartsSent | UploadClosed


class UploadBook:
    """Waits for nothing but in prepare()."""

    def __init__(self, state: HotState, mover: Mover, scheduler: Scheduler) -> None:
        self._state = state
        self._mover = mover
        self._scheduler = scheduler

    def apply(self, event: UploadEvent, stage: Stage) -> None:
        """Also from a void lease, or of a deleted task: the upload is there (or gone), whoever opened it."""
        lease = self._state.leases.get(event.lease_id)
        if lease is None:
            return
        task_id, hot = lease.task_id, self._state.tasks.get(lease.task_id)
        match event:
            case UploadIntended():
                stage.changes.append(PutIntent(task_id, lease.shard_id, event.intent))
                noted = partial(self._scheduler.intent_noted, event.lease_id, event.intent.key)
                stage.after.append(noted)
                if hot is not None:
                    hot.intents.add(event.intent.key)
            case UploadOpened():
                self._opened(event, lease, hot, stage)
            case IntentSettled():
                self._settled(task_id, hot, event.key, stage)
            case PartsSent():
                if hot is not None and lease.current:
                    self._sent(hot, event, stage)
            case UploadClosed():
                self.close(task_id, hot, event.upload, stage)

    def swept(self, event: UploadsSwept, stage: Stage) -> None:
        """Nothing of these is left to sweep."""
        hot = self._state.tasks.get(event.task_id)
        for upload in event.uploads:
            self.close(event.task_id, hot, upload, stage)
        for intent in event.intents:
            self._settled(event.task_id, hot, intent.key, stage)
        if event.over:
            stage.changes.append(EndSweep(event.task_id))

    def close(self, task_id: TaskId, hot: HotTask | None, upload: OpenUpload, stage: Stage) -> None:
        """The upload is gone, its parts count no more."""
        stage.changes.append(DropUpload(task_id, upload))
        if hot is None:
            return
        hot.uploads.discard(upload)
        sizes = hot.parts.pop(upload, None)
        if sizes:
            self._count(hot, -sum(sizes.values()), stage)

    def hand_over(self, hot: HotTask, lease: Lease, handed: Sequence[LargeObject], stage: Stage) -> None:
        """These objects have shards of their own: listed, not final."""
        drafts = plan_large(handed, attempt=lease.shard.attempt - 1)
        shard_ids = self._mover.add_shards(hot, drafts, stage, already_listed=True)
        if hot.task.state is TaskState.MIGRATING and hot.doom is None:
            stage.after.append(partial(self._scheduler.add_shards, hot.task.task_id, shard_ids))

    def must_hold(self, hot: HotTask, shard_id: ShardId) -> bool:
        """A shard that may hand over more objects is to be leased: are there enough already? Then lead_done() brings it back."""
        shard = hot.open_shards[shard_id]
        if shard.large_key or shard.report or hot.large_num() < MOST_LARGE:
            return False
        hot.held.add(shard_id)
        return True

    def lead_done(self, hot: HotTask, stage: Stage) -> None:
        """A large object is accounted for: if few are left, listing goes on."""
        if not hot.held or hot.large_num() >= MOST_LARGE // 2:
            return
        held, hot.held = sorted(hot.held), set()
        if hot.task.state is TaskState.MIGRATING and hot.doom is None:
            stage.after.append(partial(self._scheduler.add_shards, hot.task.task_id, held))

    def must_wait(self, hot: HotTask, shard_id: ShardId) -> bool:
        """A lease that leads has ended: does it go on when the others that send parts of its object are done? Then it waits."""
        shard = hot.open_shards[shard_id]
        shard.waiting = shard.leads and _has_helpers(hot, shard.large_key)
        return shard.waiting

    def helper_done(self, hot: HotTask, large_key: str, stage: Stage) -> None:
        """Parts of the object are done: if these were the last, the shard that leads goes on."""
        if _has_helpers(hot, large_key):
            return
        for shard_id, shard in hot.open_shards.items():
            if shard.leads and shard.large_key == large_key and shard.waiting:
                shard.waiting = False
                if hot.task.state is TaskState.MIGRATING and hot.may_run(shard_id):
                    again = partial(self._scheduler.add_shards, hot.task.task_id, [shard_id])
                    stage.after.append(again)

    async def prepare(self, hot: HotTask, shard: Shard, store: TaskStore, stage: Stage) -> Shard:
        """The shard with what a lease must know of uploads. One that leads alone has all parts."""
        task_id = shard.task_id
        shard = replace(shard, intents=await store.stale_intents(task_id, shard.shard_id))
        large = shard.large
        if large is None:
            return shard
        if shard.leads and shard.until and not _has_helpers(hot, large.key):
            shard = replace(shard, until="")
            stage.changes.append(NarrowShard(shard))
        target_key = map_key(hot.task.spec.save_prefix, large.key)
        return replace(shard, kept=await store.kept_upload(task_id, target_key))

    async def answer(self, event: UploadSought, store: TaskStore) -> None:
        """The worker hears what there is of the object, if the lease may still write it."""
        lease = self._state.leases.get(event.lease_id)
        hot = self._state.tasks.get(lease.task_id) if lease is not None and lease.current else None
        kept = None
        if hot is not None and hot.parts:
            kept = await store.kept_upload(hot.task.task_id, event.key)
        self._scheduler.upload_found(event.lease_id, event.key, kept)

    def _opened(self, event: UploadOpened, lease: Lease, hot: HotTask | None, stage: Stage) -> None:
        stage.changes.append(PutUpload(lease.task_id, lease.shard_id, event.upload, event.plan))
        if event.settled:
            self._settled(lease.task_id, hot, event.upload.key, stage)
        if hot is not None:
            hot.uploads.add(event.upload)
            if event.plan is not None:
                hot.parts[event.upload] = {}

    def _settled(self, task_id: TaskId, hot: HotTask | None, key: str, stage: Stage) -> None:
        stage.changes.append(DropIntent(task_id, key))
        if hot is not None:
            hot.intents.discard(key)

    def _sent(self, hot: HotTask, event: PartsSent, stage: Stage) -> None:
        sizes = hot.parts.get(event.upload)
        if sizes is None:
            return
        stage.changes.append(PutParts(hot.task.task_id, event.upload, event.parts))
        before = sum(sizes.get(part.part_number, 0) for part in event.parts)
        sizes.update((part.part_number, part.size_bytes) for part in event.parts)
        self._count(hot, sum(part.size_bytes for part in event.parts) - before, stage)
        shard = hot.open_shards.get(self._state.leases[event.lease_id].shard_id)
        if shard is not None:
            shard.failures = 0

    def _count(self, hot: HotTask, size_bytes: int, stage: Stage) -> None:
        hot.task = replace(hot.task, parts_size_bytes=max(0, hot.task.parts_size_bytes + size_bytes))
        stage.show(hot)


def _has_helpers(hot: HotTask, large_key: str) -> bool:
    return any(not shard.leads and shard.large_key == large_key for shard in hot.open_shards.values())
