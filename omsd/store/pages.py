"""Pages of tasks that were read since the last write: many callers ask for the same lists, and between two commits they are the same."""

from __future__ import annotations

from omsd.domain.model import Task
from omsd.ports.taskstore import TaskQuery

Page = tuple[tuple[Task, ...], int]

MAX_PAGES = 32
# A task may name 500 keys of a kilobyte; pages of such tasks are not worth their memory.
MAX_KEYS = 1000


class PageCache:
    """Holds no page that was read before a write, or while one was under way."""

    def __init__(self) -> None:
        self._pages: dict[TaskQuery, Page] = {}
        self._writes_num = 0

    @property
    def moment(self) -> int:
        """To be asked before a page is read, for keep()."""
        return self._writes_num

    def get(self, query: TaskQuery) -> Page | None:
        """The page as it is stored now."""
        return self._pages.get(query)

    def keep(self, query: TaskQuery, page: Page, moment: int) -> None:
        """The page was read, from the moment on; it is forgotten if something was written meanwhile."""
        if moment != self._writes_num or sum(len(task.spec.object_keys) for task in page[0]) > MAX_KEYS:
            return
        if len(self._pages) >= MAX_PAGES:
            del self._pages[next(iter(self._pages))]
        self._pages[query] = page

    def forget(self) -> None:
        """Something is about to be written, or has been: call it at both ends of a write."""
        self._writes_num += 1
        self._pages.clear()
