"""Feeds a shard from a span of an object list file: reads lines, looks the objects up, gives the upper part away when asked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from omsd.aio import ClosableQueue, QueueClosedError
from omsd.domain.errors import Failure, Side, StoreError, StoreErrorKind
from omsd.domain.events import SpanSplit
from omsd.domain.manifest import (
    BadLineError,
    Line,
    LineCutter,
    ListFileError,
    check_metadata,
    failure_of_list,
    key_of,
    name_of_bad,
)
from omsd.domain.model import LeaseId, Outcome, OutcomeKind
from omsd.domain.shards import Checkpoint, ManifestSpan, ShardKind
from omsd.engine.context import AT_SOURCE, ShardContext, ShardFailedError
from omsd.engine.copy import Candidate
from omsd.engine.report import ShardAccount
from omsd.engine.settings import EngineSettings
from omsd.engine.stream import Meter
from omsd.ports.objectstore import ListedObject, ObjectHead, ObjectStore

# One read: some thousand lines. Besides them no more than one line of a list is held.
_BLOCK_BYTES = 256 * 1024
# Objects looked up at once, ahead of the copying: so sizes are known early, as they are from a listing.
_LOOKERS = 16
# While copying holds the reading up, so many lines are worth a shard of their own.
_FEWEST_LINES = 2


class SpanAccount(ShardAccount):
    """The account of lines: a checkpoint is a place in the file, and the size of an object comes later than its line."""

    def __init__(self, start: Checkpoint, meter: Meter, settings: EngineSettings) -> None:
        super().__init__(ShardKind.MANIFEST, start, meter, settings)
        self._line_ends: deque[int] = deque()

    def open_line(self, next_offset: int) -> int:
        """The position of the next line. next_offset: where the line behind it begins."""
        self._line_ends.append(next_offset)
        return self.open_position(0)

    def learn_size(self, size_bytes: int) -> None:
        """The object of an open position has this size; settle() takes it back as listed_bytes."""
        self._listed_bytes += size_bytes
        self._begun_bytes += size_bytes

    def _behind(self, taken_num: int, last_key: str) -> Checkpoint:
        """The next line behind so many records more."""
        position = self._checkpoint.position
        for _ in range(taken_num):
            position = self._line_ends.popleft()
        return Checkpoint(position)


class SpanFeed:
    """Puts a candidate for each line of the span into the queue, then closes it. run() once; the others from the same loop."""

    def __init__(
        self,
        lease_id: LeaseId,
        span: ManifestSpan,
        context: ShardContext,
        account: SpanAccount,
        queue: ClosableQueue[Candidate],
        emit: Callable[[SpanSplit], Awaitable[None]],
    ) -> None:
        self._lease_id = lease_id
        self._span = span
        self._etag = span.etag
        self._ctx = context
        self._account = account
        self._queue = queue
        self._emit = emit
        self._keys: ClosableQueue[tuple[str, int]] = ClosableQueue(1)
        start = max(span.start, account.checkpoint.position)
        self._cutter = LineCutter(start, span.end, span.size_bytes)
        # Where the first line that is not begun begins, or one before it.
        self._next_offset = self._first_offset = start
        self._begun_num = 0
        self._stopped = self._over = self._wanted = False
        self._may_split = asyncio.Event()

    async def run(self) -> None:
        """Until every line is final or a candidate. Raises ShardFailedError if the list cannot be read."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._split_when_asked(), name=f"split {self._span.key}")
                group.create_task(self._read_lines(), name=f"read {self._span.key}")
                for number in range(_LOOKERS):
                    group.create_task(self._look_up(), name=f"look up {self._span.key}.{number}")
            self._account.listing_over = not self._stopped
        finally:
            self._queue.close()

    def stop(self) -> None:
        """Begin no more lines."""
        self._stopped = True
        self._keys.discard()

    def want_split(self) -> None:
        """Somebody has nothing to do."""
        self._wanted = True
        self._consider_split()

    async def _read_lines(self) -> None:
        try:
            while not self._cutter.over and not self._stopped:
                for line in self._cutter.feed(await self._block()):
                    if not await self._begin(line):
                        return
        except ListFileError as error:
            raise ShardFailedError(Failure(error.code, error.message), decisive=True) from error
        except QueueClosedError:
            return
        finally:
            self._over = True
            self._may_split.set()
            self._keys.close()

    async def _begin(self, line: Line) -> bool:
        """The line is under way, unless nothing more is to be begun: then False. No split gives it away."""
        self._next_offset = line.offset
        self._consider_split()
        await self._account.place_room()
        if self._stopped:
            return False
        self._next_offset = line.next_offset
        self._begun_num += 1
        position = self._account.open_line(line.next_offset)
        try:
            key = key_of(line.text)
        except BadLineError as error:
            self._account.settle(position, _no_key(line, error), 0)
        else:
            await self._keys.put((key, position))
        return True

    async def _look_up(self) -> None:
        try:
            while True:
                key, position = await self._keys.get()
                listed = await self._listed(key)
                if listed is not None:
                    self._account.learn_size(listed.size_bytes)
                await self._queue.put(Candidate(key, position, listed))
        except QueueClosedError:
            return

    async def _listed(self, key: str) -> ListedObject | None:
        """The object as a listing would tell it; None if it was not told: the copier asks again, and knows what that means."""
        try:
            with AT_SOURCE:
                head = await self._ctx.source.head(key)
        except StoreError as error:
            if error.retryable:
                await self._ctx.backed_off(error, 1)
            return None
        return ListedObject(key, head.size_bytes, head.last_modified_s, head.etag, head.storage_class)

    async def _block(self) -> bytes:
        """The next bytes of the list, at least one."""
        lists, cutter = self._ctx.lists, self._cutter
        assert lists is not None
        attempt = 0
        while True:
            try:
                return await self._read(lists, cutter.read_offset, cutter.wanted_bytes(_BLOCK_BYTES))
            except StoreError as error:
                error.side = Side.DESTINATION
                attempt += 1
                if not await self._ctx.backed_off(error, attempt):
                    failure = failure_of_list(error, self._span.key)
                    raise ShardFailedError(failure, decisive=not error.retryable) from error

    async def _read(self, lists: ObjectStore, offset: int, length: int) -> bytes:
        reading = await lists.read(self._span.key, offset=offset, length=length, if_match=self._etag)
        try:
            self._check(reading.head)
            data = await reading.read_all(length)
        finally:
            await reading.close()
        if len(data) != length:
            raise StoreError(
                StoreErrorKind.TRUNCATED, f"{self._span.key!r}: {len(data)} bytes came instead of {length}"
            )
        return data

    def _check(self, head: ObjectHead) -> None:
        """It is the file that was planned, also where the service ignores If-Match or told no ETag before."""
        changed = self._etag and head.etag and head.etag != self._etag
        if changed or head.size_bytes not in (-1, self._span.size_bytes):
            raise StoreError(StoreErrorKind.PRECONDITION, f"{self._span.key!r} has changed")
        self._etag = self._etag or head.etag
        check_metadata(self._span.key, head.content_type, head.headers.get("content-encoding", ""))

    def _consider_split(self) -> None:
        """Wake the splitter if the rest is worth a shard: a few lines if copying holds the reading up, else many."""
        if not self._wanted or not self._begun_num:
            return
        held = self._queue.full or not self._account.has_room
        fewest = _FEWEST_LINES if held else 2 * self._ctx.settings.split_objects
        line_bytes = (self._next_offset - self._first_offset) / self._begun_num
        if self._cutter.end - self._next_offset >= fewest * line_bytes:
            self._may_split.set()

    async def _split_when_asked(self) -> None:
        while True:
            await self._may_split.wait()
            self._may_split.clear()
            if self._over:
                return
            at = (self._next_offset + self._cutter.end + 1) // 2
            if self._next_offset < at < self._cutter.end:
                # No await in between: from here on no line behind is begun, whenever the ledger hears of it.
                self._cutter.end = at
                self._wanted = False
                await self._emit(SpanSplit(self._lease_id, at))
            self._queue.limit(self._ctx.settings.window_objects)


def _no_key(line: Line, error: BadLineError) -> Outcome:
    """The record of a line that names no key."""
    name = name_of_bad(line.text)
    return Outcome(name, 0, OutcomeKind.FAILED, error_code=error.code, reason=error.message)
