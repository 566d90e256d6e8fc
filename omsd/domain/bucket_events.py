"""What a storage service tells of a bucket in an event notification, whatever its dialect."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.sync import KeyNames


@dataclass(frozen=True, slots=True)
class BucketChange:
    """An object of the bucket was written, or removed."""

    bucket: str
    names: KeyNames
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Notification:
    """One request of a storage service. others: names of events in it that say nothing of an object's being written or removed."""

    changes: tuple[BucketChange, ...] = ()
    others: tuple[str, ...] = ()
