"""Which profile, host and bucket name a location leads to."""

from __future__ import annotations

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CloudType, Credentials, Location
from omsd.drivers.registry import StoreFactory
from omsd.drivers.s3.profiles import GENERIC, is_host_of, profile_at, profile_of
from omsd.drivers.s3.store import S3Store
from omsd.ports.objectstore import ListingOrder

KEYS = Credentials("AK", "SK")


@pytest.mark.parametrize(
    ("cloud", "host", "is_own"),
    [
        (CloudType.AWS, "s3.eu-west-1.amazonaws.com", True),
        (CloudType.AWS, "s3.eu-west-1.amazonaws.com.evil.example", False),
        (CloudType.AWS, "evilamazonaws.com", False),
        (CloudType.HUAWEI, "obs.eu-west-101.myhuaweicloud.eu", True),
        (CloudType.ALIYUN, "s3.oss-cn-hangzhou.aliyuncs.com", True),
        (CloudType.HUAWEI, "127.0.0.1", False),
    ],
)
def test_only_the_vendors_own_hosts_get_its_profile(cloud: CloudType, host: str, is_own: bool) -> None:
    profile = profile_of(cloud)
    assert profile is not None
    assert is_host_of(profile, host) is is_own
    assert profile_at(cloud, host) is (profile if is_own else GENERIC)


def test_every_cloud_but_azure_and_urls_has_a_profile() -> None:
    without = {cloud for cloud in CloudType if profile_of(cloud) is None}
    assert without == {CloudType.AZURE, CloudType.URL_SOURCE}


def test_obs_is_spoken_to_as_obs_wants_it() -> None:
    profile = profile_of(CloudType.HUAWEI)
    assert profile is not None
    abilities = profile.abilities()
    assert (profile.list_version, profile.url_encoded_listings) == ("v1", False)
    assert (abilities.verifies_crc64_xz, abilities.verifies_crc64_nvme) == (True, False)
    assert abilities.listing_order is ListingOrder.BYTEWISE
    assert profile.default_storage_class == "STANDARD"


async def test_clouds_without_a_driver_and_unknown_regions_are_refused() -> None:
    factory = StoreFactory()
    with pytest.raises(StoreError) as raised:
        factory.open(Location(CloudType.AZURE, "eastus", "b"), KEYS)
    assert raised.value.kind is StoreErrorKind.UNSUPPORTED
    with pytest.raises(StoreError, match="no endpoint is known for region 'mars-1'"):
        factory.open(Location(CloudType.AWS, "mars-1", "b"), KEYS)
    with pytest.raises(StoreError, match="not an http or https address"):
        factory.open(Location(CloudType.AWS, "us-east-1", "b", "ftp://host"), KEYS)
    await factory.close()


@pytest.mark.parametrize("name", ["", "a/b", "evil.example#", "a@b", "-a", "a b", "b:80"])
async def test_a_bucket_name_cannot_lead_to_another_host(name: str) -> None:
    factory = StoreFactory()
    with pytest.raises(StoreError, match="is no bucket name"):
        factory.open(Location(CloudType.AWS, "us-east-1", name), KEYS)
    await factory.close()


@pytest.mark.parametrize(
    ("location", "origin", "region"),
    [
        (
            Location(CloudType.TENCENT, "ap-beijing", "b", app_id="125"),
            "https://b-125.cos.ap-beijing.myqcloud.com:443",
            "ap-beijing",
        ),
        (
            Location(CloudType.TENCENT, "ap-beijing", "b-125", app_id="125"),
            "https://b-125.cos.ap-beijing.myqcloud.com:443",
            "ap-beijing",
        ),
        (
            Location(CloudType.ALIYUN, "oss-cn-hangzhou", "b"),
            "https://b.s3.oss-cn-hangzhou.aliyuncs.com:443",
            "cn-hangzhou",
        ),
        (
            Location(CloudType.KINGSOFT, "cn-beijing", "b"),
            "https://b.ks3-cn-beijing.ksyuncs.com:443",
            "BEIJING",
        ),
        (Location(CloudType.AWS, "us-east-1", "a.b"), "https://s3.us-east-1.amazonaws.com:443", "us-east-1"),
        (Location(CloudType.AWS, "us-east-1", "b", "http://[::1]:9000/"), "http://[::1]:9000", "us-east-1"),
    ],
)
async def test_a_location_leads_to_its_host_and_signing_region(
    location: Location, origin: str, region: str
) -> None:
    factory = StoreFactory()
    store = factory.open(location, KEYS)
    assert isinstance(store, S3Store)
    assert str(store.bucket.origin) == origin
    assert store.bucket.place.region == region
    await factory.close()
