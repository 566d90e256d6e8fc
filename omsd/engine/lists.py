"""A REPORT shard: the spooled object lists of a run become objects of the destination bucket. Nothing here fails the task."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from omsd.domain.errors import Side, StoreError, StoreErrorKind
from omsd.domain.events import ListSettled
from omsd.domain.model import LeaseId, ListUpload
from omsd.domain.object_lists import NOT_RECORDED, NOT_STORED, code_of
from omsd.domain.overwrite import equal_crc64
from omsd.domain.shards import OpenUpload, Shard
from omsd.engine.context import AT_DESTINATION, GaveUpError, ShardContext, ShardFailedError
from omsd.engine.digest import digest_for
from omsd.engine.multipart import MultipartCopy
from omsd.engine.shard import Emit
from omsd.engine.spoolread import SpoolDamagedError, SpooledList, SpoolSource
from omsd.engine.stale import clear_stale
from omsd.engine.uploads import settle_doubt
from omsd.ports.objectstore import Checksums, ObjectHead, PutOptions
from omsd.telemetry.logging import get_logger

_CONTENT_TYPE = "text/plain"
_log = get_logger(__name__)


class ListsRun:
    """One lease of a REPORT shard; run(), drain() and cut() as those of ShardRun."""

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
        self._scope = asyncio.timeout(None)
        self._entered = False
        self._stopped = False
        self._cut = False
        self._settled = 0

    async def run(self) -> bool:
        """True if every list is stored or given up, False if it was drained or cut before."""
        loop = asyncio.get_running_loop()
        if self._cut:
            return False
        try:
            async with self._scope:
                self._entered = True
                if self._shard.deadline_s:
                    self._scope.reschedule(loop.time() + self._shard.deadline_s)
                try:
                    await self._store_all()
                finally:
                    self._entered = False
        except TimeoutError:
            if not self._cut:
                await self._give_up_rest()
        return self._settled == len(self._shard.lists)

    def drain(self) -> None:
        """Begin no more lists; the one under way is finished."""
        self._stopped = True

    def split(self) -> None:
        """One worker stores the lists, in order: there is nothing to give away."""

    def cut(self) -> None:
        """Drop the list under way."""
        self._stopped = self._cut = True
        if self._entered:
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def _store_all(self) -> None:
        await clear_stale(self._ctx, self._shard, self._stale_uploads)
        for upload in self._shard.lists:
            if self._stopped:
                return
            error_code = await self._error_of(upload)
            await settle_doubt(self._ctx, upload.key)
            await self._settle(upload, error_code)

    async def _give_up_rest(self) -> None:
        for upload in self._shard.lists[self._settled :]:
            await self._settle(upload, NOT_STORED)

    async def _settle(self, upload: ListUpload, error_code: str) -> None:
        await self._emit(ListSettled(self._lease_id, upload.part, upload.key, error_code))
        self._settled += 1

    async def _error_of(self, upload: ListUpload) -> str:
        """Store one list; the code of why it is not there, "" if it is."""
        try:
            spooled = await SpooledList.open(upload.path, upload.part)
        except SpoolDamagedError as error:
            _log.error("object_list_damaged", key=upload.key, error=str(error))
            return NOT_RECORDED
        try:
            await self._store(upload.key, spooled)
        except StoreError as error:
            _log.error("object_list_not_stored", key=upload.key, error=error.message)
            return code_of(error.kind)
        except ShardFailedError as error:
            _log.error("object_list_not_stored", key=upload.key, error=error.failure.message)
            cause = error.__cause__
            return code_of(cause.kind) if isinstance(cause, StoreError) else NOT_STORED
        finally:
            spooled.close()
        return ""

    async def _store(self, key: str, spooled: SpooledList) -> None:
        """The list is an object. Raises what its last attempt met."""
        attempt = 0
        while True:
            try:
                await self._ctx.learn((Side.DESTINATION,))
                if spooled.size_bytes > self._ctx.settings.single_put_max_bytes:
                    await self._put_parts(key, spooled)
                else:
                    await self._put(key, spooled)
                return
            except GaveUpError as end:
                raise end.error from end
            except StoreError as error:
                error.side = Side.DESTINATION
                attempt += 1
                if not await self._ctx.backed_off(error, attempt):
                    raise

    async def _put(self, key: str, spooled: SpooledList) -> None:
        ctx = self._ctx
        await ctx.pacers.acquire()
        succeeded = False
        try:
            async with ctx.budget.reserve(spooled.size_bytes):
                data = await asyncio.to_thread(spooled.read, 0, spooled.size_bytes)
                await ctx.throttle.outgoing.admit(len(data))
                digest = digest_for(Checksums(), ctx.destination.abilities)
                digest.update(data)
                sums = digest.checksums()
                with AT_DESTINATION:
                    receipt = await ctx.destination.put(key, data, len(data), self._options(sums))
            if equal_crc64(receipt.checksums, sums) is False:
                raise StoreError(StoreErrorKind.INTEGRITY, f"CRC64 of {key!r} is not that of the bytes sent")
            succeeded = True
        finally:
            ctx.pacers.release(succeeded=succeeded)

    async def _put_parts(self, key: str, spooled: SpooledList) -> None:
        """In parts, as any large object; the spooled list stands for the source."""
        head = ObjectHead(key, spooled.size_bytes, 0.0, "", _CONTENT_TYPE)
        copy = MultipartCopy(self._ctx, head, key, source=SpoolSource(spooled, head))
        await copy.run(self._options(Checksums()))

    def _options(self, sums: Checksums) -> PutOptions:
        return PutOptions(content_type=_CONTENT_TYPE, checksums=sums, encrypt_kms=self._ctx.spec.encrypt_kms)
