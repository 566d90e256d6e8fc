"""The frozen types every room speaks: where data is, what a task wants, what a shard is, what became of an object."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NewType

from omsd.domain.caveats import Caveat

TaskId = NewType("TaskId", int)
GroupId = NewType("GroupId", str)
ShardId = NewType("ShardId", int)
LeaseId = NewType("LeaseId", int)


class CloudType(StrEnum):
    """Source cloud types as the API reference spells them; HEC is HuaweiCloud as a destination."""

    ALIYUN = "Aliyun"
    AWS = "AWS"
    AZURE = "Azure"
    TENCENT = "Tencent"
    HUAWEI = "HuaweiCloud"
    QINGCLOUD = "QingCloud"
    KINGSOFT = "KingsoftCloud"
    BAIDU = "Baidu"
    GOOGLE = "Google"
    QINIU = "Qiniu"
    URL_SOURCE = "URLSource"
    UCLOUD = "UCloud"


class TaskType(StrEnum):
    OBJECT = "object"
    LIST = "list"
    PREFIX = "prefix"
    URL_LIST = "url_list"


class TaskState(IntEnum):
    """Numbers as documented; 6 is never used."""

    WAITING = 1
    MIGRATING = 2
    PAUSED = 3
    FAILED = 4
    SUCCEEDED = 5
    PAUSING = 7


class Priority(StrEnum):
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class OverwriteMode(StrEnum):
    SIZE_LAST_MODIFIED = "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE"
    NO_OVERWRITE = "NO_OVERWRITE"
    CRC64 = "CRC64_COMPARISON_OVERWRITE"
    FULL_OVERWRITE = "FULL_OVERWRITE"


class ConsistencyCheck(StrEnum):
    SIZE_LAST_MODIFIED = "size_last_modified"
    CRC64 = "crc64"
    NO_CHECK = "no_check"


class StoragePolicy(StrEnum):
    STANDARD = "STANDARD"
    IA = "IA"
    ARCHIVE = "ARCHIVE"
    DEEP_ARCHIVE = "DEEP_ARCHIVE"
    SRC_STORAGE_MAPPING = "SRC_STORAGE_MAPPING"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys of one end. Never shown: repr is masked."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TaskCredentials:
    """Keys of both ends of a task."""

    source: Credentials
    destination: Credentials


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket at an endpoint. endpoint_url "" means: the catalogue's or the configuration's endpoint of the region.

    requester_pays: whoever opens it agrees to pay for its requests and traffic.
    """

    cloud_type: CloudType
    region: str
    bucket: str
    endpoint_url: str = ""
    app_id: str = ""
    requester_pays: bool = False


@dataclass(frozen=True, slots=True)
class BandwidthWindow:
    """A daily span with a limit: minutes of the day in the configured zone, [start, end); start > end crosses midnight.

    23:59 as the end reaches to midnight. limit in bytes per second.
    """

    start_minute: int
    end_minute: int
    limit_bytes_per_s: int


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What a task was asked to do; never changes, but for priority and bandwidth, which Task holds.

    object_keys: for OBJECT names (a trailing / means a folder), for PREFIX key prefixes ("" is the whole bucket).
    migrate_since_s: Unix seconds, 0 = everything.
    """

    source: Location
    destination: Location
    task_type: TaskType
    object_keys: tuple[str, ...]
    save_prefix: str = ""
    description: str = ""
    overwrite_mode: OverwriteMode = OverwriteMode.SIZE_LAST_MODIFIED
    consistency_check: ConsistencyCheck = ConsistencyCheck.SIZE_LAST_MODIFIED
    storage_policy: StoragePolicy = StoragePolicy.STANDARD
    migrate_since_s: int = 0
    migrate_metadata: bool = False
    record_failed_objects: bool = True
    encrypt_kms: bool = False
    restore_archived: bool = False


@dataclass(frozen=True, slots=True)
class Counters:
    """What is known and done of one run. Invariant at the end: listed = successful + skipped + failed.

    moved_size_bytes: bytes of the successful objects (the API's real_size).
    """

    listed_num: int = 0
    listed_size_bytes: int = 0
    successful_num: int = 0
    skipped_num: int = 0
    failed_num: int = 0
    successful_size_bytes: int = 0
    skipped_size_bytes: int = 0
    failed_size_bytes: int = 0

    def plus(self, other: Counters) -> Counters:
        """The sum, field by field."""
        return Counters(
            self.listed_num + other.listed_num,
            self.listed_size_bytes + other.listed_size_bytes,
            self.successful_num + other.successful_num,
            self.skipped_num + other.skipped_num,
            self.failed_num + other.failed_num,
            self.successful_size_bytes + other.successful_size_bytes,
            self.skipped_size_bytes + other.skipped_size_bytes,
            self.failed_size_bytes + other.failed_size_bytes,
        )

    @property
    def accounted_num(self) -> int:
        """Objects with a final record."""
        return self.successful_num + self.skipped_num + self.failed_num


@dataclass(frozen=True, slots=True)
class Task:
    """A migration task as it is stored. Times are Unix milliseconds, 0 = not yet.

    run: number of the current full run, from 1; a full restart begins the next. started_ms: start of the current run.
    active_ms: time spent Migrating in this run before active_since_ms; active_since_ms: when it last became Migrating, 0 if it is not.
    request_id "" = none given. error_* "" unless FAILED. listing_over: the totals are final.
    caveats: how many successful objects of this run each one holds for.
    """

    task_id: TaskId
    project_id: str
    name: str
    spec: TaskSpec
    state: TaskState
    priority: Priority
    windows: tuple[BandwidthWindow, ...]
    created_ms: int
    request_id: str = ""
    request_fingerprint: str = ""
    run: int = 1
    started_ms: int = 0
    ended_ms: int = 0
    active_ms: int = 0
    active_since_ms: int = 0
    listing_over: bool = False
    planned: bool = False
    error_code: str = ""
    error_message: str = ""
    counters: Counters = Counters()
    caveats: tuple[tuple[Caveat, int], ...] = ()


class ShardKind(StrEnum):
    KEYS = "keys"  # explicit keys
    RANGE = "range"  # the keys with a prefix, between two keys


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What of a shard is accounted for and need not be done again.

    KEYS: the first `position` keys. RANGE: every key up to and including `after`, in the source's listing order.
    """

    position: int = 0
    after: str = ""


@dataclass(frozen=True, slots=True)
class Shard:
    """A slice of a task, safe to run twice.

    KEYS: `keys`, in the order given. RANGE: source keys with `prefix`, greater than `after`, up to and including `until` ("" = no end).
    restore_since_s: KEYS of archived objects whose restore was first asked for then, Unix seconds; 0 = no such shard.
    attempt: 1 for the first lease of this shard; above 1 an earlier lease may have written objects that were never reported.
    fingerprint: xxh3 of the content, checked when it is loaded.
    """

    shard_id: ShardId
    task_id: TaskId
    run: int
    kind: ShardKind
    prefix: str = ""
    after: str = ""
    until: str = ""
    keys: tuple[str, ...] = ()
    checkpoint: Checkpoint = Checkpoint()
    attempt: int = 0
    fingerprint: str = ""
    restore_since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload of ours that was opened at the destination and not yet closed. key: destination key."""

    key: str
    upload_id: str


class OutcomeKind(StrEnum):
    SUCCESS = "success"
    SKIPPED = "skipped"
    FAILED = "failed"


class Verdict(StrEnum):
    """Result of a consistency check."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The final record of one object in one run. key is the source key.

    last_modified_s: of the source, Unix seconds. crc64_*: streamed values, -1 unless the bytes went through us.
    reason: why skipped, or the failure's message. error_code: "" unless FAILED. caveats: what was not taken along.
    """

    key: str
    size_bytes: int
    kind: OutcomeKind
    last_modified_s: float = 0.0
    check: Verdict = Verdict.UNKNOWN
    crc64_xz: int = -1
    crc64_nvme: int = -1
    error_code: str = ""
    reason: str = ""
    caveats: tuple[Caveat, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveProgress:
    """What a running shard has done beyond its last reported batch; absolute values, dropped with the lease.

    moved_total_bytes only grows during a lease: its differences are the speed.
    """

    counters: Counters = Counters()
    moving_size_bytes: int = 0
    moved_total_bytes: int = 0
    listing_over: bool = False


@dataclass(frozen=True, slots=True)
class TaskWork:
    """All a worker needs to know of a task. started_s: start of the run, Unix seconds (see Shard.attempt)."""

    task_id: TaskId
    spec: TaskSpec
    credentials: TaskCredentials
    run: int
    started_s: float
