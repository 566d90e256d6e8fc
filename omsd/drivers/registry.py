"""From a location and keys to an open store: the only door to the drivers. A process has one connection pool."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from omsd.domain.catalogue import account_url, canonical_region, endpoint_url
from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CloudType, Credentials, Location
from omsd.drivers.http.web import HttpWeb
from omsd.drivers.s3.account import S3Account
from omsd.drivers.s3.bucket import Bucket, Place
from omsd.drivers.s3.profiles import Addressing, ListVersion, Profile, profile_at, profile_of
from omsd.drivers.s3.store import S3Store
from omsd.ports.account import Account
from omsd.ports.objectstore import ObjectStore
from omsd.ports.web import Web
from omsd.wire import Deadlines, Pool

_BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")

AddressPolicy = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class EndpointOverride:
    """An endpoint the operator configured, before the catalogue's. None: as the profile of its host says."""

    cloud_type: CloudType
    region: str
    url: str
    addressing: Addressing | None = None
    list_version: ListVersion | None = None


class StoreFactory:
    """Opens stores of one process; close() ends every connection they used.

    allow_address: may we connect to this resolved address? None allows all (tests, trusted networks).
    """

    def __init__(
        self,
        *,
        deadlines: Deadlines | None = None,
        tls: ssl.SSLContext | None = None,
        allow_address: AddressPolicy | None = None,
        overrides: Sequence[EndpointOverride] = (),
        max_per_origin: int = 64,
    ) -> None:
        self._overrides = {(item.cloud_type, item.region): item for item in overrides}
        self._pool = Pool(
            deadlines=deadlines or Deadlines(),
            max_per_origin=max_per_origin,
            tls=tls,
            allow_address=allow_address,
        )

    def open(self, location: Location, credentials: Credentials) -> ObjectStore:
        """The bucket's store; nothing is sent yet. Raises StoreError UNSUPPORTED or INVALID."""
        return S3Store(self._named_bucket(location, credentials))

    def open_account(self, location: Location, credentials: Credentials) -> Account:
        """The account at the location's service; its bucket plays no part. Raises StoreError UNSUPPORTED or INVALID."""
        host = location
        if not location.endpoint_url and (url := account_url(location.cloud_type)):
            host = replace(location, endpoint_url=url)
        return S3Account(
            self._bucket(replace(host, bucket=""), credentials),
            lambda name: self._named_bucket(replace(location, bucket=name), credentials),
            location.cloud_type,
        )

    def web(self) -> Web:
        """Documents on the web, over the same connections and under the same address policy."""
        return HttpWeb(self._pool)

    def _named_bucket(self, location: Location, credentials: Credentials) -> Bucket:
        if not _BUCKET_NAME.fullmatch(location.bucket):
            # It becomes part of a host or path: anything else could lead to another place.
            raise StoreError(StoreErrorKind.INVALID, f"{location.bucket!r} is no bucket name")
        return self._bucket(location, credentials)

    def _bucket(self, location: Location, credentials: Credentials) -> Bucket:
        cloud = location.cloud_type
        if profile_of(cloud) is None:
            raise StoreError(
                StoreErrorKind.UNSUPPORTED, f"{cloud} cannot be a source or destination of this version yet"
            )
        region = canonical_region(cloud, location.region)
        override = self._overrides.get((cloud, location.region)) or self._overrides.get((cloud, region))
        if location.endpoint_url:
            override = None
        url = self._url_of(location, region, override)
        profile = _profile(cloud, url, override)
        if location.requester_pays and not profile.payer_header:
            raise StoreError(
                StoreErrorKind.UNSUPPORTED,
                f"{profile.name} has no requester-pays buckets in its S3 dialect; leave enable_requester_pays out",
            )
        return Bucket(
            _bucket_name(location),
            Place(url, profile.signing_region(region)),
            credentials,
            profile,
            self._pool,
            url_of_region=lambda other: endpoint_url(cloud, other),
            requester_pays=location.requester_pays,
        )

    async def close(self) -> None:
        """No connection is left."""
        await self._pool.close()

    @staticmethod
    def _url_of(location: Location, region: str, override: EndpointOverride | None) -> str:
        url = location.endpoint_url or (
            override.url if override else endpoint_url(location.cloud_type, region)
        )
        if not url:
            raise StoreError(
                StoreErrorKind.INVALID,
                f"no endpoint is known for region {region!r} of {location.cloud_type};"
                " give one with the request or under [[endpoint]] in the configuration",
            )
        return url.rstrip("/")


def _profile(cloud: CloudType, url: str, override: EndpointOverride | None) -> Profile:
    profile = profile_at(cloud, urlsplit(url).hostname or "")
    assert profile is not None, "the caller has looked it up"
    if override and override.addressing:
        profile = replace(profile, addressing=override.addressing)
    if override and override.list_version:
        profile = replace(profile, list_version=override.list_version)
    return profile


def _bucket_name(location: Location) -> str:
    """Tencent's real bucket names end in -appid."""
    suffix = f"-{location.app_id}"
    if (
        location.cloud_type is not CloudType.TENCENT
        or not location.app_id
        or not location.bucket
        or location.bucket.endswith(suffix)
    ):
        return location.bucket
    return location.bucket + suffix
