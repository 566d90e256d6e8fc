"""The frozen types every room speaks: where data is, what a task wants, what became of an object."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag, StrEnum
from typing import NamedTuple, NewType

from omsd.domain.caveats import Caveat
from omsd.domain.notices import SmnConfig

TaskId = NewType("TaskId", int)
GroupId = NewType("GroupId", str)
ShardId = NewType("ShardId", int)
LeaseId = NewType("LeaseId", int)

_NO_GROUP = GroupId("")


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
    """What a task migrates: given keys, those in an object list file, those with a prefix, or URLs in a list file."""

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
    """Which waiting task is next, and whose share of the workers is larger."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class OverwriteMode(StrEnum):
    """When an object that exists at the destination is written again; decided in overwrite.py."""

    SIZE_LAST_MODIFIED = "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE"
    NO_OVERWRITE = "NO_OVERWRITE"
    CRC64 = "CRC64_COMPARISON_OVERWRITE"
    FULL_OVERWRITE = "FULL_OVERWRITE"


class ConsistencyCheck(StrEnum):
    """How the result is compared with the source."""

    SIZE_LAST_MODIFIED = "size_last_modified"
    CRC64 = "crc64"
    NO_CHECK = "no_check"


class StoragePolicy(StrEnum):
    """Storage class at the destination; SRC_STORAGE_MAPPING: that which fits the class at the source."""

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
class ListFileRef:
    """Where the keys of a task are written: a bucket of the destination's service, and a file or a folder (ending in /) in it."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class ListFile:
    """An object list file as it was found. etag "" = not told."""

    key: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What a task was asked to do; never changes, but for priority and bandwidth, which Task holds.

    object_keys: for OBJECT names (a trailing / means a folder), for PREFIX key prefixes ("" is the whole bucket).
    list_file: for LIST, else None. migrate_since_s: Unix seconds, 0 = everything. smn: who is told of its end, None = nobody.
    after, until: a PREFIX task that is a part of a group has of its first prefix only the keys behind `after`, of its last one only
    those up to and including `until`; prefixes are reduced and in bytewise order then. "" = from the first key, to the last.
    thread_num: a wish of callers of the older API, shown to them again and not obeyed.
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
    list_file: ListFileRef | None = None
    encrypt_kms: bool = False
    restore_archived: bool = False
    smn: SmnConfig | None = None
    after: str = ""
    until: str = ""
    thread_num: int = 0


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


class OutcomeKind(StrEnum):
    """What became of an object; each has a list of its own."""

    SUCCESS = "success"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ListRecords:
    """The object lists of a task at its destination. round: number of the present set of lists, from 1.

    failed_key "" = not stored (yet). *_error: code of why the list is not there, "" = nothing went wrong.
    *_parts: files of the set that are stored or given up.
    """

    round: int = 1
    failed_key: str = ""
    failed_error: str = ""
    success_error: str = ""
    skipped_error: str = ""
    success_parts: int = 0
    skipped_parts: int = 0
    failed_parts: int = 0


@dataclass(frozen=True, slots=True)
class ListPart:
    """One spooled file of an object list, as committed; number from 1.

    size_bytes: of the spool file, with its guards. text_bytes: of the list. lines_num: without the header.
    """

    kind: OutcomeKind
    number: int
    size_bytes: int = 0
    text_bytes: int = 0
    lines_num: int = 0


@dataclass(frozen=True, slots=True)
class ListUpload:
    """A spooled file that is to become the object `key` of the destination bucket. path: on this machine."""

    part: ListPart
    path: str
    key: str


@dataclass(frozen=True, slots=True)
class Task:
    """A migration task as it is stored. Times are Unix milliseconds, 0 = not yet.

    run: number of the current full run, from 1; a full restart begins the next. started_ms: start of the current run.
    active_ms: time spent Migrating in this run before active_since_ms; active_since_ms: when it last became Migrating, 0 if it is not.
    request_id "" = none given. error_* "" unless FAILED. listing_over: the totals are final.
    caveats: how many successful objects of this run each one holds for.
    parts_size_bytes: stored parts of large objects that are not complete yet.
    group_id "": it belongs to no group. expected_num, expected_size_bytes: what was measured when its group made it, 0 = nothing.
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
    lists: ListRecords = ListRecords()
    caveats: tuple[tuple[Caveat, int], ...] = ()
    parts_size_bytes: int = 0
    group_id: GroupId = _NO_GROUP
    expected_num: int = 0
    expected_size_bytes: int = 0


class Verdict(StrEnum):
    """Result of a consistency check."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"


class CrcOrigin(IntFlag):
    """Who told a CRC64: published by the source, computed from the bytes on their way, answered by the destination."""

    SOURCE = 1
    STREAM = 2
    DESTINATION = 4


class Outcome(NamedTuple):
    """The final record of one object in one run. key is the source key.

    A tuple, because there is one for each object: made in a third of the time of a frozen dataclass, and an array on its way to the
    control process, not a map with twelve names.

    last_modified_s: of the source, Unix seconds. crc64_*: of the object, -1 if nobody told it.
    crc64_*_from: the CrcOrigins that agree on the value, 0 if there is none.
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
    crc64_xz_from: int = 0
    crc64_nvme_from: int = 0
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
