"""Ranges that are split while they run, again and again: all keys, each once, whatever the keys and the order."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.events import ShardBatch, ShardEvent, ShardSplit
from omsd.domain.listing import sort_key
from omsd.domain.model import Counters, OutcomeKind, ShardId
from omsd.domain.plan import plan_split
from omsd.domain.shards import Shard
from omsd.engine.settings import EngineSettings
from omsd.ports.objectstore import ListingOrder, ObjectStore
from tests.engine.harness import SETTINGS, Report, bodies, fill, make_run, memory_store, range_shard, spec
from tests.engine.test_shard import ODD_KEYS
from tests.fakes.small_pages import SmallPages
from tests.fakes.stores import FaultyStore, failing

EAGER = replace(SETTINGS, split_after_objects=0, copiers=2)
KEYS = st.sets(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6) | st.sampled_from(ODD_KEYS),
    max_size=40,
)


@dataclass
class Crowd:
    """Workers that always want more: every shard is asked to split at once, and what it gives away runs as well."""

    source: ObjectStore
    destination: ObjectStore
    engine: EngineSettings = EAGER
    shards: list[Shard] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    kinds: set[OutcomeKind] = field(default_factory=set)
    counters: Counters = Counters()
    splits_num: int = 0

    async def run(self, first: Shard) -> None:
        self.shards = [first]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._one(first, group))

    async def _one(self, shard: Shard, group: asyncio.TaskGroup) -> None:
        report = Report()
        current = [shard]

        async def take(event: ShardEvent) -> None:
            if isinstance(event, ShardSplit):
                self.splits_num += 1
                current[0], drafts = plan_split(current[0], event.boundaries)
                for draft in drafts:
                    new = replace(
                        current[0],
                        shard_id=ShardId(len(self.shards) + 1),
                        after=draft.after,
                        until=draft.until,
                        checkpoint=type(shard.checkpoint)(),
                    )
                    self.shards.append(new)
                    group.create_task(self._one(new, group))
                run.split()
            elif isinstance(event, ShardBatch):
                self.outcomes += [outcome.key for outcome in event.outcomes]
                self.kinds |= {outcome.kind for outcome in event.outcomes}
                self.counters = self.counters.plus(event.counters)

        run = make_run(self.source, self.destination, report, shard=shard, settings=self.engine)
        run._emit = take
        run.split()
        assert await run.run()


def numbered(count: int, stem: str = "obj-") -> dict[str, bytes]:
    return {f"{stem}{number:06}": b"x" for number in range(count)}


def foldered(count: int) -> dict[str, bytes]:
    return {f"20{n % 7:02}/{n % 12:02}/{n % 5}/log-{n}.gz": b"y" for n in range(count)}


def hashed(count: int) -> dict[str, bytes]:
    rng = random.Random(5)
    return {f"{rng.randrange(16**8):08x}/é{n}": b"z" for n in range(count)}


@pytest.mark.parametrize("order", list(ListingOrder))
@pytest.mark.parametrize("make", [numbered, foldered, hashed])
async def test_a_range_is_split_into_many_and_every_object_is_accounted_once(
    order: ListingOrder, make: object
) -> None:
    source, destination = memory_store(listing_order=order), memory_store(listing_order=order)
    objects = make(600)  # type: ignore[operator]
    await fill(source, objects)
    crowd = Crowd(SmallPages(source, 20), SmallPages(destination, 20))
    await crowd.run(range_shard())
    assert bodies(destination) == objects
    assert sorted(crowd.outcomes) == sorted(objects)
    assert crowd.counters.listed_num == crowd.counters.accounted_num == len(objects)
    assert crowd.splits_num >= 4
    # Nobody got nearly everything: the cuts are somewhere in the middle.
    sizes = [sum(_holds(order, shard, key) for key in objects) for shard in crowd.shards[1:]]
    assert max(sizes) < 500


def _holds(order: str, shard: Shard, key: str) -> bool:
    behind = not shard.after or sort_key(order, key) > sort_key(order, shard.after)
    return behind and (not shard.until or sort_key(order, key) <= sort_key(order, shard.until))


@settings(max_examples=60, deadline=None)
@given(KEYS, st.sampled_from(ListingOrder), st.integers(1, 5), st.sampled_from(["", "a", "a/", "\U0001f600"]))
def test_whatever_the_keys_each_is_accounted_once(
    keys: set[str], order: ListingOrder, page_objects: int, prefix: str
) -> None:
    async def check() -> None:
        source, destination = memory_store(listing_order=order), memory_store(listing_order=order)
        objects = {prefix + key: key.encode() for key in keys}
        await fill(source, objects)
        crowd = Crowd(SmallPages(source, page_objects), SmallPages(destination, page_objects))
        await crowd.run(range_shard(prefix=prefix))
        assert bodies(destination) == objects
        assert sorted(crowd.outcomes) == sorted(objects)

    asyncio.run(check())


@settings(max_examples=60, deadline=None)
@given(KEYS, st.sampled_from(ListingOrder), st.data())
def test_at_whatever_keys_a_range_is_cut_the_pieces_are_the_whole(
    keys: set[str], order: ListingOrder, data: st.DataObject
) -> None:
    ordered = sorted(keys, key=lambda key: sort_key(order, key))
    cuts = data.draw(st.sets(st.sampled_from(ordered), max_size=6)) if ordered else set()

    async def check() -> None:
        source, destination = memory_store(listing_order=order), memory_store(listing_order=order)
        await fill(source, dict.fromkeys(keys, b"x"))
        pieces = [range_shard()]
        if cuts:
            kept, drafts = plan_split(pieces[0], sorted(cuts, key=lambda key: sort_key(order, key)))
            pieces = [kept, *(range_shard(after=draft.after, until=draft.until) for draft in drafts)]
        seen: list[str] = []
        for piece in pieces:
            report = Report()
            assert await make_run(
                SmallPages(source, 3), SmallPages(destination, 3), report, shard=piece
            ).run()
            seen += [outcome.key for outcome in report.outcomes]
        assert seen == ordered

    asyncio.run(check())


async def test_a_pass_without_changes_costs_two_lists_per_page_and_little_more() -> None:
    objects = numbered(5000)
    source, destination = memory_store(), memory_store()
    await fill(source, objects)
    await Crowd(source, destination, EngineSettings(report_interval_s=0.01)).run(range_shard())
    listing = (SmallPages(source, 100), SmallPages(destination, 100))
    crowd = Crowd(*listing, replace(SETTINGS, split_after_objects=400))
    await crowd.run(range_shard())
    assert crowd.kinds == {OutcomeKind.SKIPPED}
    assert crowd.counters.skipped_num == 5000
    assert crowd.splits_num >= 2
    calls = [store.calls for store in listing]
    assert sum(call["head"] for call in calls) == 0
    # 50 pages at each end; every cut costs its questions and a page begun on either side of it.
    assert 100 <= sum(call["list_page"] for call in calls) <= 100 + 16 + 6 * crowd.splits_num


async def test_a_short_listing_is_asked_for_once_however_much_others_want() -> None:
    source, destination = FaultyStore(memory_store()), FaultyStore(memory_store())
    await fill(source, numbered(200))
    crowd = Crowd(source, destination, SETTINGS)
    await crowd.run(range_shard())
    assert (source.calls["list_page"], destination.calls["list_page"], crowd.splits_num) == (1, 1, 0)


async def test_large_objects_behind_those_at_work_are_given_away_without_asking() -> None:
    source, destination = FaultyStore(memory_store()), memory_store()
    await fill(source, {key: bytes(4096) for key in numbered(60)})
    crowd = Crowd(source, destination, replace(EAGER, lead_objects=4, lead_bytes=4096, split_bytes=8 * 4096))
    await crowd.run(range_shard())
    assert crowd.splits_num >= 2
    assert len(crowd.outcomes) == 60
    assert source.calls["list_page"] == len(crowd.shards)


async def test_a_listing_that_cannot_be_asked_is_not_split_and_nothing_is_lost() -> None:
    inner = memory_store()
    await fill(inner, numbered(300))
    source = SmallPages(inner, 20)

    async def refuse_questions(name: str, number: int) -> None:
        if name == "list_page" and number > 3 and number % 2:
            raise StoreError(StoreErrorKind.UNAVAILABLE, "busy", status=503)

    source._before = refuse_questions
    destination = memory_store()
    crowd = Crowd(source, destination)
    await crowd.run(range_shard())
    assert bodies(destination) == numbered(300)
    assert len(crowd.outcomes) == 300


async def test_a_drained_range_that_was_split_goes_on_within_its_new_end() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, numbered(400))
    given_away: list[str] = []

    async def take(event: ShardEvent) -> None:
        if isinstance(event, ShardSplit):
            given_away.extend(event.boundaries)
            run.drain()
        else:
            await report.take(event)

    run = make_run(SmallPages(source, 20), destination, report, settings=EAGER)
    run._emit = take
    run.split()
    assert not await run.run()
    assert given_away
    assert report.checkpoint.after < given_away[0]
    kept, drafts = plan_split(replace(range_shard(), checkpoint=report.checkpoint), given_away)
    again = Report(checkpoint=report.checkpoint)
    assert await make_run(source, destination, again, shard=kept, task=spec()).run()
    assert again.outcomes[-1].key == given_away[0]
    assert drafts[0].after == given_away[0]


async def test_the_listing_errors_of_a_question_do_not_end_the_shard() -> None:
    inner = memory_store()
    await fill(inner, numbered(100))
    source = FaultyStore(
        SmallPages(inner, 10),
        failing("list_page", 2, lambda: StoreError(StoreErrorKind.NETWORK, "reset"), times=2),
    )
    crowd = Crowd(source, memory_store())
    await crowd.run(range_shard())
    assert len(crowd.outcomes) == 100
