"""Copies inside a service: what is sent, and what a 200 must hold before it counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from urllib.parse import unquote

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CloudType, Credentials, Location, StoragePolicy
from omsd.drivers.registry import EndpointOverride, StoreFactory
from omsd.drivers.s3.copying import copy_object
from omsd.drivers.s3.profiles import Addressing, profile_of
from omsd.drivers.s3.store import S3Store
from omsd.ports.objectstore import Checksums, CopySource, ObjectStore, PutOptions
from omsd.wire import Deadlines
from tests.contract.bodies import ZOO
from tests.drivers.scripted import Reply, scripted

COPIED = b'<?xml version="1.0"?>\n<CopyObjectResult><ETag>"e1"</ETag></CopyObjectResult>'
PART_COPIED = b"<CopyPartResult><ETag>&quot;e1&quot;</ETag></CopyPartResult>"
SOURCE = CopySource("from", "k", "e0")

OpenStore = Callable[[str], ObjectStore]


@pytest.fixture
async def open_store() -> AsyncIterator[OpenStore]:
    factory = StoreFactory(deadlines=Deadlines(connect_s=10.0, first_byte_s=10.0, stall_s=1.0))

    def open_at(url: str) -> ObjectStore:
        return factory.open(Location(CloudType.AWS, "us-east-1", "bucket", url), Credentials("AK", "SK"))

    yield open_at
    await factory.close()


def failure(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>said</Message></Error>".encode()


@pytest.mark.parametrize("key", ZOO, ids=ascii)
async def test_the_source_is_named_byte_for_byte(open_store: OpenStore, key: str) -> None:
    async with scripted(lambda seen: Reply(200, COPIED)) as server:
        await open_store(server.url).copy_from("to", CopySource("from", key), PutOptions())
        sent = server.seen[0].headers["x-amz-copy-source"]
    assert sent.isascii()
    assert not set(sent) & set("+ ?#&=")
    assert unquote(sent, errors="strict") == f"/from/{key}"


async def test_a_copy_takes_over_only_what_it_is_told(open_store: OpenStore) -> None:
    options = PutOptions("text/x", {"cache-control": "no-cache"}, {"a": "1"})
    async with scripted(lambda seen: Reply(200, COPIED)) as server:
        receipt = await open_store(server.url).copy_from("to", SOURCE, options)
        sent, target = server.seen[0].headers, server.seen[0].target
    assert (receipt.etag, receipt.checksums, target) == ("e1", Checksums(), "/bucket/to")
    wanted = {
        "x-amz-copy-source": "/from/k",
        "x-amz-copy-source-if-match": '"e0"',
        "x-amz-metadata-directive": "REPLACE",
        "x-amz-tagging-directive": "REPLACE",
        "x-amz-checksum-algorithm": "CRC64NVME",
        "x-amz-storage-class": "STANDARD",
        "content-type": "text/x",
        "cache-control": "no-cache",
        "x-amz-meta-a": "1",
    }
    assert wanted.items() <= sent.items()
    signed = sent["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    assert set(wanted) <= set(signed)


async def test_a_copy_asks_for_the_task_s_class_encryption_and_tags(open_store: OpenStore) -> None:
    options = PutOptions(storage_policy=StoragePolicy.IA, encrypt_kms=True, tags={"team": "a b"})
    told = {"x-amz-server-side-encryption": "aws:kms"}
    async with scripted(lambda seen: Reply(200, COPIED, told)) as server:
        store = open_store(server.url)
        assert (await store.copy_from("to", SOURCE, options)).encrypted_kms
        sent = server.seen[0].headers
        assert {
            "x-amz-storage-class": "STANDARD_IA",
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-tagging": "team=a%20b",
            "x-amz-tagging-directive": "REPLACE",
        }.items() <= sent.items()
    async with scripted(lambda seen: Reply(200, COPIED)) as server:
        assert not (await open_store(server.url).copy_from("to", SOURCE, options)).encrypted_kms


async def test_a_refused_copy_is_one_of_encryption_only_if_that_was_asked_for(open_store: OpenStore) -> None:
    async with scripted(lambda seen: Reply(403, failure("KMSAccessDenied"))) as server:
        for encrypts, kind in ((True, StoreErrorKind.ENCRYPTION), (False, StoreErrorKind.PERMISSION)):
            with pytest.raises(StoreError) as refused:
                await open_store(server.url).copy_from("to", SOURCE, PutOptions(encrypt_kms=encrypts))
            assert refused.value.kind is kind


async def test_a_part_names_its_range_and_nothing_else_of_the_object(open_store: OpenStore) -> None:
    async with scripted(lambda seen: Reply(200, PART_COPIED)) as server:
        part = await open_store(server.url).copy_part("to", "u", 3, SOURCE, 100, 50)
        sent, target = server.seen[0].headers, server.seen[0].target
    assert (part.part_number, part.etag, part.size_bytes) == (3, "e1", 50)
    assert target == "/bucket/to?partNumber=3&uploadId=u"
    assert sent["x-amz-copy-source-range"] == "bytes=100-149"
    assert sent["x-amz-copy-source-if-match"] == '"e0"'
    assert not {"content-type", "x-amz-metadata-directive", "x-amz-storage-class"} & set(sent)


async def test_the_checksum_of_the_copy_is_read(open_store: OpenStore) -> None:
    told = b"<ChecksumCRC64NVME>AAAAAAAAAAI=</ChecksumCRC64NVME>"
    for kind, value in ((b"", 2), (b"<ChecksumType>COMPOSITE</ChecksumType>", None)):
        body = COPIED.replace(b"</ETag>", b"</ETag>" + told + kind)
        async with scripted(lambda seen, body=body: Reply(200, body)) as server:  # type: ignore[misc]
            receipt = await open_store(server.url).copy_from("to", SOURCE, PutOptions())
        assert receipt.checksums == Checksums(crc64_nvme=value)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", StoreErrorKind.MALFORMED),
        (b" \n ", StoreErrorKind.MALFORMED),
        (COPIED[:-5], StoreErrorKind.MALFORMED),
        (COPIED.replace(b'"e1"', b""), StoreErrorKind.MALFORMED),
        (b"<html></html>", StoreErrorKind.MALFORMED),
        (b"   \n\n" + failure("InternalError"), StoreErrorKind.UNAVAILABLE),
        (failure("SlowDown"), StoreErrorKind.THROTTLED),
        (failure("AccessDenied"), StoreErrorKind.PERMISSION),
        (failure("SomethingNew"), StoreErrorKind.INVALID),
    ],
)
@pytest.mark.parametrize("part", [False, True])
async def test_a_200_that_is_no_success_is_an_error(
    open_store: OpenStore, body: bytes, kind: StoreErrorKind, part: bool
) -> None:
    async with scripted(lambda seen: Reply(200, body)) as server:
        store = open_store(server.url)
        call = (
            store.copy_part("to", "u", 1, SOURCE, 0, 5)
            if part
            else store.copy_from("to", SOURCE, PutOptions())
        )
        with pytest.raises(StoreError) as raised:
            await call
    assert raised.value.kind is kind


async def test_an_answer_cut_off_is_an_error(open_store: OpenStore) -> None:
    reply = Reply(200, COPIED, {"Content-Length": str(len(COPIED) + 10)}, closes=True)
    async with scripted(lambda seen: reply) as server:
        with pytest.raises(StoreError) as raised:
            await open_store(server.url).copy_from("to", SOURCE, PutOptions())
    assert raised.value.kind is StoreErrorKind.TRUNCATED


@pytest.mark.parametrize("ending", [COPIED.removeprefix(b'<?xml version="1.0"?>'), failure("InternalError")])
async def test_a_long_copy_that_drips_white_space_is_waited_for(open_store: OpenStore, ending: bytes) -> None:
    """The answer takes twice the stall deadline, and begins at once."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n<?xml version="1.0"?>\n\r\n'
        )
        for _ in range(20):
            await asyncio.sleep(0.1)
            writer.write(b"1\r\n \r\n")
        writer.write(f"{len(ending):x}\r\n".encode() + ending + b"\r\n0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        call = open_store(url).copy_from("to", SOURCE, PutOptions())
        if ending.startswith(b"<Error>"):
            with pytest.raises(StoreError) as raised:
                await call
            assert raised.value.kind is StoreErrorKind.UNAVAILABLE
        else:
            assert (await call).etag == "e1"


async def test_an_address_tells_service_and_bucket() -> None:
    factory = StoreFactory(
        overrides=[EndpointOverride(CloudType.AWS, "v", "http://s3.local", Addressing.VIRTUAL)]
    )
    keys = Credentials("AK", "SK")

    def address(url: str, bucket: str = "b", region: str = "r", app_id: str = "") -> tuple[str, str]:
        cloud = CloudType.TENCENT if app_id else CloudType.AWS
        store = factory.open(Location(cloud, region, bucket, url, app_id), keys)
        return store.address.service, store.address.bucket

    one = address("http://s3.local")
    assert address("http://S3.LOCAL:80/", "other", "x") == (one[0], "other")
    assert address("https://s3.local")[0] != one[0]
    assert address("http://s3.local:81")[0] != one[0]
    assert address("http://s4.local")[0] != one[0]
    assert address("", region="v")[0] != one[0]
    assert address("http://s3.local", "b", app_id="12")[1] == "b-12"
    store = factory.open(Location(CloudType.AWS, "eu-west-1", "b"), keys)
    same = factory.open(Location(CloudType.AWS, "eu-west-1", "dotted.name"), keys)
    assert store.address.service == same.address.service
    await factory.close()


def test_copies_are_off_where_they_are_known_not_to_work() -> None:
    def copies(cloud: CloudType) -> tuple[bool, bool]:
        profile = profile_of(cloud)
        assert profile is not None
        abilities = profile.abilities()
        return abilities.copies_objects, abilities.copies_parts

    whole_only = {CloudType.GOOGLE, CloudType.QINGCLOUD}
    for cloud in set(CloudType) - {CloudType.AZURE, CloudType.URL_SOURCE}:
        expected = (cloud is not CloudType.UCLOUD, cloud not in whole_only | {CloudType.UCLOUD})
        assert copies(cloud) == expected, cloud


async def test_only_dialects_that_know_them_get_checksum_and_tag_directives() -> None:
    def script(seen: object) -> Reply:
        return Reply(200, COPIED)

    async with scripted(script) as server:
        factory = StoreFactory()
        store = factory.open(Location(CloudType.HUAWEI, "r", "b", server.url), Credentials("AK", "SK"))
        assert isinstance(store, S3Store)
        obs = profile_of(CloudType.HUAWEI)
        assert obs is not None
        store.bucket.profile = obs
        await copy_object(store.bucket, "to", SOURCE, PutOptions())
        await factory.close()
        sent = server.seen[0].headers
    assert (sent["x-amz-metadata-directive"], sent["x-amz-storage-class"]) == ("REPLACE", "STANDARD")
    assert not {"x-amz-checksum-algorithm", "x-amz-tagging-directive"} & set(sent)
