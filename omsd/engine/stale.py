"""Multipart uploads that earlier leases left open, also those whose id they never learned."""

from __future__ import annotations

from collections.abc import Sequence

from omsd.domain.errors import Side, StoreError, failure_of
from omsd.domain.shards import OpenUpload, Shard
from omsd.engine.context import ShardContext, ShardFailedError
from omsd.engine.uploads import settle_doubt


async def clear_stale(context: ShardContext, shard: Shard, uploads: Sequence[OpenUpload]) -> None:
    """These uploads, and what is provably of the shard's open intents, are gone before any new upload begins.

    Raises ShardFailedError if the destination does not let them go.
    """
    await abort_stale(context, uploads)
    for intent in shard.intents:
        context.doubts[intent.key] = intent
        await settle_doubt(context, intent.key)


async def abort_stale(context: ShardContext, uploads: Sequence[OpenUpload]) -> None:
    """These uploads are gone. Raises ShardFailedError if the destination does not let them go."""
    for upload in uploads:
        attempt = 0
        while True:
            try:
                await context.destination.abort_upload(upload.key, upload.upload_id)
            except StoreError as error:
                error.side = Side.DESTINATION
                await context.raise_if_decisive(error)
                attempt += 1
                if await context.backed_off(error, attempt):
                    continue
                raise ShardFailedError(failure_of(error, Side.DESTINATION), decisive=False) from error
            await context.uploads.closed(upload)
            break
