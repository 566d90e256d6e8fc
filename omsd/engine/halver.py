"""Finds keys at which a stretch of unknown keys can be cut, by asking the listing what comes behind a guess."""

from __future__ import annotations

from collections.abc import Sequence

from omsd.domain.errors import StoreError
from omsd.domain.halving import behind, learn_alphabet, middle_of, shared_length
from omsd.domain.listing import sort_key
from omsd.engine.stretch import Stretch
from omsd.ports.objectstore import ListedObject, ListPage, ObjectStore

# Questions for one cut; a stretch that needs more is listed by one worker a while longer.
_MOST_QUESTIONS = 16
_MOST_MIDDLES = 3
# More than such a page must be behind a cut, or it is moved down.
_FULL_PAGE = 1000


class Halver:
    """Each boundary it gives is a key that the listing has answered: every service can list behind it, whatever its order."""

    def __init__(self, store: ObjectStore, stretch: Stretch) -> None:
        self._store = store
        self._stretch = stretch
        self._order = store.abilities.listing_order
        self._questions = 0

    async def boundaries(self, seen: Sequence[ListedObject]) -> tuple[str, ...]:
        """One or two keys in order behind what is listed; none if nothing was found. seen: keys of the newest pages.

        Two if the end was not known: a middle, and a key near the end, so that the next cuts need not look for the end again.
        """
        stretch = self._stretch
        low = stretch.listed_to
        alphabet = learn_alphabet(
            self._order, [entry.key for entry in seen] + [stretch.until], skip=len(stretch.prefix)
        )
        try:
            far = stretch.until or await self._far_key(low, alphabet)
            if not far:
                return ()
            middle = await self._middle_key(low, far, alphabet)
        except StoreError:
            # The lister asks the same service, and knows what to do about its errors.
            return ()
        found = [key for key in (middle, "" if stretch.until else far) if key]
        return tuple(dict.fromkeys(found))

    async def _middle_key(self, low: str, high: str, alphabet: tuple[str, ...]) -> str:
        """A key with a page of others behind it and before `high`; "" if there is none in sight."""
        guess_high = high
        for _ in range(_MOST_MIDDLES):
            guess = middle_of(self._order, low, guess_high, alphabet)
            if not guess:
                break
            page = await self._ask(guess, _FULL_PAGE)
            keys = [entry.key for entry in page.objects]
            more = page.next_marker is not None and keys and self._in_order(keys[-1], high)
            if more and self._in_order(low, keys[0]):
                return keys[0]
            guess_high = guess
        return ""

    async def _far_key(self, low: str, alphabet: tuple[str, ...]) -> str:
        """An existing key in the last part of the stretch; "" if nothing is behind `low`.

        The place where a key behind `low` differs from it first is looked for by halving: keys behind all that share low[:n] exist
        only up to some n. At that place the largest character with a key is looked for in the same way.
        """
        at_least, at_most = len(self._stretch.prefix), len(low)
        place = min(shared_length(self._stretch.first, low), at_most - 1)
        far = ""
        while at_least < at_most:
            found = await self._first_behind(low[: place + 1])
            if found:
                far, at_most = found, place
            else:
                at_least = place + 1
            place = (at_least + at_most) // 2
        if not far:
            return ""
        stem = low[:at_most]
        higher = [each for each in alphabet if self._in_order(far[: at_most + 1], stem + each)]
        first, last = 0, len(higher)
        while first < last:
            middle = (first + last) // 2
            found = await self._first_from(stem + higher[middle])
            if found:
                far, first = found, middle + 1
            else:
                last = middle
        return far

    async def _first_behind(self, prefix: str) -> str:
        guess = behind(self._order, prefix)
        return await self._first_from(guess) if guess else ""

    async def _first_from(self, guess: str) -> str:
        """The first key behind the guess, if the stretch has one there."""
        keys = [entry.key for entry in (await self._ask(guess, 1)).objects]
        if not keys or not self._in_order(guess, keys[0]) or not self._stretch.lies_ahead(keys[0]):
            return ""
        return keys[0]

    async def _ask(self, after: str, limit: int) -> ListPage:
        self._questions += 1
        if self._questions > _MOST_QUESTIONS:
            return ListPage((), None)
        return await self._store.list_page(self._stretch.prefix, after=after, limit=limit)

    def _in_order(self, first: str, second: str) -> bool:
        return sort_key(self._order, first) < sort_key(self._order, second)
