"""The state directory: whose it is, what seals its keys, and what in it is refused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from omsd.domain.model import TaskId, TaskState
from omsd.ports.taskchanges import (
    AddFailed,
    DropCredentials,
    FailedObject,
    InsertTask,
    PutCredentials,
    UpdateTask,
)
from omsd.ports.taskstore import CredentialsUnreadableError, TaskStoreError
from omsd.store.seal import Sealer, load_key
from omsd.store.sqlite import DATABASE_FILE, SqliteTaskStore
from tests.store.harness import KEYS, SECRET, new_task
from tests.waiting import PATIENCE_S


def assert_private(directory: Path) -> None:
    for path in directory.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_credentials_are_sealed_and_dropped(tmp_path: Path) -> None:
    store = await SqliteTaskStore.open(tmp_path)
    await store.commit([InsertTask(new_task(1)), PutCredentials(TaskId(1), KEYS)])
    assert await store.credentials(TaskId(1)) == KEYS
    await store.close()
    assert_private(tmp_path)
    store = await SqliteTaskStore.open(tmp_path)
    assert await store.credentials(TaskId(1)) == KEYS
    await store.commit([DropCredentials(TaskId(1))])
    assert await store.credentials(TaskId(1)) is None
    await store.close()


def test_sealed_credentials_open_for_their_task_and_key_only() -> None:
    sealed = Sealer(b"k" * 32).seal(TaskId(1), KEYS)
    assert Sealer(b"k" * 32).unseal(TaskId(1), sealed) == KEYS
    for task_id, key, text in ((2, b"k", sealed), (1, b"j", sealed), (1, b"k", sealed[:-1]), (1, b"k", b"")):
        with pytest.raises(CredentialsUnreadableError) as refused:
            Sealer(key * 32).unseal(TaskId(task_id), text)
        assert SECRET not in str(refused.value)
    assert SECRET not in repr(KEYS)


def test_the_key_comes_from_the_credentials_directory_if_it_is_there(tmp_path: Path) -> None:
    given, state = tmp_path / "given", tmp_path / "state"
    given.mkdir()
    state.mkdir()
    made = load_key(state, given)
    assert load_key(state, None) == made
    (given / "omsd-key").write_bytes(b"g" * 32)
    assert load_key(state, given) == b"g" * 32
    (given / "omsd-key").write_bytes(b"short")
    with pytest.raises(TaskStoreError, match="32 bytes"):
        load_key(state, given)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_key(tmp_path, None)
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(TaskStoreError, match="0600"):
        load_key(tmp_path, None)


async def test_a_second_daemon_is_refused_with_directory_and_pid(
    tmp_path: Path, store: SqliteTaskStore
) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from omsd.store.sqlite import SqliteTaskStore\n"
        "asyncio.run(SqliteTaskStore.open(pathlib.Path(sys.argv[1])))\n"
    )
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(second.communicate(), PATIENCE_S)
    assert second.returncode
    assert str(tmp_path) in errors.decode()
    assert f"pid {os.getpid()}" in errors.decode()


async def test_the_directory_is_free_again_after_a_close(tmp_path: Path) -> None:
    for _ in range(2):
        await (await SqliteTaskStore.open(tmp_path / "made" / "below")).close()


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    await (await SqliteTaskStore.open(tmp_path)).close()
    direct = sqlite3.connect(tmp_path / DATABASE_FILE)
    direct.execute("PRAGMA user_version = 99")
    direct.close()
    with pytest.raises(TaskStoreError, match="schema 99"):
        await SqliteTaskStore.open(tmp_path)
    # The refusal has let go of the directory.
    with pytest.raises(TaskStoreError, match="schema 99"):
        await SqliteTaskStore.open(tmp_path)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"this is not a database" * 100)
    with pytest.raises(TaskStoreError, match="not a database"):
        await SqliteTaskStore.open(tmp_path)


async def test_a_full_disk_is_an_error_that_changes_nothing(store: SqliteTaskStore) -> None:
    await store.commit([InsertTask(new_task(1))])
    await store._writer.run(lambda to: to.execute("PRAGMA max_page_count = 1"))
    big = tuple(FailedObject("k" * 1000, 1, "c", "m") for _ in range(1000))
    with pytest.raises(TaskStoreError, match="full"):
        await store.commit([UpdateTask(new_task(1, state=TaskState.FAILED)), AddFailed(TaskId(1), 1, big)])
    await store._writer.run(lambda to: to.execute("PRAGMA max_page_count = 1000000"))
    task = await store.get_task(TaskId(1))
    assert task is not None
    assert task.state is TaskState.WAITING
    await store.commit([UpdateTask(new_task(1, state=TaskState.PAUSED))])
