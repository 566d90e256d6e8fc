"""Plans: the parts of an object, the shards of a task, and what a key is called at the destination."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from omsd.domain.errors import OmsdError
from omsd.domain.model import TaskSpec, TaskType
from omsd.domain.selection import is_covered, reduce_prefixes
from omsd.domain.shards import LargeObject, ManifestSpan, Shard, ShardKind

KEYS_PER_SHARD = 500
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PartSpan:
    """The bytes of one part: size_bytes from offset; part_number from 1."""

    part_number: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ShardDraft:
    """A shard to be; fields as in Shard."""

    kind: ShardKind
    prefix: str = ""
    keys: tuple[str, ...] = ()
    after: str = ""
    until: str = ""
    attempt: int = 0
    manifest: ManifestSpan | None = None
    restore_since_s: float = 0.0
    large: LargeObject | None = None


def plan_part_bytes(
    size_bytes: int, *, part_bytes: int, min_part_bytes: int, max_part_bytes: int, max_parts: int
) -> int:
    """The size of every part but the last: the wished one, larger if the count would not fit.

    Raises OmsdError TRF.0001 if the object fits into no plan.
    """
    wished = min(max(part_bytes, min_part_bytes), max_part_bytes)
    needed = -(-size_bytes // max_parts)
    if needed > max_part_bytes:
        raise OmsdError(
            f"an object of {size_bytes} bytes is too large: the destination takes at most {max_parts} parts"
            f" of {max_part_bytes} bytes",
            code="TRF.0001",
        )
    if needed <= wished:
        return wished
    # Whole MiB: services that copy or hash by block dislike odd part sizes.
    return min(-(-needed // _MIB) * _MIB, max_part_bytes)


def cut_parts(size_bytes: int, part_bytes: int) -> tuple[PartSpan, ...]:
    """Parts of this size in order, the last one with what is left; none for an empty object, which must be put whole."""
    return tuple(
        PartSpan(number, offset, min(part_bytes, size_bytes - offset))
        for number, offset in enumerate(range(0, size_bytes, part_bytes), start=1)
    )


def map_key(save_prefix: str, key: str) -> str:
    """The destination key of a source key: save_prefix in front, verbatim, no slash added or removed."""
    return save_prefix + key


def plan_shards(spec: TaskSpec) -> tuple[ShardDraft, ...]:
    """The shards of a full run: together they name each object once.

    PREFIX: a range per prefix, the first from spec.after, the last to spec.until. OBJECT: a range per folder, then shards of keys.
    Raises OmsdError for list tasks, which are planned from their list files (see manifest.py).
    """
    if spec.task_type is TaskType.PREFIX:
        first, *others = _ranges(reduce_prefixes(spec.object_keys))
        *others, last = replace(first, after=spec.after), *others
        return (*others, replace(last, until=spec.until))
    if spec.task_type is TaskType.OBJECT:
        folders = reduce_prefixes(key for key in spec.object_keys if key.endswith("/"))
        names = (key for key in spec.object_keys if not key.endswith("/") and not is_covered(folders, key))
        return _ranges(folders) + plan_retry(dict.fromkeys(names))
    raise OmsdError(f"a task of type {spec.task_type} cannot be planned from its keys", code="TRF.0001")


def plan_retry(keys: Iterable[str]) -> tuple[ShardDraft, ...]:
    """Shards of at most 500 of these keys, in the order given. A list file may name a key twice: then it is listed twice."""
    wanted = tuple(keys)
    return tuple(
        ShardDraft(ShardKind.KEYS, keys=wanted[start : start + KEYS_PER_SHARD])
        for start in range(0, len(wanted), KEYS_PER_SHARD)
    )


def plan_split(shard: Shard, boundaries: Sequence[str]) -> tuple[Shard, tuple[ShardDraft, ...]]:
    """What a RANGE or PARTS shard keeps, and the shards for the rest: together they name the same keys or parts, each once.

    The drafts have the attempts before this lease: one of those may have written objects of theirs that were never reported.
    """
    ends = (*boundaries[1:], shard.until)
    drafts = tuple(
        ShardDraft(
            shard.kind, shard.prefix, after=after, until=until, attempt=shard.attempt - 1, large=shard.large
        )
        for after, until in zip(boundaries, ends, strict=True)
    )
    return replace(shard, until=boundaries[0]), drafts


def plan_restored(keys: Sequence[str], restore_since_s: float) -> tuple[ShardDraft, ...]:
    """The shards in which archived objects are asked after."""
    return tuple(replace(draft, restore_since_s=restore_since_s) for draft in plan_retry(keys))


def plan_large(objects: Iterable[LargeObject], *, attempt: int) -> tuple[ShardDraft, ...]:
    """A shard with all parts for each. attempt: leases so far that may have written the object."""
    return tuple(ShardDraft(ShardKind.PARTS, large=large, attempt=attempt) for large in objects)


def _ranges(prefixes: tuple[str, ...]) -> tuple[ShardDraft, ...]:
    return tuple(ShardDraft(ShardKind.RANGE, prefix=prefix) for prefix in prefixes)
