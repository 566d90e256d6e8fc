"""One level of a bucket at a time, as people look through it. Nothing is copied here."""

from __future__ import annotations

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.listing import in_order, sort_key
from omsd.domain.questions import FolderEntry, FolderPage
from omsd.ports.objectstore import ListingOrder, ListPage, ObjectStore

SEPARATOR = "/"
# A service may send empty pages, but an answer to a person comes soon or not at all.
_MAX_PAGES = 100


async def list_folder(store: ObjectStore, folder: str, *, behind: str, limit: int) -> FolderPage:
    """The next entries directly below the folder, at most `limit`, in the store's listing order.

    behind: the last name of the page before; it need not exist any more. The folder itself is no entry. Raises StoreError.
    """
    await store.check()  # learns the listing order
    order = store.abilities.listing_order
    found: dict[str, FolderEntry] = {}
    if order is ListingOrder.DIRECTORY and behind and not behind.endswith(SEPARATOR):
        # There a listing behind the key `a` begins behind the folder `a/` too, which comes directly after it.
        twin = behind + SEPARATOR
        if await has_prefix(store, twin):
            found[twin] = FolderEntry(twin, None)
    marker: str | None = None
    for _ in range(_MAX_PAGES):
        # One more tells whether there is more; another, because a service may begin with the folder that was the last name.
        page = await store.list_page(
            folder, after=behind, marker=marker, delimiter=SEPARATOR, limit=limit + 2
        )
        for entry in _entries(page):
            if entry.name != folder and (not behind or in_order(order, behind, entry.name)):
                found[entry.name] = entry
        marker = page.next_marker
        if marker is None or len(found) > limit:
            break
    else:
        raise StoreError(StoreErrorKind.MALFORMED, f"the listing of {folder!r} does not come to an end")
    entries = sorted(found.values(), key=lambda entry: sort_key(order, entry.name))
    return FolderPage(tuple(entries[:limit]), len(entries) > limit or marker is not None)


async def has_prefix(store: ObjectStore, prefix: str) -> bool:
    """Does any key begin with this? Raises StoreError."""
    marker: str | None = None
    for _ in range(_MAX_PAGES):
        page = await store.list_page(prefix, marker=marker, limit=1)
        if page.objects:
            return True
        marker = page.next_marker
        if marker is None:
            return False
    raise StoreError(StoreErrorKind.MALFORMED, f"the listing of {prefix!r} does not come to an end")


def _entries(page: ListPage) -> list[FolderEntry]:
    objects = [FolderEntry(entry.key, entry.size_bytes) for entry in page.objects]
    return objects + [FolderEntry(prefix, None) for prefix in page.common_prefixes]
