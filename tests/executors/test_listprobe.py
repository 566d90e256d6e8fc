"""Which files below a folder are lists: all pages of them, no other file, and not without end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.manifest import MAX_FILE_BYTES, MAX_FILES, ListsFound
from omsd.domain.model import CloudType, Credentials, ListFile, ListFileRef, Location, TaskSpec, TaskType
from omsd.drivers.memory import MemoryStore
from omsd.executors.listprobe import find_lists
from omsd.ports.objectstore import ListedObject, ListPage, ObjectStore, PutOptions
from tests.fakes.small_pages import SmallPages
from tests.fakes.stores import FaultyStore, failing

KEYS = Credentials("the-destinations", "secret")
PLACE = Location(CloudType.HUAWEI, "eu-de", "into", "http://127.0.0.1:9")


async def found(store: ObjectStore, key: str) -> ListsFound:
    spec = TaskSpec(
        Location(CloudType.AWS, "r", "from"), PLACE, TaskType.LIST, (), list_file=ListFileRef("lists", key)
    )

    def open_store(location: Location, credentials: Credentials) -> ObjectStore:
        assert (location, credentials) == (replace(PLACE, bucket="lists"), KEYS)
        return store

    return await find_lists(open_store, spec, KEYS)


async def lists_at(*keys: str) -> MemoryStore:
    store = MemoryStore()
    for key in keys:
        await store.put(key, b"a", 1, PutOptions(content_type="text/plain"))
    return store


async def test_every_txt_below_a_folder_is_a_list_however_many_pages_it_takes() -> None:
    names = [f"hw/{number:03}.txt" for number in range(25)] + ["hw/deep/er.TXT"]
    store = await lists_at(*names, "hw/", "hw/readme", "hw.txt", "other/x.txt")
    pages = SmallPages(store, 4)
    files = (await found(pages, "hw/")).files
    assert sorted(file.key for file in files) == sorted(names)
    assert pages.calls["list_page"] >= 7
    head = await store.head("hw/000.txt")
    assert ListFile("hw/000.txt", 1, head.etag) in files


async def test_the_destinations_keys_open_the_bucket_where_the_destination_is() -> None:
    assert (await found(await lists_at("a.txt"), "a.txt")).failure is None


async def test_one_lost_answer_is_not_taken_for_a_missing_list() -> None:
    for name, key in (("head", "hw/a.txt"), ("list_page", "hw/")):
        lost = failing(name, 1, lambda: StoreError(StoreErrorKind.NETWORK, "reset"), times=2)
        assert len((await found(FaultyStore(await lists_at("hw/a.txt"), lost), key)).files) == 1


async def test_a_service_that_stays_away_is_told_as_trouble_that_may_pass() -> None:
    down = failing("head", 1, lambda: StoreError(StoreErrorKind.UNAVAILABLE, "503"), times=9)
    failure = (await found(FaultyStore(await lists_at("a.txt"), down), "a.txt")).failure
    assert failure is not None
    assert failure.code == "TRF.0061"


class Endless(FaultyStore):
    """Lists files without end."""

    async def list_page(
        self,
        prefix: str,
        *,
        after: str = "",
        marker: str | None = None,
        delimiter: str = "",
        limit: int = 1000,
    ) -> ListPage:
        await self._enter("list_page")
        page = int(marker or 0) + 1
        return ListPage([ListedObject(f"hw/{page:06}-{n}.txt", 9, 0.0, "e") for n in range(1000)], str(page))


async def test_a_folder_without_end_is_refused_and_not_read_to_its_end() -> None:
    endless = Endless(MemoryStore())
    failure = (await found(endless, "hw/")).failure
    assert failure is not None
    assert failure.code == "TRF.0014"
    assert endless.calls["list_page"] == MAX_FILES // 1000 + 1


class Huge(FaultyStore):
    """Each file is one byte too large."""

    async def list_page(
        self,
        prefix: str,
        *,
        after: str = "",
        marker: str | None = None,
        delimiter: str = "",
        limit: int = 1000,
    ) -> ListPage:
        return ListPage([ListedObject("hw/a.txt", MAX_FILE_BYTES + 1, 0.0, "e")], None)


async def test_one_file_that_is_too_large_spoils_the_folder() -> None:
    failure = (await found(Huge(MemoryStore()), "hw/")).failure
    assert failure is not None
    assert failure.code == "TRF.0014"
    assert "hw/a.txt" in failure.message


@pytest.mark.parametrize("kind", [StoreErrorKind.PERMISSION, StoreErrorKind.UNAUTHENTICATED])
async def test_keys_that_may_not_read_the_list_are_named(kind: StoreErrorKind) -> None:
    refused = failing("head", 1, lambda: StoreError(kind, "AccessDenied"), times=9)
    lists = await found(FaultyStore(await lists_at("a.txt"), refused), "a.txt")
    assert lists.failure is not None
    assert (lists.failure.code, lists.bucket_fault) == ("TRF.0013", False)
