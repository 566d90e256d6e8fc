"""The header dialects of OBS, OSS and COS, and requester pays, on a fake that plays them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CloudType, Credentials, Location, StoragePolicy
from omsd.drivers.registry import StoreFactory
from omsd.drivers.s3.bucket import Bucket, Place
from omsd.drivers.s3.profiles import Addressing, Profile, profile_of
from omsd.drivers.s3.store import S3Store
from omsd.ports.objectstore import Checksums, PutOptions, RestoreState
from omsd.wire import Deadlines, Pool
from tests.drivers.scripted import Reply, scripted
from tests.fakes.dialect_server import DialectBucket

OBS, OSS, COS, KS3 = CloudType.HUAWEI, CloudType.ALIYUN, CloudType.TENCENT, CloudType.KINGSOFT
VENDORS = {OBS: "x-obs-", OSS: "x-oss-", COS: "x-cos-", KS3: "x-kss-", CloudType.AWS: "x-amz-"}


def profile(cloud: CloudType) -> Profile:
    found = profile_of(cloud)
    assert found is not None
    return found


class Opened:
    """A store that speaks a cloud's profile to a scripted bucket."""

    def __init__(self, cloud: CloudType, url: str, *, requester_pays: bool = False) -> None:
        self.pool = Pool(deadlines=Deadlines(), max_per_origin=4, tls=None, allow_address=None)
        self.store = S3Store(
            Bucket(
                "bucket",
                Place(url, "r"),
                Credentials("AK", "SK"),
                replace(profile(cloud), addressing=Addressing.PATH),
                self.pool,
                url_of_region=lambda region: None,
                requester_pays=requester_pays,
            )
        )

    async def __aenter__(self) -> S3Store:
        return self.store

    async def __aexit__(self, *error: object) -> None:
        await self.pool.close()


@pytest.mark.parametrize(
    ("cloud", "policy", "header"),
    [
        (OBS, None, "STANDARD"),
        (OBS, StoragePolicy.STANDARD, "STANDARD"),
        (OBS, StoragePolicy.IA, "STANDARD_IA"),
        (OBS, StoragePolicy.ARCHIVE, "GLACIER"),
        (OBS, StoragePolicy.DEEP_ARCHIVE, "DEEP_ARCHIVE"),
        (CloudType.AWS, StoragePolicy.STANDARD, None),
        (CloudType.AWS, StoragePolicy.ARCHIVE, "GLACIER"),
        (OSS, StoragePolicy.ARCHIVE, "GLACIER"),
        (COS, StoragePolicy.ARCHIVE, "ARCHIVE"),
        (CloudType.GOOGLE, StoragePolicy.IA, "NEARLINE"),
        (CloudType.QINIU, StoragePolicy.IA, "LINE"),
    ],
)
async def test_a_policy_is_sent_under_the_name_of_the_cloud(
    cloud: CloudType, policy: StoragePolicy | None, header: str | None
) -> None:
    async with scripted(DialectBucket()) as server, Opened(cloud, server.url) as store:
        await store.put("k", b"data", 4, PutOptions(storage_policy=policy))
        await store.create_upload("k", PutOptions(storage_policy=policy))
        assert [seen.headers.get("x-amz-storage-class") for seen in server.seen] == [header, header]


@pytest.mark.parametrize("cloud", VENDORS)
async def test_encryption_is_asked_for_and_read_in_the_words_of_the_cloud(cloud: CloudType) -> None:
    bucket = DialectBucket(vendor=VENDORS[cloud])
    async with scripted(bucket) as server, Opened(cloud, server.url) as store:
        if not store.abilities.encrypts_kms:
            return
        assert (await store.put("k", b"data", 4, PutOptions(encrypt_kms=True))).encrypted_kms
        assert (await store.head("k")).encrypted_kms
        upload_id = await store.create_upload("m", PutOptions(encrypt_kms=True))
        part = await store.put_part("m", upload_id, 1, b"part", 4, Checksums())
        assert (await store.complete_upload("m", upload_id, [part], Checksums())).encrypted_kms
        asked = [seen.headers.get("x-amz-server-side-encryption") for seen in server.seen]
        assert asked == ["aws:kms", None, "aws:kms", None, None]


async def test_a_refusal_that_speaks_of_kms_is_one_of_encryption_and_only_if_it_was_asked_for() -> None:
    async with scripted(DialectBucket(kms="refused")) as server, Opened(OBS, server.url) as store:
        for call in (store.put("k", b"1", 1, PutOptions(encrypt_kms=True)),
                     store.create_upload("k", PutOptions(encrypt_kms=True))):  # fmt: skip
            with pytest.raises(StoreError) as refused:
                await call
            assert refused.value.kind is StoreErrorKind.ENCRYPTION
        await store.put("k", b"1", 1, PutOptions())
    async with scripted(DialectBucket(kms="silent")) as server, Opened(OBS, server.url) as store:
        assert not (await store.put("k", b"1", 1, PutOptions(encrypt_kms=True))).encrypted_kms
        assert not (await store.head("k")).encrypted_kms


@pytest.mark.parametrize(
    ("cloud", "element"),
    [(OBS, "GlacierJobParameters"), (COS, "CASJobParameters"), (KS3, "JobParameters")],
)
async def test_a_restore_goes_its_way_in_every_dialect(cloud: CloudType, element: str) -> None:
    bucket = DialectBucket(vendor=VENDORS[cloud], restore_looks=2)
    async with scripted(bucket) as server, Opened(cloud, server.url) as store:
        await store.put("k", b"data", 4, PutOptions(storage_policy=StoragePolicy.ARCHIVE))
        assert (await store.head("k")).restore is RestoreState.NONE
        with pytest.raises(StoreError) as refused:
            await store.read("k")
        assert refused.value.kind is StoreErrorKind.ARCHIVED
        await store.restore("k", days=3)
        await store.restore("k", days=3)  # 409 while it is under way
        states = [(await store.head("k")).restore for _ in range(2)]
        assert states == [RestoreState.ONGOING, RestoreState.DONE]
        assert f"<Days>3</Days><{element}><Tier>Standard</Tier></{element}>".encode() in bucket.restores[0][1]
        await store.restore("k", days=0)
        assert b"<Days>" not in bucket.restores[-1][1]


async def test_what_the_s3_dialect_of_oss_lacks_is_said_without_asking() -> None:
    async with scripted(DialectBucket()) as server, Opened(OSS, server.url) as store:
        for call in (store.restore("k", days=1), store.tags("k")):
            with pytest.raises(StoreError) as refused:
                await call
            assert refused.value.kind is StoreErrorKind.UNSUPPORTED
        await store.put("k", b"data", 4, PutOptions(tags={"a": "b"}))
        assert [seen.headers.get("x-amz-tagging") for seen in server.seen] == [None]
        assert StoragePolicy.DEEP_ARCHIVE not in store.abilities.storage_policies


@pytest.mark.parametrize(
    ("cloud", "vendor"),
    [
        (CloudType.AWS, "x-amz-"),
        (OBS, "x-amz-"),
        (OSS, "x-oss-"),
        (COS, "x-cos-"),
        (CloudType.BAIDU, "x-bce-"),
    ],
)
async def test_requester_pays_is_signed_on_every_request(cloud: CloudType, vendor: str) -> None:
    bucket = DialectBucket(vendor=vendor, payer=True)
    async with scripted(bucket) as server, Opened(cloud, server.url, requester_pays=True) as store:
        await store.put("k", b"data", 4, PutOptions())
        await store.check()
        await store.head("k")
        await (await store.read("k")).close()
        await store.list_page("")
    async with scripted(bucket) as server, Opened(cloud, server.url) as store:
        with pytest.raises(StoreError) as refused:
            await store.head("k")
        assert refused.value.kind is StoreErrorKind.PERMISSION


async def test_requester_pays_is_refused_where_there_is_no_such_thing() -> None:
    factory = StoreFactory()
    place = Location(CloudType.GOOGLE, "US", "bucket", requester_pays=True)
    with pytest.raises(StoreError, match="requester-pays") as refused:
        factory.open(place, Credentials("AK", "SK"))
    assert refused.value.kind is StoreErrorKind.UNSUPPORTED
    await factory.close()


async def test_metadata_that_is_no_header_is_left_out_or_encoded() -> None:
    async with scripted(DialectBucket()) as server, Opened(OBS, server.url) as store:
        await store.put("k", b"1", 1, PutOptions(user_metadata={"a b": "x", "Name": "Grüße", "p": "100%"}))
        sent = {name: value for name, value in server.seen[0].headers.items() if "-meta-" in name}
        assert sent == {"x-amz-meta-name": "Gr%C3%BC%C3%9Fe", "x-amz-meta-p": "100%"}


async def test_metadata_that_the_service_could_not_tell_is_counted() -> None:
    told = {"Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT", "x-amz-missing-meta": "2"}
    async with scripted(lambda seen: Reply(200, b"", told)) as server, Opened(OBS, server.url) as store:
        assert (await store.head("k")).untold_metadata_num == 2
