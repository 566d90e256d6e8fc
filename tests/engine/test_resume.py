"""Objects in many parts among the others of a shard: an interruption costs the parts in flight, whatever kind of shard it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from omsd.domain.model import OutcomeKind, OverwriteMode
from omsd.domain.shards import Checkpoint, SentPart, Shard
from omsd.drivers.memory import MemoryStore
from omsd.engine.shard import ShardRun
from tests.engine.harness import (
    KIB,
    LEASE,
    SETTINGS,
    Report,
    bodies,
    fill,
    keys_shard,
    make_context,
    make_run,
    memory_store,
    range_shard,
    spec,
)
from tests.fakes.stores import FaultyStore
from tests.waiting import PATIENCE_S

PART = 8 * KIB
PARTS = 12
NAMES = ("b", "c", "d")
BEGAN_S = 2000.0
FULL = spec(overwrite_mode=OverwriteMode.FULL_OVERWRITE)
IN_FLIGHT = SETTINGS.part_copiers


def body_of(seed: object) -> bytes:
    return random.Random(str(seed)).randbytes(PARTS * PART - 3)


def mixed() -> dict[str, bytes]:
    """Three objects in many parts, one that goes in as many as are on their way at once, and a small one."""
    few = random.Random(0).randbytes(IN_FLIGHT * PART)
    return {"a": b"1", "few": few, **{name: body_of(name) for name in NAMES}}


@dataclass
class Leases:
    """Leases of one shard after each other, with what the ledger keeps in between."""

    shard: Shard
    objects: dict[str, bytes]
    source: MemoryStore = field(default_factory=memory_store)
    target: MemoryStore = field(default_factory=memory_store)
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        self.destination = FaultyStore(self.target)

    async def first(self, *, until: Callable[[], bool]) -> None:
        """A lease that is cut when this has happened: what it did not tell is lost, as if it had been killed."""
        await fill(self.source, self.objects)
        run = make_run(self.source, self.destination, self.report, shard=self.shard, task=FULL)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run.run())
            async with asyncio.timeout(PATIENCE_S):
                while not until():
                    await asyncio.sleep(0)
            run.cut()
            assert not await task

    async def again(self) -> bool:
        """The next lease; the objects of the one before may be there."""
        return await make_run(
            self.source,
            self.destination,
            self.report,
            shard=replace(self.shard, checkpoint=self.report.checkpoint, attempt=2),
            task=FULL,
            redo_since_s=BEGAN_S,
        ).run()

    def recorded_num(self) -> int:
        return sum(map(len, self.report.parts.values()))


@pytest.mark.parametrize("shard", [range_shard(), keys_shard(["a", "b", "c", "d", "few"])])
@pytest.mark.parametrize("sent", [1, 7, 20, 3 * PARTS - 1])
async def test_a_lease_that_is_cut_costs_the_parts_in_flight_of_each_object(shard: Shard, sent: int) -> None:
    objects = mixed()
    leases = Leases(shard, objects)
    await leases.first(until=lambda: leases.destination.calls["put_part"] >= sent)
    recorded, before = leases.recorded_num(), leases.destination.calls["put_part"]
    opened = leases.destination.calls["create_upload"]
    kept = set(leases.report.plans)
    # What is open at the destination is what the ledger goes on with.
    assert set(await leases.target.list_uploads()) == kept == leases.report.open_uploads
    assert {upload.key for upload in kept} <= set(NAMES)
    done = sum(leases.report.kinds().get(name) is not None for name in NAMES)
    assert await leases.again()
    assert bodies(leases.target) == objects
    assert set(leases.report.kinds().values()) == {OutcomeKind.SUCCESS}
    assert not await leases.target.list_uploads()
    assert not leases.report.open_uploads
    few = 2 * IN_FLIGHT  # the object that is sent as a whole, once or twice
    missing = (len(NAMES) - done) * PARTS - recorded
    assert leases.destination.calls["put_part"] - before <= missing + few
    assert leases.destination.calls["put_part"] <= len(NAMES) * (PARTS + IN_FLIGHT) + few
    assert leases.destination.calls["create_upload"] - opened <= len(NAMES) - len(kept) + 1


async def test_nothing_is_asked_for_by_a_first_lease_and_small_uploads_are_never_kept() -> None:
    report, source, destination = Report(), memory_store(), FaultyStore(memory_store())
    objects = mixed()
    await fill(source, objects)
    planned: set[str] = set()
    run = make_run(source, destination, report)

    async def note(name: str, nth: int) -> None:
        planned.update(upload.key for upload in report.plans)

    destination._before = note
    assert await run.run()
    assert not report.sought
    assert planned == set(NAMES)
    assert destination.calls["list_parts"] == 0
    assert destination.calls["list_uploads"] == len(NAMES) + 1  # one for each creation


async def test_a_source_that_changed_in_between_is_begun_again_and_the_old_upload_is_gone() -> None:
    leases = Leases(range_shard(), {"b": body_of(1)})
    await leases.first(until=lambda: leases.recorded_num() >= 3)
    (old,) = leases.report.open_uploads
    newer = body_of(2)
    await fill(leases.source, {"b": newer})
    assert await leases.again()
    assert bodies(leases.target) == {"b": newer}
    assert leases.destination.calls["create_upload"] == 2
    assert not await leases.target.list_uploads()
    assert old not in leases.report.open_uploads


@pytest.mark.parametrize("told", [PARTS, 8])
async def test_an_object_that_was_completed_and_not_told_is_proven_by_its_parts(told: int) -> None:
    leases = Leases(range_shard(), {"b": body_of(1)})
    leases.source._now = lambda: BEGAN_S - 1000
    leases.target._now = lambda: BEGAN_S - 500  # by its time anybody may have written it
    await leases.first(until=lambda: leases.recorded_num() >= 8)
    (upload,) = leases.report.open_uploads
    plan = leases.report.plans[upload]
    parts: dict[int, SentPart] = {}

    async def note(name: str, nth: int) -> None:
        if name == "complete_upload":
            parts.update(leases.report.parts.get(upload, {}))

    leases.destination._before = note
    assert await leases.again()
    sent = leases.destination.calls["put_part"]
    # All that the lease told behind its parts was lost: the ledger still has the upload.
    leases.report.open_uploads.add(upload)
    leases.report.plans[upload] = plan
    leases.report.parts[upload] = {number: parts[number] for number in list(parts)[:told]}
    leases.report.checkpoint = Checkpoint()
    leases.report.outcomes.clear()
    assert await leases.again()
    assert leases.report.kinds() == {"b": OutcomeKind.SUCCESS}
    assert not leases.report.open_uploads
    # With some of its parts nothing is proven: then it is sent once more, into an upload of its own.
    assert leases.destination.calls["put_part"] - sent == (0 if told == PARTS else PARTS)
    assert bodies(leases.target) == leases.objects


async def test_a_copy_without_a_shard_leaves_no_upload_behind() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {"b": body_of(1)})
    context = make_context(source, destination, report)
    context.keeps_uploads = False
    run = ShardRun(LEASE, range_shard(), context, (), report.take)
    task = asyncio.create_task(run.run())
    async with asyncio.timeout(PATIENCE_S):
        while not report.open_uploads:
            await asyncio.sleep(0)
    assert not report.plans
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await destination.list_uploads()
    assert not report.open_uploads
