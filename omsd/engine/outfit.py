"""What a destination object is written with beside its bytes: metadata, tags, storage class, encryption."""

from __future__ import annotations

from collections.abc import Mapping

from omsd.domain.caveats import Caveat, caveats_of_metadata
from omsd.domain.errors import Side, StoreError, StoreErrorKind
from omsd.domain.model import StoragePolicy
from omsd.domain.storage import nearest_policy, policy_of_class
from omsd.engine.context import AT_SOURCE, ShardContext
from omsd.ports.objectstore import Checksums, ObjectHead, PutOptions

_MAPPING = StoragePolicy.SRC_STORAGE_MAPPING  # the name is looked up once, not per object
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
        if policy is _MAPPING:
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
        if head.untold_metadata_num:
            caveats += (Caveat.METADATA_DROPPED,)
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
                    if await self._ctx.backed_off(error, attempt):
                        continue
                elif error.kind not in _NO_TAGS_KINDS:
                    raise
                if error.kind is StoreErrorKind.UNSUPPORTED:
                    self._ctx.notes.lacks.add(Caveat.TAGS_NOT_READ)
                return None


def refuses_tags(error: StoreError) -> bool:
    """May a write that was refused this way succeed without its tags?"""
    return error.side is Side.DESTINATION and error.kind in _NO_TAGS_KINDS
