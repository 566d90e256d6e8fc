"""Large objects in PARTS shards: shared, interrupted, gone on with, begun again; and uploads nobody was told of."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.events import ShardBatch, ShardEvent, ShardSplit
from omsd.domain.model import OutcomeKind, OverwriteMode, ShardId, TaskId
from omsd.domain.plan import plan_split
from omsd.domain.shards import KeptUpload, LargeObject, OpenUpload, Shard, ShardKind, UploadIntent
from omsd.drivers.memory import MemoryService, MemoryStore
from omsd.engine.copyprobe import ServerCopying
from omsd.engine.large import PartsRun
from omsd.engine.settings import EngineSettings
from omsd.ports.objectstore import ObjectStore, PutOptions
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
from tests.fakes.stores import FaultyStore, failing

PART = 8 * KIB
PARTS = 20
LARGE_SETTINGS = replace(SETTINGS, large_bytes=32 * KIB, split_bytes=PART, part_copiers=3)
FULL = spec(overwrite_mode=OverwriteMode.FULL_OVERWRITE)


def data(seed: int = 1, parts: int = PARTS) -> bytes:
    return random.Random(seed).randbytes(parts * PART - 5)


def lead_shard(body: bytes, **changes: object) -> Shard:
    shard = Shard(ShardId(1), TaskId(1), 1, ShardKind.PARTS, attempt=1, large=LargeObject("big", len(body)))
    return replace(shard, **changes)


def kept_by(report: Report) -> KeptUpload | None:
    """What the ledger would hand the next lease."""
    for upload, plan in report.plans.items():
        return KeptUpload(upload, plan, tuple(report.parts.get(upload, {}).values()))
    return None


@dataclass
class Crew:
    """Leases of one large object after and beside each other, with what the ledger does in between."""

    source: ObjectStore
    destination: ObjectStore
    body: bytes
    settings: EngineSettings = LARGE_SETTINGS
    report: Report = field(default_factory=Report)
    lead: Shard = field(init=False)
    splits: int = 0
    helpers: list[bool] = field(default_factory=list)
    helping: int = 0
    server_copying: ServerCopying | None = None
    most_untold: int = 1

    def __post_init__(self) -> None:
        self.lead = lead_shard(self.body)

    def run_of(self, shard: Shard) -> PartsRun:
        shard = replace(shard, kept=kept_by(self.report), intents=tuple(self.report.intents.values()))
        run = make_run(
            self.source,
            self.destination,
            self.report,
            shard=shard,
            task=FULL,
            settings=self.settings,
            server_copying=self.server_copying,
            most_untold=self.most_untold,
        )
        assert isinstance(run, PartsRun)
        return run

    async def lease(self, act: Callable[[PartsRun], Awaitable[None]] | None = None) -> bool:
        """One lease of the shard that leads, helped by others as it splits; True if the object is accounted for."""
        shard = self.lead
        async with asyncio.TaskGroup() as group:
            run = self.run_of(shard)
            self._split_into(run, [shard], group)
            if act is not None:
                group.create_task(act(run))  # type: ignore[arg-type]
            return await run.run()

    def _split_into(self, run: PartsRun, current: list[Shard], group: asyncio.TaskGroup) -> None:
        async def take(event: ShardEvent) -> None:
            if isinstance(event, ShardSplit):
                self.splits += 1
                current[0], drafts = plan_split(current[0], event.boundaries)
                for draft in drafts:
                    helper = replace(current[0], shard_id=ShardId(9), after=draft.after, until=draft.until)
                    group.create_task(self._help(helper, group))
                run.split()
            else:
                await self.report.take(event)

        run._emit = take
        run.split()

    async def _help(self, shard: Shard, group: asyncio.TaskGroup) -> None:
        run = self.run_of(shard)
        self._split_into(run, [shard], group)
        self.helping += 1
        self.helpers.append(await run.run())
        self.helping -= 1


def alone(crew: Crew) -> Crew:
    crew._split_into = lambda run, current, group: None  # type: ignore[method-assign]
    return crew


async def crew_of(
    body: bytes, *, source: ObjectStore | None = None, destination: ObjectStore | None = None
) -> Crew:
    store = memory_store()
    await fill(store, {"big": body})
    source = source or store
    if isinstance(source, FaultyStore):
        await fill(source, {"big": body})
    return Crew(source, destination or memory_store(), body)


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


CALLS = [
    ("list_uploads", 1),
    ("create_upload", 1),
    ("put_part", 1),
    ("put_part", 2),
    ("put_part", PARTS),
    ("complete_upload", 1),
]


@pytest.mark.parametrize("answered", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize(("name", "nth"), CALLS)
async def test_a_cut_at_any_call_leaves_nothing_open_that_is_not_recorded(
    name: str, nth: int, answered: bool
) -> None:
    body, reached = data(), asyncio.Event()

    async def hang(called: str, number: int) -> None:
        if called == name and number >= nth and not reached.is_set():
            reached.set()
            await asyncio.Event().wait()

    inner = memory_store()
    destination = FaultyStore(inner, after=hang) if answered else FaultyStore(inner, hang)
    crew = alone(await crew_of(body, destination=destination))

    async def die(run: PartsRun) -> None:
        await reached.wait()
        run.cut()

    assert not await crew.lease(die)
    recorded = {upload.upload_id for upload in crew.report.open_uploads}
    unknown = [upload for upload in await inner.list_uploads() if upload.upload_id not in recorded]
    assert [upload.key for upload in unknown] == list(crew.report.intents)[: len(unknown)]
    assert await crew.lease()
    assert bodies(inner) == {"big": body}
    assert not await inner.list_uploads()
    assert not crew.report.intents
    assert not crew.report.open_uploads


def lost() -> StoreError:
    return StoreError(StoreErrorKind.NETWORK, "the connection was reset")


class Strangers:
    """A bucket where others open uploads of the same key, before, during and after."""

    def __init__(self, *, times: int, empty_strangers: int = 0) -> None:
        self.inner: MemoryStore = memory_store()
        self.theirs: list[OpenUpload] = []
        self.store = FaultyStore(self.inner, after=self._after)
        self._times = times
        self._empty_strangers = empty_strangers

    async def open(self, *, part: bool) -> None:
        upload_id = await self.inner.create_upload("big", PutOptions())
        if part:
            await self.inner.put_part("big", upload_id, 1, b"theirs", 6, PutOptions().checksums)
        self.theirs.append(OpenUpload("big", upload_id))

    async def _after(self, name: str, nth: int) -> None:
        if name == "create_upload" and nth <= self._times:
            await self.open(part=True)
            for _ in range(self._empty_strangers):
                await self.open(part=False)
            raise lost()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("times", [1, 3])
async def test_uploads_whose_creation_was_never_answered_are_swept_and_no_stranger_s(
    large: bool, times: int
) -> None:
    body = data()
    strangers = Strangers(times=times)
    await strangers.open(part=False)
    crew = alone(await crew_of(body, destination=strangers.store))
    if large:
        assert await crew.lease()
    else:
        run = make_run(crew.source, strangers.store, crew.report, task=FULL, settings=SETTINGS)
        assert await run.run()
    assert crew.report.kinds() == {"big": OutcomeKind.SUCCESS}
    assert set(await strangers.inner.list_uploads()) == set(strangers.theirs)
    assert len(strangers.theirs) == times + 1
    assert not crew.report.intents


async def test_where_ours_cannot_be_told_from_a_stranger_s_none_is_touched() -> None:
    body = data()
    strangers = Strangers(times=1, empty_strangers=1)
    crew = alone(await crew_of(body, destination=strangers.store))
    assert await crew.lease()
    left = set(await strangers.inner.list_uploads())
    assert left > set(strangers.theirs)
    assert len(left) == len(strangers.theirs) + 1


async def test_an_intent_is_durable_before_the_upload_is_created() -> None:
    crew = alone(await crew_of(data()))
    seen: list[UploadIntent] = []

    async def before(name: str, nth: int) -> None:
        if name == "create_upload":
            seen.extend(crew.report.intents.values())

    crew.destination = FaultyStore(memory_store(), before)
    assert await crew.lease()
    assert [intent.key for intent in seen] == ["big"]
    assert not crew.report.intents


async def test_the_next_lease_sweeps_what_a_lease_that_died_in_its_creation_left() -> None:
    created = asyncio.Event()

    async def hang(name: str, nth: int) -> None:
        if name == "create_upload" and nth == 1:
            created.set()
            await asyncio.Event().wait()

    inner = memory_store()
    crew = alone(await crew_of(data(), destination=FaultyStore(inner, after=hang)))

    async def die(run: PartsRun) -> None:
        await created.wait()
        run.cut()

    assert not await crew.lease(die)
    assert len(await inner.list_uploads()) == 1
    assert await crew.lease()
    assert not await inner.list_uploads()
    assert not crew.report.intents


async def test_who_may_not_list_uploads_and_parts_may_still_copy() -> None:
    def forbid() -> StoreError:
        return StoreError(StoreErrorKind.PERMISSION, "list_uploads is not allowed", status=403)

    async def forbidding(name: str, nth: int) -> None:
        if name in ("list_uploads", "list_parts"):
            raise forbid()

    destination = FaultyStore(memory_store(), forbidding)
    crew = alone(await crew_of(data(), destination=destination))

    async def drain(run: PartsRun) -> None:
        while destination.calls["put_part"] < 5:
            await asyncio.sleep(0)
        run.drain()

    assert not await crew.lease(drain)
    sent = destination.calls["put_part"]
    assert await crew.lease()
    assert crew.report.kinds() == {"big": OutcomeKind.SUCCESS}
    assert destination.calls["put_part"] == sent + PARTS


async def test_a_batch_that_closes_an_upload_comes_once_with_the_object() -> None:
    crew = alone(await crew_of(data()))
    batches: list[ShardBatch] = []
    take = crew.report.take

    async def note(event: ShardEvent) -> None:
        if isinstance(event, ShardBatch):
            batches.append(event)
        await take(event)

    crew.report.take = note  # type: ignore[method-assign]
    assert await crew.lease()
    (batch,) = batches
    assert batch.closed is not None
    assert batch.checkpoint.position == 1
    # The shard as it is stored now: a lease that comes after the daemon died in between has nothing to do.
    done = replace(crew.lead, checkpoint=batch.checkpoint)
    assert await make_run(memory_store(), memory_store(), Report(), shard=done, settings=LARGE_SETTINGS).run()


async def test_a_range_without_large_objects_asks_for_no_lists_of_uploads() -> None:
    source, destination = memory_store(), FaultyStore(memory_store())
    await fill(source, {f"{n}": bytes(2 * KIB) for n in range(20)})
    assert await make_run(source, destination, Report(), shard=range_shard(), settings=LARGE_SETTINGS).run()
    assert destination.calls["list_uploads"] == 0
