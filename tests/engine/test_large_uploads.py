"""Uploads of large objects: none is left open that is not recorded, and no stranger's is touched."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.events import ShardBatch, ShardEvent
from omsd.domain.model import OutcomeKind
from omsd.domain.shards import OpenUpload, UploadIntent
from omsd.drivers.memory import MemoryStore
from omsd.engine.large import PartsRun
from omsd.ports.objectstore import PutOptions
from tests.engine.harness import SETTINGS, Report, bodies, make_run, memory_store
from tests.engine.large_harness import FULL, LARGE_SETTINGS, PARTS, alone, crew_of, data
from tests.fakes.stores import FaultyStore

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
