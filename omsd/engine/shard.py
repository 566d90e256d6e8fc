"""One shard: listing -> bounded queue -> copiers -> account -> reporter. Two ways to stop: drain and cut."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from omsd.aio import ClosableQueue, QueueClosedError
from omsd.domain.errors import Side, StoreError, failure_of
from omsd.domain.events import ShardBatch, ShardEvent, ShardProgress
from omsd.domain.listing import sort_key
from omsd.domain.model import LeaseId, OpenUpload, OverwriteMode, Shard, ShardKind
from omsd.domain.overwrite import Action, decide
from omsd.domain.plan import map_key
from omsd.engine.context import ShardContext, ShardFailedError
from omsd.engine.copy import Candidate, ObjectCopier, record_of
from omsd.engine.lister import PAGES_AHEAD, Pages, TargetCursor, list_into
from omsd.engine.report import ShardAccount
from omsd.engine.restore import next_rest_s
from omsd.ports.objectstore import ListedObject

Emit = Callable[[ShardEvent], Awaitable[None]]


class ShardRun:
    """One lease of one shard. run() once; drain() and cut() from the same loop at any time."""

    def __init__(
        self,
        lease_id: LeaseId,
        shard: Shard,
        context: ShardContext,
        stale_uploads: Sequence[OpenUpload],
        emit: Emit,
    ) -> None:
        self._lease_id = lease_id
        self._shard = shard
        self._ctx = context
        self._stale_uploads = stale_uploads
        self._emit = emit
        self._account = ShardAccount(
            shard.kind, shard.checkpoint, context.meter, window_objects=context.settings.window_objects
        )
        self._copier = ObjectCopier(context)
        self._queue: ClosableQueue[Candidate] = ClosableQueue(context.settings.window_objects)
        self._source_pages: Pages = ClosableQueue(PAGES_AHEAD)
        self._target_pages: Pages = ClosableQueue(PAGES_AHEAD)
        self._work_scope = asyncio.timeout(None)
        self._work_entered = False
        self._draining = False
        self._cut = False
        self._stop_reporting = asyncio.Event()

    async def run(self) -> bool:
        """True if the shard is accounted for to its end, False if it was drained or cut before.

        Everything final was emitted before it returns or raises ShardFailedError.
        """
        failure: ShardFailedError | None = None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report(), name=f"report of shard {self._shard.shard_id}")
            try:
                await self._work()
            except ShardFailedError as error:
                failure = error
            finally:
                self._stop_reporting.set()
        await self._flush()
        if failure is not None:
            raise failure
        return self._account.listing_over and self._account.all_final and not self._cut

    def drain(self) -> None:
        """Begin no more objects; those begun are finished."""
        self._draining = True
        for queue in (self._queue, self._source_pages, self._target_pages):
            queue.discard()

    def cut(self) -> None:
        """Drop the objects in flight."""
        self.drain()
        self._cut = True
        if self._work_entered:
            self._work_scope.reschedule(asyncio.get_running_loop().time())

    async def _work(self) -> None:
        if self._cut:
            return
        try:
            async with self._work_scope:
                self._work_entered = True
                try:
                    await self._list_and_copy()
                finally:
                    self._work_entered = False
        except TimeoutError:
            if not self._cut:
                raise

    async def _list_and_copy(self) -> None:
        await self._ctx.learn()
        await self._abort_stale()
        if self._draining:
            return
        name = f"shard {self._shard.shard_id}"
        try:
            async with asyncio.TaskGroup() as work:
                if self._shard.kind is ShardKind.KEYS:
                    work.create_task(self._feed_keys(), name=f"keys of {name}")
                else:
                    self._start_listing(work, name)
                for number in range(self._ctx.settings.copiers):
                    work.create_task(self._copy_from_queue(), name=f"copy {name}.{number}")
        except* (StoreError, ShardFailedError) as group:
            raise _failure_of_group(group) from None

    def _start_listing(self, work: asyncio.TaskGroup, name: str) -> None:
        shard, spec = self._shard, self._ctx.spec
        after = shard.checkpoint.after or shard.after
        work.create_task(
            list_into(
                self._source_pages,
                self._ctx,
                Side.SOURCE,
                prefix=shard.prefix,
                after=after,
                until=shard.until,
            ),
            name=f"list source of {name}",
        )
        cursor: TargetCursor | None = None
        if self._compares_listings():
            cursor = TargetCursor(self._target_pages, self._ctx.destination.abilities.listing_order)
            work.create_task(
                list_into(
                    self._target_pages,
                    self._ctx,
                    Side.DESTINATION,
                    prefix=map_key(spec.save_prefix, shard.prefix),
                    after=map_key(spec.save_prefix, after) if after else "",
                ),
                name=f"list destination of {name}",
            )
        work.create_task(self._join(cursor), name=f"join {name}")

    def _compares_listings(self) -> bool:
        """Merging needs two listings in one order; else each object is looked up by the copier."""
        return (
            self._ctx.source.abilities.listing_order == self._ctx.destination.abilities.listing_order
            and not self._needs_no_target()
        )

    def _needs_no_target(self) -> bool:
        return (
            self._ctx.spec.overwrite_mode is OverwriteMode.FULL_OVERWRITE and self._ctx.redo_since_s is None
        )

    async def _feed_keys(self) -> None:
        try:
            for key in self._shard.keys[self._shard.checkpoint.position :]:
                await self._account.place_room()
                if self._draining:
                    return
                await self._queue.put(Candidate(key, self._account.open_position(0)))
            self._account.listing_over = True
        except QueueClosedError:
            return
        finally:
            self._queue.close()

    async def _join(self, cursor: TargetCursor | None) -> None:
        """Decide from the two sorted streams; what needs no copy is final at once."""
        order = self._ctx.source.abilities.listing_order
        until = sort_key(order, self._shard.until) if self._shard.until else None
        try:
            while True:
                try:
                    page = await self._source_pages.get()
                except QueueClosedError:
                    self._account.listing_over = not self._draining
                    return
                for listed in page:
                    if until is not None and sort_key(order, listed.key) > until:
                        self._account.listing_over = True
                        return
                    await self._account.place_room()
                    await self._place(listed, cursor)
                    if self._draining:
                        return
        except QueueClosedError:
            return
        finally:
            for queue in (self._queue, self._source_pages, self._target_pages):
                queue.close()

    async def _place(self, listed: ListedObject, cursor: TargetCursor | None) -> None:
        spec = self._ctx.spec
        decided = self._needs_no_target()
        action, reason = Action.COPY, ""
        if cursor is not None or decided:
            target = await cursor.find(map_key(spec.save_prefix, listed.key)) if cursor is not None else None
            decision = decide(
                listed,
                target,
                spec.overwrite_mode,
                migrate_since_s=spec.migrate_since_s,
                redo_since_s=self._ctx.redo_since_s,
            )
            action, reason = decision.action, decision.reason
            decided = action is not Action.NEED_CRC64
        position = self._account.open_position(listed.size_bytes)
        record = record_of(listed, action, reason, encrypts=spec.encrypt_kms)
        if record is not None:
            self._account.settle(position, record, listed.size_bytes)
            return
        await self._queue.put(Candidate(listed.key, position, listed, decided))

    async def _copy_from_queue(self) -> None:
        while True:
            try:
                candidate = await self._queue.get()
            except QueueClosedError:
                return
            outcome = await self._copier.copy(candidate)
            self._account.settle(candidate.position, outcome, candidate.listed_bytes)

    async def _abort_stale(self) -> None:
        """Uploads of earlier leases are gone before any new one begins."""
        for upload in self._stale_uploads:
            attempt = 0
            while True:
                try:
                    await self._ctx.destination.abort_upload(upload.key, upload.upload_id)
                except StoreError as error:
                    error.side = Side.DESTINATION
                    await self._ctx.raise_if_decisive(error)
                    attempt += 1
                    if await self._ctx.backed_off(error, attempt):
                        continue
                    raise ShardFailedError(failure_of(error, Side.DESTINATION), decisive=False) from error
                await self._ctx.uploads.closed(upload)
                break

    async def _report(self) -> None:
        """Batches and live figures, every interval, until the work has ended."""
        interval_s = self._ctx.settings.report_interval_s
        while not self._stop_reporting.is_set():
            try:
                async with asyncio.timeout(interval_s):
                    await self._stop_reporting.wait()
            except TimeoutError:
                await self._flush(whole_batches=self._account.deferred_num > 0)

    async def _flush(self, *, whole_batches: bool = False) -> None:
        """Emit what is ready. whole_batches: each one with deferred keys makes a new shard, and those should be few."""
        limit = self._ctx.settings.batch_objects
        while not whole_batches or self._account.ready_num >= limit:
            batch = self._account.take_batch(limit)
            if batch is None:
                break
            outcomes, deferred, counters, checkpoint = batch
            since_s = (self._shard.restore_since_s or self._ctx.now_s()) if deferred else 0.0
            rest_s = next_rest_s(self._ctx) if deferred else 0.0
            await self._emit(
                ShardBatch(self._lease_id, outcomes, counters, checkpoint, deferred, since_s, rest_s)
            )
        await self._emit(ShardProgress(self._lease_id, self._account.live()))


def _failure_of_group(group: BaseExceptionGroup[StoreError | ShardFailedError]) -> ShardFailedError:
    """What the shard failed of: the error that ends the task if there is one, else the first."""
    leaves: list[StoreError | ShardFailedError] = []
    stack: list[BaseException] = [group]
    while stack:
        error = stack.pop(0)
        if isinstance(error, BaseExceptionGroup):
            stack.extend(error.exceptions)
        elif isinstance(error, StoreError | ShardFailedError):
            leaves.append(error)
    decisive = [leaf for leaf in leaves if isinstance(leaf, ShardFailedError)]
    if decisive:
        return max(decisive, key=lambda leaf: leaf.decisive)
    first = leaves[0]
    assert isinstance(first, StoreError)
    return ShardFailedError(failure_of(first, first.side or Side.SOURCE), decisive=False)
