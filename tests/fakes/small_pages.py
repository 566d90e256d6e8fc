"""A store that lists in small pages, as some services do, and counts how often it is asked."""

from __future__ import annotations

from omsd.ports.objectstore import ListPage, ObjectStore
from tests.fakes.stores import FaultyStore


class SmallPages(FaultyStore):
    """No page has more than `page_objects` keys, whatever is asked for."""

    def __init__(self, inner: ObjectStore, page_objects: int) -> None:
        super().__init__(inner)
        self._page_objects = page_objects

    async def list_page(
        self,
        prefix: str,
        *,
        after: str = "",
        marker: str | None = None,
        delimiter: str = "",
        limit: int = 1000,
    ) -> ListPage:
        limit = min(limit, self._page_objects)
        return await super().list_page(prefix, after=after, marker=marker, delimiter=delimiter, limit=limit)
