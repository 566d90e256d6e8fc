"""Multipart uploads that earlier leases left open."""

from __future__ import annotations

from collections.abc import Sequence

from omsd.domain.errors import Side, StoreError, failure_of
from omsd.domain.model import OpenUpload
from omsd.engine.context import ShardContext, ShardFailedError


async def abort_stale(context: ShardContext, uploads: Sequence[OpenUpload]) -> None:
    """These uploads are gone before any new one begins. Raises ShardFailedError if the destination does not let them go."""
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
