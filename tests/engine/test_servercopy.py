"""Copies inside one service, in memory: no byte comes through us, and whatever is refused is streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from omsd.domain.caveats import Caveat
from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CrcOrigin, OutcomeKind, OverwriteMode, StoragePolicy, TaskSpec, Verdict
from omsd.drivers.memory import MemoryService, MemoryStore
from omsd.engine.copyprobe import ServerCopying
from omsd.engine.shard import ShardRun
from omsd.ports.objectstore import Checksums, CopySource, PutOptions, PutReceipt
from tests.engine.harness import (
    KIB,
    SETTINGS,
    Report,
    bodies,
    fill,
    make_run,
    memory_store,
    range_shard,
    spec,
)
from tests.engine.test_shard import RETRYABLE, mixed
from tests.fakes.stores import FaultyStore, failing, hanging
from tests.waiting import PATIENCE_S

SMALL, LARGE = b"1" * 10, b"3" * 20 * KIB
OBJECTS = {"a": SMALL, "b": b"2" * 8 * KIB, "c": LARGE}
PUBLISHES_NOTHING = {"verifies_crc64_nvme": False, "verifies_crc64_xz": False, "full_object_crc64": False}


class Pair:
    """Two buckets of one service, each behind a FaultyStore, and what was told of refusals."""

    def __init__(self, **abilities: object) -> None:
        service = MemoryService()
        self.source = memory_store(service, "from", **abilities)
        self.destination = memory_store(service, "to", **abilities)
        self.at_source = FaultyStore(self.source)
        self.at_destination = FaultyStore(self.destination)
        self.refused: list[StoreError] = []
        self.copying = ServerCopying(self.at_source, self.refused.append)
        self.report = Report()

    def run(self, **options: object) -> ShardRun:
        options.setdefault("server_copying", self.copying)
        return make_run(self.at_source, self.at_destination, self.report, **options)  # type: ignore[arg-type]

    async def copied(self, task: TaskSpec | None = None) -> None:
        """The run ends well and everything is there."""
        assert await self.run(task=task).run()
        assert bodies(self.destination) == bodies(self.source)
        assert set(self.report.kinds().values()) == {OutcomeKind.SUCCESS}
        assert not await self.destination.list_uploads()
        assert not self.report.open_uploads


async def test_every_size_and_key_is_copied_without_reading_it() -> None:
    pair = Pair()
    await fill(pair.source, mixed(1))
    await pair.copied()
    assert pair.at_source.calls["read"] == 0
    assert pair.at_destination.calls["put"] == pair.at_destination.calls["put_part"] == 0
    assert pair.at_destination.calls["copy_part"] > 0
    assert pair.report.counters.successful_num == len(pair.source.objects)
    assert all(outcome.check is Verdict.MATCH for outcome in pair.report.outcomes)
    told = {outcome.crc64_nvme_from for outcome in pair.report.outcomes}
    assert told == {CrcOrigin.SOURCE | CrcOrigin.DESTINATION}, "nobody computed it of the bytes"
    assert not pair.refused


async def test_what_the_receipt_proves_is_not_looked_up() -> None:
    pair = Pair()
    await fill(pair.source, {f"{n}": b"x" for n in range(20)})
    await pair.copied(spec(overwrite_mode=OverwriteMode.FULL_OVERWRITE))
    assert pair.at_destination.calls["head"] == 0
    assert pair.at_source.calls["head"] == 20 + 1  # and the probe with the destination's keys


@pytest.mark.parametrize("size", [10, 20 * KIB], ids=["whole", "in parts"])
async def test_the_md5_that_a_copy_answers_proves_it_where_no_crc64_is_published(size: int) -> None:
    pair = Pair(**PUBLISHES_NOTHING)
    await fill(pair.source, {f"{n}": b"x" * size for n in range(3)})
    await pair.copied(spec(overwrite_mode=OverwriteMode.FULL_OVERWRITE))
    # The ETag of parts is no MD5: those are looked at.
    assert pair.at_destination.calls["head"] == (0 if size == 10 else 3)


async def test_a_published_crc64_is_compared_whatever_the_md5_says() -> None:
    pair = Pair(full_object_crc64=False)
    await fill(pair.source, {"a": b"1234"})

    class Silent(FaultyStore):
        async def copy_from(self, key: str, source: CopySource, options: PutOptions) -> PutReceipt:
            return replace(await super().copy_from(key, source, options), checksums=Checksums())

    pair.at_destination = Silent(pair.destination)
    await pair.copied(spec(overwrite_mode=OverwriteMode.FULL_OVERWRITE))
    assert pair.at_destination.calls["head"] == 1


async def test_progress_counts_what_never_came_through_us() -> None:
    pair = Pair()
    await fill(pair.source, OBJECTS)
    await pair.copied()
    last = pair.report.progress[-1].progress
    assert (last.moved_total_bytes, last.moving_size_bytes) == (sum(map(len, OBJECTS.values())), 0)


@pytest.mark.parametrize("asked", [False, True])
async def test_content_type_always_travels_and_metadata_when_asked(asked: bool) -> None:
    pair = Pair()
    await fill(pair.source, OBJECTS, headers={"cache-control": "no-cache"}, user_metadata={"a": "1"})
    await pair.copied(spec(migrate_metadata=asked))
    for key, stored in pair.destination.objects.items():
        assert stored.options.content_type == pair.source.objects[key].options.content_type
        assert dict(stored.options.user_metadata) == ({"a": "1"} if asked else {})
        assert dict(stored.options.headers) == ({"cache-control": "no-cache"} if asked else {})


@pytest.mark.parametrize("abilities", [{}, PUBLISHES_NOTHING], ids=["published", "nothing published"])
async def test_the_check_needs_no_published_crc64(abilities: dict[str, object]) -> None:
    pair = Pair(**abilities)
    await fill(pair.source, OBJECTS)
    await pair.copied()
    assert pair.at_source.calls["read"] == 0
    assert all(outcome.check is Verdict.MATCH for outcome in pair.report.outcomes)


@pytest.mark.parametrize("mode", list(OverwriteMode))
async def test_the_decision_is_that_of_streaming(mode: OverwriteMode) -> None:
    kinds = []
    for copying in (False, True):
        pair = Pair()
        await fill(pair.source, {"same": b"same", "size": b"12345", "crc": b"aaaa", "new": b"n"})
        await fill(pair.destination, {"same": b"same", "size": b"123", "crc": b"bbbb"})
        task = spec(overwrite_mode=mode)
        assert await pair.run(task=task, server_copying=pair.copying if copying else None).run()
        kinds.append((pair.report.kinds(), bodies(pair.destination)))
        assert (pair.at_destination.calls["copy_from"] > 0) == copying
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("kind", RETRYABLE)
async def test_one_fault_at_any_call_is_survived(kind: StoreErrorKind) -> None:
    copies = ("copy_from", "copy_part", "create_upload", "complete_upload", "head", "list_page")
    for end, names in (("at_source", ("head", "list_page")), ("at_destination", copies)):
        for name in names:
            for nth in (1, 2, 3):
                pair = Pair(**PUBLISHES_NOTHING)
                await fill(pair.source, OBJECTS)
                before = failing(name, nth, lambda: StoreError(kind, "injected"))
                setattr(pair, end, FaultyStore(getattr(pair, end), before))
                await pair.copied()


REFUSALS = [
    StoreErrorKind.PERMISSION,
    StoreErrorKind.NO_SUCH_KEY,
    StoreErrorKind.NO_SUCH_BUCKET,
    StoreErrorKind.UNSUPPORTED,
    StoreErrorKind.UNAUTHENTICATED,
    StoreErrorKind.INVALID,
    StoreErrorKind.MALFORMED,
    StoreErrorKind.TIMEOUT,
]


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("where", ["reader", "copy_from"])
async def test_a_probe_that_is_refused_means_streaming_for_all(kind: StoreErrorKind, where: str) -> None:
    pair = Pair()
    objects = {f"{n:03}": b"x" * n for n in range(100)} | {"large": LARGE}
    await fill(pair.source, objects)
    name = "head" if where == "reader" else "copy_from"
    before = failing(name, 1, lambda: StoreError(kind, "refused"), times=1000)
    if where == "reader":
        pair.copying = ServerCopying(FaultyStore(pair.source, before), pair.refused.append)
    else:
        pair.at_destination = FaultyStore(pair.destination, before)
    await pair.copied()
    assert [error.kind for error in pair.refused] == [kind]
    assert pair.at_destination.calls["copy_from"] <= 2
    assert pair.at_source.calls["read"] > 100


async def test_parts_that_are_refused_are_streamed_and_no_upload_stays() -> None:
    pair = Pair()
    await fill(pair.source, {"large": LARGE, "small": SMALL})
    before = failing("copy_part", 2, lambda: StoreError(StoreErrorKind.PERMISSION, "refused"), times=1000)
    pair.at_destination = FaultyStore(pair.destination, before)
    await pair.copied()
    assert pair.at_destination.calls["put_part"] == 3


async def test_a_service_without_part_copies_copies_what_is_small_enough() -> None:
    pair = Pair(copies_parts=False, max_copy_bytes=10 * KIB)
    await fill(pair.source, OBJECTS)
    await pair.copied()
    assert pair.at_destination.calls["copy_from"] == 2
    assert pair.at_destination.calls["copy_part"] == 0
    assert pair.at_destination.calls["put_part"] == 3


async def test_one_odd_object_is_streamed_and_the_others_are_copied() -> None:
    pair = Pair()
    await fill(pair.source, {f"{n:03}": b"x" for n in range(30)})

    async def before(name: str, nth: int) -> None:
        if name == "copy_from" and nth == 10:
            raise StoreError(StoreErrorKind.INVALID, "this one is not copied")

    pair.at_destination = FaultyStore(pair.destination, before)
    await pair.copied()
    assert (pair.at_destination.calls["copy_from"], pair.at_destination.calls["put"]) == (30, 1)
    assert not pair.refused


async def test_copies_that_are_withdrawn_under_way_are_given_up() -> None:
    pair = Pair()
    await fill(pair.source, {f"{n:03}": b"x" for n in range(100)})
    before = failing("copy_from", 10, lambda: StoreError(StoreErrorKind.UNSUPPORTED, "no more"), times=1000)
    pair.at_destination = FaultyStore(pair.destination, before)
    await pair.copied()
    assert len(pair.refused) == 1
    assert pair.at_destination.calls["copy_from"] < 50


async def test_two_services_or_two_tenants_are_never_mixed() -> None:
    pair = Pair()
    await fill(pair.source, OBJECTS)
    pair.destination = memory_store()
    pair.at_destination = FaultyStore(pair.destination)
    await pair.copied()
    assert pair.at_destination.calls["copy_from"] == 0

    pair = Pair()
    await fill(pair.source, OBJECTS)
    namesake = memory_store()
    await fill(namesake, dict.fromkeys(OBJECTS, b"other"))
    pair.copying = ServerCopying(namesake, pair.refused.append)
    await pair.copied()
    assert pair.at_destination.calls["copy_from"] == 0
    assert len(pair.refused) == 1


@pytest.mark.parametrize("size", [10, 20 * KIB])
async def test_a_source_that_changes_under_way_is_copied_anew(size: int) -> None:
    pair = Pair()
    changed = asyncio.Event()

    async def before(name: str, nth: int) -> None:
        if name in ("copy_from", "copy_part") and nth == (1 if size == 10 else 2) and not changed.is_set():
            changed.set()
            await fill(pair.source, {"a": b"n" * size})

    await fill(pair.source, {"a": b"o" * size})
    pair.at_destination = FaultyStore(pair.destination, before)
    await pair.copied()
    assert changed.is_set()
    assert pair.at_source.calls["read"] == 0


class Garbling(FaultyStore):
    """Copies other bytes than those of the source, of another length if asked to."""

    def __init__(self, inner: MemoryStore, body: Callable[[bytes], bytes]) -> None:
        super().__init__(inner)
        self._real = inner
        self._body = body

    async def copy_from(self, key: str, source: CopySource, options: PutOptions) -> PutReceipt:
        receipt = await super().copy_from(key, source, options)
        wrong = self._body(self._real.objects[key].body)
        stored = await self._real.put(key, wrong, len(wrong), replace(options, checksums=Checksums()))
        return replace(receipt, etag=stored.etag, checksums=Checksums())


@pytest.mark.parametrize(
    ("abilities", "body"),
    [({}, lambda data: b"?" * len(data)), (PUBLISHES_NOTHING, lambda data: data[:-1])],
    ids=["another CRC64", "another size"],
)
async def test_a_copy_that_is_not_its_source_is_removed_and_streamed(
    abilities: dict[str, object], body: Callable[[bytes], bytes]
) -> None:
    pair = Pair(**abilities)
    await fill(pair.source, {"a": b"1234", "b": b"5678"})
    pair.at_destination = Garbling(pair.destination, body)
    await pair.copied()
    assert pair.at_destination.calls["put"] == 2
    assert [error.kind for error in pair.refused] == [StoreErrorKind.INTEGRITY]


async def _cut_when(run: ShardRun, reached: asyncio.Event) -> bool:
    """Cut the run at that moment; True if it got there."""
    async with asyncio.TaskGroup() as group:
        done = group.create_task(run.run())
        waiter = group.create_task(reached.wait())
        await asyncio.wait({done, waiter}, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if reached.is_set():
            run.cut()
    return reached.is_set()


@pytest.mark.parametrize(
    "name", ["copy_from", "copy_part", "create_upload", "complete_upload", "head", "reader"]
)
async def test_cut_at_any_call_nothing_stays_open_and_the_rest_is_done(name: str) -> None:
    nth = 0
    while True:
        nth += 1
        pair = Pair(**PUBLISHES_NOTHING)
        await fill(pair.source, OBJECTS | {"d": LARGE})
        reached = asyncio.Event()
        if name == "reader":
            pair.copying = ServerCopying(
                FaultyStore(pair.source, hanging("head", nth, reached)), pair.refused.append
            )
        else:
            pair.at_destination = FaultyStore(pair.destination, hanging(name, nth, reached))
        stopped = await _cut_when(pair.run(), reached)
        assert not await pair.destination.list_uploads(), (name, nth)
        assert not pair.report.open_uploads
        pair.at_destination = FaultyStore(pair.destination)
        pair.copying = ServerCopying(pair.source, pair.refused.append)
        shard = range_shard(checkpoint=pair.report.checkpoint, attempt=2)
        assert await pair.run(shard=shard, redo_since_s=0.0).run()
        assert bodies(pair.destination) == bodies(pair.source)
        assert sorted(outcome.key for outcome in pair.report.outcomes) == ["a", "b", "c", "d"]
        if not stopped:
            break
        assert nth < 50
    assert nth > 1


async def test_a_stuck_probe_does_not_outlive_its_shard_for_others() -> None:
    """The shard whose object is the probe is cut; another shard of the same task probes again and is not blocked."""
    pair = Pair()
    await fill(pair.source, OBJECTS)
    reached = asyncio.Event()
    pair.at_destination = FaultyStore(pair.destination, hanging("copy_from", 1, reached))
    assert await _cut_when(pair.run(), reached)
    pair.report = Report()
    pair.at_destination = FaultyStore(pair.destination)
    assert await asyncio.wait_for(pair.run(redo_since_s=0.0).run(), PATIENCE_S)
    assert bodies(pair.destination) == OBJECTS
    assert not pair.copying.probing.locked()


async def test_a_copy_is_written_with_every_option_of_the_task() -> None:
    pair = Pair()
    await fill(pair.source, OBJECTS, tags={"team": "a b"}, storage_class="STANDARD_IA")
    mapped = spec(migrate_metadata=True, encrypt_kms=True, storage_policy=StoragePolicy.SRC_STORAGE_MAPPING)
    await pair.copied(mapped)
    assert pair.at_source.calls["read"] == pair.at_destination.calls["put"] == 0
    for key in OBJECTS:
        head = await pair.destination.head(key)
        assert (head.encrypted_kms, head.storage_class, head.tag_count) == (True, "IA", 1)
    assert not any(outcome.caveats for outcome in pair.report.outcomes)


async def test_a_copy_that_was_not_encrypted_is_removed_and_fails() -> None:
    pair = Pair(encrypts_kms=False)
    await fill(pair.source, OBJECTS)
    assert await pair.run(task=spec(encrypt_kms=True)).run()
    assert pair.report.codes() == dict.fromkeys(OBJECTS, "TRF.0158")
    assert not pair.destination.objects


async def test_a_copy_that_forgets_tags_is_found_out_with_the_first_object() -> None:
    class Forgetful(FaultyStore):
        async def copy_from(self, key: str, source: CopySource, options: PutOptions) -> PutReceipt:
            return await super().copy_from(key, source, replace(options, tags={}))

    pair = Pair()
    pair.at_destination = Forgetful(pair.destination)
    await fill(pair.source, {f"k{n}": b"data" for n in range(5)}, tags={"a": "b"})
    run = pair.run(task=spec(migrate_metadata=True), settings=replace(SETTINGS, copiers=1))
    assert await run.run()
    assert pair.at_destination.calls["tags"] == 1
    assert {outcome.caveats for outcome in pair.report.outcomes} == {(Caveat.TAGS_NOT_WRITTEN,)}
    assert bodies(pair.destination) == bodies(pair.source)


async def test_a_copy_refused_because_of_keys_is_streamed_before_the_task_is_given_up() -> None:
    """The destination's credentials may lack the key that the source is encrypted with."""
    pair = Pair()
    await fill(pair.source, OBJECTS)
    no_key = failing("copy_from", 1, lambda: StoreError(StoreErrorKind.ENCRYPTION, "kms:Decrypt"), times=99)
    pair.at_destination = FaultyStore(pair.destination, no_key)
    await pair.copied(spec(encrypt_kms=True))
    assert [error.kind for error in pair.refused] == [StoreErrorKind.ENCRYPTION]
    for key in OBJECTS:
        assert (await pair.destination.head(key)).encrypted_kms


@pytest.mark.parametrize("restores", [False, True])
async def test_archived_objects_are_not_copied_around_their_restore(restores: bool) -> None:
    pair = Pair()
    await fill(pair.source, OBJECTS | {"warm": b"w"})
    for key in OBJECTS:
        pair.source.archive(key)
    assert await pair.run(task=spec(restore_archived=restores)).run()
    assert bodies(pair.destination) == {"warm": b"w"}
    assert not await pair.destination.list_uploads()
    assert not pair.refused, "it says nothing about copying"
    if restores:
        assert sorted(pair.report.deferred) == sorted(OBJECTS)
    else:
        assert pair.report.codes() == dict.fromkeys(OBJECTS, "TRF.0160")
