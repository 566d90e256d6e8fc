"""One object copied inside the service that both ends are in, without its bytes passing through us.

What the service refuses is streamed instead: no object is lost because a copy inside the service is not to be had.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from omsd.domain.errors import Side, StoreError, StoreErrorKind
from omsd.engine.context import AT_COPY, AT_DESTINATION, AT_SOURCE, GaveUpError, ShardContext
from omsd.engine.copyprobe import ServerCopying
from omsd.engine.multipart import MultipartCopy
from omsd.ports.objectstore import Checksums, CopySource, ListedObject, ObjectHead, PutOptions, PutReceipt

_is_md5 = re.compile("[0-9a-f]{32}").fullmatch

OptionsOf = Callable[[ObjectHead], Awaitable[PutOptions]]
Prove = Callable[[str, int, Checksums, PutReceipt, ObjectHead], Awaitable[Checksums]]

# Tried again by whoever copies the object, as when it is streamed: they say nothing about copying.
_PASSING_KINDS = frozenset(
    {
        StoreErrorKind.THROTTLED,
        StoreErrorKind.UNAVAILABLE,
        StoreErrorKind.NETWORK,
        StoreErrorKind.ARCHIVED,
    }
)


class ServerCopier:
    """Copies objects of one shard inside the service; may be used by many tasks at once.

    prove: raises INTEGRITY unless the object at the destination is the source's.
    """

    def __init__(self, context: ShardContext, prove: Prove) -> None:
        self._ctx = context
        self._prove = prove

    async def copy(
        self, listed: ListedObject, target_key: str, options_of: OptionsOf
    ) -> tuple[ObjectHead, Checksums] | None:
        """The source's head and what the destination says it has, None if the object must be streamed.

        options_of: what it is written with.
        Raises StoreError or GaveUpError for what may be tried again, and PRECONDITION if the source is another object by now.
        """
        copying = self._ctx.server_copying
        if copying is None or not self._is_wanted(copying, listed):
            return None
        if not copying.is_proven() and self._goes_in_parts(listed.size_bytes):
            # Nobody waits for the end of a huge object.
            return await self._try(copying, listed, target_key, options_of, probes=True)
        if not copying.is_proven():
            # The first object is the probe; the others wait for what becomes of it instead of being refused all at once.
            async with copying.probing:
                if not self._is_wanted(copying, listed):
                    return None
                if not copying.is_proven():
                    return await self._try(copying, listed, target_key, options_of, probes=True)
        return await self._try(copying, listed, target_key, options_of)

    def _is_wanted(self, copying: ServerCopying, listed: ListedObject) -> bool:
        ctx = self._ctx
        if not copying.wanted(ctx.source, ctx.destination):
            return False
        return ctx.destination.abilities.copies_parts or not self._goes_in_parts(listed.size_bytes)

    def takes_whole(self, listed: ListedObject) -> bool:
        """Will the service be asked to copy it with one request?"""
        copying = self._ctx.server_copying
        return (
            copying is not None
            and self._is_wanted(copying, listed)
            and not self._goes_in_parts(listed.size_bytes)
        )

    def _goes_in_parts(self, size_bytes: int) -> bool:
        abilities = self._ctx.destination.abilities
        limit = abilities.max_copy_bytes
        if abilities.copies_parts:
            limit = min(limit, self._ctx.settings.copy_part_bytes)
        return size_bytes > limit

    async def _try(
        self,
        copying: ServerCopying,
        listed: ListedObject,
        target_key: str,
        options_of: OptionsOf,
        *,
        probes: bool = False,
    ) -> tuple[ObjectHead, Checksums] | None:
        attempt = 0
        while True:
            try:
                if probes:
                    await self._check_reader(copying, listed)
                copied = await self._copied(listed, target_key, options_of)
            except (StoreError, GaveUpError) as raised:
                error = raised.error if isinstance(raised, GaveUpError) else raised
                if error.side is Side.SOURCE or error.kind in _PASSING_KINDS:
                    raise
                if error.kind is not StoreErrorKind.ENCRYPTION:
                    await self._ctx.raise_if_decisive(error)
                elif isinstance(raised, GaveUpError):
                    raise
                # A refusal that speaks of keys may be about the source's, which these credentials need not use when they write.
                # What services refuse or break once by mistake is asked for once more.
                attempt += 1
                if attempt < 2 and await self._ctx.backed_off(error, attempt):
                    continue
                copying.note_refusal(error)
                return None
            copying.succeeded()
            return copied

    async def _check_reader(self, copying: ServerCopying, listed: ListedObject) -> None:
        """The destination's keys see the same object under the source's name.

        Where each tenant has bucket names of its own (Ceph), they could lead to another bucket of that name.
        """
        with AT_DESTINATION:
            head = await copying.reader.head(listed.key)
            if head.size_bytes != listed.size_bytes or (listed.etag and head.etag != listed.etag):
                raise StoreError(
                    StoreErrorKind.PERMISSION,
                    "with its keys the source bucket holds another object of that name",
                )

    async def _copied(
        self, listed: ListedObject, target_key: str, options_of: OptionsOf
    ) -> tuple[ObjectHead, Checksums]:
        ctx = self._ctx
        with AT_SOURCE:
            head = await ctx.source.head(listed.key)
            if listed.etag and head.etag != listed.etag:
                raise StoreError(StoreErrorKind.PRECONDITION, f"{listed.key!r} changed after it was listed")
        source = CopySource(ctx.source.address.bucket, listed.key, head.etag)
        options = await options_of(head)
        if self._goes_in_parts(head.size_bytes):
            upload = MultipartCopy(ctx, head, target_key, copied_from=source)
            sums, receipt = await upload.run(options)
        else:
            sums, receipt = head.checksums, await self._copy_whole(source, head, target_key, options)
            if not ctx.spec.encrypt_kms and _tells_same_bytes(head, receipt):
                return head, receipt.checksums
        return head, await self._prove(target_key, head.size_bytes, sums, receipt, head)

    async def _copy_whole(
        self, source: CopySource, head: ObjectHead, target_key: str, options: PutOptions
    ) -> PutReceipt:
        ctx = self._ctx
        pacer = ctx.pacers.destination
        await pacer.acquire()
        succeeded = False
        try:
            with AT_COPY:
                receipt = await ctx.destination.copy_from(target_key, source, options)
            succeeded = True
            ctx.meter.moved_total_bytes += head.size_bytes
            return receipt
        finally:
            pacer.release(succeeded=succeeded)


def _tells_same_bytes(source: ObjectHead, receipt: PutReceipt) -> bool:
    """The answer to the copy names the MD5 of what was written, and it is that of the source: nothing need be looked up.

    Where the source publishes a CRC64 this does not count: that one is to be compared.
    """
    published = source.checksums
    if published.crc64_nvme is not None or published.crc64_xz is not None:
        return False
    return receipt.etag == source.etag and _is_md5(source.etag) is not None
