"""Runs a shard on two stores and keeps what it reported."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from omsd.domain.events import (
    IntentSettled,
    PartsSent,
    ShardBatch,
    ShardEvent,
    ShardProgress,
    UploadClosed,
    UploadIntended,
    UploadOpened,
    UploadSought,
)
from omsd.domain.model import (
    CloudType,
    Counters,
    LeaseId,
    Location,
    Outcome,
    OutcomeKind,
    ShardId,
    TaskId,
    TaskSpec,
    TaskType,
)
from omsd.domain.shards import (
    Checkpoint,
    KeptUpload,
    LargeObject,
    OpenUpload,
    SentPart,
    Shard,
    ShardKind,
    UploadIntent,
    UploadPlan,
)
from omsd.drivers.memory import MEMORY_ABILITIES, MemoryService, MemoryStore
from omsd.engine.buffers import BufferBudget
from omsd.engine.context import ShardContext
from omsd.engine.copyprobe import ServerCopying
from omsd.engine.large import PartsRun
from omsd.engine.pacer import Pacer, PacerPair
from omsd.engine.settings import EngineSettings
from omsd.engine.shard import ShardRun
from omsd.engine.throttle import Throttle
from omsd.executors.uploadlog import LeaseUploads
from omsd.ports.objectstore import ObjectStore, PutOptions

KIB = 1024
SETTINGS = EngineSettings(
    whole_max_bytes=4 * KIB,
    single_put_max_bytes=16 * KIB,
    part_bytes=8 * KIB,
    copy_part_bytes=8 * KIB,
    copiers=8,
    batch_objects=7,
    report_interval_s=0.01,
)
ABILITIES = replace(MEMORY_ABILITIES, min_part_bytes=8 * KIB)
LEASE = LeaseId(1)


def memory_store(
    service: MemoryService | None = None, bucket: str = "bucket", **changes: object
) -> MemoryStore:
    """A store whose parts may be small."""
    return MemoryStore(
        abilities=replace(ABILITIES, **changes), chunk_bytes=KIB, service=service, bucket=bucket
    )


def spec(**changes: object) -> TaskSpec:
    """The whole bucket, with defaults."""
    place = Location(CloudType.AWS, "r", "b")
    return replace(TaskSpec(place, place, TaskType.PREFIX, ("",)), **changes)


def range_shard(**changes: object) -> Shard:
    return replace(Shard(ShardId(1), TaskId(1), 1, ShardKind.RANGE, attempt=1), **changes)


def keys_shard(keys: Sequence[str], **changes: object) -> Shard:
    return replace(Shard(ShardId(1), TaskId(1), 1, ShardKind.KEYS, keys=tuple(keys), attempt=1), **changes)


async def fill(store: ObjectStore, objects: Mapping[str, bytes], **options: object) -> None:
    for key, body in objects.items():
        await store.put(key, body, len(body), PutOptions(content_type="text/x-" + str(len(body)), **options))


def bodies(store: MemoryStore) -> dict[str, bytes]:
    return {key: stored.body for key, stored in store.objects.items()}


async def no_sleep(seconds: float) -> None:
    """Waiting between attempts costs nothing in tests."""


@dataclass
class Report:
    """What a run reported; checks on the way that batches are without gaps."""

    outcomes: list[Outcome] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)
    restore_since_s: float = 0.0
    batch_sizes: list[int] = field(default_factory=list)
    counters: Counters = Counters()
    checkpoint: Checkpoint = Checkpoint()
    progress: list[ShardProgress] = field(default_factory=list)
    open_uploads: set[OpenUpload] = field(default_factory=set)
    opened_num: int = 0
    sought: list[str] = field(default_factory=list)
    handed: list[LargeObject] = field(default_factory=list)
    intents: dict[str, UploadIntent] = field(default_factory=dict)
    plans: dict[OpenUpload, UploadPlan] = field(default_factory=dict)
    parts: dict[OpenUpload, dict[int, SentPart]] = field(default_factory=dict)

    async def take(self, event: ShardEvent) -> None:
        if isinstance(event, ShardBatch):
            assert event.counters.accounted_num == len(event.outcomes)
            moved = len(event.outcomes) + len(event.deferred) + len(event.handed)
            assert event.counters.listed_num == moved
            assert event.checkpoint.position == self.checkpoint.position + moved
            self.outcomes += event.outcomes
            self.deferred += event.deferred
            self.handed += event.handed
            self.restore_since_s = event.restore_since_s or self.restore_since_s
            self.batch_sizes.append(moved)
            if event.closed is not None:
                self._close(event.closed)
            self.counters = self.counters.plus(event.counters)
            self.checkpoint = event.checkpoint
        elif isinstance(event, ShardProgress):
            self.progress.append(event)
        else:
            self._take_upload(event)

    def _take_upload(self, event: ShardEvent) -> None:
        match event:
            case UploadIntended():
                self.intents[event.intent.key] = event.intent
            case UploadOpened():
                self.open_uploads.add(event.upload)
                self.opened_num += 1
                if event.settled:
                    self.intents.pop(event.upload.key, None)
                if event.plan is not None:
                    self.plans[event.upload] = event.plan
            case IntentSettled():
                self.intents.pop(event.key, None)
            case PartsSent():
                known = self.parts.setdefault(event.upload, {})
                known.update((part.part_number, part) for part in event.parts)
            case UploadClosed():
                self._close(event.upload)

    def _close(self, upload: OpenUpload) -> None:
        self.open_uploads.discard(upload)
        self.plans.pop(upload, None)
        self.parts.pop(upload, None)

    def kept(self, key: str) -> KeptUpload | None:
        """What the ledger would find."""
        for upload, plan in self.plans.items():
            if upload.key == key:
                return KeptUpload(upload, plan, tuple(self.parts.get(upload, {}).values()))
        return None

    def kinds(self) -> dict[str, OutcomeKind]:
        return {outcome.key: outcome.kind for outcome in self.outcomes}

    def codes(self) -> dict[str, str]:
        return {outcome.key: outcome.error_code for outcome in self.outcomes if outcome.error_code}


def make_run(
    source: ObjectStore,
    destination: ObjectStore,
    report: Report,
    *,
    shard: Shard | None = None,
    task: TaskSpec | None = None,
    settings: EngineSettings = SETTINGS,
    redo_since_s: float | None = None,
    stale_uploads: Sequence[OpenUpload] = (),
    server_copying: ServerCopying | None = None,
    throttle: Throttle | None = None,
    most_untold: int = 1,
) -> ShardRun | PartsRun:
    """A run ready to go."""
    context = make_context(
        source,
        destination,
        report,
        task=task,
        settings=settings,
        redo_since_s=redo_since_s,
        server_copying=server_copying,
        throttle=throttle,
        most_untold=most_untold,
        restore_since_s=shard.restore_since_s if shard is not None else 0.0,
    )
    shard = shard or range_shard()
    kind = PartsRun if shard.kind is ShardKind.PARTS else ShardRun
    return kind(LEASE, shard, context, stale_uploads, report.take)


def make_context(
    source: ObjectStore,
    destination: ObjectStore,
    report: Report,
    *,
    task: TaskSpec | None = None,
    settings: EngineSettings = SETTINGS,
    redo_since_s: float | None = None,
    server_copying: ServerCopying | None = None,
    throttle: Throttle | None = None,
    restore_since_s: float = 0.0,
    most_untold: int = 1,
) -> ShardContext:
    """What a run of a shard is given; nothing waits between attempts."""

    async def emit(event: ShardEvent) -> None:
        await report.take(event)
        if isinstance(event, UploadIntended):
            asyncio.get_running_loop().call_soon(uploads.noted, event.intent.key)
        elif isinstance(event, UploadSought):
            report.sought.append(event.key)
            asyncio.get_running_loop().call_soon(uploads.found, event.key, report.kept(event.key))

    uploads = LeaseUploads(LEASE, emit, most_untold=most_untold)
    return ShardContext(
        source=source,
        destination=destination,
        spec=task or spec(),
        settings=settings,
        throttle=throttle or Throttle(),
        budget=BufferBudget(64 * KIB),
        pacers=PacerPair(Pacer(64), Pacer(64)),
        uploads=uploads,
        redo_since_s=redo_since_s,
        server_copying=server_copying,
        random01=lambda: 0.5,
        sleep=no_sleep,
        restore_since_s=restore_since_s,
    )
