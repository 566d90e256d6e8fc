"""What real servers say when something is wrong, as the store tells it."""

from __future__ import annotations

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CloudType, Credentials, Location
from omsd.drivers.registry import StoreFactory
from omsd.ports.objectstore import PutOptions
from tests.servers import S3Server


async def kind_of_check(server: S3Server, bucket: str, credentials: Credentials) -> StoreErrorKind:
    factory = StoreFactory()
    store = factory.open(Location(CloudType.AWS, server.region, bucket, server.url), credentials)
    try:
        with pytest.raises(StoreError) as raised:
            await store.check()
        return raised.value.kind
    finally:
        await factory.close()


async def test_seaweed_says_what_is_wrong_with_keys_and_buckets(seaweed: S3Server) -> None:
    bucket = await seaweed.make_bucket()
    wrong_secret = Credentials(seaweed.access_key, "WRONG")
    wrong_key = Credentials("NOBODY", seaweed.secret_key)
    right = Credentials(seaweed.access_key, seaweed.secret_key)
    assert await kind_of_check(seaweed, bucket, wrong_secret) is StoreErrorKind.UNAUTHENTICATED
    assert await kind_of_check(seaweed, bucket, wrong_key) is StoreErrorKind.UNAUTHENTICATED
    assert await kind_of_check(seaweed, "no-such-bucket", right) is StoreErrorKind.NO_SUCH_BUCKET


async def test_moto_says_that_the_bucket_is_missing_on_every_call(moto: S3Server) -> None:
    factory = StoreFactory()
    credentials = Credentials(moto.access_key, moto.secret_key)
    store = factory.open(Location(CloudType.AWS, moto.region, "no-such-bucket", moto.url), credentials)
    for call in (
        store.check(),
        store.read("k"),
        store.put("k", b"x", 1, PutOptions()),
        store.create_upload("k", PutOptions()),
    ):
        with pytest.raises(StoreError) as raised:
            await call
        assert raised.value.kind is StoreErrorKind.NO_SUCH_BUCKET
    await factory.close()


async def test_a_server_that_ignores_ranges_is_malformed_not_believed(rclone_s3: S3Server) -> None:
    bucket = await rclone_s3.make_bucket()
    factory = StoreFactory()
    credentials = Credentials(rclone_s3.access_key, rclone_s3.secret_key)
    store = factory.open(Location(CloudType.AWS, rclone_s3.region, bucket, rclone_s3.url), credentials)
    await store.put("k", b"0123456789", 10, PutOptions())
    with pytest.raises(StoreError) as raised:
        await store.read("k", offset=2, length=3)
    assert raised.value.kind is StoreErrorKind.MALFORMED
    await factory.close()


async def test_seaweed_lists_what_is_in_a_folder_behind_the_object_of_that_name(seaweed: S3Server) -> None:
    bucket = await seaweed.make_bucket()
    await seaweed.put_many(bucket, {"a/b": b"1", "a-b": b"2", "c/1": b"3", "c/2": b"4"})
    await seaweed.put(bucket, "a", b"5")
    factory = StoreFactory()
    credentials = Credentials(seaweed.access_key, seaweed.secret_key)
    store = factory.open(Location(CloudType.AWS, seaweed.region, bucket, seaweed.url), credentials)
    await store.check()
    for after, behind in (("a", ["a/b", "a-b"]), ("a/b", ["a-b", "c/1"]), ("c/1", ["c/2"])):
        page = await store.list_page("", after=after)
        assert [entry.key for entry in page.objects][: len(behind)] == behind
    await factory.close()
