"""URL list files in a real bucket, their URLs on a real web server, asked of a real daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from omsd.cli.bucket_client import BucketClient
from omsd.cli.client import CallError, ServerAddress
from omsd.pb.v1 import bucket_pb2, types_pb2
from tests.e2e.harness import Daemon
from tests.servers import S3Server
from tests.webserver import WebServer


@pytest.fixture
async def client(shared_daemon: Daemon) -> AsyncIterator[BucketClient]:
    async with BucketClient(ServerAddress(shared_daemon.address), "p1") as client:
        yield client


def check(server: S3Server, bucket: str, key: str, **changed: Any) -> bucket_pb2.CheckUrlListRequest:
    fields = {"ak": server.access_key, "sk": server.secret_key, "endpoint": server.url, **changed}
    return bucket_pb2.CheckUrlListRequest(
        cloud_type="AWS",
        region="us-east-1",
        list_file=types_pb2.ListFile(obs_bucket=bucket, list_file_key=key),
        **fields,
    )


async def put_list(server: S3Server, key: str, text: bytes, **extra: Any) -> str:
    bucket = await server.make_bucket()
    await server.put(bucket, key, text, ContentType=extra.pop("ContentType", "text/plain"), **extra)
    return bucket


async def test_a_good_list_is_read_whole_and_its_first_urls_are_asked_for(
    client: BucketClient, seaweed: S3Server, web: WebServer
) -> None:
    web.put("a b", b"12345")
    web.redirect("moved", "/a%20b")
    lines = [
        f"http://{web.host}/a%20b\tdir/a+b%25",
        "",
        f"http://{web.host}/moved?x=1\tc",
        f"http://{web.host}/missing\td",
        "http://169.254.169.254/latest\te",
        "http://127.0.0.1:9/\tf",
    ]
    text = "\ufeff" + "\r\n".join([*lines, *(f"http://{web.host}/n{n}\tn{n}" for n in range(20_000))])
    bucket = await put_list(seaweed, "list.txt", text.encode())
    found = await client.url_list(check(seaweed, bucket, "list.txt", check_num=5))
    assert (found.is_valid, found.url_num, found.bad_line_num) == (True, 20_005, 0)
    assert found.size_bytes == len(text.encode())
    told = [(url.object_key, url.is_available, url.status) for url in found.checked_urls]
    assert told == [
        ("dir/a+b%", True, 200),
        ("c", True, 200),
        ("d", False, 404),
        ("e", False, 0),
        ("f", False, 0),
    ]
    assert [url.size_bytes for url in found.checked_urls if url.HasField("size_bytes")] == [5, 5]
    assert "no address of the host may be reached" in found.checked_urls[3].note
    assert "Authorization" not in web.log()
    assert not (await client.url_list(check(seaweed, bucket, "list.txt", check_num=0))).checked_urls


async def test_wrong_lines_are_counted_and_the_first_are_shown(
    client: BucketClient, seaweed: S3Server
) -> None:
    text = b"http://h/a\tb\n" + b"ftp://h/a\tb\n" * 150
    bucket = await put_list(seaweed, "l.txt", text)
    found = await client.url_list(check(seaweed, bucket, "l.txt", check_num=0))
    assert (found.is_valid, found.error_reason.error_code) == (False, "TRF.0016")
    assert (found.url_num, found.bad_line_num, len(found.bad_lines)) == (1, 150, 100)
    assert found.bad_lines[0].offset == 13
    assert "byte 13" in found.error_reason.error_msg


@pytest.mark.parametrize(
    ("key", "text", "extra", "code"),
    [
        ("list.csv", b"http://h/a\tb", {}, "TRF.0014"),
        ("list.txt", b"", {}, "TRF.0017"),
        ("list.txt", b"\r\n\n", {}, "TRF.0017"),
        ("list.txt", b"http://h/" + b"a" * 65_536 + b"\tb", {}, "TRF.0018"),
        ("list.txt", b"http://h/a\tb", {"ContentType": "text/html"}, "TRF.0019"),
        ("list.txt", b"http://h/a\tb", {"ContentEncoding": "gzip"}, "TRF.0019"),
    ],
)
async def test_a_file_that_is_no_list_has_the_code_a_task_would_end_with(
    client: BucketClient, seaweed: S3Server, key: str, text: bytes, extra: dict[str, str], code: str
) -> None:
    bucket = await put_list(seaweed, key, text, **extra)
    found = await client.url_list(check(seaweed, bucket, key))
    assert (found.is_valid, found.error_reason.error_code) == (False, code)
    assert key in found.error_reason.error_msg or code == "TRF.0018"
    missing = await client.url_list(check(seaweed, bucket, "missing.txt"))
    assert missing.error_reason.error_code == "TRF.0013"


async def test_a_bucket_that_cannot_be_read_is_refused(
    client: BucketClient, moto: S3Server, seaweed: S3Server
) -> None:
    bucket = await seaweed.make_bucket()
    for request, field in (
        (check(moto, "not-there-at-all", "l.txt"), "list_file.obs_bucket"),
        (check(seaweed, bucket, "l.txt", sk="WRONG"), "ak"),
        (check(seaweed, bucket, "l.txt", endpoint="http://10.0.0.1"), "endpoint"),
    ):
        with pytest.raises(CallError) as caught:
            await client.url_list(request)
        assert (caught.value.code, caught.value.violations[0].field) == ("OMS.1020", field)
