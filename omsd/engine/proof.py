"""What was written is what was read: the checksums of both ends and of the bytes between, and the encryption that was asked for."""

from __future__ import annotations

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.overwrite import equal_crc64
from omsd.engine.context import AT_DESTINATION, AT_SOURCE, GaveUpError, ShardContext
from omsd.ports.objectstore import Checksums, ObjectHead, PutReceipt


class Prover:
    """Proves the objects of one shard, after they were stored."""

    def __init__(self, context: ShardContext) -> None:
        self._ctx = context
        self._encrypts = context.spec.encrypt_kms

    async def prove(
        self, target_key: str, size_bytes: int, sums: Checksums, receipt: PutReceipt, source: ObjectHead
    ) -> Checksums:
        """What the destination says it has of an object just written.

        Raises StoreError INTEGRITY, or GaveUpError if it should be encrypted and is not: then the object has been removed.
        Left where it is, it would pass for a good one in a later comparison by size and time.
        """
        try:
            with AT_SOURCE:
                check_source(source, sums)
            with AT_DESTINATION:
                stored = await self._verify(target_key, size_bytes, sums, receipt)
                if self._encrypts and not receipt.encrypted_kms:
                    await self._prove_encryption(target_key)
                return stored
        except StoreError as error:
            if error.kind in (StoreErrorKind.INTEGRITY, StoreErrorKind.ENCRYPTION):
                with AT_DESTINATION:
                    await self._ctx.destination.delete(target_key)
            if error.kind is StoreErrorKind.ENCRYPTION:
                # The service took the wish and forgot it, for this object: other objects may fare better.
                raise GaveUpError(error) from error
            raise

    async def _verify(
        self, target_key: str, size_bytes: int, sums: Checksums, receipt: PutReceipt
    ) -> Checksums:
        """What the destination says it has, or an INTEGRITY error. Asks it only if its answer proved nothing."""
        stored = receipt.checksums
        agreed = equal_crc64(stored, sums)
        if agreed:
            return stored
        if agreed is None:
            head = await self._ctx.destination.head(target_key)
            stored = head.checksums
            agreed = equal_crc64(stored, sums)
            if head.size_bytes != size_bytes:
                raise StoreError(
                    StoreErrorKind.INTEGRITY,
                    f"{target_key!r} has {head.size_bytes} bytes after {size_bytes} were written",
                )
        if agreed is False:
            raise StoreError(
                StoreErrorKind.INTEGRITY, f"CRC64 of {target_key!r} is not that of the bytes sent"
            )
        # What is published agrees, or nothing is: then the size decides, and the object is newer than its source by being just written.
        return stored

    async def _prove_encryption(self, target_key: str) -> None:
        if not (await self._ctx.destination.head(target_key)).encrypted_kms:
            raise StoreError(
                StoreErrorKind.ENCRYPTION,
                f"{target_key!r} was stored, but not encrypted with KMS, and has been removed again",
            )


def check_source(head: ObjectHead, sums: Checksums) -> None:
    """Raise INTEGRITY if the source publishes another CRC64 than that of the bytes read."""
    if equal_crc64(head.checksums, sums) is False:
        raise StoreError(
            StoreErrorKind.INTEGRITY,
            f"the bytes read of {head.key!r} do not have the CRC64 that the source publishes",
        )
