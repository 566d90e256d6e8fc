"""What can be asked of an account at a storage service, beside its buckets' objects."""

from __future__ import annotations

from typing import Protocol


class Account(Protocol):
    """Every call raises StoreError and nothing else, and may be repeated."""

    async def list_buckets(self) -> tuple[str, ...]:
        """The names of all buckets, in the order of the service. Raises MALFORMED if the list cannot be read whole."""

    async def region_of(self, bucket: str) -> str:
        """The region the bucket is in, as requests spell it. NO_SUCH_BUCKET if it is not there."""
