"""One shard: listing -> bounded queue -> copiers -> account -> reporter. Two ways to stop: drain and cut."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import islice

from omsd.aio import ClosableQueue, QueueClosedError
from omsd.domain.errors import Side, StoreError, failure_of
from omsd.domain.events import LeaseEvent, ShardBatch, ShardProgress, ShardSplit
from omsd.domain.model import LeaseId, Outcome, OverwriteMode
from omsd.domain.overwrite import Action, decide
from omsd.domain.plan import map_key
from omsd.domain.shards import LargeObject, OpenUpload, Shard, ShardKind
from omsd.engine.context import ShardContext, ShardFailedError
from omsd.engine.copy import Candidate, ObjectCopier
from omsd.engine.halver import Halver
from omsd.engine.lister import PAGES_AHEAD, Pages, TargetCursor, list_into
from omsd.engine.manifest import SpanAccount, SpanFeed
from omsd.engine.records import record_of, skipped_of
from omsd.engine.report import ShardAccount
from omsd.engine.restore import next_rest_s
from omsd.engine.stale import clear_stale
from omsd.engine.stretch import Stretch
from omsd.ports.objectstore import ListedObject

_COPY, _SKIP, _NEED_CRC64 = Action.COPY, Action.SKIP, Action.NEED_CRC64

Emit = Callable[[LeaseEvent], Awaitable[None]]


class ShardRun:
    """One lease of one shard. run() once; drain(), cut() and split() from the same loop at any time."""

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
        self._account: ShardAccount
        self._stretch = Stretch(context.source.abilities.listing_order, shard)
        self._copier = ObjectCopier(context)
        self._queue: ClosableQueue[Candidate] = ClosableQueue(context.settings.window_objects)
        self._source_pages: Pages = ClosableQueue(PAGES_AHEAD)
        self._target_pages: Pages = ClosableQueue(PAGES_AHEAD)
        self._needs_no_target = (
            context.spec.overwrite_mode is OverwriteMode.FULL_OVERWRITE and context.redo_since_s is None
        )
        self._feed: SpanFeed | None = None
        if shard.manifest is None:
            self._account = ShardAccount(shard.kind, shard.checkpoint, context.meter, context.settings)
        else:
            self._account = account = SpanAccount(shard.checkpoint, context.meter, context.settings)
            self._feed = SpanFeed(lease_id, shard.manifest, context, account, self._queue, emit)
        self._work_scope = asyncio.timeout(None)
        self._work_entered = False
        self._draining = False
        self._handed_num = 0
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
        self._account.stop()
        if self._feed is not None:
            self._feed.stop()
        for queue in (self._queue, self._source_pages, self._target_pages):
            queue.discard()

    def cut(self) -> None:
        """Drop the objects in flight."""
        self.drain()
        self._cut = True
        if self._work_entered:
            self._work_scope.reschedule(asyncio.get_running_loop().time())

    def split(self) -> None:
        """Give the upper part of the range away as soon as that is worth it: a worker has nothing to do."""
        # What is queued is not given away, so less is queued until then.
        self._queue.limit(2 * self._ctx.settings.copiers)
        if self._feed is not None:
            self._feed.want_split()
            return
        self._stretch.want_split()
        self._consider_split()

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
        await clear_stale(self._ctx, self._shard, self._stale_uploads)
        if self._draining:
            return
        name = f"shard {self._shard.shard_id}"
        try:
            async with asyncio.TaskGroup() as work:
                if self._shard.kind is ShardKind.KEYS:
                    work.create_task(self._feed_keys(), name=f"keys of {name}")
                elif self._feed is not None:
                    work.create_task(self._feed.run(), name=f"lines of {name}")
                else:
                    self._start_listing(work, name)
                for number in range(self._ctx.settings.copiers):
                    work.create_task(self._copy_from_queue(), name=f"copy {name}.{number}")
        except* (StoreError, ShardFailedError) as group:
            raise _failure_of_group(group) from None

    def _start_listing(self, work: asyncio.TaskGroup, name: str) -> None:
        shard, spec, stretch = self._shard, self._ctx.spec, self._stretch
        stretch.learn_order(self._ctx.source.abilities.listing_order)
        after = stretch.start
        work.create_task(
            list_into(
                self._source_pages,
                self._ctx,
                Side.SOURCE,
                prefix=shard.prefix,
                after=after,
                until=lambda: stretch.until,
                note=stretch.note_page,
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
                    until=lambda: map_key(spec.save_prefix, stretch.until) if stretch.until else "",
                ),
                name=f"list destination of {name}",
            )
        work.create_task(self._join(cursor), name=f"join {name}")
        work.create_task(self._split_when_asked(), name=f"split {name}")

    def _compares_listings(self) -> bool:
        """Merging needs two listings in one order; else each object is looked up by the copier."""
        return (
            self._ctx.source.abilities.listing_order == self._ctx.destination.abilities.listing_order
            and not self._needs_no_target
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
        stretch = self._stretch
        try:
            while True:
                try:
                    page = await self._source_pages.get()
                except QueueClosedError:
                    self._account.listing_over = not self._draining
                    return
                stretch.begin_page(page)
                while stretch.place < len(page):
                    self._consider_split()
                    if cursor is not None and self._account.is_idle:
                        self._pass_over(page, cursor)
                        if stretch.place == len(page):
                            break
                    listed = page[stretch.place]
                    await self._account.place_room()
                    # Asked after the wait: a split may have moved the end.
                    if stretch.ends_before(listed.key):
                        self._account.listing_over = True
                        return
                    stretch.take(listed.key)
                    await self._place(listed, cursor)
                    if self._draining:
                        return
        except QueueClosedError:
            return
        finally:
            stretch.end()
            for queue in (self._queue, self._source_pages, self._target_pages):
                queue.close()

    def _consider_split(self) -> None:
        if self._stretch.wanted:
            self._stretch.consider(held=self._held, after_objects=self._ctx.settings.split_after_objects)

    @property
    def _held(self) -> bool:
        """Does the listing wait for the copying?"""
        return self._queue.full or not self._account.has_room

    async def _split_when_asked(self) -> None:
        """While the range lasts: cut it where another worker can go on, and tell the ledger."""
        stretch, wanted = self._stretch, self._ctx.settings
        while True:
            await stretch.may_split.wait()
            stretch.may_split.clear()
            if stretch.over:
                return
            keys: tuple[str, ...] = ()
            if not stretch.listed_all:
                keys = await Halver(self._ctx.source, stretch).boundaries(stretch.page)
            if not keys and self._held:
                keys = (stretch.worth_handing(objects=wanted.split_objects, size_bytes=wanted.split_bytes),)
            keys = tuple(key for key in keys if key and stretch.lies_ahead(key))
            if keys:
                # No await in between: from here on no key behind the first is begun, whenever the ledger hears of it.
                stretch.cut(keys[0])
                await self._emit(ShardSplit(self._lease_id, keys))
            else:
                stretch.keep()
            self._queue.limit(wanted.window_objects)

    def _pass_over(self, page: Sequence[ListedObject], cursor: TargetCursor) -> None:
        """Skip the objects that come next as long as both listings say so: a no-change pass has hardly anything else to do."""
        spec, stretch = self._ctx.spec, self._stretch
        save_prefix, mode, since_s = spec.save_prefix, spec.overwrite_mode, spec.migrate_since_s
        redo_since_s, ends = self._ctx.redo_since_s, bool(stretch.until)
        skipped: list[Outcome] = []
        for listed in islice(page, stretch.place, None):
            key = listed.key
            target = cursor.peek()
            if target is None or target.key != (save_prefix + key if save_prefix else key):
                break
            if ends and stretch.ends_before(key):
                break
            decision = decide(listed, target, mode, migrate_since_s=since_s, redo_since_s=redo_since_s)
            if decision.action is not _SKIP:
                break
            cursor.skip()
            skipped.append(skipped_of(listed, decision.reason))
        if skipped:
            stretch.take(skipped[-1].key, len(skipped))
            self._account.pass_over(skipped)

    async def _place(self, listed: ListedObject, cursor: TargetCursor | None) -> None:
        spec = self._ctx.spec
        decided = self._needs_no_target
        action, reason = _COPY, ""
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
            decided = action is not _NEED_CRC64
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
            if isinstance(outcome, LargeObject):
                # Others wait for it.
                await self._flush()
                self._handed_num += 1
                if self._handed_num >= self._ctx.settings.most_handed:
                    self.drain()

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
            taken = self._account.take_batch(limit)
            if taken is None:
                break
            batch = ShardBatch(
                self._lease_id, taken.outcomes, taken.counters, taken.checkpoint, handed=taken.handed
            )
            if taken.deferred:
                since_s = self._shard.restore_since_s or self._ctx.now_s()
                batch = replace(
                    batch,
                    deferred=taken.deferred,
                    restore_since_s=since_s,
                    rest_s=next_rest_s(self._ctx),
                )
            await self._emit(batch)
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
