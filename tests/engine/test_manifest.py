"""Spans of object list files on stores in memory: every line once, whatever is split, stopped, changed or unreadable."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.events import ShardBatch, ShardEvent, ShardProgress, SpanSplit
from omsd.domain.model import (
    Counters,
    LiveProgress,
    Outcome,
    OutcomeKind,
    OverwriteMode,
    ShardId,
    TaskId,
    TaskSpec,
)
from omsd.domain.shards import Checkpoint, ManifestSpan, Shard, ShardKind
from omsd.domain.splitting import split_shard
from omsd.engine.context import ShardFailedError
from omsd.engine.manifest import SpanAccount
from omsd.engine.settings import EngineSettings
from omsd.engine.shard import Emit, ShardRun
from omsd.engine.stream import Meter
from omsd.ports.objectstore import ObjectStore, PutOptions, Reading
from tests.engine.harness import LEASE, SETTINGS, Report, bodies, fill, make_context, memory_store, spec
from tests.engine.test_shard import ODD_KEYS
from tests.fakes.stores import FaultyStore, failing
from tests.waiting import PATIENCE_S

LIST = "lists/all.txt"
FAILED, SUCCESS, SKIPPED = OutcomeKind.FAILED, OutcomeKind.SUCCESS, OutcomeKind.SKIPPED


@dataclass
class Lines:
    """What a run told of its lines. Checks on the way that checkpoints only go forward."""

    outcomes: list[Outcome] = field(default_factory=list)
    counters: Counters = Counters()
    position: int = 0
    live: LiveProgress = LiveProgress()
    splits: list[int] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)

    async def take(self, event: ShardEvent) -> None:
        if isinstance(event, ShardBatch):
            assert event.checkpoint.position > self.position
            assert event.checkpoint.after == ""
            self.position = event.checkpoint.position
            self.outcomes += event.outcomes
            self.deferred += event.deferred
            self.counters = self.counters.plus(event.counters)
        elif isinstance(event, ShardProgress):
            self.live = event.progress
        elif isinstance(event, SpanSplit):
            self.splits.append(event.at)

    def told(self) -> list[tuple[str, OutcomeKind, str]]:
        return [(outcome.key, outcome.kind, outcome.error_code) for outcome in self.outcomes]

    def keys(self) -> list[str]:
        return [outcome.key for outcome in self.outcomes]


async def put_list(
    lists: ObjectStore, text: bytes, content_type: str = "text/plain", **options: object
) -> Shard:
    """The list is stored; the shard of all of it."""
    receipt = await lists.put(LIST, text, len(text), PutOptions(content_type=content_type, **options))  # type: ignore[arg-type]
    span = ManifestSpan(LIST, receipt.etag, len(text), 0, len(text))
    return Shard(ShardId(1), TaskId(1), 1, ShardKind.MANIFEST, attempt=1, manifest=span)


def make_run(
    source: ObjectStore,
    destination: ObjectStore,
    lists: ObjectStore,
    take: Emit,
    shard: Shard,
    *,
    task: TaskSpec | None = None,
    engine: EngineSettings = SETTINGS,
) -> ShardRun:
    redo_since_s = 0.0 if shard.attempt > 1 else None
    context = make_context(
        source, destination, Report(), task=task, settings=engine, redo_since_s=redo_since_s
    )
    context.lists = lists
    return ShardRun(LEASE, shard, context, (), take)


def text_of(keys: list[str], end: str = "\n") -> bytes:
    return "".join(quote(key) + end for key in keys).encode()


def numbered(count: int) -> dict[str, bytes]:
    return {f"many/{number:05}": b"x" * (number % 50) for number in range(count)}


async def test_what_the_lines_name_is_migrated_and_nothing_else() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    objects = {key: key.encode() * 3 for key in [*ODD_KEYS, "k" * 1024, *numbered(30)]}
    await fill(source, objects | {"not/named": b"no"})
    shard = await put_list(lists, text_of(list(objects)))
    assert await make_run(source, destination, lists, lines.take, shard).run()
    assert bodies(destination) == objects
    assert lines.keys() == list(objects)
    size = sum(map(len, objects.values()))
    assert lines.counters == Counters(len(objects), size, len(objects), 0, 0, size, 0, 0)
    assert lines.live == LiveProgress(moved_total_bytes=size, listing_over=True)


async def test_every_kind_of_line_has_its_own_end() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    await fill(source, {"a b": b"1", "c": b"22", "last": b"333"})
    text = b"\xef\xbb\xbfa%20b\r\n\r\n\n  \nmissing\nbad%zz\nnot%ffutf8\nc\nc\r\n" + b"x" * 1025 + b"\nlast"
    shard = await put_list(lists, text)
    assert await make_run(source, destination, lists, lines.take, shard).run()
    assert bodies(destination) == {"a b": b"1", "c": b"22", "last": b"333"}
    again = [kind for key, kind, _ in lines.told() if key == "c"]
    assert again[0] in (SUCCESS, SKIPPED)
    assert [told for told in lines.told() if told[0] != "c"] == [
        ("a b", SUCCESS, ""),
        ("  ", FAILED, "TRF.0156"),
        ("missing", FAILED, "TRF.0156"),
        ("bad%zz", FAILED, "TRF.0014"),
        ("not%ffutf8", FAILED, "TRF.0014"),
        ("x" * 1025, FAILED, "TRF.0060"),
        ("last", SUCCESS, ""),
    ]
    assert len(again) == 2
    assert lines.counters.listed_num == lines.counters.accounted_num == 9
    assert lines.position == len(text)


@pytest.mark.parametrize("mode", list(OverwriteMode))
async def test_overwrite_modes_are_as_for_any_task(mode: OverwriteMode) -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    await fill(source, {"same": b"new", "other": b"longer", "none": b"x"})
    await fill(destination, {"same": b"old", "other": b"short"})
    shard = await put_list(lists, text_of(["same", "other", "none"]))
    await make_run(
        source, destination, lists, lines.take, shard, task=replace(spec_of_all(), overwrite_mode=mode)
    ).run()
    wanted = {
        OverwriteMode.SIZE_LAST_MODIFIED: {"same": b"old", "other": b"longer"},
        OverwriteMode.NO_OVERWRITE: {"same": b"old", "other": b"short"},
        OverwriteMode.CRC64: {"same": b"new", "other": b"longer"},
        OverwriteMode.FULL_OVERWRITE: {"same": b"new", "other": b"longer"},
    }[mode]
    assert bodies(destination) == wanted | {"none": b"x"}
    assert lines.counters.listed_num == lines.counters.accounted_num == 3


def spec_of_all() -> TaskSpec:
    return make_context(memory_store(), memory_store(), Report()).spec


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


async def test_sizes_are_known_before_the_bytes_are_copied() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    objects = numbered(100)
    await fill(source, objects)
    shard = await put_list(lists, text_of(list(objects)))
    opened, known = asyncio.Event(), asyncio.Event()

    async def wait(name: str, nth: int) -> None:
        if name == "read":
            await opened.wait()

    async def take(event: ShardEvent) -> None:
        await lines.take(event)
        if lines.live.listing_over:
            known.set()

    run = make_run(FaultyStore(source, before=wait), destination, lists, take, shard)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run.run())
        async with asyncio.timeout(PATIENCE_S):
            await known.wait()
        assert lines.live.counters.listed_num == 100
        assert lines.live.counters.listed_size_bytes == sum(map(len, objects.values()))
        assert lines.outcomes == []
        opened.set()
    assert running.result()
    assert lines.live.counters == Counters()


async def test_the_listing_is_not_over_while_objects_are_being_looked_up() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    await fill(source, numbered(20))
    shard = await put_list(lists, text_of(list(numbered(20))))
    opened = asyncio.Event()
    progress: list[LiveProgress] = []

    async def wait(name: str, nth: int) -> None:
        if name == "head" and nth == 20:
            await opened.wait()

    async def take(event: ShardEvent) -> None:
        await lines.take(event)
        if isinstance(event, ShardProgress) and not opened.is_set():
            progress.append(event.progress)
            if len(lines.outcomes) == 19:
                opened.set()

    run = make_run(FaultyStore(source, before=wait), destination, lists, take, shard)
    assert await run.run()
    assert not any(each.listing_over for each in progress)
    assert lines.live.listing_over


async def test_a_long_list_is_read_in_pieces_and_its_window_is_bounded() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    keys = [f"{'deep/' * 180}{number:06}" for number in range(2000)]
    await fill(source, dict.fromkeys(keys, b""))
    shard = await put_list(lists, text_of(keys))
    counting = FaultyStore(lists)
    engine = replace(SETTINGS, window_objects=100, batch_objects=50)
    most = 0

    async def take(event: ShardEvent) -> None:
        nonlocal most
        await lines.take(event)
        most = max(most, lines.live.counters.listed_num)

    run = make_run(source, destination, counting, take, shard, engine=engine)
    assert await run.run()
    assert lines.keys() == keys
    size_bytes = shard.manifest.size_bytes if shard.manifest else 0
    assert -(-size_bytes // (256 * 1024)) <= counting.calls["read"] <= -(-size_bytes // (256 * 1024)) + 2
    assert most <= 200


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


async def test_archived_objects_of_a_list_are_put_off_and_their_lines_are_done() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    await fill(source, {"a": b"1", "cold": b"22", "b": b"333"})
    source.archive("cold")
    text = text_of(["a", "cold", "b", "cold"])
    shard = await put_list(lists, text)
    task = replace(spec_of_all(), restore_archived=True)
    assert await make_run(source, destination, lists, lines.take, shard, task=task).run()
    assert (lines.keys(), lines.deferred) == (["a", "b"], ["cold", "cold"])
    assert (lines.position, lines.counters.listed_num, lines.counters.accounted_num) == (len(text), 4, 2)
    assert lines.live.counters == Counters()


async def failed(run: ShardRun) -> tuple[str, bool, str]:
    with pytest.raises(ShardFailedError) as caught:
        await run.run()
    return caught.value.failure.code, caught.value.decisive, caught.value.failure.message


@pytest.mark.parametrize("heeds", [True, False], ids=["heeds If-Match", "ignores If-Match"])
async def test_a_list_that_changes_under_way_ends_the_task(heeds: bool) -> None:
    source, destination, lines = memory_store(), memory_store(), Lines()
    lists = memory_store(reads_if_match=heeds)
    keys = [f"{'deep/' * 180}{number:06}" for number in range(1000)]
    await fill(source, dict.fromkeys(keys, b"x"))
    shard = await put_list(lists, text_of(keys))

    async def change(name: str, nth: int) -> None:
        if name == "read" and nth == 3:
            await put_list(lists, text_of(list(reversed(keys))))

    engine = replace(SETTINGS, window_objects=100)
    run = make_run(source, destination, FaultyStore(lists, change), lines.take, shard, engine=engine)
    code, decisive, message = await failed(run)
    assert (code, decisive) == ("TRF.0013", True)
    assert "changed" in message
    # Only lines of the list that the task began with.
    assert lines.keys() == keys[: len(lines.outcomes)]


async def test_a_list_that_changed_before_it_is_read_ends_the_task() -> None:
    lists, lines = memory_store(), Lines()
    shard = await put_list(lists, b"a\n")
    await put_list(lists, b"b\n")
    code, decisive, _ = await failed(make_run(memory_store(), memory_store(), lists, lines.take, shard))
    assert (code, decisive) == ("TRF.0013", True)


async def test_a_list_that_went_away_ends_the_task() -> None:
    lists, lines = memory_store(), Lines()
    shard = await put_list(lists, b"a\n")
    await lists.delete(LIST)
    code, decisive, _ = await failed(make_run(memory_store(), memory_store(), lists, lines.take, shard))
    assert (code, decisive) == ("TRF.0013", True)


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [("application/json", {}), ("", {}), ("text/plain", {"content-encoding": "gzip"})],
)
async def test_a_list_that_is_not_stored_as_plain_text_ends_the_task(
    content_type: str, headers: dict[str, str]
) -> None:
    lists, lines = memory_store(), Lines()
    shard = await put_list(lists, b"a\n", content_type, headers=headers)
    code, decisive, _ = await failed(make_run(memory_store(), memory_store(), lists, lines.take, shard))
    assert (code, decisive, lines.outcomes) == ("TRF.0019", True, [])


async def test_a_line_too_long_ends_the_task_behind_the_lines_before_it() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    await fill(source, {"a": b"1"})
    shard = await put_list(lists, b"a\n" + b"x" * 65_536 + b"\n")
    code, decisive, _ = await failed(make_run(source, destination, lists, lines.take, shard))
    assert (code, decisive) == ("TRF.0018", True)


async def test_an_archived_list_ends_the_task() -> None:
    lists, lines = memory_store(), Lines()
    shard = await put_list(lists, b"a\n")
    archived = failing("read", 1, lambda: StoreError(StoreErrorKind.ARCHIVED, "restore it first"))
    run = make_run(memory_store(), memory_store(), FaultyStore(lists, archived), lines.take, shard)
    code, decisive, message = await failed(run)
    assert (code, decisive) == ("TRF.0301", True)
    assert "restore the object list file" in message


@pytest.mark.parametrize(
    "kind",
    [StoreErrorKind.UNAVAILABLE, StoreErrorKind.NETWORK, StoreErrorKind.TRUNCATED, StoreErrorKind.PERMISSION],
)
async def test_trouble_of_the_lists_service_that_passes_is_sat_out(kind: StoreErrorKind) -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    await fill(source, numbered(3))
    shard = await put_list(lists, text_of(list(numbered(3))))
    faulty = FaultyStore(lists, failing("read", 1, lambda: StoreError(kind, "for a moment")))
    assert await make_run(source, destination, faulty, lines.take, shard).run()
    assert lines.counters.successful_num == 3


async def test_trouble_that_stays_fails_the_shard_to_be_tried_again() -> None:
    lists, lines = memory_store(), Lines()
    shard = await put_list(lists, b"a\n")
    down = failing("read", 1, lambda: StoreError(StoreErrorKind.NETWORK, "no route"), times=100)
    run = make_run(memory_store(), memory_store(), FaultyStore(lists, down), lines.take, shard)
    code, decisive, _ = await failed(run)
    assert (code, decisive) == ("TRF.0061", False)


async def test_a_lookup_that_fails_is_repeated_by_the_copier() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    await fill(source, numbered(5))
    shard = await put_list(lists, text_of(list(numbered(5))))
    for kind, times in ((StoreErrorKind.UNAVAILABLE, 5), (StoreErrorKind.NO_SUCH_KEY, 2)):
        once = failing("head", 1, lambda kind=kind: StoreError(kind, "once"), times=times)  # type: ignore[misc]
        faulty = FaultyStore(source, once)
        lines = Lines()
        assert await make_run(faulty, destination, lists, lines.take, shard).run()
        assert lines.counters.listed_num == 5
        assert lines.counters.failed_num == 0


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


class Asked(FaultyStore):
    """Notes which ETag each read insists on."""

    async def read(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> Reading:
        assert if_match == (await self.head(key)).etag
        return await super().read(key, offset=offset, length=length, if_match=if_match)


async def test_every_read_of_a_list_insists_on_the_version_that_was_planned() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    await fill(source, numbered(5))
    shard = await put_list(lists, text_of(list(numbered(5))))
    asked = Asked(lists)
    assert await make_run(source, destination, asked, lines.take, shard).run()
    assert asked.calls["read"] == 1


def test_the_account_of_lines_counts_sizes_once() -> None:
    account = SpanAccount(Checkpoint(40), Meter(), SETTINGS)
    first, second = account.open_line(50), account.open_line(70)
    account.learn_size(5)
    assert account.live().counters == Counters(2, 5)
    account.settle(second, Outcome("b", 9, SUCCESS), 0)
    assert account.take_batch(10) is None
    account.settle(first, Outcome("a", 6, SUCCESS), 5)
    assert account.live().counters.listed_size_bytes == 15
    batch = account.take_batch(1)
    assert batch is not None
    assert batch.checkpoint == Checkpoint(50)
    batch = account.take_batch(1)
    assert batch is not None
    assert batch.checkpoint == Checkpoint(70)
    assert account.live().counters == Counters()


async def test_archived_objects_that_a_list_names_are_put_off_by_their_own_name() -> None:
    source, destination, lists, lines = memory_store(), memory_store(), memory_store(), Lines()
    await fill(source, {"a": b"1", "cold/1": b"22", "cold/2": b"22", "z": b"3"})
    for key in ("cold/1", "cold/2"):
        source.archive(key)
    shard = await put_list(lists, text_of(["a", "cold/1", "z", "cold/2"]))
    run = make_run(source, destination, lists, lines.take, shard, task=spec(restore_archived=True))
    assert await run.run()
    assert lines.deferred == ["cold/1", "cold/2"]
    assert bodies(destination) == {"a": b"1", "z": b"3"}
    assert (lines.counters.listed_num, lines.counters.successful_num) == (4, 2)
    assert shard.manifest is not None
    assert lines.position == shard.manifest.size_bytes
