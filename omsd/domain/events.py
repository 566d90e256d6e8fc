"""What happens to shards (in). Calls of users are in task_machine.py; both reach the ledger through one channel."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.errors import Failure
from omsd.domain.model import Counters, LeaseId, ListPart, LiveProgress, Outcome, TaskId
from omsd.domain.shards import Checkpoint, LargeObject, OpenUpload, SentPart, UploadIntent, UploadPlan


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """Volatile: nothing is stored."""

    lease_id: LeaseId
    progress: LiveProgress


@dataclass(frozen=True, slots=True)
class ShardBatch:
    """Objects that are now final or deferred, in order and without gaps up to `checkpoint`: stored in one transaction with it.

    counters: the sum over outcomes (listed_* counts them too, listed_num also the deferred, both the handed over). outcomes: never more
    than some thousand.
    deferred: keys to be asked after in a new shard no sooner than in rest_s; their restore was asked for first at restore_since_s.
    handed: large objects among them that get shards of their own; listed, not final.
    closed: the upload that the object of a PARTS shard came from.
    """

    lease_id: LeaseId
    outcomes: tuple[Outcome, ...]
    counters: Counters
    checkpoint: Checkpoint
    deferred: tuple[str, ...] = ()
    restore_since_s: float = 0.0
    rest_s: float = 0.0
    handed: tuple[LargeObject, ...] = ()
    closed: OpenUpload | None = None


@dataclass(frozen=True, slots=True)
class ShardSplit:
    """A RANGE or PARTS shard gives away what is behind the first boundary; nothing behind it was begun under this lease.

    boundaries: one or more keys in listing order, or part numbers, inside the range. The shard ends at the first; between each and
    the next, and from the last to the old end, there are new shards.
    """

    lease_id: LeaseId
    boundaries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpanSplit:
    """A MANIFEST shard gives away the lines that begin at byte `at` of its list file or behind; none of them was begun under this lease."""

    lease_id: LeaseId
    at: int


@dataclass(frozen=True, slots=True)
class ShardDone:
    """The shard is accounted for to its end; all its batches came before."""

    lease_id: LeaseId


@dataclass(frozen=True, slots=True)
class ShardReleased:
    """The shard stopped at its checkpoint because it was told to (drain or cut); it is pending again."""

    lease_id: LeaseId


@dataclass(frozen=True, slots=True)
class ShardFailed:
    """The shard cannot go on. decisive: nothing of the task can (bucket gone, keys refused); else it may be tried again."""

    lease_id: LeaseId
    failure: Failure
    decisive: bool


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker process is gone with these leases; every batch it managed to send came before."""

    worker_id: int
    lease_ids: tuple[LeaseId, ...]


@dataclass(frozen=True, slots=True)
class UploadIntended:
    """A multipart upload is about to be created; the worker waits until this is durable. A repeat replaces the one before."""

    lease_id: LeaseId
    intent: UploadIntent


@dataclass(frozen=True, slots=True)
class UploadSought:
    """The lease is about to copy an object in parts and an earlier one may have begun: the worker waits for what there is of it.

    key: destination key.
    """

    lease_id: LeaseId
    key: str


@dataclass(frozen=True, slots=True)
class UploadOpened:
    """A multipart upload exists at the destination; sent before its first part.

    plan: it is gone on with by later leases, None = they abort it. settled: no other upload can have come from the intent.
    """

    lease_id: LeaseId
    upload: OpenUpload
    plan: UploadPlan | None = None
    settled: bool = True


@dataclass(frozen=True, slots=True)
class IntentSettled:
    """What became of the intent to create an upload of this key is known and done with."""

    lease_id: LeaseId
    key: str


@dataclass(frozen=True, slots=True)
class PartsSent:
    """These parts of an upload with a plan are stored; a number that comes again replaces the one before."""

    lease_id: LeaseId
    upload: OpenUpload
    parts: tuple[SentPart, ...]


@dataclass(frozen=True, slots=True)
class UploadClosed:
    """That upload was completed or aborted."""

    lease_id: LeaseId
    upload: OpenUpload


@dataclass(frozen=True, slots=True)
class UploadsSwept:
    """Uploads and intents of a task that does not work are gone; over: so is everything there was to sweep."""

    task_id: TaskId
    uploads: tuple[OpenUpload, ...]
    intents: tuple[UploadIntent, ...]
    over: bool


@dataclass(frozen=True, slots=True)
class ListSettled:
    """A file of an object list is stored as `key`, or it is given up: error_code says why."""

    lease_id: LeaseId
    part: ListPart
    key: str
    error_code: str = ""


# What a worker tells of a lease.
LeaseEvent = (
    ShardProgress
    | ShardBatch
    | ShardSplit
    | SpanSplit
    | ShardDone
    | ShardReleased
    | ShardFailed
    | UploadIntended
    | UploadSought
    | UploadOpened
    | IntentSettled
    | PartsSent
    | UploadClosed
    | ListSettled
)
# What the ledger hears besides calls and orders.
ShardEvent = LeaseEvent | WorkerLost | UploadsSwept
