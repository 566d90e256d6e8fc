"""A multipart upload's beginning and end: created so that none is ever left behind, completed, aborted, swept up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from omsd.domain.errors import Side, StoreError, StoreErrorKind
from omsd.domain.orphans import lost_ones, suspects
from omsd.domain.overwrite import equal_crc64
from omsd.domain.shards import OpenUpload, UploadIntent, UploadPlan
from omsd.engine.context import AT_DESTINATION, GaveUpError, ShardContext
from omsd.ports.objectstore import Checksums, ObjectStore, PartReceipt, PutOptions, PutReceipt

_ABORT_ATTEMPTS = 3


async def open_upload(
    ctx: ShardContext, key: str, options: PutOptions, plan: UploadPlan | None = None
) -> OpenUpload:
    """A new upload that the ledger knows of. plan: later leases go on with it.

    What is about to be created is durable before it is asked for: an answer that is lost leaves an upload whose id nobody knows.
    """
    earlier = ctx.doubts.get(key)
    intent = (
        replace(earlier, attempts=earlier.attempts + 1) if earlier is not None else await _intent(ctx, key)
    )
    await ctx.uploads.intended(intent)
    try:
        with AT_DESTINATION:
            upload_id = await ctx.destination.create_upload(key, options)
    except StoreError as error:
        if not 400 <= error.status < 500:
            ctx.doubts[key] = intent
        elif earlier is None:
            await ctx.uploads.settled(key)
        raise
    upload = OpenUpload(key, upload_id)
    await ctx.uploads.opened(upload, plan, settled=earlier is None)
    return upload


async def _intent(ctx: ShardContext, key: str) -> UploadIntent:
    at_s = ctx.now_s()
    try:
        with AT_DESTINATION:
            found = await ctx.destination.list_uploads(key)
    except StoreError as error:
        if error.retryable:
            raise
        # Whoever may write need not be allowed to list uploads. Then nothing can be told to be ours.
        return UploadIntent(key, 0.0)
    return UploadIntent(key, at_s, tuple(upload.upload_id for upload in found if upload.key == key))


async def find_lost(destination: ObjectStore, intent: UploadIntent) -> tuple[OpenUpload, ...]:
    """Open uploads that are provably the intent's."""
    empty: list[OpenUpload] = []
    for upload in suspects(intent, await destination.list_uploads(intent.key)):
        try:
            if not await destination.list_parts(upload.key, upload.upload_id):
                empty.append(upload)
        except StoreError as error:
            if error.kind is not StoreErrorKind.NO_SUCH_UPLOAD:
                raise
    return lost_ones(intent, empty)


async def settle_doubt(ctx: ShardContext, key: str) -> None:
    """No upload is left of creations of this key whose answers were lost. If it cannot be, the ledger still knows the intent."""
    intent = ctx.doubts.get(key)
    attempt = 0
    while intent is not None:
        try:
            with AT_DESTINATION:
                for upload in await find_lost(ctx.destination, intent):
                    await ctx.destination.abort_upload(upload.key, upload.upload_id)
        except StoreError as error:
            attempt += 1
            if await ctx.backed_off(error, attempt):
                continue
            if error.retryable:
                return
        del ctx.doubts[key]
        await ctx.uploads.settled(key)
        return


async def complete_upload(
    ctx: ShardContext, upload: OpenUpload, receipts: Sequence[PartReceipt], sums: Checksums
) -> PutReceipt:
    """The object is there; an answer that was lost is settled by looking.

    Raises StoreError if the object may be tried anew, GaveUpError if not.
    """
    attempt = 0
    while True:
        try:
            with AT_DESTINATION:
                return await ctx.destination.complete_upload(upload.key, upload.upload_id, receipts, sums)
        except StoreError as error:
            if error.kind is StoreErrorKind.NO_SUCH_UPLOAD and attempt > 0:
                found = await look(ctx, upload.key, sum(receipt.size_bytes for receipt in receipts), sums)
                if found is not None:
                    return found
                raise
            if error.kind in (StoreErrorKind.NO_SUCH_UPLOAD, StoreErrorKind.INTEGRITY):
                raise
            await ctx.raise_if_decisive(error)
            attempt += 1
            if not await ctx.backed_off(error, attempt):
                raise GaveUpError(error) from error


async def look(ctx: ShardContext, key: str, size_bytes: int, sums: Checksums) -> PutReceipt | None:
    """The receipt of the object if a Complete made it after all, None if it did not, or nobody can tell."""
    try:
        with AT_DESTINATION:
            head = await ctx.destination.head(key)
    except StoreError:
        return None
    if head.size_bytes != size_bytes or equal_crc64(head.checksums, sums) is False:
        return None
    return PutReceipt(head.etag, head.checksums)


async def abort_upload(ctx: ShardContext, upload: OpenUpload) -> None:
    """The upload is gone. If it cannot be, it stays in the ledger as open and is aborted with the next lease."""
    for attempt in range(1, _ABORT_ATTEMPTS + 1):
        try:
            await ctx.destination.abort_upload(upload.key, upload.upload_id)
        except StoreError as error:
            error.side = Side.DESTINATION
            if not error.retryable or attempt == _ABORT_ATTEMPTS:
                return
            await ctx.sleep(ctx.settings.retry_base_s * attempt)
        else:
            await ctx.uploads.closed(upload)
            return
