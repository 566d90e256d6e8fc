"""What the scheduler tells the ledger. It decides when; what that means for a task, the ledger and its machine decide."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.errors import Failure
from omsd.domain.manifest import NO_LISTS, ListsFound
from omsd.domain.model import ShardId, TaskId


@dataclass(frozen=True, slots=True)
class GrantSlot:
    """There is a place for this waiting task."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class PreflightPassed:
    """Both ends of the task can be used. stint: the stretch of work that was checked; a later one makes this void.

    lists: its object list files, or what is wrong with them; only a task that is not planned yet needs them.
    """

    task_id: TaskId
    stint: int
    lists: ListsFound = NO_LISTS


@dataclass(frozen=True, slots=True)
class PreflightFailed:
    """An end of the task cannot be used."""

    task_id: TaskId
    stint: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class LeaseShards:
    """Workers have room for these shards."""

    task_id: TaskId
    stint: int
    shard_ids: tuple[ShardId, ...]


Order = GrantSlot | PreflightPassed | PreflightFailed | LeaseShards
