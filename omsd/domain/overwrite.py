"""What to do with a source object, given what is at the destination: copy it, skip it, or count it as done.

Rules: API reference, object_overwrite_mode. Times are compared at whole seconds, the coarsest any service
lists in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from omsd.domain.model import OverwriteMode
from omsd.domain.selection import is_too_old

# A destination's clock lists whole seconds and may round either way.
TIME_GRANULARITY_S = 2.0


class ObjectFacts(Protocol):
    """What a listing or a head tells. size_bytes -1 = unknown; last_modified_s: Unix seconds."""

    @property
    def size_bytes(self) -> int:
        """-1 = unknown."""

    @property
    def last_modified_s(self) -> float:
        """Unix seconds."""


class PublishedCrc64(Protocol):
    """The CRC64 values known of a whole object, None for a kind that is not."""

    @property
    def crc64_xz(self) -> int | None:
        """None = unknown."""

    @property
    def crc64_nvme(self) -> int | None:
        """None = unknown."""


class Action(StrEnum):
    """COPY: write it. SKIP: count it as skipped. DONE: an earlier attempt wrote it, count it as successful.

    NEED_CRC64: ask again with the CRC64 of both ends.
    """

    COPY = "copy"
    SKIP = "skip"
    DONE = "done"
    NEED_CRC64 = "need_crc64"


@dataclass(frozen=True, slots=True)
class Decision:
    """reason: short, goes into the object lists."""

    action: Action
    reason: str


_TOO_OLD = Decision(Action.SKIP, "older than migrate_since")
_MISSING = Decision(Action.COPY, "not at the destination")
_DONE = Decision(Action.DONE, "written by an earlier attempt of this run")
_EXISTS = Decision(Action.SKIP, "already at the destination")
_REPLACE = Decision(Action.COPY, "always overwritten")
_SIZE = Decision(Action.COPY, "the sizes differ")
_NEWER = Decision(Action.COPY, "the source is newer")
_SAME = Decision(Action.SKIP, "same size and not newer than the destination")
_CRC64_DIFFERS = Decision(Action.COPY, "the CRC64 values differ")
_CRC64_SAME = Decision(Action.SKIP, "same CRC64 at the destination")
_NEED_CRC64 = Decision(Action.NEED_CRC64, "the CRC64 values are not known yet")


# Looking a member up in its Enum is a call into Python in 3.11.
_CRC64, _NO_OVERWRITE, _FULL = OverwriteMode.CRC64, OverwriteMode.NO_OVERWRITE, OverwriteMode.FULL_OVERWRITE


def decide(
    source: ObjectFacts,
    target: ObjectFacts | None,
    mode: OverwriteMode,
    *,
    migrate_since_s: int,
    redo_since_s: float | None,
    source_crc64: PublishedCrc64 | None = None,
    target_crc64: PublishedCrc64 | None = None,
) -> Decision:
    """What to do with this source object.

    target: None = not there. redo_since_s: start of the run if an earlier attempt of it may have written
    this object, else None. source_crc64, target_crc64: None = not asked for yet, which CRC64 mode answers
    with NEED_CRC64; if both were asked for and have no kind in common, the size and time rule decides.
    """
    if migrate_since_s and is_too_old(source.last_modified_s, migrate_since_s):
        return _TOO_OLD
    if target is None:
        return _MISSING
    if mode is _CRC64:
        return _by_crc64(source, target, redo_since_s, source_crc64, target_crc64)
    if redo_since_s is not None and _was_written_since(source, target, redo_since_s):
        return _DONE
    if mode is _NO_OVERWRITE:
        return _EXISTS
    if mode is _FULL:
        return _REPLACE
    return _by_size_and_time(source, target)


def equal_crc64(one: PublishedCrc64, other: PublishedCrc64) -> bool | None:
    """Do the CRC64 values of two objects agree? None if they have no kind in common."""
    xz_known = one.crc64_xz is not None and other.crc64_xz is not None
    nvme_known = one.crc64_nvme is not None and other.crc64_nvme is not None
    if xz_known and one.crc64_xz != other.crc64_xz:
        return False
    if nvme_known:
        return one.crc64_nvme == other.crc64_nvme
    return True if xz_known else None


def is_newer(one: ObjectFacts, other: ObjectFacts) -> bool:
    """Was one modified in a later second than the other?"""
    return int(one.last_modified_s) > int(other.last_modified_s)


def _by_size_and_time(source: ObjectFacts, target: ObjectFacts) -> Decision:
    if source.size_bytes != target.size_bytes:
        return _SIZE
    return _NEWER if is_newer(source, target) else _SAME


def _by_crc64(
    source: ObjectFacts,
    target: ObjectFacts,
    redo_since_s: float | None,
    source_crc64: PublishedCrc64 | None,
    target_crc64: PublishedCrc64 | None,
) -> Decision:
    if source.size_bytes != target.size_bytes:
        return _SIZE
    if source_crc64 is None or target_crc64 is None:
        return _NEED_CRC64
    equal = equal_crc64(source_crc64, target_crc64)
    if equal is False:
        return _CRC64_DIFFERS
    if _was_written_since(source, target, redo_since_s):
        return _DONE
    return _CRC64_SAME if equal else _by_size_and_time(source, target)


def _was_written_since(source: ObjectFacts, target: ObjectFacts, redo_since_s: float | None) -> bool:
    return (
        redo_since_s is not None
        and source.size_bytes == target.size_bytes
        and target.last_modified_s >= redo_since_s - TIME_GRANULARITY_S
        and not is_newer(source, target)
    )
