"""How the S3 store takes what services answer: errors, redirects, clocks, ranges, broken successes."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CloudType, Credentials, Location
from omsd.drivers.registry import StoreFactory
from omsd.ports.objectstore import Checksums, ListingOrder, ObjectStore, PartReceipt, PutOptions
from tests.drivers.scripted import Reply, Script, Seen, scripted

EMPTY_LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
MODIFIED = {"Last-Modified": "Mon, 12 Oct 2009 17:50:30 GMT", "ETag": '"e1"'}

OpenStore = Callable[[str], ObjectStore]


@pytest.fixture
async def open_store() -> AsyncIterator[OpenStore]:
    factory = StoreFactory()

    def open_at(url: str) -> ObjectStore:
        return factory.open(
            Location(CloudType.AWS, "us-east-1", "bucket", url), Credentials("AK", "SK", "TOKEN")
        )

    yield open_at
    await factory.close()


def error(code: str, extra: str = "") -> bytes:
    return (
        f"<Error><Code>{code}</Code><Message>said</Message>{extra}<RequestId>R1</RequestId></Error>".encode()
    )


def always(reply: Reply) -> Script:
    return lambda seen: reply


async def failing(call: object) -> StoreError:
    with pytest.raises(StoreError) as raised:
        await call  # type: ignore[misc]
    return raised.value


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "InvalidAccessKeyId", StoreErrorKind.UNAUTHENTICATED),
        (403, "SignatureDoesNotMatch", StoreErrorKind.UNAUTHENTICATED),
        (403, "AccessDenied", StoreErrorKind.PERMISSION),
        (400, "ExpiredToken", StoreErrorKind.EXPIRED),
        (404, "NoSuchBucket", StoreErrorKind.NO_SUCH_BUCKET),
        (404, "NoSuchKey", StoreErrorKind.NO_SUCH_KEY),
        (404, "", StoreErrorKind.NO_SUCH_KEY),
        (403, "InvalidObjectState", StoreErrorKind.ARCHIVED),
        (412, "", StoreErrorKind.PRECONDITION),
        (429, "", StoreErrorKind.THROTTLED),
        (503, "SlowDown", StoreErrorKind.THROTTLED),
        (503, "SomeNewLimitExceeded", StoreErrorKind.THROTTLED),
        (500, "", StoreErrorKind.UNAVAILABLE),
        (502, "", StoreErrorKind.UNAVAILABLE),
        (400, "RequestTimeout", StoreErrorKind.TIMEOUT),
        (507, "", StoreErrorKind.NO_SPACE),
        (418, "", StoreErrorKind.INVALID),
    ],
)
async def test_refusals_are_told_by_meaning(
    open_store: OpenStore, status: int, code: str, kind: StoreErrorKind
) -> None:
    body = error(code) if code else b"<html>sorry</html>"
    reply = Reply(status, body, {"x-amz-request-id": "R2", "Retry-After": "7"})
    async with scripted(always(reply)) as server:
        raised = await failing(open_store(server.url).read("k"))
        assert (raised.kind, raised.status, raised.provider_code) == (kind, status, code)
        assert (raised.request_id, raised.retry_after_s) == ("R2", 7.0)
        assert "SK" not in str(raised)
        assert "TOKEN" not in str(raised)
        assert len(server.seen) == 1


async def test_a_404_without_a_code_means_what_was_asked_for(open_store: OpenStore) -> None:
    async with scripted(always(Reply(404))) as server:
        store = open_store(server.url)
        assert (await failing(store.head("k"))).kind is StoreErrorKind.NO_SUCH_KEY
        assert (await failing(store.check())).kind is StoreErrorKind.NO_SUCH_BUCKET
        assert (await failing(store.put("k", b"", 0, PutOptions()))).kind is StoreErrorKind.NO_SUCH_BUCKET
        assert (await failing(store.list_parts("k", "u"))).kind is StoreErrorKind.NO_SUCH_UPLOAD


async def test_a_refused_connection_is_a_network_error(open_store: OpenStore) -> None:
    async with scripted(always(Reply(200))) as server:
        url = server.url
    assert (await failing(open_store(url).head("k"))).kind is StoreErrorKind.NETWORK


async def test_an_address_the_policy_refuses_is_never_reached() -> None:
    async with scripted(always(Reply(200, EMPTY_LISTING))) as server:
        factory = StoreFactory(allow_address=lambda address: not address.startswith("127."))
        store = factory.open(Location(CloudType.AWS, "r", "bucket", server.url), Credentials("AK", "SK"))
        assert (await failing(store.check())).kind is StoreErrorKind.FORBIDDEN_ADDRESS
        assert server.seen == []
        await factory.close()


async def test_the_region_is_learned_once_and_kept(open_store: OpenStore) -> None:
    def script(seen: Seen) -> Reply:
        if seen.credential_region != "eu-west-1":
            return Reply(400, error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"))
        return Reply(200, EMPTY_LISTING)

    async with scripted(script) as server:
        store = open_store(server.url)
        await store.check()
        await store.check()
        assert [seen.credential_region for seen in server.seen] == ["us-east-1", "eu-west-1", "eu-west-1"]


async def test_a_redirect_to_a_foreign_host_is_not_followed(open_store: OpenStore) -> None:
    async with scripted(always(Reply(200, EMPTY_LISTING))) as foreign:
        location = foreign.url.replace("127.0.0.1", "localhost") + "/bucket/"
        reply = Reply(307, error("TemporaryRedirect"), {"Location": location})
        async with scripted(always(reply)) as server:
            raised = await failing(open_store(server.url).check())
        assert raised.kind is StoreErrorKind.INVALID
        assert "localhost" in str(raised)
        assert foreign.seen == []


async def test_a_redirect_that_never_ends_is_given_up(open_store: OpenStore) -> None:
    regions = iter(f"r-{n}" for n in range(100))

    def script(seen: Seen) -> Reply:
        return Reply(400, error("AuthorizationHeaderMalformed", f"<Region>{next(regions)}</Region>"))

    async with scripted(script) as server:
        await failing(open_store(server.url).check())
        assert len(server.seen) < 10


async def test_a_wrong_clock_is_learned_from_the_answer(open_store: OpenStore) -> None:
    server_time_s = time.time() - 3 * 3600

    def script(seen: Seen) -> Reply:
        stamp = time.strftime("%Y%m%dT%H", time.gmtime(server_time_s))
        if seen.headers["x-amz-date"].startswith(stamp):
            return Reply(200, EMPTY_LISTING)
        return Reply(403, error("RequestTimeTooSkewed"), {"Date": formatdate(server_time_s, usegmt=True)})

    async with scripted(script) as server:
        store = open_store(server.url)
        await store.check()
        await store.check()
        assert len(server.seen) == 3


async def test_a_put_of_bytes_is_repeated_after_a_lesson(open_store: OpenStore) -> None:
    def script(seen: Seen) -> Reply:
        if seen.credential_region != "eu-west-1":
            return Reply(400, error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"))
        return Reply(200, b"", {"ETag": '"e1"'})

    async with scripted(script) as server:
        receipt = await open_store(server.url).put("k", b"body", 4, PutOptions())
        assert receipt.etag == "e1"
        assert [seen.body for seen in server.seen] == [b"body", b"body"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {}),
        (206, {}),
        (206, {"Content-Range": "bytes 0-3/10"}),
        (206, {"Content-Range": "bytes 2-4/10"}),
        (206, {"Content-Range": "bytes 3-5/10"}),
        (206, {"Content-Range": "bytes 1-5/10"}),
        (206, {"Content-Range": "bytes 2-5/*"}),
        (206, {"Content-Range": "chars 2-5/10"}),
    ],
)
async def test_another_range_than_the_one_asked_is_malformed(
    open_store: OpenStore, status: int, headers: dict[str, str]
) -> None:
    told = re.match(r"bytes (\d)-(\d)", headers.get("Content-Range", ""))
    size = int(told[2]) - int(told[1]) + 1 if told else 4
    async with scripted(always(Reply(status, b"x" * size, {**MODIFIED, **headers}))) as server:
        raised = await failing(open_store(server.url).read("k", offset=2, length=4))
        assert raised.kind is StoreErrorKind.MALFORMED


async def test_a_head_that_tells_no_size_is_malformed(open_store: OpenStore) -> None:
    async with scripted(always(Reply(200, headers=MODIFIED, closes=True, unsized=True))) as server:
        raised = await failing(open_store(server.url).head("k"))
        assert raised.kind is StoreErrorKind.MALFORMED
        assert "does not tell the size" in raised.message


async def test_a_body_that_tells_no_size_is_read_to_the_end_of_its_connection(open_store: OpenStore) -> None:
    async with scripted(always(Reply(200, b"abc", MODIFIED, closes=True, unsized=True))) as server:
        reading = await open_store(server.url).read("k")
        assert reading.size_bytes == -1
        assert await reading.read_all(3) == b"abc"
        await reading.close()


async def test_a_body_cut_off_is_truncated(open_store: OpenStore) -> None:
    reply = Reply(200, b"abc", {**MODIFIED, "Content-Length": "10"}, closes=True)
    async with scripted(always(reply)) as server:
        reading = await open_store(server.url).read("k")
        assert (await failing(reading.read_all(100))).kind is StoreErrorKind.TRUNCATED
        await reading.close()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", StoreErrorKind.MALFORMED),
        (b"   \n", StoreErrorKind.MALFORMED),
        (b"\n  " + error("InternalError"), StoreErrorKind.UNAVAILABLE),
        (error("SlowDown"), StoreErrorKind.THROTTLED),
        (b"<CompleteMultipartUploadResult><ETag>x</ET", StoreErrorKind.MALFORMED),
    ],
)
async def test_a_200_to_complete_that_is_no_success_is_an_error(
    open_store: OpenStore, body: bytes, kind: StoreErrorKind
) -> None:
    async with scripted(always(Reply(200, body))) as server:
        call = open_store(server.url).complete_upload("k", "u", [PartReceipt(1, "e", 5)], Checksums())
        assert (await failing(call)).kind is kind


async def test_another_checksum_than_the_one_sent_is_an_integrity_error(open_store: OpenStore) -> None:
    reply = Reply(200, b"", {"ETag": '"e"', "x-amz-checksum-crc64nvme": "AAAAAAAAAAE="})
    async with scripted(always(reply)) as server:
        store = open_store(server.url)
        options = PutOptions(checksums=Checksums(crc64_nvme=2))
        assert (await failing(store.put("k", b"x", 1, options))).kind is StoreErrorKind.INTEGRITY
        assert server.seen[0].headers["x-amz-checksum-crc64nvme"] == "AAAAAAAAAAI="


async def test_an_answer_without_a_checksum_proves_nothing(open_store: OpenStore) -> None:
    async with scripted(always(Reply(200, b"", {"ETag": '"e"'}))) as server:
        options = PutOptions(checksums=Checksums(1, 2))
        receipt = await open_store(server.url).put("k", b"x", 1, options)
        assert receipt.checksums == Checksums()


async def test_every_request_asks_for_the_bytes_as_they_are(open_store: OpenStore) -> None:
    async with scripted(always(Reply(200, b"", MODIFIED))) as server:
        reading = await open_store(server.url).read("k")
        await reading.close()
        assert server.seen[0].headers["accept-encoding"] == "identity"
        assert "accept-encoding" not in server.seen[0].headers["authorization"]
        assert server.seen[0].headers["x-amz-security-token"] == "TOKEN"


async def test_metadata_that_is_not_ascii_travels_encoded_and_comes_back(open_store: OpenStore) -> None:
    async with scripted(always(Reply(200, b"", MODIFIED))) as server:
        options = PutOptions(user_metadata={"name": "é %20\n", "bad name": "dropped"})
        await open_store(server.url).put("k", b"", 0, options)
        sent = server.seen[0].headers
        assert sent["x-amz-meta-name"] == "%C3%A9 %20%0A"
        assert "bad name" not in str(sent)
    answered = {"x-amz-meta-a": "=?UTF-8?B?w6k=?=", "x-amz-meta-b": "%C3%A9", "x-obs-meta-c": "other"}
    async with scripted(always(Reply(200, b"", {**MODIFIED, **answered}))) as server:
        head = await open_store(server.url).head("k")
        assert dict(head.user_metadata) == {"a": "é", "b": "%C3%A9"}


@pytest.mark.parametrize(
    "body",
    [
        b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>true</IsTruncated>"
        b"<NextContinuationToken>same</NextContinuationToken></ListBucketResult>",
    ],
)
async def test_a_listing_that_cannot_go_on_is_malformed(open_store: OpenStore, body: bytes) -> None:
    async with scripted(always(Reply(200, body))) as server:
        raised = await failing(open_store(server.url).list_page("", marker="same"))
        assert raised.kind is StoreErrorKind.MALFORMED


async def test_a_directory_ordered_server_is_recognised(open_store: OpenStore) -> None:
    async with scripted(always(Reply(200, EMPTY_LISTING, {"Server": "SeaweedFS 4.48"}))) as server:
        store = open_store(server.url)
        assert store.abilities.listing_order is ListingOrder.BYTEWISE
        await store.check()
        assert store.abilities.listing_order is ListingOrder.DIRECTORY
