"""Tests of test_compatibility.py: questions about buckets and about the service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rest.harness import REGION, fill
from tests.rest.record import Caller
from tests.servers import S3Server
from tests.webserver import WebServer, start_web


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    server = start_web(tmp_path)
    yield server
    server.stop()


def test_buckets_are_looked_into(call: Caller, seaweed: S3Server, web: WebServer) -> None:
    sdk = call.sdk
    bucket, _ = fill(seaweed, {"a/1": b"x", "a/2": b"yy", "top": b"z" * 2048})
    account = {"cloud_type": "HuaweiCloud", "ak": seaweed.access_key, "sk": seaweed.secret_key}
    wrong = {**account, "sk": "wrong"}
    place = {"bucket_name": bucket, "data_center": REGION}

    admin = sdk.ListBucketsReq(cloud_type="HuaweiCloud", ak="AKADMIN", sk="SKADMIN")
    assert bucket in call("show_bucket_list", body=admin).body
    assert call.refused("show_bucket_list", body=sdk.ListBucketsReq(**wrong)) == (400, "OMS.0153")

    page = {"file_path": "", "page_size": 1, "behind_filename": ""}
    first = call("show_bucket_objects", body=sdk.ShowBucketReq(**account, **place, **page))
    assert (first.next_page, first.next_marker, first.records[0].name) == (True, "a/", "a/")
    assert first.records[0].size == "--"
    rest = sdk.ShowBucketReq(**account, **place, **{**page, "page_size": 0, "behind_filename": "a/"})
    last = call("show_bucket_objects", body=rest)
    assert (last.next_page, last.next_marker, last.records[0].size) == (False, None, "2.00 KB")
    missing = sdk.ShowBucketReq(**account, **place, file_path="")
    assert call.refused("show_bucket_objects", body=missing) == (400, "OMS.1004")
    nobody = sdk.ShowBucketReq(**wrong, **place, **page)
    assert call.refused("show_bucket_objects", body=nobody) == (400, "OMS.0153")

    assert call("check_prefix", body=sdk.CheckPrefixReq(**account, **place, file_name="a/")).exist is True
    assert call("check_prefix", body=sdk.CheckPrefixReq(**account, **place, file_name="b")).exist is False
    nobody = sdk.CheckPrefixReq(**wrong, **place, file_name="a/")
    assert call.refused("check_prefix", body=nobody) == (400, "OMS.1014")

    region = call("show_bucket_region", body=sdk.ShowBucketRegionReq(**account, bucket_name=bucket))
    assert isinstance(region.support, bool)
    gone = sdk.ShowBucketRegionReq(**account, bucket_name="no-such-bucket-here")
    assert call.refused("show_bucket_region", body=gone) == (400, "OMS.0155")

    web.put("top", b"z" * 2048)
    cdn = sdk.SourceCdnReq(authentication_type="none", domain=web.host, protocol="HTTP")
    at = {**account, "region": REGION, "bucket": bucket, "prefix": sdk.PrefixKeyInfo(keys=["top", "a/1"])}
    info = call("show_cdn_info", body=sdk.ShowCdnInfoReq(**at, source_cdn=cdn))
    assert (info.is_same_cloud_type, info.is_download_available) == (False, False)
    assert [(k.key, k.is_etag_matching, k.is_object_existing) for k in info.checked_keys] == [
        ("top", True, True),
        ("a/1", False, False),
    ]
    signed = sdk.SourceCdnReq(authentication_type="ALIYUN_OSS_A", domain=web.host, protocol="http")
    assert call.refused("show_cdn_info", body=sdk.ShowCdnInfoReq(**at, source_cdn=signed))[1] == "OMS.1032"
    no_host = sdk.SourceCdnReq(authentication_type="NONE", domain="a/b", protocol="http")
    assert call.refused("show_cdn_info", body=sdk.ShowCdnInfoReq(**at, source_cdn=no_host))[1] == "OMS.0081"


def test_url_list_files_are_checked(call: Caller, seaweed: S3Server) -> None:
    sdk = call.sdk
    bucket, _ = fill(seaweed, {})
    files = {"good.txt": b"https://example.com/a\ta\n", "bad.txt": b"no url\n", "empty.txt": b""}
    for key, data in files.items():
        asyncio.run(seaweed.put(bucket, key, data, ContentType="text/plain"))

    def body(key: str) -> Any:
        return sdk.CheckUrlSourceListFileFormatReq(
            obs_bucket=bucket,
            list_file_key=key,
            ak=seaweed.access_key,
            sk=seaweed.secret_key,
            region=REGION,
        )

    operation = "check_url_source_list_file_format"
    assert call(operation, body=body("good.txt")).raw_content == b""
    assert call.refused(operation, body=body("bad.txt")) == (400, "TRF.0016")
    assert call.refused(operation, body=body("empty.txt")) == (400, "TRF.0017")
    assert call.refused(operation, body=body("none.txt")) == (400, "TRF.0013")
    assert call.refused(operation, body={}) == (400, "OMS.1004")


def test_versions_clouds_and_regions_are_told(call: Caller) -> None:
    assert [version.id for version in call("list_api_versions").versions] == ["v1", "v2"]
    assert call("show_api_info", version="v2").status == "CURRENT"
    assert call.refused("show_api_info", version="v7") == (404, "OMS.1009")
    assert {"AWS", "Google", "HuaweiCloud"} <= set(call("show_cloud_type", type="src").body)
    assert call("show_cloud_type", type="dst").body == ["HuaweiCloud"]
    assert call.refused("show_cloud_type", type="both") == (400, "OMS.1003")
    assert call.refused("show_cloud_type") == (400, "OMS.1004")
    clouds = {entry.service_name: entry.region_list for entry in call("show_region_info").body}
    assert REGION in [region.value for region in clouds["HuaweiCloud"]]
    call("update_privacy_agreement_record")
