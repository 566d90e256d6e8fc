"""Measures a stretch of a bucket, key by key, without keeping any of them. Nothing is copied here."""

from __future__ import annotations

import asyncio

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.group_plan import Lists, Stretch
from omsd.domain.manifest import is_list_name
from omsd.engine.lister import checked_page
from omsd.ports.objectstore import ListPage, ObjectStore

# An answer comes after about this long, whatever is still to be measured: it is a step that need not be repeated after a crash.
STEP_S = 3.0
# A service may send empty pages, but not without end.
_MAX_EMPTY_PAGES = 100


async def measure_stretch(
    store: ObjectStore, prefix: str, *, after: str, objects_num: int, size_bytes: int
) -> Stretch:
    """The keys with the prefix behind `after`, until so many objects or so many bytes are found, or STEP_S have passed.

    Raises StoreError if not a single page was listed; an error later on ends the stretch before it.
    """
    await store.check()  # learns the listing order
    began_s = asyncio.get_running_loop().time()
    last, found_num, found_size = after, 0, 0
    marker: str | None = None
    empty_num = 0
    while True:
        try:
            page, before = await _page(store, prefix, after, marker), last
            last = checked_page(page, store.abilities.listing_order, prefix, last)
        except StoreError:
            if not found_num:
                raise
            return Stretch(last, found_num, found_size, over=False)
        for entry in page.objects:
            if found_num >= objects_num or found_size >= size_bytes:
                return Stretch(before, found_num, found_size, over=False)
            found_num, found_size, before = found_num + 1, found_size + entry.size_bytes, entry.key
        if page.next_marker is None:
            return Stretch(last, found_num, found_size, over=True)
        late = asyncio.get_running_loop().time() - began_s >= STEP_S
        if found_num >= objects_num or found_size >= size_bytes or (late and found_num):
            return Stretch(last, found_num, found_size, over=False)
        empty_num = 0 if page.objects else empty_num + 1
        _check_progress(prefix, empty_num)
        marker = page.next_marker


async def find_list_files(store: ObjectStore, folder: str, *, after: str, limit: int) -> Lists:
    """Up to about `limit` list files below the folder, behind `after`; a page is never cut. Raises StoreError."""
    await store.check()
    order = store.abilities.listing_order
    found: list[str] = []
    last = after
    marker: str | None = None
    empty_num = 0
    while True:
        page = await _page(store, folder, after, marker, limit=limit)
        last = checked_page(page, order, folder, last)
        found += [entry.key for entry in page.objects if is_list_name(entry.key)]
        if page.next_marker is None:
            return Lists(tuple(found), last, over=True)
        if found:
            return Lists(tuple(found), last, over=False)
        empty_num = 0 if page.objects else empty_num + 1
        _check_progress(folder, empty_num)
        marker = page.next_marker


async def _page(
    store: ObjectStore, prefix: str, after: str, marker: str | None, *, limit: int = 1000
) -> ListPage:
    page = await store.list_page(prefix, after=after, marker=marker, limit=limit)
    if page.next_marker is not None and page.next_marker == marker:
        raise StoreError(StoreErrorKind.MALFORMED, f"the listing of {prefix!r} gives the same page again")
    return page


def _check_progress(prefix: str, empty_num: int) -> None:
    if empty_num > _MAX_EMPTY_PAGES:
        raise StoreError(
            StoreErrorKind.MALFORMED, f"the listing of {prefix!r} goes on without naming anything"
        )
