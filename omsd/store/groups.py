"""Task groups in the SQLite file: what is asked of them. They are written by the task store, in one transaction with their tasks."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields

from omsd.domain.group import GroupNumber, GroupSums, MemberTally, TaskGroup
from omsd.domain.model import Counters, GroupId, Task, TaskCredentials, TaskId, TaskState
from omsd.ports.groupstore import GroupQuery
from omsd.store.grouprows import group_from_row
from omsd.store.rows import Row, task_from_row
from omsd.store.sqlite import SqliteTaskStore

_COUNTER_NAMES = tuple(field.name for field in fields(Counters))


class SqliteGroupStore:
    """GroupStore in the file of a task store, whose reader it shares."""

    def __init__(self, store: SqliteTaskStore) -> None:
        self._store = store

    async def get_group(self, group_id: GroupId) -> TaskGroup | None:
        """Also one that is deleted, for a day."""
        return await self._one("get_group", {"group_id": group_id})

    async def find_group_request(self, project_id: str, request_id: str) -> TaskGroup | None:
        """The group that was made by this request."""
        return await self._one("find_group_request", {"project_id": project_id, "request_id": request_id})

    async def list_groups(self, query: GroupQuery) -> tuple[tuple[TaskGroup, ...], int]:
        """The page, and the number of all matches."""
        wanted: Row = {
            "project_id": query.project_id,
            "state": -1 if query.state is None else int(query.state),
            "offset": query.offset,
            "limit": query.limit,
        }
        rows = await self._store.read("list_groups", wanted)
        matches_num = (
            rows[0]["matches_num"] if rows else (await self._store.read("count_groups", wanted))[0][0]
        )
        return tuple(map(group_from_row, rows)), matches_num

    async def count_groups_created(self, project_id: str, since_ms: int) -> int:
        """How many of the project's groups were created since, also those that are deleted."""
        wanted: Row = {"project_id": project_id, "since_ms": since_ms}
        rows = await self._store.read("count_groups_created", wanted)
        count: int = rows[0][0]
        return count

    async def unfinished_groups(self) -> tuple[TaskGroup, ...]:
        """Every group that does something by itself, of all projects, oldest first."""
        return tuple(map(group_from_row, await self._store.read("unfinished_groups", {})))

    async def group_credentials(self, group: TaskGroup) -> TaskCredentials | None:
        """Raises CredentialsUnreadableError if this daemon's key does not open them."""
        rows = await self._store.read("get_group_credentials", {"number": group.number})
        return self._store.sealer.unseal(group.seal_id, rows[0]["sealed"]) if rows else None

    async def members(
        self, group_id: GroupId, states: Collection[TaskState], after: TaskId, limit: int
    ) -> tuple[Task, ...]:
        """Tasks of the group in one of these states behind an id, oldest first."""
        wanted: Row = {
            "group_id": group_id,
            "states": json.dumps([int(state) for state in states]),
            "after": after,
            "limit": limit,
        }
        return tuple(map(task_from_row, await self._store.read("members", wanted)))

    async def member_numbers(self, group_id: GroupId) -> Mapping[TaskState, int]:
        """How many of its tasks are in each state."""
        rows = await self._store.read("member_numbers", {"group_id": group_id})
        return {TaskState(row["state"]): row["number"] for row in rows}

    async def member_failures(self, group_id: GroupId) -> tuple[Mapping[str, int], str]:
        """Its failed tasks by their code, and the message of the oldest."""
        rows = await self._store.read("member_failures", {"group_id": group_id})
        return {row["error_code"]: row["number"] for row in rows}, rows[0]["error_message"] if rows else ""

    async def group_sums(self, group_id: GroupId, without: Sequence[TaskId] = ()) -> GroupSums:
        """What its tasks are in sum, but for some of them."""
        wanted: Row = {"group_id": group_id, "without": json.dumps(without)}
        rows = await self._store.read("group_sums", wanted)
        counters = Counters()
        for row in rows:
            counters = counters.plus(Counters(*(row[name] for name in _COUNTER_NAMES)))
        failed_lists = await self._store.read("failed_lists", wanted) if counters.failed_num else []
        return GroupSums(
            tally=MemberTally.of({TaskState(row["state"]): row["number"] for row in rows}),
            counters=counters,
            expected_num=sum(row["expected_num"] for row in rows),
            expected_size_bytes=sum(row["expected_size_bytes"] for row in rows),
            parts_size_bytes=sum(row["parts_size_bytes"] for row in rows),
            failed_lists_num=failed_lists[0]["number"] if failed_lists else 0,
            failed_list_error=failed_lists[0]["error"] if failed_lists else "",
        )

    async def last_group_number(self) -> GroupNumber:
        """The highest in use, 0 if there is none."""
        return GroupNumber((await self._store.read("last_group_number", {}))[0][0])

    async def _one(self, name: str, wanted: Row) -> TaskGroup | None:
        rows = await self._store.read(name, wanted)
        return group_from_row(rows[0]) if rows else None
