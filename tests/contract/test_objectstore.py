"""The contract of the object store port, on the store in memory and on real S3 servers over our own wire."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CloudType, Credentials, Location, StoragePolicy
from omsd.drivers.memory import MEMORY_ABILITIES, MemoryStore
from omsd.drivers.registry import EndpointOverride, StoreFactory
from omsd.drivers.s3.profiles import ListVersion
from omsd.ports.objectstore import ListingOrder, ObjectStore, PutOptions, RestoreState
from tests.contract.objectstore_contract import (
    BASIC,
    FEATURES,
    OPAQUE_KEYS,
    VERIFYING,
    Check,
    check_storage_classes_are_told,
    check_tags_travel,
)
from tests.servers import S3Server


def named(check: Check) -> str:
    return getattr(check, "__name__", "check").removeprefix("check_")


async def open_on(
    server: S3Server, version: ListVersion = ListVersion.V2
) -> tuple[StoreFactory, ObjectStore]:
    override = EndpointOverride(CloudType.AWS, server.region, server.url, list_version=version)
    factory = StoreFactory(overrides=[override])
    location = Location(CloudType.AWS, server.region, await server.make_bucket())
    store = factory.open(location, Credentials(server.access_key, server.secret_key))
    await store.check()
    return factory, store


@pytest.mark.parametrize("order", list(ListingOrder))
@pytest.mark.parametrize("check", [*BASIC, *FEATURES, *VERIFYING, *OPAQUE_KEYS], ids=named)
async def test_memory(check: Check, order: ListingOrder) -> None:
    abilities = replace(MEMORY_ABILITIES, listing_order=order, min_part_bytes=100)
    await check(MemoryStore(abilities=abilities))


@pytest.mark.parametrize("version", list(ListVersion))
@pytest.mark.parametrize("check", [*BASIC, *VERIFYING], ids=named)
async def test_seaweed(check: Check, version: ListVersion, seaweed: S3Server) -> None:
    factory, store = await open_on(seaweed, version)
    try:
        assert store.abilities.listing_order is ListingOrder.DIRECTORY
        await check(store)
    finally:
        await factory.close()


# It keeps no CRC64, answers 500 to a part of an aborted upload and ignores the condition of a copy.
MOTO_CANNOT = {
    "right_checksums_are_published",
    "an_aborted_upload_is_gone",
    "a_copy_of_another_version_or_of_nothing_is_refused",
    "an_upload_is_filled_with_copies_of_one_version",
}


@pytest.mark.parametrize("check", [check_tags_travel, check_storage_classes_are_told], ids=named)
async def test_seaweed_features(check: Check, seaweed: S3Server) -> None:
    factory, store = await open_on(seaweed)
    try:
        await check(store)
    finally:
        await factory.close()


@pytest.mark.parametrize("version", list(ListVersion))
@pytest.mark.parametrize(
    "check", [c for c in (*BASIC, *FEATURES, *OPAQUE_KEYS) if named(c) not in MOTO_CANNOT], ids=named
)
async def test_moto(check: Check, version: ListVersion, moto: S3Server) -> None:
    factory, store = await open_on(moto, version)
    try:
        await check(store)
    finally:
        await factory.close()


async def test_moto_restores_archived_objects(moto: S3Server) -> None:
    factory, store = await open_on(moto)
    try:
        await store.put("cold", b"data", 4, PutOptions(storage_policy=StoragePolicy.ARCHIVE))
        assert (await store.head("cold")).storage_class == "GLACIER"
        with pytest.raises(StoreError) as refused:
            await store.read("cold")
        assert refused.value.kind is StoreErrorKind.ARCHIVED
        for _ in range(2):
            await store.restore("cold", days=2)
            assert (await store.head("cold")).restore is RestoreState.DONE
        reading = await store.read("cold")
        assert await reading.read_all(4) == b"data"
        await reading.close()
    finally:
        await factory.close()
