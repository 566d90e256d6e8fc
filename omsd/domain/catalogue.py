"""What is known of the clouds without asking them: names, regions, endpoints, and which of them can be driven."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from omsd.domain.model import CloudType
from omsd.domain.regions import REGIONS


@dataclass(frozen=True, slots=True)
class Region:
    """region_id as requests name it; description for people."""

    region_id: str
    description: str


# S3-compatible hosts; Azure's host holds the account and URLs name their own, so both have none.
_TEMPLATES: Mapping[CloudType, str] = MappingProxyType(
    {
        CloudType.ALIYUN: "https://s3.oss-{region}.aliyuncs.com",
        CloudType.AWS: "https://s3.{region}.amazonaws.com",
        CloudType.TENCENT: "https://cos.{region}.myqcloud.com",
        CloudType.HUAWEI: "https://obs.{region}.myhuaweicloud.com",
        CloudType.QINGCLOUD: "https://s3.{region}.qingstor.com",
        CloudType.KINGSOFT: "https://ks3-{region}.ksyuncs.com",
        CloudType.BAIDU: "https://s3.{region}.bcebos.com",
        CloudType.GOOGLE: "https://storage.googleapis.com",
        CloudType.QINIU: "https://s3.{region}.qiniucs.com",
        CloudType.UCLOUD: "https://s3-{region}.ufileos.com",
    }
)

_EXCEPTIONS: Mapping[tuple[CloudType, str], str] = MappingProxyType(
    {
        (CloudType.AWS, "cn-north-1"): "https://s3.cn-north-1.amazonaws.com.cn",
        (CloudType.AWS, "cn-northwest-1"): "https://s3.cn-northwest-1.amazonaws.com.cn",
        (CloudType.HUAWEI, "eu-west-101"): "https://obs.eu-west-101.myhuaweicloud.eu",
    }
)

# Where an account's buckets are asked for when the caller names no region: one that tells all of them.
_HOME_REGIONS: Mapping[CloudType, str] = MappingProxyType(
    {
        CloudType.ALIYUN: "cn-hangzhou",
        CloudType.AWS: "us-east-1",
        CloudType.TENCENT: "ap-guangzhou",
        CloudType.HUAWEI: "cn-north-4",
        CloudType.QINGCLOUD: "pek3a",
        CloudType.KINGSOFT: "cn-beijing",
        CloudType.BAIDU: "bj",
        CloudType.GOOGLE: "US",
        CloudType.QINIU: "cn-east-1",
        CloudType.UCLOUD: "cn-bj",
    }
)
_ACCOUNT_HOSTS: Mapping[CloudType, str] = MappingProxyType(
    {CloudType.TENCENT: "https://service.cos.myqcloud.com"}
)

# HEC is Huawei Cloud as a destination; ULOUD is a misprint in the API reference that callers copied.
_OTHER_NAMES = {"hec": CloudType.HUAWEI, "uloud": CloudType.UCLOUD}
_NAMES = {cloud.value.lower(): cloud for cloud in CloudType} | _OTHER_NAMES

_UNSUPPORTED = frozenset({CloudType.AZURE, CloudType.URL_SOURCE})


def parse_cloud_type(text: str) -> CloudType | None:
    """The cloud of a name in any case, None if there is no such cloud."""
    return _NAMES.get(text.lower())


def is_supported_protocol(cloud: CloudType) -> bool:
    """Is there a driver for it? All that speak S3 have one; Google is driven by its HMAC keys."""
    return cloud not in _UNSUPPORTED


def regions(cloud: CloudType) -> tuple[Region, ...]:
    """The catalogued regions, in the vendor's order."""
    return tuple(Region(region_id, description) for region_id, description in REGIONS[cloud].items())


def canonical_region(cloud: CloudType, text: str) -> str:
    """The region id as the catalogue spells it; an unknown one comes back as it is.

    `oss-cn-hangzhou` is `cn-hangzhou`: the vendor uses both spellings.
    """
    known = REGIONS[cloud]
    bare = text[4:] if cloud is CloudType.ALIYUN and text.lower().startswith("oss-") else text
    return next((name for name in (bare, bare.lower(), bare.upper()) if name in known), text)


def endpoint_url(cloud: CloudType, region: str) -> str | None:
    """The URL of a catalogued region's S3 service, without a path; None if the region or its service is not known."""
    region_id = canonical_region(cloud, region)
    if region_id not in REGIONS[cloud] or cloud not in _TEMPLATES:
        return None
    return _EXCEPTIONS.get((cloud, region_id)) or _TEMPLATES[cloud].format(region=region_id)


def home_region(cloud: CloudType) -> str:
    """The region whose service is asked about an account when no region is known; "" if the cloud has no driver."""
    return _HOME_REGIONS.get(cloud, "")


def account_url(cloud: CloudType) -> str | None:
    """The URL that is asked for an account's buckets, if that is not the service of a region."""
    return _ACCOUNT_HOSTS.get(cloud)
