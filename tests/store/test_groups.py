"""Task groups in the SQLite file: what is committed is there again, sums are those of the tasks, keys are sealed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from omsd.domain.group import Goal, GroupNumber, GroupState, MemberTally, PlanPosition, TaskGroup
from omsd.domain.model import Counters, GroupId, ListRecords, Task, TaskId, TaskState
from omsd.ports.groupstore import (
    DropGroupCredentials,
    GroupQuery,
    InsertGroup,
    PurgeGroups,
    PutGroupCredentials,
    UpdateGroup,
)
from omsd.ports.taskchanges import DeleteTask, InsertTask, PutCredentials
from omsd.ports.taskstore import CorruptRowError, TaskQuery, TaskStoreError
from omsd.store.groups import SqliteGroupStore
from omsd.store.sql import load_queries
from omsd.store.sqlite import DATABASE_FILE, SqliteTaskStore
from tests.store.harness import KEYS, SECRET, SPEC, new_task

GROUP = GroupId("g1")


def new_group(number: int = 1, **changes: object) -> TaskGroup:
    group = TaskGroup(
        GroupId(f"g{number}"),
        GroupNumber(number),
        "project",
        replace(SPEC, after="\N{GRINNING FACE}", until="z\x00"),
        GroupState.WAITING,
        (),
        created_ms=number,
    )
    return replace(group, **changes)  # type: ignore[arg-type]


def member(number: int, **changes: object) -> Task:
    return new_task(number, group_id=GROUP, **changes)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


@pytest.fixture
async def tasks(tmp_path: Path) -> AsyncIterator[SqliteTaskStore]:
    opened = await SqliteTaskStore.open(tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def groups(tasks: SqliteTaskStore) -> SqliteGroupStore:
    return SqliteGroupStore(tasks)


async def test_a_group_comes_back_as_it_was_committed(
    tasks: SqliteTaskStore, groups: SqliteGroupStore
) -> None:
    group = new_group(request_id="r", request_fingerprint="f")
    await tasks.commit([InsertGroup(group)])
    assert await groups.get_group(GROUP) == group
    assert await groups.find_group_request("project", "r") == group
    assert await groups.find_group_request("other", "r") is None
    later = replace(
        group,
        state=GroupState.CREATION_FAILED,
        windows=new_task().windows,
        started_ms=1,
        ended_ms=2,
        active_ms=3,
        active_since_ms=4,
        error_code="TRF.0155",
        error_message="gone",
        position=PlanPosition(1, "k", 1, "j", 5, 6, over=True),
        goal=Goal.RETRY,
        goal_after=TaskId(9),
    )
    await tasks.commit([UpdateGroup(later)])
    assert await groups.get_group(GROUP) == later
    assert await groups.last_group_number() == 1


async def test_a_task_of_a_group_comes_back_with_its_bounds(tasks: SqliteTaskStore) -> None:
    spec = replace(SPEC, after="a\x00", until="\N{GRINNING FACE}")
    task = member(1, spec=spec, expected_num=5, expected_size_bytes=6)
    await tasks.commit([InsertTask(task)])
    assert await tasks.get_task(TaskId(1)) == task


async def test_deleted_groups_are_counted_and_not_shown_until_they_are_purged(
    tasks: SqliteTaskStore, groups: SqliteGroupStore
) -> None:
    gone = new_group(2, state=GroupState.DELETED, request_id="r")
    await tasks.commit([InsertGroup(new_group(1)), InsertGroup(gone), InsertGroup(new_group(3))])
    page, count = await groups.list_groups(GroupQuery("project", 0, 10))
    assert ([group.number for group in page], count) == ([3, 1], 2)
    assert await groups.find_group_request("project", "r") is None
    # Its request id is free again.
    await tasks.commit([InsertGroup(new_group(4, request_id="r"))])
    assert await groups.count_groups_created("project", 2) == 3
    await tasks.commit([PurgeGroups("project", 3), PurgeGroups("other", 100)])
    assert await groups.get_group(GroupId("g2")) is None
    assert await groups.count_groups_created("project", 0) == 3


async def test_pages_of_groups_by_state(tasks: SqliteTaskStore, groups: SqliteGroupStore) -> None:
    made = [new_group(n, state=GroupState(n % 3)) for n in range(1, 10)]
    await tasks.commit([InsertGroup(group) for group in made])
    page, count = await groups.list_groups(GroupQuery("project", 1, 1, GroupState.WAITING))
    assert ([group.number for group in page], count) == ([6], 3)
    assert (await groups.list_groups(GroupQuery("other", 0, 10)))[1] == 0


async def test_what_is_not_at_rest_is_found_at_the_start(
    tasks: SqliteTaskStore, groups: SqliteGroupStore
) -> None:
    made = [new_group(n + 1, state=state) for n, state in enumerate(GroupState)]
    made.append(new_group(20, state=GroupState.CREATION_FAILED, goal=Goal.RETRY))
    await tasks.commit([InsertGroup(group) for group in made])
    assert [group.number for group in await groups.unfinished_groups()] == [1, 2, 3, 8, 9, 20]


async def test_keys_of_a_group_are_sealed_for_it_alone(
    tasks: SqliteTaskStore, groups: SqliteGroupStore, tmp_path: Path
) -> None:
    one, two = new_group(1), new_group(2)
    await tasks.commit(
        [InsertGroup(one), InsertGroup(two), PutGroupCredentials(one, KEYS), PutGroupCredentials(two, KEYS)]
    )
    assert await groups.group_credentials(one) == KEYS
    await tasks.commit([DropGroupCredentials(one.number)])
    assert await groups.group_credentials(one) is None
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as raw, raw:
        raw.execute("UPDATE group_credentials SET number = 1")
        raw.commit()
    with pytest.raises(TaskStoreError):
        await groups.group_credentials(one)
    assert SECRET.encode() not in everything_in(tmp_path)
    # A task of the same number has keys of its own.
    await tasks.commit([InsertTask(new_task(1)), PutCredentials(TaskId(1), KEYS)])
    assert await tasks.credentials(TaskId(1)) == KEYS


async def test_sums_are_those_of_the_tasks(tasks: SqliteTaskStore, groups: SqliteGroupStore) -> None:
    done = member(
        1,
        state=TaskState.SUCCEEDED,
        listing_over=True,
        counters=Counters(9, 90, 9, 0, 0, 90),
        expected_num=10,
        expected_size_bytes=100,
    )
    begun = member(
        2,
        state=TaskState.MIGRATING,
        counters=Counters(3, 30, 1, 1, 1, 10, 10, 10),
        expected_num=10,
        expected_size_bytes=100,
        parts_size_bytes=5,
    )
    grown = member(3, counters=Counters(12, 120), expected_num=10, expected_size_bytes=100)
    failed = member(
        4,
        state=TaskState.FAILED,
        listing_over=True,
        counters=Counters(1, 1, 0, 0, 1, 0, 0, 1),
        lists=ListRecords(failed_key="k"),
        error_code="TRF.0156",
        error_message="first",
    )
    unstored = replace(failed, task_id=TaskId(5), lists=ListRecords(failed_error="OMS.0307"), name="x")
    other = new_task(6, group_id=GroupId("g2"), counters=Counters(7, 7, 7))
    await tasks.commit([InsertTask(task) for task in (done, begun, grown, failed, unstored, other)])
    sums = await groups.group_sums(GROUP)
    assert sums.tally == MemberTally(waiting=1, migrating=1, succeeded=1, failed=2)
    assert sums.counters == Counters(26, 242, 10, 1, 3, 100, 10, 12)
    assert (sums.expected_num, sums.expected_size_bytes) == (9 + 10 + 12 + 2, 90 + 100 + 120 + 2)
    assert sums.parts_size_bytes == 5
    assert (sums.failed_lists_num, sums.failed_list_error) == (1, "OMS.0307")
    rest = await groups.group_sums(GROUP, (TaskId(2), TaskId(4)))
    assert rest.tally == MemberTally(waiting=1, succeeded=1, failed=1)
    assert await groups.member_numbers(GROUP) == {
        TaskState.WAITING: 1,
        TaskState.MIGRATING: 1,
        TaskState.SUCCEEDED: 1,
        TaskState.FAILED: 2,
    }
    assert await groups.member_failures(GROUP) == ({"TRF.0156": 2}, "first")
    assert await groups.member_failures(GroupId("nobody")) == ({}, "")


async def test_sums_are_read_from_the_index_alone(tasks: SqliteTaskStore, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as raw, raw:
        wanted = {"group_id": "g1", "without": "[]"}
        plan = raw.execute("EXPLAIN QUERY PLAN " + load_queries()["group_sums"], wanted).fetchall()
    assert any("COVERING INDEX tasks_by_group (group_id=?" in row[3] for row in plan), plan


async def test_tasks_of_a_group_by_page_and_by_state(
    tasks: SqliteTaskStore, groups: SqliteGroupStore
) -> None:
    states = (TaskState.WAITING, TaskState.PAUSED, TaskState.FAILED)
    await tasks.commit([InsertTask(member(n, state=states[n % 3])) for n in range(1, 10)])
    await tasks.commit([InsertTask(new_task(20)), InsertTask(member(21, project_id="other"))])
    found = await groups.members(GROUP, (TaskState.WAITING, TaskState.FAILED), TaskId(3), 3)
    assert [task.task_id for task in found] == [5, 6, 8]
    page, count = await tasks.list_tasks(TaskQuery("project", 0, 2, group_id=GROUP))
    assert ([task.task_id for task in page], count) == ([9, 8], 9)
    page, count = await tasks.list_tasks(TaskQuery("project", 0, 10, TaskState.PAUSED, group_id=GROUP))
    assert ([task.task_id for task in page], count) == ([7, 4, 1], 3)
    assert (await tasks.list_tasks(TaskQuery("project", 0, 10)))[1] == 10
    await tasks.commit([DeleteTask(TaskId(9))])
    assert (await groups.member_numbers(GROUP))[TaskState.WAITING] == 2 + 1


async def test_a_damaged_group_is_refused(
    tasks: SqliteTaskStore, groups: SqliteGroupStore, tmp_path: Path
) -> None:
    await tasks.commit([InsertGroup(new_group())])
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as raw, raw:
        raw.execute("UPDATE task_groups SET position = '{\"nonsense\": 1}'")
        raw.commit()
    with pytest.raises(CorruptRowError, match="g1"):
        await groups.get_group(GROUP)
