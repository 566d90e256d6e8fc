"""Shards over spans of list files, on stores in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from omsd.domain.events import ShardBatch, ShardEvent, ShardProgress, SpanSplit
from omsd.domain.model import Counters, LiveProgress, Outcome, OutcomeKind, ShardId, TaskId, TaskSpec
from omsd.domain.shards import ManifestSpan, Shard, ShardKind
from omsd.engine.settings import EngineSettings
from omsd.engine.shard import Emit, ShardRun
from omsd.ports.objectstore import ObjectStore, PutOptions
from tests.engine.harness import LEASE, SETTINGS, Report, make_context, memory_store

LIST = "lists/all.txt"


@dataclass
class Lines:
    """What a run told of its lines. Checks on the way that checkpoints only go forward."""

    outcomes: list[Outcome] = field(default_factory=list)
    counters: Counters = Counters()
    position: int = 0
    live: LiveProgress = LiveProgress()
    splits: list[int] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)

    async def take(self, event: ShardEvent) -> None:
        if isinstance(event, ShardBatch):
            assert event.checkpoint.position > self.position
            assert event.checkpoint.after == ""
            self.position = event.checkpoint.position
            self.outcomes += event.outcomes
            self.deferred += event.deferred
            self.counters = self.counters.plus(event.counters)
        elif isinstance(event, ShardProgress):
            self.live = event.progress
        elif isinstance(event, SpanSplit):
            self.splits.append(event.at)

    def told(self) -> list[tuple[str, OutcomeKind, str]]:
        return [(outcome.key, outcome.kind, outcome.error_code) for outcome in self.outcomes]

    def keys(self) -> list[str]:
        return [outcome.key for outcome in self.outcomes]


async def put_list(
    lists: ObjectStore, text: bytes, content_type: str = "text/plain", **options: object
) -> Shard:
    """The list is stored; the shard of all of it."""
    receipt = await lists.put(LIST, text, len(text), PutOptions(content_type=content_type, **options))  # type: ignore[arg-type]
    span = ManifestSpan(LIST, receipt.etag, len(text), 0, len(text))
    return Shard(ShardId(1), TaskId(1), 1, ShardKind.MANIFEST, attempt=1, manifest=span)


def make_run(
    source: ObjectStore,
    destination: ObjectStore,
    lists: ObjectStore,
    take: Emit,
    shard: Shard,
    *,
    task: TaskSpec | None = None,
    engine: EngineSettings = SETTINGS,
) -> ShardRun:
    redo_since_s = 0.0 if shard.attempt > 1 else None
    context = make_context(
        source, destination, Report(), task=task, settings=engine, redo_since_s=redo_since_s
    )
    context.lists = lists
    return ShardRun(LEASE, shard, context, (), take)


def text_of(keys: list[str], end: str = "\n") -> bytes:
    return "".join(quote(key) + end for key in keys).encode()


def numbered(count: int) -> dict[str, bytes]:
    return {f"many/{number:05}": b"x" * (number % 50) for number in range(count)}


def spec_of_all() -> TaskSpec:
    return make_context(memory_store(), memory_store(), Report()).spec
