"""Pages that are kept between two writes: never older than what has been committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from omsd.domain.model import CloudType, Location, Priority, Task, TaskId, TaskSpec, TaskState, TaskType
from omsd.ports.taskchanges import DeleteTask, InsertTask, UpdateTask
from omsd.ports.taskstore import TaskQuery
from omsd.store.pages import MAX_KEYS, MAX_PAGES, PageCache
from omsd.store.sqlite import SqliteTaskStore

PLACE = Location(CloudType.AWS, "us-east-1", "bucket")
QUERY = TaskQuery("p", 0, 10)


def task(number: int, keys: tuple[str, ...] = ("",)) -> Task:
    return Task(
        task_id=TaskId(number),
        project_id="p",
        name=f"task {number}",
        spec=TaskSpec(PLACE, PLACE, TaskType.PREFIX, keys),
        state=TaskState.WAITING,
        priority=Priority.MEDIUM,
        windows=(),
        created_ms=1,
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteTaskStore]:
    store = await SqliteTaskStore.open(tmp_path)
    yield store
    await store.close()


async def test_every_commit_is_seen_by_the_next_list(store: SqliteTaskStore) -> None:
    assert await store.list_tasks(QUERY) == ((), 0)
    await store.commit([InsertTask(task(1))])
    page = await store.list_tasks(QUERY)
    assert page == ((task(1),), 1)
    assert await store.list_tasks(QUERY) is page
    changed = replace(task(1), state=TaskState.PAUSED)
    await store.commit([UpdateTask(changed)])
    assert await store.list_tasks(QUERY) == ((changed,), 1)
    await store.commit([DeleteTask(TaskId(1))])
    assert await store.list_tasks(QUERY) == ((), 0)


async def test_lists_beside_commits_are_never_behind_what_was_answered(store: SqliteTaskStore) -> None:
    committed = 0

    async def write() -> None:
        nonlocal committed
        for number in range(1, 101):
            await store.commit([InsertTask(task(number))])
            committed = number

    async def read() -> None:
        while committed < 100:
            before = committed
            _, count = await store.list_tasks(QUERY)
            assert count >= before
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for _ in range(4):
            group.create_task(read())
    assert (await store.list_tasks(QUERY))[1] == 100


def test_a_page_that_was_read_while_something_was_written_is_not_kept() -> None:
    cache = PageCache()
    moment = cache.moment
    cache.forget()
    cache.keep(QUERY, ((), 0), moment)
    assert cache.get(QUERY) is None
    cache.keep(QUERY, ((), 0), cache.moment)
    assert cache.get(QUERY) == ((), 0)
    cache.forget()
    assert cache.get(QUERY) is None


def test_what_is_kept_is_bounded() -> None:
    cache = PageCache()
    for offset in range(MAX_PAGES + 1):
        cache.keep(TaskQuery("p", offset, 1), ((), 0), cache.moment)
    assert cache.get(TaskQuery("p", 0, 1)) is None
    assert cache.get(TaskQuery("p", MAX_PAGES, 1)) is not None
    cache.keep(QUERY, ((task(1, ("k",) * (MAX_KEYS + 1)),), 1), cache.moment)
    assert cache.get(QUERY) is None
