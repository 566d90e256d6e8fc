"""How a source is split into the tasks of a group: what is to be asked next, and what an answer means.

A task ends where it has enough objects or bytes; ranges touch, so every key belongs to exactly one task. Boundaries are keys that the
listing has answered, so no order of keys is assumed here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from omsd.domain.errors import Failure
from omsd.domain.group import PlanPosition
from omsd.domain.manifest import NOT_READABLE, is_folder
from omsd.domain.model import ListFileRef, Location, TaskSpec, TaskType
from omsd.domain.selection import reduce_prefixes

# List files of one answer: their tasks are made in one transaction.
LISTS_PER_STEP = 100


@dataclass(frozen=True, slots=True)
class TaskTarget:
    """A task is full when it has so many objects, or so many bytes."""

    objects_num: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StretchWanted:
    """Measure the keys with the prefix behind `after`, until so many objects or so many bytes are found."""

    prefix: str
    after: str
    objects_num: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was measured: objects and bytes up to and including `last` ("" = no key was found). over: no key comes after it."""

    last: str
    objects_num: int
    size_bytes: int
    over: bool


@dataclass(frozen=True, slots=True)
class ListsWanted:
    """List files below the folder, behind `after`."""

    folder: str
    after: str
    limit: int


@dataclass(frozen=True, slots=True)
class Lists:
    """keys: in the order of the service. last: the last key that was looked at, list or not. over: none comes after it."""

    keys: tuple[str, ...]
    last: str
    over: bool


Wanted = StretchWanted | ListsWanted
Measured = Stretch | Lists


@dataclass(frozen=True, slots=True)
class MemberDraft:
    """A task to be. expected_*: what was measured of it."""

    spec: TaskSpec
    expected_num: int = 0
    expected_size_bytes: int = 0


def next_wanted(spec: TaskSpec, position: PlanPosition, target: TaskTarget) -> Wanted | Lists:
    """What is to be asked next of a source that is not split to its end; or the answer, where nothing need be asked."""
    if spec.task_type is TaskType.PREFIX:
        prefix = reduce_prefixes(spec.object_keys)[position.prefix_num]
        return StretchWanted(
            prefix,
            position.after,
            target.objects_num - position.found_num,
            target.size_bytes - position.found_size_bytes,
        )
    file = _list_file(spec)
    if is_folder(file.key):
        return ListsWanted(file.key, position.after, LISTS_PER_STEP)
    return Lists((file.key,), file.key, over=True)


def advance(
    spec: TaskSpec, position: PlanPosition, answer: Measured, target: TaskTarget
) -> tuple[PlanPosition, tuple[MemberDraft, ...]]:
    """How far the splitting has come with this answer, and the tasks that exist from now on."""
    # The end of the group is told, not that of each task.
    spec = replace(spec, smn=None)
    if isinstance(answer, Lists):
        position = replace(position, after=answer.last or position.after, over=answer.over)
        bucket = _list_file(spec).bucket
        drafts = (
            MemberDraft(replace(spec, list_file=ListFileRef(bucket, key)))
            for key in dict.fromkeys(answer.keys)
        )
        return position, tuple(drafts)
    return _advance_prefix(spec, position, answer, target)


def nothing_found(spec: TaskSpec) -> Failure:
    """Why a group whose source is split to its end and has no task has failed."""
    if spec.task_type is TaskType.PREFIX:
        return Failure(
            "TRF.0012", "no object matches; check object_key and the source bucket, then retry the group"
        )
    return Failure(
        NOT_READABLE,
        f"there is no list file (.txt) in the folder {_list_file(spec).key!r}; put one there, then retry the group",
    )


def _advance_prefix(
    spec: TaskSpec, position: PlanPosition, answer: Stretch, target: TaskTarget
) -> tuple[PlanPosition, tuple[MemberDraft, ...]]:
    prefixes = reduce_prefixes(spec.object_keys)
    found_num = position.found_num + answer.objects_num
    found_size = position.found_size_bytes + answer.size_bytes
    last_num, until = position.prefix_num, "" if answer.over else answer.last or position.after
    next_num = last_num + answer.over
    over = next_num == len(prefixes)
    full = found_num >= target.objects_num or found_size >= target.size_bytes
    if not (found_num and (full or over)):
        moved = replace(
            position,
            prefix_num=next_num,
            after=until,
            found_num=found_num,
            found_size_bytes=found_size,
            over=over,
        )
        return moved, ()
    part = replace(
        spec,
        object_keys=prefixes[position.begin_prefix_num : last_num + 1],
        after=position.begin_after,
        until=until,
    )
    behind = PlanPosition(next_num, until, next_num, until, over=over)
    return behind, (MemberDraft(part, found_num, found_size),)


def list_bucket(spec: TaskSpec) -> Location:
    """Where the list files are: their bucket stands where the destination does."""
    return replace(spec.destination, bucket=_list_file(spec).bucket)


def _list_file(spec: TaskSpec) -> ListFileRef:
    if spec.list_file is None:
        raise ValueError(f"a group of type {spec.task_type} without list files")
    return spec.list_file
