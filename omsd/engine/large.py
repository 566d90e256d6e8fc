"""A PARTS shard: one large object, or some of its parts while another lease of the object leads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from omsd.domain.errors import StoreError
from omsd.domain.events import ShardBatch, ShardProgress, ShardSplit
from omsd.domain.model import Counters, LeaseId, LiveProgress, Outcome
from omsd.domain.shards import Checkpoint, KeptUpload, LargeObject, OpenUpload, Shard
from omsd.engine.context import AT_SOURCE, GaveUpError, ShardContext, ShardFailedError
from omsd.engine.copy import Candidate, Final, ObjectCopier
from omsd.engine.largework import LargeWork, PartsElsewhereError
from omsd.engine.multipart import send_parts
from omsd.engine.parts import PartSender
from omsd.engine.report import count
from omsd.engine.restore import Deferred, next_rest_s
from omsd.engine.shard import Emit
from omsd.engine.stale import clear_stale
from omsd.engine.uploads import abort_upload
from omsd.ports.objectstore import CopySource, ObjectHead


class PartsRun:
    """One lease of a PARTS shard; run(), drain(), cut() and split() as those of ShardRun."""

    def __init__(
        self,
        lease_id: LeaseId,
        shard: Shard,
        context: ShardContext,
        stale_uploads: Sequence[OpenUpload],
        emit: Emit,
    ) -> None:
        if shard.large is None:
            raise ValueError(f"shard {shard.shard_id} is of no object")
        self._lease_id = lease_id
        self._shard = shard
        self._object: LargeObject = shard.large
        self._ctx = context
        self._work = context.large = LargeWork(shard, shard.kept)
        self._stale_uploads = stale_uploads
        self._emit = emit
        self._scope = asyncio.timeout(None)
        self._entered = False
        self._cut = False
        self._split_wanted = asyncio.Event()

    async def run(self) -> bool:
        """True if the shard is accounted for, False if it was stopped before, or leads and others still send parts."""
        failed: list[ShardFailedError] = []
        finished = False
        async with asyncio.TaskGroup() as group:
            name = f"shard {self._shard.shard_id}"
            beside = [
                group.create_task(self._report(), name=f"report of {name}"),
                group.create_task(self._split(), name=f"split {name}"),
            ]
            try:
                finished = await self._until_cut()
            except ShardFailedError as error:
                failed.append(error)
            finally:
                for task in beside:
                    task.cancel()
        if failed:
            raise failed[0]
        return finished

    def drain(self) -> None:
        """Begin no more parts; those begun are finished."""
        self._work.stop()

    def cut(self) -> None:
        """Drop the parts in flight."""
        self.drain()
        self._cut = True
        if self._entered:
            self._scope.reschedule(asyncio.get_running_loop().time())

    def split(self) -> None:
        """Somebody has nothing to do: the upper half of the parts that are not begun is given away."""
        self._split_wanted.set()

    async def _until_cut(self) -> bool:
        if self._cut:
            return False
        finished = False
        try:
            async with self._scope:
                self._entered = True
                try:
                    finished = await self._work_on()
                finally:
                    self._entered = False
        except TimeoutError:
            if not self._cut:
                raise
        return finished

    async def _work_on(self) -> bool:
        if self._shard.checkpoint.position:
            return True
        await self._ctx.learn()
        await clear_stale(self._ctx, self._shard, self._stale_uploads)
        if self._work.stopped:
            return False
        return await self._lead() if self._shard.leads else await self._help()

    async def _lead(self) -> bool:
        """The object is final, unless others still have parts of it."""
        try:
            outcome = await ObjectCopier(self._ctx).copy(Candidate(self._object.key, 0))
        except PartsElsewhereError:
            return False
        kept = self._work.kept
        if kept is not None and not self._work.completed:
            # The object did not come from the upload after all.
            if not self._work.alone:
                return False
            await abort_upload(self._ctx, kept.upload)
            kept = None
        await self._emit(self._batch_of(outcome, kept.upload if kept is not None else None))
        return True

    def _batch_of(self, outcome: Final, closed: OpenUpload | None) -> ShardBatch:
        """It was counted when it was listed, with the size it had then."""
        checkpoint, listed_bytes = Checkpoint(1), self._object.size_bytes
        match outcome:
            case Outcome():
                changed = outcome.size_bytes - listed_bytes
                counters = replace(count([outcome]), listed_size_bytes=changed)
                return ShardBatch(self._lease_id, (outcome,), counters, checkpoint, closed=closed)
            case Deferred():
                return ShardBatch(
                    self._lease_id,
                    (),
                    Counters(listed_num=1, listed_size_bytes=-listed_bytes),
                    checkpoint,
                    deferred=(outcome.key,),
                    restore_since_s=self._ctx.now_s(),
                    rest_s=next_rest_s(self._ctx),
                    closed=closed,
                )
            case LargeObject():
                raise TypeError("a large object was handed over by its own shard")

    async def _help(self) -> bool:
        """The parts are stored and recorded. What cannot be is left to the lease that leads, which meets the same."""
        kept = self._shard.kept
        if kept is None:
            return True
        try:
            with AT_SOURCE:
                head = await self._ctx.source.head(self._object.key)
            if head.etag != kept.plan.etag:
                return True
            await self._send(kept, head)
        except (StoreError, GaveUpError):
            return True
        return not self._work.stopped

    async def _send(self, kept: KeptUpload, head: ObjectHead) -> None:
        ctx, plan = self._ctx, kept.plan
        copied_from = CopySource(ctx.source.address.bucket, head.key, head.etag) if plan.copied else None
        sender = PartSender(ctx, head, kept.upload, copied_from=copied_from)
        there = {part.part_number for part in kept.parts}
        todo = [span for span in self._work.spans(plan) if span.part_number not in there]
        await send_parts(ctx, sender, kept.upload, self._work.begin(todo), {}, recorded=True)

    async def _split(self) -> None:
        """As often as it is asked for, once there is something to give away."""
        while True:
            await self._split_wanted.wait()
            await self._work.begun.wait()
            self._split_wanted.clear()
            boundary = self._work.give_away(least_bytes=self._ctx.settings.split_bytes)
            if boundary is not None:
                await self._emit(ShardSplit(self._lease_id, (str(boundary),)))

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(self._ctx.settings.report_interval_s)
            meter = self._ctx.meter
            live = LiveProgress(Counters(), meter.moving_bytes, meter.moved_total_bytes)
            await self._emit(ShardProgress(self._lease_id, live))
