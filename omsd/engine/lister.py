"""Paged listings that run ahead by a page, and the merge of a source listing with a destination listing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omsd.aio import ClosableQueue, QueueClosedError
from omsd.domain.errors import Side, StoreError, StoreErrorKind, failure_of
from omsd.domain.listing import sort_key
from omsd.engine.context import ShardContext, ShardFailedError
from omsd.ports.objectstore import ListedObject, ListPage, ObjectStore

Pages = ClosableQueue[Sequence[ListedObject]]
# (first key, last key, is it the last page)
NotePage = Callable[[str, str, bool], None]

# One page is worked on, one waits, one is being fetched.
PAGES_AHEAD = 1


async def list_into(
    pages: Pages,
    ctx: ShardContext,
    side: Side,
    *,
    prefix: str,
    after: str,
    until: Callable[[], str],
    note: NotePage | None = None,
) -> None:
    """Put every page of the listing behind `after` into the queue, then close it.

    Stops by itself when the queue was closed by its reader, and behind until() ("" = to the end), which may come nearer meanwhile.
    note: hears of each page before it is queued. Raises ShardFailedError if the listing cannot be completed, StoreError if it
    contradicts itself: an incomplete listing is never an end.
    """
    store = ctx.store_at(side)
    order = store.abilities.listing_order
    marker: str | None = None
    last = after
    # Of empty pages in a row: a service may send some, but not the same again.
    markers: set[str] = set()
    try:
        while True:
            page = await _page(store, ctx, side, prefix=prefix, after=after, marker=marker)
            last = checked_page(page, order, prefix, last)
            end = until()
            final = page.next_marker is None or bool(end and sort_key(order, last) >= sort_key(order, end))
            if note is not None and page.objects:
                note(page.objects[0].key, last, final)
            await pages.put(page.objects)
            if final or page.next_marker is None:
                return
            marker = page.next_marker
            if page.objects:
                markers.clear()
            elif marker in markers:
                raise StoreError(
                    StoreErrorKind.MALFORMED, f"the listing of {prefix!r} goes round in a circle", side=side
                )
            markers.add(marker)
    except QueueClosedError:
        return
    finally:
        pages.close()


async def _page(
    store: ObjectStore, ctx: ShardContext, side: Side, *, prefix: str, after: str, marker: str | None
) -> ListPage:
    attempt = 0
    while True:
        try:
            page = await store.list_page(prefix, after=after, marker=marker)
            if page.next_marker is not None and page.next_marker == marker:
                raise StoreError(
                    StoreErrorKind.MALFORMED, f"the listing of {prefix!r} gives the same page again"
                )
            return page
        except StoreError as error:
            error.side = side
            await ctx.raise_if_decisive(error)
            attempt += 1
            if not await ctx.backed_off(error, attempt):
                decisive = error.kind is StoreErrorKind.PERMISSION
                raise ShardFailedError(failure_of(error, side), decisive=decisive) from error


def checked_page(page: ListPage, order: str, prefix: str, last: str) -> str:
    """The page's last key. Raises if a key does not come after the one before: what follows could be skipped or done twice."""
    previous = sort_key(order, last)
    for entry in page.objects:
        if not entry.key.startswith(prefix):
            raise StoreError(
                StoreErrorKind.MALFORMED,
                f"the listing of {prefix!r} names {entry.key!r}, which was not asked for",
            )
        current = sort_key(order, entry.key)
        if current <= previous and last:
            raise StoreError(
                StoreErrorKind.MALFORMED, f"the listing is out of order: {entry.key!r} comes after {last!r}"
            )
        previous, last = current, entry.key
    return last


class TargetCursor:
    """Walks the destination's listing in step with the source's: keys must be asked for in listing order."""

    def __init__(self, pages: Pages, order: str) -> None:
        self._pages = pages
        self._order = order
        self._objects: Sequence[ListedObject] = ()
        self._next = 0
        self._over = False

    async def find(self, key: str) -> ListedObject | None:
        """The entry of that key, None if the destination has none."""
        wanted = sort_key(self._order, key)
        while True:
            objects = self._objects
            while self._next < len(objects):
                entry = objects[self._next]
                current = sort_key(self._order, entry.key)
                if current > wanted:
                    return None
                self._next += 1
                if current == wanted:
                    return entry
            if self._over:
                return None
            try:
                self._objects, self._next = await self._pages.get(), 0
            except QueueClosedError:
                self._over = True
