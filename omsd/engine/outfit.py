"""What a destination object is written with beside its bytes: metadata, tags, storage class, encryption."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from omsd.domain.caveats import Caveat, caveats_of_metadata
from omsd.domain.errors import Side, StoreError, StoreErrorKind
from omsd.domain.model import StoragePolicy, TaskSpec
from omsd.domain.storage import nearest_policy, policy_of_class
from omsd.engine.context import AT_SOURCE, ShardContext
from omsd.ports.objectstore import Checksums, ObjectHead, ObjectStore, PutOptions

# A service without tags may answer 500 for ever: it is asked this often before it counts as one.
_TAG_ATTEMPTS = 3
# Services without a key server answer 500 to every write that asks for KMS.
_KMS_ATTEMPTS = 3
_KMS_PAUSE_S = 0.3
_NO_TAGS_KINDS = frozenset(
    {
        StoreErrorKind.UNSUPPORTED,
        StoreErrorKind.PERMISSION,
        StoreErrorKind.INVALID,
        StoreErrorKind.MALFORMED,
    }
)


class Outfitter:
    """Puts together options, and says what is left out of them."""

    def __init__(self, context: ShardContext) -> None:
        self._ctx = context

    async def options_for(
        self, head: ObjectHead, sums: Checksums, *, tagged: bool = True
    ) -> tuple[PutOptions, tuple[Caveat, ...]]:
        """The content type always, the other metadata when asked for. tagged False: the destination took no tags for it."""
        spec = self._ctx.spec
        policy = spec.storage_policy
        caveats: tuple[Caveat, ...] = ()
        if policy is StoragePolicy.SRC_STORAGE_MAPPING:
            policy, caveats = self._mapped_policy(head)
        if not spec.migrate_metadata:
            return PutOptions(
                content_type=head.content_type,
                checksums=sums,
                storage_policy=policy,
                encrypt_kms=spec.encrypt_kms,
            ), caveats
        tags: Mapping[str, str] = {}
        if head.tag_count:
            tags, lost = await self._tags_of(head, tagged=tagged)
            caveats += lost
        options = PutOptions(
            content_type=head.content_type,
            headers=head.headers,
            user_metadata=head.user_metadata,
            checksums=sums,
            storage_policy=policy,
            encrypt_kms=spec.encrypt_kms,
            tags=tags,
        )
        return options, caveats + caveats_of_metadata(head.headers, head.user_metadata)

    async def tags_are_kept(self, target_key: str) -> bool:
        """False if the destination has dropped the tags it was sent. It is asked once per task: such services drop all."""
        notes = self._ctx.notes
        if notes.tags_proven:
            return True
        try:
            kept = await self._ctx.destination.tags(target_key)
        except StoreError as error:
            # Whoever may write tags need not be allowed to read them.
            notes.tags_proven = not error.retryable
            if error.kind is not StoreErrorKind.UNSUPPORTED:
                return True
            kept = {}
        notes.tags_proven = True
        if not kept:
            notes.lacks.add(Caveat.TAGS_NOT_WRITTEN)
        return bool(kept)

    def _mapped_policy(self, head: ObjectHead) -> tuple[StoragePolicy, tuple[Caveat, ...]]:
        wanted = policy_of_class(self._ctx.spec.source.cloud_type, head.storage_class)
        if wanted is None:
            return StoragePolicy.STANDARD, (Caveat.STORAGE_CLASS_UNKNOWN,)
        policy = nearest_policy(wanted, self._ctx.destination.abilities.storage_policies)
        return policy, () if policy is wanted else (Caveat.STORAGE_CLASS_REPLACED,)

    async def _tags_of(
        self, head: ObjectHead, *, tagged: bool
    ) -> tuple[Mapping[str, str], tuple[Caveat, ...]]:
        lacks = self._ctx.notes.lacks
        if not tagged or Caveat.TAGS_NOT_WRITTEN in lacks:
            return {}, (Caveat.TAGS_NOT_WRITTEN,)
        tags = await self._read_tags(head.key) if Caveat.TAGS_NOT_READ not in lacks else None
        return ({}, (Caveat.TAGS_NOT_READ,)) if tags is None else (tags, ())

    async def _read_tags(self, key: str) -> Mapping[str, str] | None:
        """None: there is no way to them. What may pass, or concerns more than tags, is raised."""
        attempt = 0
        while True:
            try:
                with AT_SOURCE:
                    return await self._ctx.source.tags(key)
            except StoreError as error:
                attempt += 1
                if error.kind is StoreErrorKind.UNAVAILABLE:
                    if attempt < _TAG_ATTEMPTS and await self._ctx.backed_off(error, attempt):
                        continue
                elif error.kind not in _NO_TAGS_KINDS:
                    raise
                if error.kind in (StoreErrorKind.UNSUPPORTED, StoreErrorKind.UNAVAILABLE):
                    self._ctx.notes.lacks.add(Caveat.TAGS_NOT_READ)
                return None


def refuses_tags(error: StoreError) -> bool:
    """May a write that was refused this way succeed without its tags?"""
    return error.side is Side.DESTINATION and error.kind in _NO_TAGS_KINDS


async def check_wishes(destination: ObjectStore, spec: TaskSpec) -> None:
    """The destination has the storage class and the encryption the task wants. Raises StoreError; changes nothing."""
    policy = spec.storage_policy
    if policy not in (*destination.abilities.storage_policies, StoragePolicy.SRC_STORAGE_MAPPING):
        offered = ", ".join(sorted(destination.abilities.storage_policies))
        raise StoreError(
            StoreErrorKind.UNSUPPORTED,
            f"the service has no storage class for dst_storage_policy {policy}; it has {offered}",
        )
    if not spec.encrypt_kms:
        return
    if not destination.abilities.encrypts_kms:
        raise StoreError(StoreErrorKind.ENCRYPTION, "the service cannot be asked for encryption with KMS")
    # An upload that is begun and dropped leaves nothing to be seen, and says whether KMS is there and may be used.
    key = f"{spec.save_prefix}.omsd-kms-probe"
    await destination.abort_upload(key, await _begin_encrypted(destination, key))


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
