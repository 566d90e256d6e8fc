"""An account of an S3-compatible service: its buckets, and the region each is in."""

from __future__ import annotations

from collections.abc import Callable

from omsd.domain.catalogue import canonical_region
from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CloudType
from omsd.drivers.s3.bucket import Bucket, Call
from omsd.drivers.s3.profiles import Profile
from omsd.drivers.s3.signing import encode_query
from omsd.drivers.s3.xml import (
    MAX_ERROR_BYTES,
    MAX_XML_BYTES,
    BucketList,
    malformed,
    parse_buckets,
    parse_location,
)

# Far more buckets than any service gives to one account.
_MAX_PAGES = 1000
_OLD_NAMES = {"EU": "eu-west-1", "US": "us-east-1"}
# After these, the account's own list may still tell where the bucket is: hosts of one region know only theirs.
_ASK_THE_LIST = frozenset(
    {
        StoreErrorKind.NO_SUCH_BUCKET,
        StoreErrorKind.PERMISSION,
        StoreErrorKind.INVALID,
        StoreErrorKind.UNSUPPORTED,
    }
)


class S3Account:
    """service: the account as a place to send calls to. open_bucket: the same for one of its buckets."""

    def __init__(self, service: Bucket, open_bucket: Callable[[str], Bucket], cloud: CloudType) -> None:
        self._service = service
        self._open_bucket = open_bucket
        self._cloud = cloud

    async def list_buckets(self) -> tuple[str, ...]:
        """The names of all buckets."""
        return tuple(name for name, _ in await self._list())

    async def region_of(self, bucket: str) -> str:
        """The region the bucket is in; where the bucket itself does not tell, the account's list may."""
        opened = self._open_bucket(bucket)
        call = Call("GetBucketLocation", "GET", query="location=", missing=StoreErrorKind.NO_SUCH_BUCKET)
        try:
            body, _ = await opened.fetch(call, MAX_ERROR_BYTES)
            told = parse_location(body)
        except StoreError as error:
            if error.kind not in _ASK_THE_LIST or not (listed := await self._listed_region(opened.name)):
                raise
            told = listed
        return self._spelled(opened.profile, told)

    async def _listed_region(self, bucket: str) -> str:
        try:
            return dict(await self._list()).get(bucket, "")
        except StoreError:
            return ""  # what the bucket itself said is the better answer

    async def _list(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        pairs: list[tuple[str, str]] = []
        for _ in range(_MAX_PAGES):
            page = await self._page(pairs)
            found += page.buckets
            following = [("marker", page.next_marker), ("continuation-token", page.next_token)]
            following = [(name, value) for name, value in following if value][:1]
            if not following:
                return found
            if following == pairs:
                break
            pairs = following
        raise malformed("a list of buckets that does not come to an end")

    async def _page(self, pairs: list[tuple[str, str]]) -> BucketList:
        body, _ = await self._service.fetch(
            Call("ListBuckets", "GET", query=encode_query(pairs), missing=StoreErrorKind.INVALID),
            MAX_XML_BYTES,
        )
        return parse_buckets(body)

    def _spelled(self, profile: Profile, told: str) -> str:
        """The region as requests spell it; an empty location is the service's first region."""
        if not told:
            return profile.region_if_none if profile.region_if_none != "auto" else "US"
        told = _OLD_NAMES.get(told, told) if self._cloud is CloudType.AWS else told
        signed = {signed: region for region, signed in profile.signing_regions}
        return canonical_region(self._cloud, signed.get(told, told))
