"""Stretches of a bucket on stores of both orders and of small pages: what is measured is what a task will list."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.group_plan import Stretch
from omsd.drivers.memory import MEMORY_ABILITIES, MemoryStore
from omsd.engine.scan import find_list_files, measure_stretch
from omsd.ports.objectstore import ListingOrder, ListPage, ObjectStore, PutOptions
from tests.fakes.small_pages import SmallPages
from tests.fakes.stores import FaultyStore, failing

KEYS = ("a-b", "a/b", "a/c", "a/c/d", "b", "b/1", "c")


async def store_with(order: ListingOrder, keys: tuple[str, ...] = KEYS) -> MemoryStore:
    store = MemoryStore(abilities=replace(MEMORY_ABILITIES, listing_order=order))
    for key in keys:
        await store.put(key, b"x" * len(key), len(key), PutOptions())
    return store


@pytest.mark.parametrize("order", list(ListingOrder))
@pytest.mark.parametrize("page_objects", [1, 2, 3, 1000])
@pytest.mark.parametrize("objects_num", [1, 2, 3, 100])
async def test_stretches_follow_each_other_until_the_end(
    order: ListingOrder, page_objects: int, objects_num: int
) -> None:
    store = SmallPages(await store_with(order), page_objects)
    whole = [entry.key for entry in (await store.list_page("")).objects]
    while len(whole) < len(KEYS):
        whole += [entry.key for entry in (await store.list_page("", after=whole[-1])).objects]
    found_num, size, after, stretches = 0, 0, "", []
    while not stretches or not stretches[-1].over:
        stretch = await measure_stretch(store, "", after=after, objects_num=objects_num, size_bytes=10**9)
        stretches.append(stretch)
        assert stretch.objects_num <= objects_num
        found_num, size, after = found_num + stretch.objects_num, size + stretch.size_bytes, stretch.last
        if stretch.objects_num:
            assert stretch.last == whole[found_num - 1]
    assert (found_num, size) == (len(KEYS), sum(map(len, KEYS)))


async def test_a_stretch_ends_when_it_has_enough_bytes() -> None:
    store = await store_with(ListingOrder.BYTEWISE)
    stretch = await measure_stretch(store, "a", after="", objects_num=100, size_bytes=4)
    assert stretch == Stretch("a/b", 2, 6, over=False)


async def test_only_keys_with_the_prefix_behind_the_place_are_measured() -> None:
    store = await store_with(ListingOrder.BYTEWISE)
    stretch = await measure_stretch(store, "a/", after="a/b", objects_num=100, size_bytes=10**9)
    assert stretch == Stretch("a/c/d", 2, 8, over=True)
    nothing = await measure_stretch(store, "zzz", after="", objects_num=1, size_bytes=1)
    assert nothing == Stretch("", 0, 0, over=True)


async def test_an_error_behind_the_first_page_ends_the_stretch_before_it() -> None:
    pages = SmallPages(await store_with(ListingOrder.BYTEWISE), 2)
    store = FaultyStore(
        pages, failing("list_page", 2, lambda: StoreError(StoreErrorKind.UNAVAILABLE, "busy"))
    )
    stretch = await measure_stretch(store, "", after="", objects_num=100, size_bytes=10**9)
    assert stretch == Stretch("a/b", 2, 6, over=False)
    store = FaultyStore(
        pages, failing("list_page", 1, lambda: StoreError(StoreErrorKind.UNAVAILABLE, "busy"))
    )
    with pytest.raises(StoreError, match="busy"):
        await measure_stretch(store, "", after="", objects_num=100, size_bytes=10**9)


class Contradicting(FaultyStore):
    """Answers what no service may: keys out of order, the same page for ever, empty pages without end."""

    def __init__(self, inner: ObjectStore, pages: list[ListPage]) -> None:
        super().__init__(inner)
        self._pages = pages

    async def list_page(
        self,
        prefix: str,
        *,
        after: str = "",
        marker: str | None = None,
        delimiter: str = "",
        limit: int = 1000,
    ) -> ListPage:
        return self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]


async def test_a_listing_that_contradicts_itself_is_an_error_and_never_an_end() -> None:
    inner = await store_with(ListingOrder.BYTEWISE)
    a, b, *_ = (await inner.list_page("")).objects
    for pages in (
        [ListPage((b, a), None)],
        [ListPage((), "again")],
        [ListPage((), f"m{number}") for number in range(200)],
    ):
        with pytest.raises(StoreError) as caught:
            await measure_stretch(Contradicting(inner, pages), "", after="", objects_num=9, size_bytes=99)
        assert caught.value.kind is StoreErrorKind.MALFORMED
    with pytest.raises(StoreError, match="not asked for"):
        await measure_stretch(
            Contradicting(inner, [ListPage((a,), None)]), "b", after="", objects_num=9, size_bytes=9
        )


async def test_list_files_are_found_page_by_page() -> None:
    keys = ("in/1.txt", "in/2.csv", "in/3.txt", "in/sub/4.TXT", "other.txt")
    store = SmallPages(await store_with(ListingOrder.BYTEWISE, keys), 2)
    found: list[str] = []
    after, over = "", False
    while not over:
        lists = await find_list_files(store, "in/", after=after, limit=100)
        found += lists.keys
        after, over = lists.last, lists.over
    assert found == ["in/1.txt", "in/3.txt", "in/sub/4.TXT"]
    empty = await find_list_files(store, "none/", after="", limit=100)
    assert (empty.keys, empty.over) == ((), True)
