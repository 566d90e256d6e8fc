"""How a task is cut: shards with their checkpoints, large objects and the uploads that are filled for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from omsd.domain.model import ListUpload, ShardId, TaskId


class ShardKind(StrEnum):
    """What a shard is a slice of."""

    KEYS = "keys"  # explicit keys
    RANGE = "range"  # the keys with a prefix, between two keys
    MANIFEST = "manifest"  # the keys in a byte span of an object list file
    PARTS = "parts"  # parts of one large object
    REPORT = "report"  # the object lists of a run that is over; counts no objects


@dataclass(frozen=True, slots=True)
class LargeObject:
    """A source object that has shards of its own, with the size it was counted with when it was listed."""

    key: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What an open upload is filled with: the version of the source, cut into parts of part_bytes (the last one may be smaller).

    copied: the service fills the parts itself. restarts: uploads of the object before this one, each of another version.
    """

    etag: str
    size_bytes: int
    part_bytes: int
    copied: bool = False
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that was opened at the destination and not yet closed. key: destination key.

    initiated_s: Unix seconds by the service's clock, 0 if it was not asked; no part of what the upload is.
    """

    key: str
    upload_id: str
    initiated_s: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part that the destination has stored and answered for. crc64_*: of the bytes sent, None if they were not computed."""

    part_number: int
    size_bytes: int
    etag: str
    crc64_xz: int | None = None
    crc64_nvme: int | None = None


@dataclass(frozen=True, slots=True)
class UploadIntent:
    """An upload of this key is about to be created, and its id may never become known.

    at_s: Unix seconds of the first try, 0 = nothing can be proven. known: ids of uploads of the key that were open before it, or are
    recorded. attempts: tries so far, with the coming one.
    """

    key: str
    at_s: float
    known: tuple[str, ...] = ()
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """An upload that is gone on with: its plan, and the parts that are recorded as stored."""

    upload: OpenUpload
    plan: UploadPlan
    parts: tuple[SentPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What of a shard is accounted for and need not be done again.

    KEYS: the first `position` keys. RANGE: every key up to and including `after`, in the source's listing order.
    MANIFEST: every line that begins before byte `position` of the list file.
    PARTS: the object if `position` is 1.
    """

    position: int = 0
    after: str = ""


@dataclass(frozen=True, slots=True)
class ManifestSpan:
    """Bytes [start, end) of an object list file that had this ETag when the task was planned; "" = any.

    The lines that begin in the span are its own; a cut may be in the middle of a line.
    """

    key: str
    etag: str
    size_bytes: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Shard:
    """A slice of a task, safe to run twice.

    KEYS: `keys`, in the order given. RANGE: source keys with `prefix`, greater than `after`, up to and including `until` ("" = no end).
    MANIFEST: the keys that the lines of `manifest` name, in their order.
    restore_since_s: KEYS of archived objects whose restore was first asked for then, Unix seconds; 0 = no such shard.
    attempt: 1 for the first lease of this shard; above 1 an earlier lease may have written objects that were never reported.
    fingerprint: xxh3 of the content, checked when it is loaded.
    PARTS: parts of `large` with numbers greater than `after`, up to and including `until` ("" = from the first, to the last). The one
    without `after` leads: it opens the upload, completes it and accounts for the object. kept: the upload gone on with, None = none.
    REPORT: `lists` are uploaded, within deadline_s if that is not 0.
    intents: creations by earlier leases whose outcome is not known. These, kept, lists and deadline_s are set for each lease anew.
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
    lists: tuple[ListUpload, ...] = ()
    deadline_s: float = 0.0
    manifest: ManifestSpan | None = None
    restore_since_s: float = 0.0
    large: LargeObject | None = None
    kept: KeptUpload | None = None
    intents: tuple[UploadIntent, ...] = ()

    @property
    def leads(self) -> bool:
        """Is it the shard that accounts for its large object?"""
        return self.kind is ShardKind.PARTS and not self.after
