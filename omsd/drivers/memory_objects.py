"""An object as a bucket in memory keeps it, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import StoragePolicy
from omsd.ports.objectstore import Checksums, ListedObject, ObjectHead, PutOptions, RestoreState


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is kept: all its bytes, and the checksums the store computed itself.

    archived: it cannot be read until restored is DONE.
    """

    body: bytes
    etag: str
    last_modified_s: float
    options: PutOptions
    checksums: Checksums
    archived: bool = False
    restored: RestoreState = RestoreState.NONE

    @property
    def storage_class(self) -> str:
        """As listings and heads tell it."""
        return self.options.storage_class or (self.options.storage_policy or StoragePolicy.STANDARD).value

    def archive(self, storage_class: str) -> StoredObject:
        """The same object in an archive class."""
        options = replace(self.options, storage_class=storage_class)
        return replace(self, options=options, archived=True, restored=RestoreState.NONE)

    def refuse_if_unreadable(self, key: str) -> None:
        """Raise ARCHIVED unless the body can be read now."""
        if self.archived and self.restored is not RestoreState.DONE:
            raise StoreError(
                StoreErrorKind.ARCHIVED,
                f"{key}: is archived",
                status=403,
                provider_code="InvalidObjectState",
            )

    def listed(self, key: str) -> ListedObject:
        """Its entry in a listing; milliseconds, as S3 tells them there."""
        modified_s = int(self.last_modified_s * 1000) / 1000
        return ListedObject(key, len(self.body), modified_s, self.etag, self.storage_class)

    def head(self, key: str, checksums: Checksums, *, encrypted: bool) -> ObjectHead:
        """Its head; whole seconds, as S3 tells them there. checksums: those that are published."""
        options = self.options
        return ObjectHead(
            key,
            len(self.body),
            float(int(self.last_modified_s)),
            self.etag,
            content_type=options.content_type,
            headers=options.headers,
            user_metadata=options.user_metadata,
            checksums=checksums,
            storage_class=self.storage_class,
            tag_count=len(options.tags),
            encrypted_kms=encrypted,
            restore=self.restored,
        )
