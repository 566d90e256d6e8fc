"""Aborts what a task that does not work has left open at its destination."""

from __future__ import annotations

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.shards import OpenUpload, UploadIntent
from omsd.engine.uploads import find_lost
from omsd.ports.executor import Sweep, SweepResult
from omsd.ports.objectstore import ObjectStore


async def sweep_uploads(destination: ObjectStore, sweep: Sweep) -> SweepResult:
    """What is gone after one try of each; a bucket that is gone has taken its uploads along."""
    gone: list[OpenUpload] = []
    settled: list[UploadIntent] = []
    failures: list[str] = []
    for upload in sweep.uploads:
        try:
            await destination.abort_upload(upload.key, upload.upload_id)
        except StoreError as error:
            if error.kind is not StoreErrorKind.NO_SUCH_BUCKET:
                failures.append(error.message)
                continue
        gone.append(upload)
    for intent in sweep.intents:
        try:
            for upload in await find_lost(destination, intent):
                await destination.abort_upload(upload.key, upload.upload_id)
        except StoreError as error:
            if error.kind is not StoreErrorKind.NO_SUCH_BUCKET:
                failures.append(error.message)
                continue
        settled.append(intent)
    return SweepResult(tuple(gone), tuple(settled), failures[0] if failures else "")
