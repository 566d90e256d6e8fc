"""Spans of list files that are split, stopped and gone on with: each line is accounted once."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omsd.domain.events import ShardBatch, ShardEvent, ShardProgress, SpanSplit
from omsd.domain.model import Counters, Outcome
from omsd.domain.shards import Checkpoint, Shard
from omsd.domain.splitting import split_shard
from omsd.engine.settings import EngineSettings
from omsd.ports.objectstore import ObjectStore
from tests.engine.harness import LEASE, SETTINGS, bodies, fill, memory_store
from tests.engine.manifest_harness import Lines, make_run, numbered, put_list, text_of
from tests.engine.test_shard import ODD_KEYS
from tests.fakes.stores import FaultyStore
from tests.waiting import PATIENCE_S


@dataclass
class Crowd:
    """Workers and a ledger in one: shards are split again and again, stopped in between, and go on at their checkpoints."""

    source: ObjectStore
    destination: ObjectStore
    lists: ObjectStore
    rng: random.Random
    stops_left: int
    engine: EngineSettings = replace(SETTINGS, copiers=2, split_objects=1, batch_objects=3)
    shards: list[Shard] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    counters: Counters = Counters()
    splits_num: int = 0

    async def run(self, first: Shard) -> None:
        self.shards = [first]
        while self.shards:
            running, self.shards = self.shards, []
            await asyncio.gather(*map(self._one, running))

    async def _one(self, shard: Shard) -> None:
        current = [shard]
        stop_at = self.rng.randrange(1, 4) if self.stops_left > 0 else 0
        self.stops_left -= 1
        taken = 0

        async def take(event: ShardEvent) -> None:
            nonlocal taken
            if isinstance(event, SpanSplit):
                self.splits_num += 1
                current[0], (draft,) = split_shard(current[0], event)
                self.shards.append(replace(shard, manifest=draft.manifest, checkpoint=Checkpoint()))
                run.split()
            elif isinstance(event, ShardBatch):
                assert event.checkpoint.position > current[0].checkpoint.position
                current[0] = replace(current[0], checkpoint=event.checkpoint)
                self.outcomes += event.outcomes
                self.counters = self.counters.plus(event.counters)
                taken += 1
                if taken == stop_at:
                    run.cut() if self.rng.random() < 0.5 else run.drain()

        run = make_run(self.source, self.destination, self.lists, take, shard, engine=self.engine)
        run.split()
        if not await run.run():
            self.shards.append(replace(current[0], attempt=current[0].attempt + 1))


async def test_a_list_is_split_into_many_and_every_line_is_accounted_once() -> None:
    source, destination, lists = memory_store(), memory_store(), memory_store()
    objects = numbered(600)
    await fill(source, objects)
    crowd = Crowd(source, destination, lists, random.Random(1), stops_left=0)
    await crowd.run(await put_list(lists, text_of(list(objects))))
    assert bodies(destination) == objects
    assert sorted(outcome.key for outcome in crowd.outcomes) == sorted(objects)
    assert crowd.splits_num >= 4


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([*ODD_KEYS, "a", "bb", "missing"]), max_size=60),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.integers(0, 1000).map(random.Random),
    st.integers(0, 6),
)
def test_whatever_is_split_and_stopped_each_line_is_accounted_once(
    keys: list[str], end: str, rng: random.Random, stops: int
) -> None:
    async def check() -> None:
        source, destination, lists = memory_store(), memory_store(), memory_store()
        objects = {key: key.encode() for key in keys if key != "missing"}
        await fill(source, objects)
        crowd = Crowd(source, destination, lists, rng, stops)
        text = text_of(keys, end)
        if text:
            await crowd.run(await put_list(lists, text.removesuffix(end.encode())))
        assert bodies(destination) == objects
        assert sorted(outcome.key for outcome in crowd.outcomes) == sorted(keys)
        assert crowd.counters.listed_num == crowd.counters.accounted_num == len(keys)

    asyncio.run(check())


async def test_a_stopped_span_goes_on_in_the_middle_of_its_file() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    objects = numbered(300)
    await fill(source, objects)
    shard = await put_list(lists, text_of(list(objects)))

    async def drain_soon(event: ShardEvent) -> None:
        await lines.take(event)
        if len(lines.outcomes) > 50:
            run.drain()

    run = make_run(source, destination, lists, drain_soon, shard)
    assert not await run.run()
    first = list(lines.keys())
    assert 50 < len(first) < 300
    read: list[int] = []

    async def note(name: str, nth: int) -> None:
        if name == "read":
            read.append(nth)

    faulty = FaultyStore(source, before=note)
    rest = replace(shard, checkpoint=Checkpoint(lines.position), attempt=2)
    assert await make_run(faulty, destination, lists, lines.take, rest).run()
    assert lines.keys() == list(objects)
    assert len(read) <= 300 - len(first)


async def test_a_second_shard_begins_in_the_middle_of_a_line() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    objects = numbered(3)
    await fill(source, objects)
    shard = await put_list(lists, text_of(list(objects)))
    assert shard.manifest is not None
    for at in range(1, 12):
        lower, (draft,) = split_shard(shard, SpanSplit(LEASE, at))
        lines = Lines()
        assert await make_run(source, destination, lists, lines.take, lower).run()
        assert lines.keys() == list(objects)[:1]
        lines = Lines()
        assert await make_run(
            source, destination, lists, lines.take, replace(shard, manifest=draft.manifest)
        ).run()
        assert lines.keys() == list(objects)[1:]


@pytest.mark.parametrize("how", ["drain", "cut"])
async def test_a_span_whose_window_is_full_still_stops(how: str) -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    await fill(source, numbered(200))
    shard = await put_list(lists, text_of(list(numbered(200))))
    engine = replace(SETTINGS, window_objects=10)
    answered, full = asyncio.Event(), asyncio.Event()

    async def first_lookup_waits(name: str, nth: int) -> None:
        if name == "head" and nth == 1:
            await answered.wait()

    async def take(event: ShardEvent) -> None:
        await lines.take(event)
        live = lines.live.counters
        if live.accounted_num == live.listed_num - 1 == engine.window_objects - 1:
            full.set()

    run = make_run(FaultyStore(source, first_lookup_waits), destination, lists, take, shard, engine=engine)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        running = group.create_task(run.run())
        await full.wait()
        getattr(run, how)()
        answered.set()
    assert running.result() is False
    # The other nine are done, but nobody may count them before the first.
    assert lines.outcomes == []


async def test_a_span_drained_between_two_reads_is_not_over() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    keys = [f"{'deep/' * 180}{number:06}" for number in range(1000)]
    await fill(source, dict.fromkeys(keys, b""))
    shard = await put_list(lists, text_of(keys))
    answered, idle = asyncio.Event(), asyncio.Event()

    async def second_read_waits(name: str, nth: int) -> None:
        if name == "read" and nth == 2:
            await answered.wait()

    async def take(event: ShardEvent) -> None:
        await lines.take(event)
        if isinstance(event, ShardProgress) and lines.outcomes and event.progress.counters == Counters():
            idle.set()

    run = make_run(source, destination, FaultyStore(lists, second_read_waits), take, shard)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        running = group.create_task(run.run())
        await idle.wait()
        run.drain()
        answered.set()
    assert running.result() is False
    assert 0 < len(lines.outcomes) < len(keys)
