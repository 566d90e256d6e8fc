"""Questions about buckets, asked of a real daemon over gRPC and answered by real S3 servers and a real web server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from omsd.cli.bucket_client import BucketClient
from omsd.cli.client import CallError, ServerAddress
from omsd.pb.v1 import bucket_pb2, types_pb2
from tests.e2e.harness import Daemon, ended, node, request
from tests.servers import S3Server
from tests.webserver import WebServer

ODD = (
    "a",
    "a/b",
    "a-b",
    "a.b",
    "b/x/1",
    "b/x/2",
    "b/y",
    "b-1",
    "sp ace/+%.txt",
    "sp ace/%2F",
    "\u00e9/\u00fc &<>\"'.txt",
    "z\U0001f600/q?x=1#y",
)


@pytest.fixture
async def client(shared_daemon: Daemon) -> AsyncIterator[BucketClient]:
    async with BucketClient(ServerAddress(shared_daemon.address), "p1") as client:
        yield client


def account(server: S3Server, **changed: Any) -> dict[str, Any]:
    return {
        "cloud_type": "AWS",
        "ak": server.access_key,
        "sk": server.secret_key,
        "endpoint": server.url,
        **changed,
    }


def objects(server: S3Server, bucket: str, **changed: Any) -> bucket_pb2.ListBucketObjectsRequest:
    fields = {"file_path": "", "page_size": 100, "behind_filename": "", "data_center": "us-east-1", **changed}
    return bucket_pb2.ListBucketObjectsRequest(bucket_name=bucket, **account(server), **fields)


async def walk(client: BucketClient, server: S3Server, bucket: str, path: str, size: int) -> list[list[str]]:
    """The names on each page."""
    pages, behind = [], ""
    while True:
        page = await client.objects(
            objects(server, bucket, file_path=path, page_size=size, behind_filename=behind)
        )
        pages.append([record.name for record in page.records])
        assert page.next_page == page.HasField("next_marker")
        if not page.next_page:
            return pages
        assert page.next_marker == pages[-1][-1]
        behind = page.next_marker


def level(keys: tuple[str, ...], path: str) -> set[str]:
    """What stands directly below a path, told from the keys."""
    below = [key[len(path) :] for key in keys if key.startswith(path) and key != path]
    return {path + (rest.partition("/")[0] + "/" if "/" in rest else rest) for rest in below}


async def test_the_buckets_of_an_account_are_listed(client: BucketClient, seaweed: S3Server) -> None:
    names = {await seaweed.make_bucket() for _ in range(3)}
    found = await client.buckets(
        bucket_pb2.ListBucketsRequest(**account(seaweed, ak="AKADMIN", sk="SKADMIN"))
    )
    assert names <= set(found.buckets)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_every_level_of_odd_keys_is_walked_page_by_page(
    client: BucketClient, seaweed: S3Server, size: int
) -> None:
    bucket = await seaweed.make_bucket()
    await seaweed.put_many(bucket, dict.fromkeys(ODD, b"x"))
    for path in ("", "a/", "b/", "b/x/", "sp ace/", "\u00e9/", "z\U0001f600/"):
        pages = await walk(client, seaweed, bucket, path, size)
        names = [name for page in pages for name in page]
        assert len(names) == len(set(names))
        assert set(names) == level(ODD, path)
        assert all(len(page) == size for page in pages[:-1])


async def test_a_store_in_byte_order_is_walked_too(client: BucketClient, moto: S3Server) -> None:
    bucket = await moto.make_bucket()
    keys = (*ODD, "a//b", "/lead", "dir/", "dir/x")
    await moto.put_many(bucket, dict.fromkeys(keys, b"x"))
    for size in (1, 4):
        for path in ("", "a/", "a//", "/", "dir/"):
            pages = await walk(client, moto, bucket, path, size)
            names = [name for page in pages for name in page]
            assert names == sorted(level(keys, path), key=str.encode)


async def test_sizes_are_written_as_documented(client: BucketClient, seaweed: S3Server) -> None:
    bucket = await seaweed.make_bucket()
    await seaweed.put_many(bucket, {"one": b"x", "kilo": b"x" * 1536, "dir/in": b"", "none": b""})
    page = await client.objects(objects(seaweed, bucket))
    assert {record.name: record.size for record in page.records} == {
        "one": "1 B",
        "kilo": "1.50 KB",
        "none": "0 B",
        "dir/": "--",
    }
    sizes = {record.name: record.size_bytes for record in page.records if record.HasField("size_bytes")}
    assert sizes == {"one": 1, "kilo": 1536, "none": 0}


async def test_a_page_size_of_0_is_100_and_a_path_gets_its_slash(
    client: BucketClient, seaweed: S3Server
) -> None:
    bucket = await seaweed.make_bucket()
    await seaweed.put_many(bucket, {f"d/{n:03}": b"" for n in range(101)})
    page = await client.objects(objects(seaweed, bucket, file_path="d", page_size=0))
    assert (len(page.records), page.next_marker) == (100, "d/099")


async def test_prefixes_exist_or_not(client: BucketClient, seaweed: S3Server) -> None:
    bucket, empty = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put_many(bucket, dict.fromkeys(ODD, b"x"))
    for name, prefix, exists in (
        (bucket, "b/", True),
        (bucket, "b/x/2", True),
        (bucket, "sp ace/+", True),
        (bucket, "\u00e9/\u00fc &<", True),
        (bucket, "", True),
        (bucket, "b/x/3", False),
        (bucket, "B", False),
        (empty, "", False),
    ):
        request = bucket_pb2.CheckPrefixRequest(
            bucket_name=name, file_name=prefix, data_center="us-east-1", **account(seaweed)
        )
        assert (await client.prefix(request)).exist is exists, prefix


async def test_the_region_of_a_bucket(client: BucketClient, seaweed: S3Server, moto: S3Server) -> None:
    bucket = await seaweed.make_bucket()
    found = await client.region(
        bucket_pb2.GetBucketRegionRequest(bucket_name=bucket, **account(seaweed, ak="AKADMIN", sk="SKADMIN"))
    )
    assert (found.id, found.name, found.support) == ("us-east-1", "US East (N. Virginia)", True)
    moto.admin.create_bucket(
        Bucket="far-away-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"}
    )
    request = bucket_pb2.GetBucketRegionRequest(bucket_name="far-away-bucket", **account(moto))
    found = await client.region(request)
    assert (found.id, found.name, found.support) == ("eu-west-3", "Europe (Paris)", True)


def cdn(server: S3Server, bucket: str, web: WebServer, *keys: str) -> bucket_pb2.GetCdnInfoRequest:
    return bucket_pb2.GetCdnInfoRequest(
        bucket=bucket,
        region="us-east-1",
        prefix=bucket_pb2.PrefixKeyInfo(keys=keys) if keys else None,
        source_cdn=types_pb2.SourceCdnReq(domain=web.host, protocol="http", authentication_type="NONE"),
        **account(server),
    )


async def test_a_cdn_that_gives_the_objects_as_they_are(
    client: BucketClient, seaweed: S3Server, web: WebServer
) -> None:
    bucket = await seaweed.make_bucket()
    data = {
        "a b/\u00fc+%.txt": b"hello",
        "empty": b"",
        "large": b"y" * 9_000_000,
        "d/1": b"1",
        "d/2": b"2",
        "d/3": b"3",
    }
    etags = {key: await seaweed.put(bucket, key, content) for key, content in data.items()}
    for key, content in data.items():
        # A CDN without ETags is believed by its bytes; for a large object it needs one.
        web.put(key, content, etag=etags[key] if key == "large" else "")
    info = await client.cdn_info(cdn(seaweed, bucket, web, *data, "nowhere"))
    checked = {key.key: (key.is_object_existing, key.is_etag_matching) for key in info.checked_keys}
    assert checked == {**dict.fromkeys(data, (True, True)), "nowhere": (False, False)}
    assert list(checked) == [*data, "nowhere"]
    assert (info.is_download_available, info.is_same_cloud_type) == (True, False)
    chosen = await client.cdn_info(cdn(seaweed, bucket, web))
    assert len(chosen.checked_keys) == 5
    assert chosen.is_download_available
    assert "Authorization" not in web.log()


async def test_what_a_cdn_gives_otherwise_is_told(
    client: BucketClient, seaweed: S3Server, web: WebServer
) -> None:
    bucket = await seaweed.make_bucket()
    etags = {
        key: await seaweed.put(bucket, key, b"hello")
        for key in ("bytes", "size", "etag", "missing", "weak", "hop")
    }
    etags["big"] = await seaweed.put(bucket, "big", b"z" * 9_000_000)
    web.put("bytes", b"hellO", etag=etags["bytes"])
    web.put("size", b"hello!", etag=etags["size"])
    web.put("etag", b"hello", etag="other")
    web.put("only-here", b"hello")
    web.put("weak", b"hello", etag=etags["weak"], weak=True)
    web.put("elsewhere", b"hello")
    web.redirect("hop", "/elsewhere")
    web.put("big", b"z" * 9_000_000)
    info = await client.cdn_info(cdn(seaweed, bucket, web, *etags, "only-here"))
    checked = {key.key: (key.is_object_existing, key.is_etag_matching, key.note) for key in info.checked_keys}
    assert checked == {
        "bytes": (True, False, "the CDN gives other bytes than the source"),
        "size": (True, False, "the CDN gives 6 bytes, the source 5"),
        "etag": (True, False, "the CDN gives another ETag than the source"),
        "missing": (False, False, "the CDN answers with HTTP status 404"),
        "weak": (True, True, ""),
        "hop": (True, True, ""),
        "big": (True, False, "the CDN gives no ETag or size, and the object is too large to be compared"),
        "only-here": (True, False, "the source has no such object"),
    }
    assert not info.is_download_available


async def test_a_cdn_of_the_vendor_is_known_by_its_headers(
    client: BucketClient, seaweed: S3Server, web: WebServer
) -> None:
    bucket = await seaweed.make_bucket()
    await seaweed.put(bucket, "k", b"hello")
    web.put("k", b"hello", headers={"X-Amz-Cf-Id": "x"})
    assert (await client.cdn_info(cdn(seaweed, bucket, web, "k"))).is_same_cloud_type


@pytest.mark.parametrize(
    "domain", ["127.0.0.1:9", "no-such-host.invalid", "169.254.169.254", "10.0.0.1", "[::ffff:10.0.0.1]"]
)
async def test_a_cdn_domain_that_cannot_or_must_not_be_reached_is_refused(
    client: BucketClient, seaweed: S3Server, web: WebServer, domain: str
) -> None:
    bucket = await seaweed.make_bucket()
    await seaweed.put(bucket, "k", b"hello")
    request = cdn(seaweed, bucket, web, "k")
    request.source_cdn.domain = domain
    error = await refused(client.cdn_info(request))
    assert (error.code, error.violations[0].field) == ("OMS.0081", "source_cdn.domain")


async def test_a_redirect_to_a_forbidden_address_is_not_followed(
    client: BucketClient, seaweed: S3Server, web: WebServer
) -> None:
    bucket = await seaweed.make_bucket()
    await seaweed.put(bucket, "k", b"hello")
    web.redirect("k", "http://169.254.169.254/latest/meta-data/")
    error = await refused(client.cdn_info(cdn(seaweed, bucket, web, "k")))
    assert error.code == "OMS.0081"
    assert "169.254.169.254" in error.message


async def refused(call: Any) -> CallError:
    with pytest.raises(CallError) as caught:
        await call
    return caught.value


async def test_wrong_keys_are_refused_with_the_code_of_each_call(
    client: BucketClient, seaweed: S3Server, web: WebServer
) -> None:
    bucket = await seaweed.make_bucket()
    for wrong in ({"ak": "NOBODY"}, {"sk": "WRONG"}):
        keys = account(seaweed, **wrong)
        listing = objects(seaweed, bucket)
        listing.ak, listing.sk = keys["ak"], keys["sk"]
        through = cdn(seaweed, bucket, web, "k")
        through.ak, through.sk = keys["ak"], keys["sk"]
        calls = (
            (client.buckets(bucket_pb2.ListBucketsRequest(**keys)), "OMS.0153"),
            (client.objects(listing), "OMS.0153"),
            (client.region(bucket_pb2.GetBucketRegionRequest(bucket_name=bucket, **keys)), "OMS.0155"),
            (
                client.prefix(
                    bucket_pb2.CheckPrefixRequest(
                        bucket_name=bucket, file_name="", data_center="us-east-1", **keys
                    )
                ),
                "OMS.1014",
            ),
            (client.cdn_info(through), "OMS.1014"),
        )
        for call, code in calls:
            error = await refused(call)
            assert (error.code, error.violations[0].field) == (code, "ak")
            assert "WRONG" not in error.message


async def test_missing_buckets_and_unreachable_services_are_named(
    client: BucketClient, moto: S3Server
) -> None:
    gone = await refused(client.objects(objects(moto, "not-there-at-all")))
    assert (gone.code, gone.violations[0].field) == ("OMS.0153", "bucket_name")
    gone = await refused(
        client.region(bucket_pb2.GetBucketRegionRequest(bucket_name="not-there-at-all", **account(moto)))
    )
    assert (gone.code, gone.violations[0].field) == ("OMS.0155", "bucket_name")
    for url in ("http://127.0.0.1:9", "http://10.255.255.1", "http://169.254.169.254"):
        lost = await refused(client.buckets(bucket_pb2.ListBucketsRequest(**account(moto, endpoint=url))))
        assert (lost.code, lost.violations[0].field) == ("OMS.0153", "endpoint")


async def test_questions_leave_no_secret_in_the_log(
    client: BucketClient, shared_daemon: Daemon, seaweed: S3Server
) -> None:
    keys = account(seaweed, sk="very-secret-word-1")
    await refused(client.buckets(bucket_pb2.ListBucketsRequest(**keys)))
    assert "very-secret-word-1" not in shared_daemon.log()


async def test_a_configured_endpoint_is_in_the_catalogue_and_is_used(
    daemon: Daemon, seaweed: S3Server
) -> None:
    bucket = await seaweed.make_bucket()
    daemon.extra = f'[[endpoint]]\ncloud_type = "AWS"\nregion = "office"\nurl = "{seaweed.url}"\n'
    await daemon.start()
    keys = account(seaweed, ak="AKADMIN", sk="SKADMIN", endpoint=None)
    async with BucketClient(ServerAddress(daemon.address), "p1") as client:
        (aws,) = (await client.regions("AWS")).clouds
        office = next(region for region in aws.region_list if region.value == "office")
        assert (office.endpoint, office.is_configured) == (seaweed.url, True)
        found = await client.buckets(bucket_pb2.ListBucketsRequest(region="office", **keys))
        assert bucket in found.buckets
        request = bucket_pb2.CheckPrefixRequest(
            bucket_name=bucket, file_name="", data_center="office", **keys
        )
        assert not (await client.prefix(request)).exist
        assert [version.id for version in (await client.versions()).versions] == ["v1", "v2"]
        assert (await client.version("v1")).status == "SUPPORTED"
        assert list((await client.clouds("dst")).cloud_types) == ["HuaweiCloud"]
        for quota in (await client.quotas()).quotas:
            assert quota.used == 0
        for call, code, field in (
            (client.version("v9"), "OMS.1009", ""),
            (client.clouds("all"), "OMS.1003", "type"),
            (client.regions("Mars"), "OMS.1003", "cloud_type"),
        ):
            error = await refused(call)
            assert error.code == code
            assert [violation.field for violation in error.violations] == ([field] if field else [])


async def test_quotas_count_the_tasks_of_the_project(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "a", b"1")
    async with (
        shared_daemon.client("counted") as tasks,
        BucketClient(ServerAddress(shared_daemon.address), "counted") as client,
    ):
        made = await tasks.create(request(node(seaweed, source), node(seaweed, destination)))
        await ended(tasks, made.id)
        used = {quota.type: (quota.used, quota.quota) for quota in (await client.quotas()).quotas}
        assert used["CreatedTaskNum"] == (1, 1500)
        assert used["MaxParallelTaskNum"][1] == 5
