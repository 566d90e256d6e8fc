"""What a range shard still has before it: the lister eats it from below, a split takes its upper part away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from omsd.domain.listing import sort_key
from omsd.domain.shards import Shard
from omsd.ports.objectstore import ListedObject


class Stretch:
    """The keys behind `reached`, up to and including `until` ("" = no end). All in one loop, so no lock.

    first: the first key listed. listed_to: the last key of the newest page. listed_all: no page comes after it.
    page: its keys from `place` on are not taken yet. taken_num: keys taken so far.
    """

    def __init__(self, order: str, shard: Shard) -> None:
        self.order = order
        self.prefix = shard.prefix
        self.until = shard.until
        self._until_key = sort_key(order, shard.until)
        self.reached = self.start = shard.checkpoint.after or shard.after
        self.first = self.listed_to = ""
        self.listed_all = False
        self.page: Sequence[ListedObject] = ()
        self.place = 0
        self.taken_num = 0
        self.over = False
        self.may_split = asyncio.Event()
        self.wanted = False
        self._split_from_num = 0
        self._refusals = 0

    def learn_order(self, order: str) -> None:
        """The order is only sure when the service has been asked what it is."""
        self.order = order
        self._until_key = sort_key(order, self.until)

    def ends_before(self, key: str) -> bool:
        """Does the key belong to another shard?"""
        return bool(self.until) and sort_key(self.order, key) > self._until_key

    def begin_page(self, page: Sequence[ListedObject]) -> None:
        """Keys are taken from this page next."""
        self.page, self.place = page, 0

    def take(self, key: str, number: int = 1) -> None:
        """The next keys up to this one are this shard's from now on: a split cannot give them away."""
        self.reached = key
        self.place += number
        self.taken_num += number

    def note_page(self, first: str, last: str, final: bool) -> None:
        """The lister has got a page."""
        self.first = self.first or first
        self.listed_to, self.listed_all = last, final

    def want_split(self) -> None:
        """Somebody has nothing to do."""
        self.wanted = True

    def consider(self, *, held: bool, after_objects: int) -> None:
        """Wake the splitter if it is time. held: the listing waits for the copying.

        While nothing is copied listing is all there is to do, and every question costs as much as a page: then a stretch is cut
        only when it has turned out to be long.
        """
        if (
            self.wanted
            and self.page
            and self.taken_num >= self._split_from_num + (0 if held else after_objects)
        ):
            self.may_split.set()

    def worth_handing(self, *, objects: int, size_bytes: int) -> str:
        """The middle one of the keys listed and not taken, "" if less than so much is behind it."""
        rest = self.page[self.place :]
        middle = len(rest) // 2
        upper = [entry for entry in rest[middle + 1 :] if not self.ends_before(entry.key)]
        enough = len(upper) >= objects or sum(entry.size_bytes for entry in upper) >= size_bytes
        return rest[middle].key if upper and enough else ""

    def lies_ahead(self, key: str) -> bool:
        """Can the stretch be cut behind this key?"""
        return (
            not self.over
            and key.startswith(self.prefix)
            and self._before(self.reached or self.prefix, key)
            and (not self.until or self._before(key, self.until))
        )

    def cut(self, key: str) -> None:
        """What is behind the key is no longer ours."""
        self.until = key
        self._until_key = sort_key(self.order, key)
        self.wanted = False
        self._split_from_num, self._refusals = self.taken_num, 0

    def keep(self) -> None:
        """There was nothing to give away: it is tried again a page further on, each time later."""
        self._split_from_num = self.taken_num + len(self.page) * 2**self._refusals
        self._refusals += 1

    def end(self) -> None:
        """Nothing of it is left."""
        self.over = True
        self.may_split.set()

    def _before(self, first: str, second: str) -> bool:
        return sort_key(self.order, first) < sort_key(self.order, second)
