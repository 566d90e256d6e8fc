"""Which objects a task means: prefixes that cover one another, and objects that are too old."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence


def reduce_prefixes(prefixes: Iterable[str]) -> tuple[str, ...]:
    """The prefixes without duplicates and without those covered by a shorter one, in bytewise order."""
    kept: list[str] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)


def is_covered(reduced_prefixes: Sequence[str], key: str) -> bool:
    """Does the key begin with one of the prefixes? They must come from reduce_prefixes()."""
    place = bisect_right(reduced_prefixes, key)
    return place > 0 and key.startswith(reduced_prefixes[place - 1])


def is_too_old(last_modified_s: float, migrate_since_s: int) -> bool:
    """Was the object last modified before migrate_since (Unix seconds, 0 = take everything)?"""
    return int(last_modified_s) < migrate_since_s
