"""What the control process and a worker say to each other; how it is sent is in channel.py.

Credentials travel here and nowhere else: never argv, never environment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from omsd.domain.errors import Failure, Side
from omsd.domain.events import (
    IntentSettled,
    LeaseEvent,
    ListSettled,
    PartsSent,
    ShardBatch,
    ShardDone,
    ShardFailed,
    ShardProgress,
    ShardReleased,
    ShardSplit,
    SpanSplit,
    UploadClosed,
    UploadIntended,
    UploadOpened,
    UploadSought,
)
from omsd.domain.manifest import NO_LISTS, ListsFound
from omsd.domain.model import LeaseId, TaskId, TaskWork
from omsd.domain.questions import Fault
from omsd.domain.shards import KeptUpload, OpenUpload, Shard, UploadIntent
from omsd.ports.executor import Sweep
from omsd.ports.objectcopies import CopyOrder, CopyResult


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base: the class name is the tag."""


class Configure(_Message, frozen=True, array_like=True, tag=True):
    """The first message. settings: msgpack, known to the two composition roots alone."""

    settings: bytes


class OpenTask(_Message, frozen=True, array_like=True, tag=True):
    """The worker may get shards of this task; a repeat replaces what it knew (new keys)."""

    work: TaskWork


class ForgetTask(_Message, frozen=True, array_like=True, tag=True):
    """No more shards of this task come."""

    task_id: TaskId


class RunShard(_Message, frozen=True, array_like=True, tag=True):
    """Run one shard of an open task. stale_uploads: to be aborted first."""

    lease_id: LeaseId
    shard: Shard
    stale_uploads: tuple[OpenUpload, ...]


class DrainShard(_Message, frozen=True, array_like=True, tag=True):
    """Begin no more objects of the shard."""

    lease_id: LeaseId


class CutShard(_Message, frozen=True, array_like=True, tag=True):
    """Drop what is in flight."""

    lease_id: LeaseId


class SplitShard(_Message, frozen=True, array_like=True, tag=True):
    """A worker has nothing to do: give the upper part of the shard away, if that is worth it."""

    lease_id: LeaseId


class SetBudget(_Message, frozen=True, array_like=True, tag=True):
    """This worker's grant for the task, in force until the next one comes; None = no limit, 0 = nothing moves."""

    task_id: TaskId
    limit_bytes_per_s: int | None


class CopyObject(_Message, frozen=True, array_like=True, tag=True):
    """Copy one object of an open task, without a shard."""

    copy_id: int
    task_id: TaskId
    order: CopyOrder


class CutCopy(_Message, frozen=True, array_like=True, tag=True):
    """Drop that copy; when it has ended that is all that is said of it."""

    copy_id: int


class CopyIntentNoted(_Message, frozen=True, array_like=True, tag=True):
    """The copy's intent to create an upload of this key is durable."""

    copy_id: int
    key: str


class Probe(_Message, frozen=True, array_like=True, tag=True):
    """Check both ends of a task."""

    probe_id: int
    work: TaskWork


class IntentNoted(_Message, frozen=True, array_like=True, tag=True):
    """The lease's intent to create an upload of this key is durable."""

    lease_id: LeaseId
    key: str


class UploadFound(_Message, frozen=True, array_like=True, tag=True):
    """What the lease may go on with at this destination key; None = nothing."""

    lease_id: LeaseId
    key: str
    kept: KeptUpload | None


class SweepUploads(_Message, frozen=True, array_like=True, tag=True):
    """Abort what a task that does not work has left."""

    sweep_id: int
    sweep: Sweep


class Ask(_Message, frozen=True, array_like=True, tag=True):
    """A question about a cloud, beside any task. kind, body: known to questions.py."""

    ask_id: int
    kind: str
    body: bytes
    deadline_s: float


ToWorker = (
    Configure
    | OpenTask
    | ForgetTask
    | RunShard
    | DrainShard
    | CutShard
    | SplitShard
    | SetBudget
    | Probe
    | IntentNoted
    | UploadFound
    | SweepUploads
    | Ask
    | CopyObject
    | CutCopy
    | CopyIntentNoted
)


class Ready(_Message, frozen=True, array_like=True, tag=True):
    """The worker takes work."""


# An event of a lease has no tag of its own, which msgpack would need to tell them apart; these are the tags.
class Batch(_Message, frozen=True, array_like=True, tag=True):
    event: ShardBatch


class Split(_Message, frozen=True, array_like=True, tag=True):
    event: ShardSplit


class Cut(_Message, frozen=True, array_like=True, tag=True):
    event: SpanSplit


class Progress(_Message, frozen=True, array_like=True, tag=True):
    event: ShardProgress


class Done(_Message, frozen=True, array_like=True, tag=True):
    event: ShardDone


class Released(_Message, frozen=True, array_like=True, tag=True):
    event: ShardReleased


class Failed(_Message, frozen=True, array_like=True, tag=True):
    event: ShardFailed


class Sought(_Message, frozen=True, array_like=True, tag=True):
    event: UploadSought


class Opened(_Message, frozen=True, array_like=True, tag=True):
    event: UploadOpened


class Intended(_Message, frozen=True, array_like=True, tag=True):
    event: UploadIntended


class Settled(_Message, frozen=True, array_like=True, tag=True):
    event: IntentSettled


class Sent(_Message, frozen=True, array_like=True, tag=True):
    event: PartsSent


class Closed(_Message, frozen=True, array_like=True, tag=True):
    event: UploadClosed


class Listed(_Message, frozen=True, array_like=True, tag=True):
    event: ListSettled


class Copied(_Message, frozen=True, array_like=True, tag=True):
    """What became of the object."""

    copy_id: int
    result: CopyResult


class CopyIntends(_Message, frozen=True, array_like=True, tag=True):
    """That copy creates an upload when this is durable."""

    copy_id: int
    intent: UploadIntent


class CopySettles(_Message, frozen=True, array_like=True, tag=True):
    """Nothing is left of the intent of that copy."""

    copy_id: int
    key: str


class CopyOpens(_Message, frozen=True, array_like=True, tag=True):
    """That copy has created an upload. settled: its intent is over."""

    copy_id: int
    upload: OpenUpload
    settled: bool


class CopyCloses(_Message, frozen=True, array_like=True, tag=True):
    """The upload of that copy is completed or aborted."""

    copy_id: int
    upload: OpenUpload


class CopyGone(_Message, frozen=True, array_like=True, tag=True):
    """That copy was cut and has ended."""

    copy_id: int


CopyMessage = Copied | CopyIntends | CopySettles | CopyOpens | CopyCloses | CopyGone


class Probed(_Message, frozen=True, array_like=True, tag=True):
    """side None: both ends can be used, and lists tells of the task's object list files."""

    probe_id: int
    side: Side | None
    failure: Failure | None
    lists: ListsFound = NO_LISTS


class Swept(_Message, frozen=True, array_like=True, tag=True):
    """These are gone; failure: why the others are not, "" if all are."""

    sweep_id: int
    uploads: tuple[OpenUpload, ...]
    intents: tuple[UploadIntent, ...]
    failure: str


class Answered(_Message, frozen=True, array_like=True, tag=True):
    """fault: why there is no answer in body."""

    ask_id: int
    body: bytes
    fault: Fault | None


class TaskDemand(msgspec.Struct, frozen=True, array_like=True):
    """moved_bytes: since the last report. waiting_bytes: what would move now if the grant were larger."""

    task_id: TaskId
    moved_bytes: int
    waiting_bytes: int


class Demand(_Message, frozen=True, array_like=True, tag=True):
    """Sent several times a second while some task of the worker has a limit. elapsed_s: since the last report."""

    elapsed_s: float
    tasks: tuple[TaskDemand, ...]


FromWorker = (
    Ready
    | Batch
    | Split
    | Cut
    | Progress
    | Done
    | Released
    | Failed
    | Intended
    | Sought
    | Opened
    | Settled
    | Sent
    | Closed
    | Listed
    | Probed
    | Swept
    | Answered
    | Demand
    | Copied
    | CopyIntends
    | CopySettles
    | CopyOpens
    | CopyCloses
    | CopyGone
)

_WRAPPERS: dict[type, Callable[[Any], FromWorker]] = {
    ShardBatch: Batch,
    ShardSplit: Split,
    SpanSplit: Cut,
    ShardProgress: Progress,
    ShardDone: Done,
    ShardReleased: Released,
    ShardFailed: Failed,
    UploadIntended: Intended,
    UploadSought: Sought,
    UploadOpened: Opened,
    IntentSettled: Settled,
    PartsSent: Sent,
    UploadClosed: Closed,
    ListSettled: Listed,
}

EndingEvent = ShardDone | ShardReleased | ShardFailed


def wrap(event: LeaseEvent) -> FromWorker:
    """The message that carries the event."""
    return _WRAPPERS[type(event)](event)
