"""omsctl bucket, clouds, regions and quotas from the outside."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from omsd.api.grpc.server import GrpcServer, bucket_service, catalog_service
from omsd.domain.errors import Failure, RequestError
from omsd.domain.questions import BadUrlLine, CheckedKey, FolderEntry, UrlListChecked
from omsd.service import bucket_requests as asked
from omsd.service.requests import ListFile, SourceCdn
from tests.cli.conftest import Omsctl
from tests.fakes.bucket_service import FakeBucketService, FakeCatalog
from tests.fakes.task_service import FakeTaskService

KEYS = {"cloud_type": "AWS", "ak": "SRCAK", "sk": "SRCSK"}


@pytest.fixture
def buckets() -> FakeBucketService:
    return FakeBucketService()


@pytest.fixture
async def server(buckets: FakeBucketService) -> AsyncIterator[GrpcServer]:
    server = GrpcServer(
        FakeTaskService(), bucket_service(buckets), catalog_service(FakeCatalog()), listen="127.0.0.1:0"
    )
    yield server
    await server.stop(grace_s=0)


async def test_buckets_are_listed(omsctl: Omsctl, buckets: FakeBucketService) -> None:
    done = await omsctl(
        *("bucket", "list", "--cloud", "Tencent", "--region", "r", "--endpoint", "http://h", "--app-id", "7"),
        OMSCTL_SRC_TOKEN="T",
    )
    assert (done.code, done.out, done.err) == (0, "one\ntwo\n", "")
    assert buckets.calls == [
        asked.ListBuckets(
            **{**KEYS, "cloud_type": "Tencent"},
            region="r",
            endpoint="http://h",
            app_id="7",
            security_token="T",
        )
    ]
    assert (await omsctl("bucket", "list", "-o", "json")).json == {"buckets": ["one", "two"]}


async def test_objects_of_one_level_are_listed_over_all_pages(
    omsctl: Omsctl, buckets: FakeBucketService
) -> None:
    buckets.entries = [FolderEntry("p/d/", None), *(FolderEntry(f"p/{n:03}", 1536) for n in range(150))]
    done = await omsctl("bucket", "objects", "s3://b/p/", "--region", "r")
    lines = done.out.splitlines()
    assert (done.code, len(lines)) == (0, 152)
    assert [line.split() for line in (lines[0], lines[1], lines[-1])] == [
        ["SIZE", "NAME"],
        ["--", "p/d/"],
        ["1.50", "KB", "p/149"],
    ]
    assert buckets.calls == [
        asked.ListBucketObjects(
            **KEYS, bucket_name="b", data_center="r", file_path="p/", page_size=100, behind_filename=behind
        )
        for behind in ("", "p/098")
    ]


async def test_a_limit_cuts_and_says_how_to_go_on(omsctl: Omsctl, buckets: FakeBucketService) -> None:
    buckets.entries = [FolderEntry(f"{n}", 1) for n in range(5)]
    done = await omsctl("bucket", "objects", "s3://b", "--limit", "2")
    assert len(done.out.splitlines()) == 3
    assert "--behind '1'" in done.err
    done = await omsctl("bucket", "objects", "s3://b", "--limit", "2", "--behind", "1", "-o", "json")
    assert done.json == {
        "next_page": True,
        "next_marker": "3",
        "records": [
            {"name": "2", "size": "1 B", "size_bytes": 1},
            {"name": "3", "size": "1 B", "size_bytes": 1},
        ],
    }


async def test_region_and_prefix(omsctl: Omsctl, buckets: FakeBucketService) -> None:
    done = await omsctl("bucket", "region", "s3://b")
    assert (done.code, done.out) == (0, "eu-west-3 (Europe (Paris))\n")
    assert buckets.calls[-1] == asked.GetBucketRegion(**KEYS, bucket_name="b")
    done = await omsctl("bucket", "prefix", "s3://b/x y/", "--region", "r")
    assert (done.code, done.out) == (0, "it exists\n")
    assert buckets.calls[-1] == asked.CheckPrefix(**KEYS, bucket_name="b", file_name="x y/", data_center="r")
    buckets.exists = False
    done = await omsctl("bucket", "prefix", "s3://b/x", "-o", "json")
    assert (done.code, done.json) == (0, {"exist": False})


async def test_a_cdn_is_compared(omsctl: Omsctl, buckets: FakeBucketService) -> None:
    done = await omsctl("bucket", "cdn", "s3://b", "http://cdn.example.com/", "--region", "r", "--key", "k")
    assert (done.code, done.out.splitlines()[1].split()) == (0, ["k", "same"])
    assert buckets.calls == [
        asked.GetCdnInfo(
            **KEYS,
            bucket="b",
            region="r",
            prefix=asked.PrefixKeyInfo(keys=("k",)),
            source_cdn=SourceCdn(domain="cdn.example.com", protocol="http", authentication_type="NONE"),
        )
    ]
    buckets.checked = (CheckedKey("k", True, False, True, "other bytes"),)
    done = await omsctl("bucket", "cdn", "s3://b", "cdn.example.com")
    assert done.code == 4
    assert "other bytes" in done.out


async def test_a_url_list_is_checked(omsctl: Omsctl, buckets: FakeBucketService) -> None:
    done = await omsctl("bucket", "url-list", "s3://b/l.txt", "--region", "r", "--check", "2")
    assert (done.code, done.out.splitlines()[1].split()) == (0, ["http://h/a", "available"])
    file = ListFile(obs_bucket="b", list_file_key="l.txt")
    assert buckets.calls == [asked.CheckUrlList(**KEYS, region="r", list_file=file, check_num=2)]
    bad = (BadUrlLine(7, "no tab"),)
    buckets.list_checked = UrlListChecked(70, 1, 1, bad, (), Failure("TRF.0016", "wrong"))
    done = await omsctl("bucket", "url-list", "s3://b/l.txt", "--region", "r")
    assert done.code == 4
    assert done.err == "omsctl: line at byte 7: no tab\nomsctl: TRF.0016 wrong\n"


async def test_a_refusal_is_one_line_for_each_field(omsctl: Omsctl, buckets: FakeBucketService) -> None:
    buckets.raises = RequestError.of_field("OMS.0153", "ak", "check the AK/SK")
    done = await omsctl("bucket", "list")
    assert (done.code, done.out, done.err) == (4, "", "omsctl: OMS.0153 ak: check the AK/SK\n")


async def test_a_location_that_is_none_is_wrong_usage(omsctl: Omsctl, buckets: FakeBucketService) -> None:
    for name in ("objects", "region", "prefix"):
        assert (await omsctl("bucket", name, "b/x")).code == 2
    assert buckets.calls == []


async def test_clouds_regions_and_quotas(omsctl: Omsctl) -> None:
    clouds = await omsctl("clouds")
    assert [line.split() for line in clouds.out.splitlines()[1:]] == [["AWS", "yes"], ["Azure", "not", "yet"]]
    assert (await omsctl("clouds", "--type", "dst", "-o", "json")).json["clouds"][0] == {
        "cloud_type": "AWS",
        "is_supported": False,
    }
    regions = (await omsctl("regions")).out.splitlines()
    assert regions[1].split() == ["AWS", "eu-west-3", "Europe", "(Paris)", "https://s3"]
    assert regions[2].endswith("no driver yet")
    assert len((await omsctl("regions", "AWS", "-o", "json")).json["clouds"]) == 1
    quotas = await omsctl("quotas", "--project", "p9")
    assert quotas.out.splitlines()[1].split()[:3] == ["MaxParallelTaskNum", "2", "5"]
    assert "asked by p9" in quotas.out
    assert quotas.out.splitlines()[2].split()[:3] == ["WaitingTaskNum", "3", "-"]
