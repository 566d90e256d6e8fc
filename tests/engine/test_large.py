"""Large objects in PARTS shards: shared, interrupted, gone on with, begun again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import OutcomeKind
from omsd.domain.shards import LargeObject
from omsd.drivers.memory import MemoryService
from omsd.engine.copyprobe import ServerCopying
from omsd.engine.large import PartsRun
from tests.engine.harness import KIB, Report, bodies, fill, make_run, memory_store, range_shard
from tests.engine.large_harness import LARGE_SETTINGS, PART, PARTS, Crew, alone, crew_of, data
from tests.fakes.stores import FaultyStore, failing


async def test_a_range_hands_large_objects_over_and_copies_the_rest() -> None:
    source, destination = memory_store(), memory_store()
    objects = {"a": b"1", "big": data(), "c": bytes(32 * KIB), "d": b"4"}
    await fill(source, objects)
    report = Report()
    assert await make_run(source, destination, report, settings=LARGE_SETTINGS).run()
    assert report.handed == [LargeObject("big", len(objects["big"]))]
    assert sorted(report.kinds()) == ["a", "c", "d"]
    assert report.counters.listed_num == 4
    assert report.counters.listed_size_bytes == sum(map(len, objects.values()))
    assert report.checkpoint.after == "d"
    assert sorted(bodies(destination)) == ["a", "c", "d"]
    assert not report.progress[-1].progress.counters.listed_num


async def test_a_lease_hands_over_so_many_objects_and_ends() -> None:
    """What finds thousands of large objects does not pile up shards for them: it comes back when it is asked to."""
    source, destination = memory_store(), memory_store()
    large = {f"k{n:02}": bytes(33 * KIB) for n in range(40)}
    await fill(source, large | {"k05a": b"small", "z": b"small"})
    report, settings = Report(), replace(LARGE_SETTINGS, most_handed=12, copiers=2)
    leases = 0
    while not await make_run(
        source,
        destination,
        report,
        shard=range_shard(checkpoint=report.checkpoint),
        settings=settings,
    ).run():
        leases += 1
        assert 12 * leases <= len(report.handed) <= (12 + settings.copiers) * leases
    assert leases == 3
    assert [handed.key for handed in report.handed] == sorted(large)
    assert sorted(report.kinds()) == ["k05a", "z"]
    assert report.counters.listed_num == 42


@pytest.mark.parametrize("most_untold", [1, 1000])
async def test_a_large_object_is_copied_verified_and_recorded_before_it_is_completed(
    most_untold: int,
) -> None:
    body = data()
    crew = alone(await crew_of(body))
    crew.most_untold = most_untold
    recorded = 0

    async def note(name: str, nth: int) -> None:
        nonlocal recorded
        if name == "complete_upload":
            recorded = sum(map(len, crew.report.parts.values()))

    crew.destination = FaultyStore(memory_store(), note)
    assert await crew.lease()
    assert recorded == PARTS
    assert (await crew.destination.head("big")).size_bytes == len(body)
    (outcome,) = crew.report.outcomes
    assert (outcome.kind, outcome.size_bytes) == (OutcomeKind.SUCCESS, len(body))
    assert outcome.crc64_nvme >= 0
    assert crew.report.counters.listed_size_bytes == 0  # it was counted when it was handed over
    assert not crew.report.open_uploads
    assert not crew.report.intents


async def test_a_large_object_is_shared_by_as_many_as_want_work() -> None:
    body = data(parts=64)
    destination = FaultyStore(memory_store())
    crew = await crew_of(body, destination=destination)
    assert not await crew.lease()  # the others have parts of it, whoever leads comes back when they are done
    assert crew.splits >= 3
    assert all(crew.helpers)
    assert destination.calls["put_part"] == 64
    assert await alone(crew).lease()
    assert destination.calls["put_part"] == 64
    assert (await destination.read("big")).size_bytes == len(body)
    assert await (await destination.read("big")).read_all(len(body)) == body
    assert crew.report.kinds() == {"big": OutcomeKind.SUCCESS}
    assert not crew.report.open_uploads


@pytest.mark.parametrize("nth", [1, 2, 7, PARTS])
async def test_a_lease_that_dies_costs_the_parts_in_flight_and_no_more(nth: int) -> None:
    body, reached = data(), asyncio.Event()

    async def hang(name: str, number: int) -> None:
        if name == "put_part" and number >= nth and not reached.is_set():
            reached.set()
            await asyncio.Event().wait()

    destination = FaultyStore(memory_store(), hang)
    crew = alone(await crew_of(body, destination=destination))

    async def die(run: PartsRun) -> None:
        await reached.wait()
        run.cut()

    assert not await crew.lease(die)
    assert len(crew.report.open_uploads) == 1
    sent = sum(map(len, crew.report.parts.values()))
    assert sent >= nth - 3
    before = destination.calls["put_part"]
    assert await crew.lease()
    assert destination.calls["put_part"] - before == PARTS - sent
    assert destination.calls["put_part"] <= PARTS + crew.settings.part_copiers
    assert destination.calls["create_upload"] == 1
    assert await (await destination.read("big")).read_all(len(body)) == body
    assert not crew.report.open_uploads


async def test_parts_that_ledger_and_destination_do_not_agree_on_are_sent_again() -> None:
    body = data()
    destination = FaultyStore(memory_store(), failing("complete_upload", 1, lambda: forbidden(), times=9))
    crew = alone(await crew_of(body, destination=destination))
    stopped = FaultyStore(memory_store())
    crew.destination = stopped

    async def drain(run: PartsRun) -> None:
        while stopped.calls["put_part"] < 10:
            await asyncio.sleep(0)
        run.drain()

    assert not await crew.lease(drain)
    (upload,) = crew.report.open_uploads
    parts = crew.report.parts[upload]
    assert len(parts) >= 9
    # One only the ledger knows with this ETag, one only the destination has.
    parts[2] = replace(parts[2], etag="another")
    del parts[3]
    known = len(parts) - 1
    before = stopped.calls["put_part"]
    assert await crew.lease()
    assert stopped.calls["put_part"] - before == PARTS - known
    assert await (await stopped.read("big")).read_all(len(body)) == body


def forbidden() -> StoreError:
    return StoreError(StoreErrorKind.INVALID, "no", status=400)


async def test_a_drain_finishes_the_parts_begun_and_keeps_the_upload() -> None:
    body = data()
    destination = FaultyStore(memory_store())
    crew = alone(await crew_of(body, destination=destination))

    async def drain(run: PartsRun) -> None:
        while destination.calls["put_part"] < 5:
            await asyncio.sleep(0)
        run.drain()

    assert not await crew.lease(drain)
    assert destination.calls["put_part"] == sum(map(len, crew.report.parts.values())) < PARTS
    assert destination.calls["abort_upload"] == 0
    assert await crew.lease()
    assert destination.calls["put_part"] == PARTS


@pytest.mark.parametrize("shared", [False, True])
async def test_a_source_that_changes_under_way_is_begun_again_and_never_mixed(shared: bool) -> None:
    old, new = data(1), data(2, parts=PARTS + 3)
    source = memory_store()
    await fill(source, {"big": old})

    aborted_beside: list[int] = []

    async def change(name: str, nth: int) -> None:
        if name == "put_part" and nth == 8:
            await fill(source, {"big": new})
        if name == "abort_upload":
            aborted_beside.append(crew.helping)

    destination = FaultyStore(memory_store(), change)
    crew = Crew(source, destination, old)
    if not shared:
        alone(crew)
    leases = 0
    while not await crew.lease():
        leases += 1
        assert leases < 5
        alone(crew)
    assert await (await destination.read("big")).read_all(len(new)) == new
    (outcome,) = crew.report.outcomes
    assert (outcome.kind, outcome.size_bytes) == (OutcomeKind.SUCCESS, len(new))
    # Listed with the old size: the difference makes the total right.
    assert crew.report.counters.listed_size_bytes == len(new) - len(old)
    assert not await destination.list_uploads()
    assert not crew.report.open_uploads
    assert all(crew.helpers)
    # Nobody else was at work on the upload when it was given up.
    assert aborted_beside == [0]


async def test_who_leads_touches_no_upload_that_others_may_be_filling() -> None:
    """The helper is on its way to a worker; meanwhile the source changes."""
    source = memory_store()
    await fill(source, {"big": data(1)})

    async def change(name: str, nth: int) -> None:
        if name == "put_part" and nth == 4:
            await fill(source, {"big": data(2)})

    destination = FaultyStore(memory_store(), change)
    crew = Crew(source, destination, data(1), replace(LARGE_SETTINGS, split_bytes=8 * PART))
    crew._help = lambda shard, group: asyncio.sleep(0)  # type: ignore[method-assign, assignment]
    assert not await crew.lease()
    assert crew.splits == 1
    assert destination.calls["abort_upload"] == 0
    assert destination.calls["create_upload"] == 1
    assert len(crew.report.open_uploads) == 1


async def test_a_source_that_never_rests_fails_its_object() -> None:
    source = memory_store()
    await fill(source, {"big": data()})

    async def change(name: str, nth: int) -> None:
        if name == "put_part":
            await fill(source, {"big": data(nth)})

    destination = FaultyStore(memory_store(), change)
    crew = alone(Crew(source, destination, data()))
    assert await crew.lease()
    assert crew.report.codes() == {"big": "TRF.0157"}
    assert not await destination.list_uploads()
    assert not crew.report.open_uploads


async def test_an_object_completed_by_a_lease_that_died_before_telling_is_found_by_looking() -> None:
    body, completed = data(), asyncio.Event()

    async def hang(name: str, nth: int) -> None:
        if name == "complete_upload" and nth == 1:
            completed.set()
            await asyncio.Event().wait()

    destination = FaultyStore(memory_store(), after=hang)
    crew = alone(await crew_of(body, destination=destination))

    async def die(run: PartsRun) -> None:
        await completed.wait()
        run.cut()

    assert not await crew.lease(die)
    assert crew.report.open_uploads
    assert await crew.lease()
    (outcome,) = crew.report.outcomes
    assert outcome.kind is OutcomeKind.SUCCESS
    assert destination.calls["put_part"] == PARTS
    assert destination.calls["create_upload"] == 1
    assert not crew.report.open_uploads


async def test_an_upload_that_somebody_aborted_is_begun_anew() -> None:
    body = data()
    destination = FaultyStore(memory_store())
    crew = alone(await crew_of(body, destination=destination))

    async def drain(run: PartsRun) -> None:
        while destination.calls["put_part"] < 5:
            await asyncio.sleep(0)
        run.drain()

    assert not await crew.lease(drain)
    (upload,) = crew.report.open_uploads
    await destination.abort_upload(upload.key, upload.upload_id)
    assert await crew.lease()
    assert await (await destination.read("big")).read_all(len(body)) == body
    assert not crew.report.open_uploads


async def test_one_that_the_service_fills_itself_is_shared_and_gone_on_with_as_well() -> None:
    body = data(parts=32)
    service = MemoryService()
    source = memory_store(service, "from")
    destination = FaultyStore(memory_store(service, "into"))
    await fill(source, {"big": body})
    crew = Crew(source, destination, body, server_copying=ServerCopying(source, lambda error: None))

    async def cut(run: PartsRun) -> None:
        while destination.calls["copy_part"] < 8:
            await asyncio.sleep(0)
        run.cut()

    assert not await crew.lease(cut)
    assert await alone(crew).lease()
    assert destination.calls["put_part"] == 0
    assert destination.calls["copy_part"] <= 32 + crew.settings.part_copiers
    assert await (await destination.read("big")).read_all(len(body)) == body
    assert crew.splits


async def test_a_range_without_large_objects_asks_for_no_lists_of_uploads() -> None:
    source, destination = memory_store(), FaultyStore(memory_store())
    await fill(source, {f"{n}": bytes(2 * KIB) for n in range(20)})
    assert await make_run(source, destination, Report(), shard=range_shard(), settings=LARGE_SETTINGS).run()
    assert destination.calls["list_uploads"] == 0
