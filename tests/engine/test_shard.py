"""A shard on two stores in memory: everything is copied, proven, and reported once."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import OutcomeKind, OverwriteMode, Verdict
from omsd.domain.shards import Checkpoint, OpenUpload
from omsd.engine.context import ShardFailedError
from omsd.ports.objectstore import ListingOrder, PutOptions
from tests.engine.harness import (
    KIB,
    SETTINGS,
    Report,
    bodies,
    fill,
    keys_shard,
    make_run,
    memory_store,
    range_shard,
    spec,
)
from tests.fakes.stores import FaultyStore, failing, hanging

PART = SETTINGS.part_bytes
SIZES = [0, 1, 4 * KIB, 4 * KIB + 1, 16 * KIB, 16 * KIB + 1, 3 * PART - 1, 3 * PART, 3 * PART + 1]
ODD_KEYS = [
    "/lead",
    "a//b",
    "./x",
    "a/../b",
    "dir/",
    "a b",
    "a+b",
    "a%2Fb",
    "%",
    "&<>\"'",
    "\\",
    "\U0001f600",
    "\u00e9",
    "e\u0301",
]


def mixed(seed: int, number: int = 40) -> dict[str, bytes]:
    rng = random.Random(seed)
    objects = {f"size/{size:06}": rng.randbytes(size) for size in SIZES}
    objects.update({key: key.encode() for key in ODD_KEYS})
    objects["k" * 1024] = b"long key"
    objects.update({f"many/{n:04}": rng.randbytes(rng.randrange(200)) for n in range(number)})
    return objects


async def test_every_size_and_key_arrives_byte_for_byte() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    objects = mixed(1)
    await fill(source, objects)
    assert await make_run(source, destination, report).run()
    assert bodies(destination) == objects
    assert set(report.kinds().values()) == {OutcomeKind.SUCCESS}
    assert all(outcome.check is Verdict.MATCH for outcome in report.outcomes)
    assert report.counters.successful_num == len(objects)
    assert report.counters.successful_size_bytes == sum(map(len, objects.values()))
    assert [outcome.key for outcome in report.outcomes] == sorted(objects)
    assert not report.open_uploads
    assert report.opened_num == len([size for size in SIZES if size > SETTINGS.single_put_max_bytes])


async def test_content_type_always_travels_and_metadata_when_asked() -> None:
    for asked in (False, True):
        source, destination, report = memory_store(), memory_store(), Report()
        for key, size in (("small", 10), ("stream", 8 * KIB), ("parts", 40 * KIB)):
            await fill(
                source, {key: b"x" * size}, headers={"cache-control": "no-cache"}, user_metadata={"a": "1"}
            )
        assert await make_run(source, destination, report, task=spec(migrate_metadata=asked)).run()
        for key, stored in destination.objects.items():
            assert stored.options.content_type == source.objects[key].options.content_type
            assert dict(stored.options.user_metadata) == ({"a": "1"} if asked else {})
            assert dict(stored.options.headers) == ({"cache-control": "no-cache"} if asked else {})


async def test_save_prefix_goes_in_front_of_every_key() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {"p/a": b"1", "p/b": b"2", "q": b"3"})
    run = make_run(
        source, destination, report, shard=range_shard(prefix="p/"), task=spec(save_prefix="new//")
    )
    assert await run.run()
    assert bodies(destination) == {"new//p/a": b"1", "new//p/b": b"2"}


async def test_a_key_too_long_with_the_prefix_fails_that_object_only() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {"k" * 1024: b"1", "short": b"2"})
    assert await make_run(source, destination, report, task=spec(save_prefix="p/")).run()
    assert report.codes() == {"k" * 1024: "TRF.0060"}
    assert bodies(destination) == {"p/short": b"2"}


@pytest.mark.parametrize("mode", list(OverwriteMode))
@pytest.mark.parametrize("order", list(ListingOrder))
async def test_overwrite_modes(mode: OverwriteMode, order: ListingOrder) -> None:
    """Directory order at the destination alone means that each object is looked up instead of merged: same result."""
    now = [1000.0]
    source, destination, report = memory_store(), memory_store(listing_order=order), Report()
    for store in (source, destination):
        store._now = lambda: now[0]
    await fill(
        source,
        {"new/x": b"n", "same": b"same", "same-size": b"aaaa", "size": b"12345", "old-target": b"abcd"},
    )
    await fill(destination, {"old-target": b"dcba"})
    now[0] = 2000.0
    await fill(destination, {"same": b"same", "same-size": b"bbbb", "size": b"123"})
    await fill(source, {"old-target": b"abcd"})
    assert await make_run(source, destination, report, task=spec(overwrite_mode=mode)).run()
    skipped = {key for key, kind in report.kinds().items() if kind is OutcomeKind.SKIPPED}
    assert (
        skipped
        == {
            OverwriteMode.NO_OVERWRITE: {"same", "same-size", "size", "old-target"},
            OverwriteMode.FULL_OVERWRITE: set(),
            OverwriteMode.SIZE_LAST_MODIFIED: {"same", "same-size"},
            OverwriteMode.CRC64: {"same"},
        }[mode]
    )
    for key, stored in source.objects.items():
        assert (destination.objects[key].body == stored.body) == (key == "same" or key not in skipped)


async def test_a_pass_without_changes_costs_listings_only() -> None:
    source, destination = FaultyStore(memory_store()), FaultyStore(memory_store())
    objects = {f"{n:05}": b"x" for n in range(2500)}
    await fill(source, objects)
    await fill(destination, objects)
    source.calls.clear()
    destination.calls.clear()
    report = Report()
    assert await make_run(source, destination, report).run()
    assert report.counters.skipped_num == 2500
    assert source.calls == {"check": 1, "list_page": 3}
    assert destination.calls == {"check": 1, "list_page": 3}


async def test_named_keys_and_missing_ones() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {"a": b"1", "b": b"2" * 20 * KIB})
    assert await make_run(source, destination, report, shard=keys_shard(["a", "gone", "b"])).run()
    assert report.codes() == {"gone": "TRF.0156"}
    assert set(bodies(destination)) == {"a", "b"}
    assert report.counters.listed_size_bytes == 1 + 20 * KIB
    assert report.checkpoint.position == 3


async def test_migrate_since_skips_older_objects() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    source._now = lambda: 100.0
    await fill(source, {"old": b"1"})
    source._now = lambda: 300.0
    await fill(source, {"new": b"2"})
    assert await make_run(source, destination, report, task=spec(migrate_since_s=200)).run()
    assert report.kinds() == {"old": OutcomeKind.SKIPPED, "new": OutcomeKind.SUCCESS}


RETRYABLE = [
    StoreErrorKind.THROTTLED,
    StoreErrorKind.UNAVAILABLE,
    StoreErrorKind.NETWORK,
    StoreErrorKind.TIMEOUT,
    StoreErrorKind.TRUNCATED,
    StoreErrorKind.PERMISSION,
    StoreErrorKind.NO_SUCH_KEY,
    StoreErrorKind.NO_SUCH_BUCKET,
    StoreErrorKind.UNAUTHENTICATED,
]


@pytest.mark.parametrize("kind", RETRYABLE)
async def test_one_fault_at_any_call_of_either_end_is_survived(kind: StoreErrorKind) -> None:
    objects = {"a": b"1", "b": b"2" * 10 * KIB, "c": b"3" * 20 * KIB}
    for end in ("source", "destination"):
        for name in ("list_page", "read", "head", "put", "create_upload", "put_part", "complete_upload"):
            for nth in (1, 2, 3):
                source, destination, report = memory_store(), memory_store(), Report()
                await fill(source, objects)
                before = failing(name, nth, lambda: StoreError(kind, "injected"))
                stores = {"source": source, "destination": destination}
                stores[end] = FaultyStore(stores[end], before)  # type: ignore[assignment]
                assert await make_run(stores["source"], stores["destination"], report).run(), (end, name, nth)
                assert bodies(destination) == objects, (end, name, nth)
                assert set(report.kinds().values()) == {OutcomeKind.SUCCESS}
                assert not await destination.list_uploads()
                assert not report.open_uploads


async def test_a_fault_for_good_fails_the_object_and_leaves_no_upload() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {"a": b"1", "big": b"3" * 40 * KIB})
    broken = FaultyStore(
        destination,
        failing("put_part", 2, lambda: StoreError(StoreErrorKind.UNAVAILABLE, "broken"), times=1000),
    )
    assert await make_run(source, broken, report).run()
    assert report.codes() == {"big": "TRF.0061"}
    assert set(bodies(destination)) == {"a"}
    assert not await destination.list_uploads()
    assert not report.open_uploads


@pytest.mark.parametrize("size", [10, 10 * KIB, 40 * KIB])
async def test_a_flipped_bit_is_caught_and_the_object_read_again(size: int) -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {"a": b"z" * size})
    flipped: list[int] = []

    def flip(key: str, nth: int) -> bool:
        flipped.append(nth)
        return nth <= 2

    assert await make_run(FaultyStore(source, flip=flip), destination, report).run()
    assert bodies(destination) == {"a": b"z" * size}
    assert len(flipped) > 2


@pytest.mark.parametrize("size", [10, 10 * KIB, 40 * KIB])
async def test_bytes_that_are_always_wrong_never_stay_at_the_destination(size: int) -> None:
    """The source publishes a CRC64 of another kind than the destination verifies, so nobody refuses on arrival."""
    source = memory_store(verifies_crc64_nvme=False)
    destination = memory_store(verifies_crc64_nvme=False, verifies_crc64_xz=False, full_object_crc64=False)
    report = Report()
    await fill(source, {"a": b"z" * size})
    assert await make_run(FaultyStore(source, flip=lambda key, nth: True), destination, report).run()
    assert report.codes() == {"a": "TRF.0157"}
    assert bodies(destination) == {}


async def test_a_source_that_changes_under_way_is_copied_anew() -> None:
    inner = memory_store()
    changed = asyncio.Event()

    async def before(name: str, nth: int) -> None:
        if name == "read" and nth == 3 and not changed.is_set():
            changed.set()
            await fill(inner, {"a": b"new" * 10 * KIB})

    source, destination, report = FaultyStore(inner, before), memory_store(), Report()
    await fill(inner, {"a": b"old" * 10 * KIB})
    assert await make_run(source, destination, report).run()
    assert bodies(destination) == {"a": b"new" * 10 * KIB}
    assert not await destination.list_uploads()


async def test_a_source_that_never_rests_fails_with_a_clear_code() -> None:
    inner = memory_store()

    async def before(name: str, nth: int) -> None:
        if name == "read":
            await fill(inner, {"a": str(nth).encode()})

    report = Report()
    await fill(inner, {"a": b"0"})
    assert await make_run(FaultyStore(inner, before), memory_store(), report).run()
    assert report.codes() == {"a": "TRF.0157"}
    assert "changed" in report.outcomes[0].reason


async def test_the_destination_bucket_vanishing_ends_the_task_with_counters_true() -> None:
    source, inner, report = memory_store(), memory_store(), Report()

    async def before(name: str, nth: int) -> None:
        if name == "put" and nth == 30:
            inner.drop_bucket()

    await fill(source, {f"{n:03}": b"x" for n in range(100)})
    with pytest.raises(ShardFailedError) as caught:
        await make_run(source, FaultyStore(inner, before), report).run()
    assert caught.value.decisive
    assert caught.value.failure.code == "TRF.0058"
    assert report.counters.successful_num < 100
    assert all(outcome.key in inner.objects for outcome in report.outcomes)


async def test_wrong_keys_end_the_task() -> None:
    async def refused(name: str, nth: int) -> None:
        raise StoreError(StoreErrorKind.UNAUTHENTICATED, "refused")

    with pytest.raises(ShardFailedError) as caught:
        await make_run(FaultyStore(memory_store(), refused), memory_store(), Report()).run()
    assert (caught.value.decisive, caught.value.failure.code) == (True, "TRF.0151")


async def test_a_listing_that_goes_backwards_is_an_error_not_an_end() -> None:
    class Backwards(FaultyStore):
        async def list_page(self, prefix: str, **options: object):  # type: ignore[no-untyped-def,override]
            page = await super().list_page(prefix, **options)  # type: ignore[arg-type]
            return replace(page, objects=list(reversed(page.objects)))

    source, report = memory_store(), Report()
    await fill(source, {"a": b"1", "b": b"2"})
    with pytest.raises(ShardFailedError) as caught:
        await make_run(Backwards(source), memory_store(), report).run()
    assert not caught.value.decisive
    assert "out of order" in caught.value.failure.message


@pytest.mark.parametrize("cut", [False, True])
async def test_stopped_and_gone_on_nothing_is_lost_or_counted_twice(cut: bool) -> None:
    objects = mixed(2, 60)
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, objects)
    leases = 0
    shard = range_shard()
    while True:
        leases += 1
        reached = asyncio.Event()
        stopping = FaultyStore(source, hanging("read", 9 * leases, reached) if cut else None)

        async def stop_early(name: str, nth: int) -> None:
            if name == "put" and nth >= 7:
                run.drain()

        gated = FaultyStore(destination, None if cut else stop_early)
        redo = 0.0 if leases > 1 else None
        run = make_run(stopping, gated, report, shard=shard, redo_since_s=redo)
        async with asyncio.TaskGroup() as group:
            done = group.create_task(run.run())
            if cut:
                waiter = group.create_task(reached.wait())
                await asyncio.wait({done, waiter}, return_when=asyncio.FIRST_COMPLETED)
                waiter.cancel()
                run.cut()
        shard = replace(shard, checkpoint=report.checkpoint, attempt=leases + 1)
        if done.result():
            break
        assert leases < 200
    assert leases > 1
    assert bodies(destination) == objects
    assert sorted(outcome.key for outcome in report.outcomes) == sorted(objects)
    assert report.counters.successful_num == len(objects)
    assert not await destination.list_uploads()


async def test_what_an_earlier_attempt_wrote_counts_as_successful() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    source._now = lambda: 1000.0
    await fill(source, {"a": b"1", "b": b"2"})
    destination._now = lambda: 1500.0
    await fill(destination, {"b": b"2"})
    destination._now = lambda: 2500.0
    await fill(destination, {"a": b"1"})
    assert await make_run(source, destination, report, redo_since_s=2000.0).run()
    assert report.kinds() == {"a": OutcomeKind.SUCCESS, "b": OutcomeKind.SKIPPED}


@pytest.mark.parametrize("size", [32 * KIB, 40 * KIB])
async def test_cancelled_at_any_call_no_upload_stays_open_but_to_go_on_with(size: int) -> None:
    objects = {"a": b"1", "big": b"2" * size}
    for name in ("read", "head", "create_upload", "put_part", "complete_upload"):
        for nth in (1, 2, 3):
            source, destination, report = memory_store(), memory_store(), Report()
            await fill(source, objects)
            reached = asyncio.Event()
            hang = hanging(name, nth, reached)
            run = make_run(FaultyStore(source, hang), FaultyStore(destination, hang), report)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(run.run())
                waiter = group.create_task(reached.wait())
                await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
                waiter.cancel()
                task.cancel()
            left = set(await destination.list_uploads())
            assert left == report.open_uploads == set(report.plans), (name, nth)
            assert size > 32 * KIB or not left, (name, nth)


async def test_uploads_of_earlier_leases_are_aborted_first() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    upload_id = await destination.create_upload("big", PutOptions())
    stale = OpenUpload("big", upload_id)
    report.open_uploads.add(stale)
    assert await make_run(source, destination, report, stale_uploads=[stale]).run()
    assert not await destination.list_uploads()
    assert not report.open_uploads


@pytest.mark.parametrize("then", ["kept", "lost"])
async def test_the_lost_answer_of_a_complete_is_settled_by_looking(then: str) -> None:
    async def lose(name: str, nth: int) -> None:
        if name == "complete_upload" and nth == 1:
            raise StoreError(StoreErrorKind.NETWORK, "reset after the request was sent")

    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {"big": b"2" * 40 * KIB})
    faulty = FaultyStore(destination, **({"after": lose} if then == "lost" else {"before": lose}))
    assert await make_run(source, faulty, report).run()
    assert report.kinds() == {"big": OutcomeKind.SUCCESS}
    assert bodies(destination) == {"big": b"2" * 40 * KIB}
    assert report.opened_num == 1


async def test_memory_stays_within_the_window_while_one_object_hangs() -> None:
    reached = asyncio.Event()
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {f"{n:05}": b"x" for n in range(3000)})
    run = make_run(
        FaultyStore(source, hanging("read", 1, reached)),
        destination,
        report,
        settings=replace(SETTINGS, window_objects=500),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run.run())
        await reached.wait()
        while len(destination.objects) < 499:
            await asyncio.sleep(0)
        for _ in range(2000):
            await asyncio.sleep(0)
        assert len(destination.objects) <= 500
        run.cut()
        await task
    assert report.checkpoint == Checkpoint()
