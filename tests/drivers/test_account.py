"""How an account of an S3 service is asked: lists of buckets in pages, regions in every dialect, accounts at one host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CloudType, Credentials, Location
from omsd.drivers.registry import StoreFactory
from omsd.ports.account import Account
from tests.drivers.scripted import Reply, Seen, scripted

OpenAccount = Callable[..., Account]


@pytest.fixture
async def open_account() -> AsyncIterator[OpenAccount]:
    factory = StoreFactory()

    def open_at(url: str, cloud: CloudType = CloudType.AWS, app_id: str = "") -> Account:
        return factory.open_account(Location(cloud, "", "", url, app_id), Credentials("AK", "SK"))

    yield open_at
    await factory.close()


def buckets(*names: str, more: str = "") -> bytes:
    entries = "".join(f"<Bucket><Name>{name}</Name><CreationDate>x</CreationDate></Bucket>" for name in names)
    return (
        f'<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>o</ID></Owner>'
        f"<Buckets>{entries}</Buckets>{more}</ListAllMyBucketsResult>"
    ).encode()


async def test_all_pages_of_buckets_are_listed(open_account: OpenAccount) -> None:
    pages = {
        "": buckets("a", "b", more="<IsTruncated>true</IsTruncated><NextMarker>b</NextMarker>"),
        "marker=b": buckets(
            "c", more="<ContinuationToken>t+1</ContinuationToken><IsTruncated>true</IsTruncated>"
        ),
        "continuation-token=t%2B1": buckets(
            "d", more="<IsTruncated>false</IsTruncated><NextMarker>x</NextMarker>"
        ),
    }

    def script(seen: Seen) -> Reply:
        path, _, query = seen.target.partition("?")
        assert (seen.method, path) == ("GET", "/")
        return Reply(200, pages[query])

    async with scripted(script) as server:
        assert await open_account(server.url).list_buckets() == ("a", "b", "c", "d")
        assert len(server.seen) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"<ListBucketResult></ListBucketResult>",
        b"<ListAllMyBucketsResult><Buckets><Bucket></Bucket></Buckets></ListAllMyBucketsResult>",
        b"<ListAllMyBucketsResult><Buckets>",
        b"",
        buckets("a", more="<IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>"),
    ],
)
async def test_a_list_of_buckets_that_cannot_be_read_whole_is_an_error(
    open_account: OpenAccount, body: bytes
) -> None:
    async with scripted(lambda seen: Reply(200, body)) as server:
        with pytest.raises(StoreError) as caught:
            await open_account(server.url).list_buckets()
        assert caught.value.kind is StoreErrorKind.MALFORMED
        assert len(server.seen) <= 2


@pytest.mark.parametrize(
    ("cloud", "body", "region"),
    [
        (CloudType.AWS, "<LocationConstraint/>", "us-east-1"),
        (CloudType.AWS, "<LocationConstraint>EU</LocationConstraint>", "eu-west-1"),
        (CloudType.AWS, "<LocationConstraint>ap-south-1</LocationConstraint>", "ap-south-1"),
        (CloudType.HUAWEI, '<Location xmlns="x">cn-north-4</Location>', "cn-north-4"),
        (CloudType.ALIYUN, "<LocationConstraint>oss-cn-beijing</LocationConstraint>", "cn-beijing"),
        (CloudType.TENCENT, "<LocationConstraint> ap-beijing\n</LocationConstraint>", "ap-beijing"),
        (CloudType.GOOGLE, "<LocationConstraint>us-central1</LocationConstraint>", "US-CENTRAL1"),
        (CloudType.AWS, "<LocationConstraint>mars-1</LocationConstraint>", "mars-1"),
    ],
)
async def test_regions_are_spelled_as_requests_spell_them(
    open_account: OpenAccount, cloud: CloudType, body: str, region: str
) -> None:
    def script(seen: Seen) -> Reply:
        assert seen.target == ("/b-1-77/?location=" if cloud is CloudType.TENCENT else "/b-1/?location=")
        return Reply(200, body.encode())

    async with scripted(script) as server:
        assert await open_account(server.url, cloud, "77").region_of("b-1") == region


async def test_where_the_bucket_does_not_tell_the_list_of_buckets_may(open_account: OpenAccount) -> None:
    listed = (
        b"<ListAllMyBucketsResult><Buckets><Bucket><Name>b-77</Name><Location>ap-tokyo</Location></Bucket>"
        b"</Buckets></ListAllMyBucketsResult>"
    )

    def script(seen: Seen) -> Reply:
        if "location" in seen.target:
            return Reply(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        return Reply(200, listed)

    async with scripted(script) as server:
        account = open_account(server.url, CloudType.TENCENT, "77")
        assert await account.region_of("b") == "ap-tokyo"
        with pytest.raises(StoreError) as caught:
            await account.region_of("other")
        assert caught.value.kind is StoreErrorKind.NO_SUCH_BUCKET


async def test_wrong_keys_are_not_asked_about_twice(open_account: OpenAccount) -> None:
    refusal = b"<Error><Code>InvalidAccessKeyId</Code></Error>"
    async with scripted(lambda seen: Reply(403, refusal)) as server:
        with pytest.raises(StoreError) as caught:
            await open_account(server.url).region_of("b")
        assert caught.value.kind is StoreErrorKind.UNAUTHENTICATED
        assert len(server.seen) == 1


async def test_a_name_that_would_lead_elsewhere_is_no_bucket(open_account: OpenAccount) -> None:
    with pytest.raises(StoreError) as caught:
        await open_account("http://127.0.0.1:9").region_of("a/../b")
    assert caught.value.kind is StoreErrorKind.INVALID


async def test_without_a_bucket_nothing_stands_before_the_host() -> None:
    factory = StoreFactory(allow_address=lambda address: False)
    for cloud, host in (
        (CloudType.AWS, "s3.us-east-1.amazonaws.com"),
        (CloudType.TENCENT, "service.cos.myqcloud.com"),
    ):
        account = factory.open_account(Location(cloud, "us-east-1", "x"), Credentials("AK", "SK"))
        with pytest.raises(StoreError) as caught:
            await account.list_buckets()
        assert f"https://{host}:443" in caught.value.message
    await factory.close()
