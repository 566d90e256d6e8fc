from __future__ import annotations

import re

import pytest

from omsd.domain.catalogue import (
    canonical_region,
    endpoint_url,
    is_supported_protocol,
    parse_cloud_type,
    regions,
)
from omsd.domain.model import CloudType

SUPPORTED = [cloud for cloud in CloudType if is_supported_protocol(cloud)]


@pytest.mark.parametrize("cloud", CloudType)
def test_a_cloud_is_known_by_its_name_in_any_case(cloud: CloudType) -> None:
    for name in (cloud.value, cloud.value.lower(), cloud.value.upper()):
        assert parse_cloud_type(name) is cloud


@pytest.mark.parametrize(
    ("name", "cloud"),
    [
        ("HEC", CloudType.HUAWEI),
        ("hec", CloudType.HUAWEI),
        ("ULOUD", CloudType.UCLOUD),
        ("", None),
        ("AWS ", None),
        ("MinIO", None),
    ],
)
def test_other_names_of_clouds(name: str, cloud: CloudType | None) -> None:
    assert parse_cloud_type(name) is cloud


def test_all_but_azure_and_urls_are_driven() -> None:
    assert set(CloudType) - set(SUPPORTED) == {CloudType.AZURE, CloudType.URL_SOURCE}


@pytest.mark.parametrize("cloud", SUPPORTED)
def test_every_region_of_a_driven_cloud_has_an_https_endpoint_of_a_bare_host(cloud: CloudType) -> None:
    assert regions(cloud)
    for region in regions(cloud):
        assert region.description
        url = endpoint_url(cloud, region.region_id)
        assert url is not None
        assert re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+", url)


@pytest.mark.parametrize(
    ("cloud", "region", "url"),
    [
        (CloudType.AWS, "us-east-1", "https://s3.us-east-1.amazonaws.com"),
        (CloudType.AWS, "cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn"),
        (CloudType.HUAWEI, "cn-north-4", "https://obs.cn-north-4.myhuaweicloud.com"),
        (CloudType.HUAWEI, "eu-west-101", "https://obs.eu-west-101.myhuaweicloud.eu"),
        (CloudType.ALIYUN, "cn-hangzhou", "https://s3.oss-cn-hangzhou.aliyuncs.com"),
        (CloudType.ALIYUN, "oss-cn-hangzhou", "https://s3.oss-cn-hangzhou.aliyuncs.com"),
        (CloudType.TENCENT, "ap-beijing", "https://cos.ap-beijing.myqcloud.com"),
        (CloudType.BAIDU, "bj", "https://s3.bj.bcebos.com"),
        (CloudType.KINGSOFT, "cn-beijing", "https://ks3-cn-beijing.ksyuncs.com"),
        (CloudType.UCLOUD, "cn-bj", "https://s3-cn-bj.ufileos.com"),
        (CloudType.QINGCLOUD, "pek3a", "https://s3.pek3a.qingstor.com"),
        (CloudType.GOOGLE, "us-east1", "https://storage.googleapis.com"),
        (CloudType.AWS, "us-east-9", None),
        (CloudType.AWS, "evil.example/", None),
        (CloudType.AZURE, "eastus", None),
        (CloudType.URL_SOURCE, "", None),
    ],
)
def test_endpoints(cloud: CloudType, region: str, url: str | None) -> None:
    assert endpoint_url(cloud, region) == url


@pytest.mark.parametrize(
    ("cloud", "text", "region_id"),
    [
        (CloudType.ALIYUN, "oss-cn-hangzhou", "cn-hangzhou"),
        (CloudType.ALIYUN, "oss-nowhere", "oss-nowhere"),
        (CloudType.AWS, "US-EAST-1", "us-east-1"),
        (CloudType.GOOGLE, "europe-west1", "EUROPE-WEST1"),
        (CloudType.AWS, "My-Region", "My-Region"),
    ],
)
def test_region_spellings(cloud: CloudType, text: str, region_id: str) -> None:
    assert canonical_region(cloud, text) == region_id
