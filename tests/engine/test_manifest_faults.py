"""List files that change, vanish or cannot be read, and services that are in trouble: what ends the task, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.engine.context import ShardFailedError
from omsd.engine.shard import ShardRun
from omsd.ports.objectstore import Reading
from tests.engine.harness import SETTINGS, fill, memory_store
from tests.engine.manifest_harness import LIST, Lines, make_run, numbered, put_list, text_of
from tests.fakes.stores import FaultyStore, failing


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
