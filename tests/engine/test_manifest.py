"""Spans of object list files on stores in memory: what the lines name is migrated, and every line is accounted."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from omsd.domain.events import ShardEvent, ShardProgress
from omsd.domain.model import Counters, LiveProgress, Outcome, OutcomeKind, OverwriteMode
from omsd.domain.shards import Checkpoint
from omsd.engine.manifest import SpanAccount
from omsd.engine.stream import Meter
from tests.engine.harness import SETTINGS, bodies, fill, memory_store, spec
from tests.engine.manifest_harness import Lines, make_run, numbered, put_list, spec_of_all, text_of
from tests.engine.test_shard import ODD_KEYS
from tests.fakes.stores import FaultyStore
from tests.waiting import PATIENCE_S

FAILED, SUCCESS, SKIPPED = OutcomeKind.FAILED, OutcomeKind.SUCCESS, OutcomeKind.SKIPPED


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
