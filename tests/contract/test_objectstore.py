"""The contract of the object store port, on the store in memory and on real S3 servers over our own wire."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omsd.domain.model import CloudType, Credentials, Location
from omsd.drivers.memory import MEMORY_ABILITIES, MemoryStore
from omsd.drivers.registry import EndpointOverride, StoreFactory
from omsd.drivers.s3.profiles import ListVersion
from omsd.ports.objectstore import ListingOrder, ObjectStore
from tests.contract.objectstore_contract import BASIC, OPAQUE_KEYS, VERIFYING, Check
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
@pytest.mark.parametrize("check", [*BASIC, *VERIFYING, *OPAQUE_KEYS], ids=named)
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


@pytest.mark.parametrize("version", list(ListVersion))
@pytest.mark.parametrize(
    "check", [c for c in (*BASIC, *OPAQUE_KEYS) if named(c) not in MOTO_CANNOT], ids=named
)
async def test_moto(check: Check, version: ListVersion, moto: S3Server) -> None:
    factory, store = await open_on(moto, version)
    try:
        await check(store)
    finally:
        await factory.close()
