"""Where shards run. The scheduler orders, the executor carries out; results come back through the EventSink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from omsd.domain.bandwidth import BandwidthLimits
from omsd.domain.errors import Failure, Side
from omsd.domain.manifest import NO_LISTS, ListsFound
from omsd.domain.model import Credentials, LeaseId, Location, TaskId, TaskWork
from omsd.domain.questions import Question
from omsd.domain.shards import KeptUpload, OpenUpload, Shard, UploadIntent
from omsd.ports.eventsink import EventSink


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe of a task found. side None: both ends can be used; then lists tells of its object list files, if it has any."""

    side: Side | None = None
    failure: Failure | None = None
    lists: ListsFound = NO_LISTS


@dataclass(frozen=True, slots=True)
class Sweep:
    """Uploads of a task that does not work, and intents to create some, at its destination."""

    destination: Location
    credentials: Credentials
    uploads: tuple[OpenUpload, ...]
    intents: tuple[UploadIntent, ...]


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What is gone; failure: why the rest is not, "" if all is."""

    uploads: tuple[OpenUpload, ...] = ()
    intents: tuple[UploadIntent, ...] = ()
    failure: str = ""


class Executor(Protocol):
    """Workers that run shards.

    A lease is one run of one shard; each ends with exactly one of ShardDone, ShardReleased, ShardFailed, or in a WorkerLost.
    """

    async def serve(self, sink: EventSink) -> None:
        """Workers run and take work until stop(). Lost workers are replaced."""

    async def stop(self, *, grace_s: float) -> None:
        """Drain every lease for at most grace_s, then cut; all workers are gone afterwards."""

    def free_slots(self) -> int:
        """How many more shards may run now."""

    def idle_workers(self) -> int:
        """How many workers have no shard at all."""

    def worker_count(self) -> int:
        """How many workers there are, at least one."""

    def run(
        self, lease_id: LeaseId, work: TaskWork, shard: Shard, stale_uploads: Sequence[OpenUpload]
    ) -> None:
        """Start a shard on the least loaded worker. stale_uploads: uploads of earlier leases, aborted first."""

    def drain(self, lease_id: LeaseId) -> None:
        """Begin no more objects of this shard, finish those begun, then ShardReleased."""

    def cut(self, lease_id: LeaseId) -> None:
        """Stop at once: objects in flight are dropped, what is final is reported, then ShardReleased."""

    def split(self, lease_id: LeaseId) -> None:
        """Somebody has nothing to do: a shard gives away what it need not do itself, by a ShardSplit or SpanSplit, as soon as that pays."""

    def intent_noted(self, lease_id: LeaseId, key: str) -> None:
        """The intent of an UploadIntended is durable: the upload may be created."""

    def upload_found(self, lease_id: LeaseId, key: str, kept: KeptUpload | None) -> None:
        """The answer to an UploadSought: the upload of this destination key that is gone on with, None = there is none."""

    def forget(self, task_id: TaskId) -> None:
        """The task needs no worker any more: its stores are closed, its credentials dropped."""

    def set_limits(self, limits: BandwidthLimits) -> None:
        """These limits replace those before, at once; the executor divides them among its workers by what they want to move."""

    async def probe(self, work: TaskWork, *, deadline_s: float) -> ProbeResult:
        """Check both ends of a task in a worker, and find its list files. Raises RequestError BUSY if no worker answers in time."""

    async def sweep(self, sweep: Sweep, *, deadline_s: float) -> SweepResult:
        """Abort the uploads in a worker, and those that provably came from the intents. Raises RequestError BUSY as probe() does."""


Reply = TypeVar("Reply")


class Asker(Protocol):
    """Somebody who can ask clouds: workers, so that whoever wants to know is not held up by it."""

    async def ask(self, question: Question, answer_type: type[Reply], *, deadline_s: float) -> Reply:
        """The answer, of the type that goes with the question.

        Raises StoreError if the cloud refused or failed, also TIMEOUT at the deadline; RequestError BUSY if nobody can ask now.
        """
