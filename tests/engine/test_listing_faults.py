"""A listing that contradicts itself is an error, never an end: no key is left out and called done."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.engine.context import ShardFailedError
from omsd.ports.objectstore import ListedObject, ListPage, PutOptions
from tests.engine.harness import Report, fill, make_run, memory_store, range_shard
from tests.fakes.stores import FaultyStore

Page = tuple[Sequence[str], str | None]


class ScriptedListing(FaultyStore):
    """Answers each listing with the next page of the script, then with its last one for ever; "!" is a page cut short."""

    def __init__(self, pages: Sequence[Page]) -> None:
        super().__init__(memory_store())
        self._pages = list(pages)
        self.asked: list[str | None] = []

    async def list_page(
        self,
        prefix: str,
        *,
        after: str = "",
        marker: str | None = None,
        delimiter: str = "",
        limit: int = 1000,
    ) -> ListPage:
        self.asked.append(marker)
        keys, following = self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]
        if "!" in keys:
            raise StoreError(StoreErrorKind.MALFORMED, "the page ends in the middle of a key")
        return ListPage([ListedObject(key, 1, 1.0, "e") for key in keys], following)


FAULTS: dict[str, list[Page]] = {
    "the same page again": [(["a", "b"], "m1"), (["a", "b"], "m2")],
    "the same marker again": [(["a"], "m1"), (["b"], "m1")],
    "backwards": [(["c", "d"], "m1"), (["a", "b"], None)],
    "a key twice": [(["a", "a"], None)],
    "a circle of empty pages": [([], "m1"), ([], "m2"), ([], "m1"), ([], "m2"), ([], "m1")],
    "cut short": [(["a"], "m1"), (["!"], None)],
    "keys nobody asked for": [(["a", "zz/1"], None)],
}


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "keys nobody asked for"])
async def test_a_source_listing_that_is_wrong_fails_the_shard(fault: str) -> None:
    report = Report()
    with pytest.raises(ShardFailedError) as caught:
        await make_run(ScriptedListing(FAULTS[fault]), memory_store(), report).run()
    assert not caught.value.decisive


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "keys nobody asked for"])
async def test_a_destination_listing_that_is_wrong_fails_the_shard(fault: str) -> None:
    source, report = memory_store(), Report()
    await fill(source, {f"{number}": b"x" for number in range(5)} | {"e": b"x"})
    with pytest.raises(ShardFailedError):
        await make_run(source, ScriptedListing(FAULTS[fault]), report).run()


async def test_keys_without_the_prefix_are_not_taken() -> None:
    source, destination = ScriptedListing(FAULTS["keys nobody asked for"]), memory_store()
    with pytest.raises(ShardFailedError, match="not asked for"):
        await make_run(source, destination, Report(), shard=range_shard(prefix="a")).run()
    assert "zz/1" not in destination.objects


async def test_empty_pages_on_the_way_are_no_end() -> None:
    pages: list[Page] = [([], "m1"), ([], "m2"), (["a"], "m3"), ([], "m1"), (["b"], None)]
    source, report = ScriptedListing(pages), Report()
    for key in "ab":
        await source._inner.put(key, b"x", 1, PutOptions())
    assert await make_run(source, memory_store(), report).run()
    assert [outcome.key for outcome in report.outcomes] == ["a", "b"]
