"""Large objects on stores in memory: their shards, and a crew of leases that copy one together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from omsd.domain.events import ShardEvent, ShardSplit
from omsd.domain.model import OverwriteMode, ShardId, TaskId
from omsd.domain.plan import plan_split
from omsd.domain.shards import KeptUpload, LargeObject, Shard, ShardKind
from omsd.engine.copyprobe import ServerCopying
from omsd.engine.large import PartsRun
from omsd.engine.settings import EngineSettings
from omsd.ports.objectstore import ObjectStore
from tests.engine.harness import KIB, SETTINGS, Report, fill, make_run, memory_store, spec
from tests.fakes.stores import FaultyStore

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
