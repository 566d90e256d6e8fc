"""Durable state of task groups: what may be changed, in one transaction with their tasks, and what can be asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from omsd.domain.group import GroupNumber, GroupState, GroupSums, TaskGroup
from omsd.domain.model import GroupId, Task, TaskCredentials, TaskId, TaskState


@dataclass(frozen=True, slots=True)
class InsertGroup:
    """A new group. Its request_id, if it has one, is unique in the project."""

    group: TaskGroup


@dataclass(frozen=True, slots=True)
class UpdateGroup:
    """Everything of the group but spec and request."""

    group: TaskGroup


@dataclass(frozen=True, slots=True)
class PurgeGroups:
    """Deleted groups of a project that were created before are not counted any more."""

    project_id: str
    created_before_ms: int


@dataclass(frozen=True, slots=True)
class PutGroupCredentials:
    """Sealed before they are written."""

    group: TaskGroup
    credentials: TaskCredentials


@dataclass(frozen=True, slots=True)
class DropGroupCredentials:
    """No keys of the group are stored any more."""

    number: GroupNumber


GroupChange = InsertGroup | UpdateGroup | PurgeGroups | PutGroupCredentials | DropGroupCredentials


@dataclass(frozen=True, slots=True)
class GroupQuery:
    """A page of a project's groups, newest first; deleted ones are never in it. state None: any."""

    project_id: str
    offset: int
    limit: int
    state: GroupState | None = None


class GroupStore(Protocol):
    """Readers beside the one writer, TaskStore.commit(). Every call raises TaskStoreError and nothing else."""

    async def get_group(self, group_id: GroupId) -> TaskGroup | None:
        """Also one that is deleted, for a day."""

    async def find_group_request(self, project_id: str, request_id: str) -> TaskGroup | None:
        """The group that was made by this request."""

    async def list_groups(self, query: GroupQuery) -> tuple[tuple[TaskGroup, ...], int]:
        """The page, and the number of all matches."""

    async def count_groups_created(self, project_id: str, since_ms: int) -> int:
        """How many of the project's groups were created since, also those that are deleted."""

    async def unfinished_groups(self) -> tuple[TaskGroup, ...]:
        """Every group that does something by itself, of all projects, oldest first."""

    async def group_credentials(self, group: TaskGroup) -> TaskCredentials | None:
        """Raises CredentialsUnreadableError if this daemon's key does not open them."""

    async def members(
        self, group_id: GroupId, states: Collection[TaskState], after: TaskId, limit: int
    ) -> tuple[Task, ...]:
        """Tasks of the group in one of these states behind an id, oldest first."""

    async def member_numbers(self, group_id: GroupId) -> Mapping[TaskState, int]:
        """How many of its tasks are in each state."""

    async def member_failures(self, group_id: GroupId) -> tuple[Mapping[str, int], str]:
        """Its failed tasks by their code, and the message of the oldest."""

    async def group_sums(self, group_id: GroupId, without: Sequence[TaskId] = ()) -> GroupSums:
        """What its tasks are in sum, but for some of them."""

    async def last_group_number(self) -> GroupNumber:
        """The highest in use, 0 if there is none."""
