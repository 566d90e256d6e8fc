"""What is asked of a destination before a task moves anything; nothing that can be seen is left behind."""

from __future__ import annotations

import asyncio

from omsd.domain.errors import DECISIVE_KINDS, StoreError, StoreErrorKind
from omsd.domain.model import StoragePolicy, TaskSpec
from omsd.ports.objectstore import Checksums, ObjectStore, PutOptions

# Services without a key server answer 500 to every write that asks for KMS.
_KMS_ATTEMPTS = 3
_KMS_PAUSE_S = 0.3
_NO_UPLOAD = "omsd-probe"
# What a refusal says of all writes; anything else may be about this one alone.
_TELLING_KINDS = DECISIVE_KINDS | {StoreErrorKind.PERMISSION}


async def check_destination(destination: ObjectStore, spec: TaskSpec) -> None:
    """The bucket is there, may be written and has what the task wants. Raises StoreError."""
    await destination.check()
    policy = spec.storage_policy
    if policy not in (*destination.abilities.storage_policies, StoragePolicy.SRC_STORAGE_MAPPING):
        offered = ", ".join(sorted(destination.abilities.storage_policies))
        raise StoreError(
            StoreErrorKind.UNSUPPORTED,
            f"the service has no storage class for dst_storage_policy {policy}; it has {offered}",
        )
    key = f"{spec.save_prefix}.omsd-probe"
    if not spec.encrypt_kms:
        await _check_write(destination, key)
    elif destination.abilities.encrypts_kms:
        await _check_encrypted_write(destination, key)
    else:
        raise StoreError(StoreErrorKind.ENCRYPTION, "the service cannot be asked for encryption with KMS")


async def _check_write(destination: ObjectStore, key: str) -> None:
    """May the AK write? A part of an upload that does not exist is refused in any case: for this reason, or for want of permission."""
    try:
        await destination.put_part(key, _NO_UPLOAD, 1, b"", 0, Checksums())
    except StoreError as error:
        if error.kind in _TELLING_KINDS:
            raise


async def _check_encrypted_write(destination: ObjectStore, key: str) -> None:
    """An upload is begun and dropped: only so it is said whether KMS is there and may be used."""
    upload_id = await _begin_encrypted(destination, key)
    try:
        await destination.abort_upload(key, upload_id)
    except StoreError as error:
        # An AK that may write but not abort can do the task; the bucket's own rules sweep what is left.
        if error.kind is not StoreErrorKind.PERMISSION:
            raise


async def _begin_encrypted(destination: ObjectStore, key: str) -> str:
    attempt = 0
    while True:
        try:
            return await destination.create_upload(key, PutOptions(encrypt_kms=True))
        except StoreError as error:
            if error.kind is not StoreErrorKind.UNAVAILABLE:
                raise
            attempt += 1
            if attempt < _KMS_ATTEMPTS:
                await asyncio.sleep(_KMS_PAUSE_S)
                continue
            raise StoreError(
                StoreErrorKind.ENCRYPTION,
                f"the bucket answers, but a write with KMS fails: {error.message}",
                status=error.status,
                provider_code=error.provider_code,
                request_id=error.request_id,
            ) from error
