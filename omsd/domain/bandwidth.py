"""Bandwidth as one hierarchy, machine > task group > task > worker: which limits hold, and who may move how much under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from omsd.domain.model import GroupId, TaskId

Share = tuple[TaskId, int]
"""A task in one worker (its number): what a grant is given to."""


@dataclass(frozen=True, slots=True)
class TaskLimit:
    """limit_bytes_per_s None: only what stands above the task limits it."""

    limit_bytes_per_s: int | None = None
    group_id: GroupId | None = None


@dataclass(frozen=True, slots=True)
class BandwidthLimits:
    """What holds now, in bytes per second; None, or not named: no limit at this level."""

    machine_bytes_per_s: int | None = None
    groups: Mapping[GroupId, int | None] = field(default_factory=dict)
    tasks: Mapping[TaskId, TaskLimit] = field(default_factory=dict)

    def tightest(self, task_id: TaskId) -> int | None:
        """The smallest limit above and at this task, None if there is none."""
        task = self.tasks.get(task_id, TaskLimit())
        group = self.groups.get(task.group_id) if task.group_id is not None else None
        limits = (self.machine_bytes_per_s, group, task.limit_bytes_per_s)
        return min((limit for limit in limits if limit is not None), default=None)


@dataclass(slots=True)
class _Node:
    """wish_bytes: what it wants; room_bytes: what it may have at most. None = without end."""

    share: Share | None = None
    children: list[_Node] = field(default_factory=list)
    wish_bytes: int | None = 0
    room_bytes: int | None = None


def divide(limits: BandwidthLimits, demands: Mapping[Share, int | None]) -> dict[Share, int | None]:
    """The grant of each share, in bytes per second; None: nothing limits it.

    demands: bytes per second a share wants, None = whatever there is. Each level is shared max-min fairly among its members: who
    wants less than an equal part gets all it wants, what it leaves goes to the others. What nobody wants is handed out as well,
    so that who begins to want more need not wait. No level's sum is ever above its limit.
    """
    grants: dict[Share, int | None] = {}
    root = _tree(limits, demands)
    _hand_down(root, root.room_bytes, grants)
    return grants


def _tree(limits: BandwidthLimits, demands: Mapping[Share, int | None]) -> _Node:
    by_task: dict[TaskId, list[_Node]] = {}
    for share in sorted(demands):
        by_task.setdefault(share[0], []).append(_Node(share, wish_bytes=demands[share]))
    of_group: dict[GroupId, list[_Node]] = {}
    top: list[_Node] = []
    for task_id, shares in by_task.items():
        task = limits.tasks.get(task_id, TaskLimit())
        siblings = top if task.group_id is None else of_group.setdefault(task.group_id, [])
        siblings.append(_inner(task.limit_bytes_per_s, shares))
    top += [_inner(limits.groups.get(group_id), members) for group_id, members in sorted(of_group.items())]
    return _inner(limits.machine_bytes_per_s, top)


def _inner(limit: int | None, children: list[_Node]) -> _Node:
    wish = _least(limit, _total([child.wish_bytes for child in children]))
    room = _least(limit, _total([child.room_bytes for child in children]))
    return _Node(None, children, wish, room)


def _hand_down(node: _Node, amount: int | None, grants: dict[Share, int | None]) -> None:
    if node.share is not None:
        grants[node.share] = amount
        return
    parts: list[int | None]
    if amount is None:
        parts = [child.room_bytes for child in node.children]
    else:
        wanted = _fill(amount, [child.wish_bytes for child in node.children])
        rooms = [
            None if child.room_bytes is None else child.room_bytes - part
            for child, part in zip(node.children, wanted, strict=True)
        ]
        spare = _fill(amount - sum(wanted), rooms)
        parts = [part + more for part, more in zip(wanted, spare, strict=True)]
    for child, part in zip(node.children, parts, strict=True):
        _hand_down(child, part, grants)


def _fill(amount: int, caps: Sequence[int | None]) -> list[int]:
    """Parts of the amount, as equal as the caps allow; all of it is given unless every cap is reached."""
    order = sorted(range(len(caps)), key=lambda place: (caps[place] is None, caps[place] or 0, place))
    parts = [0] * len(caps)
    for done, place in enumerate(order):
        equal = amount // (len(caps) - done)
        cap = caps[place]
        parts[place] = equal if cap is None else min(cap, equal)
        amount -= parts[place]
    return parts


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _total(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
