"""Durable state in one SQLite file: one writer connection, one reader beside it, a transaction per commit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import aiosqlite

from omsd.domain.model import (
    Credentials,
    ListPart,
    Location,
    OutcomeKind,
    ShardId,
    Task,
    TaskCredentials,
    TaskId,
    TaskState,
)
from omsd.domain.quotas import CreationKind
from omsd.domain.shards import KeptUpload, OpenUpload, Shard, ShardKind, UploadIntent
from omsd.ports.taskchanges import Change, FailedObject
from omsd.ports.taskstore import OpenShard, OpenUploads, TaskQuery, TaskStoreError
from omsd.store.lock import DirectoryLock
from omsd.store.pages import PageCache
from omsd.store.rows import Row, shard_from_row, task_from_row
from omsd.store.seal import Sealer, load_key
from omsd.store.sql import load_migrations, load_queries
from omsd.store.uploadrows import destination_from_row, intent_from_row, part_from_row, plan_from_text
from omsd.store.writer import Writer
from omsd.store.writes import Write, plan_writes

DATABASE_FILE = "omsd.db"
# Another process may look into the file (a backup); nobody else writes.
_BUSY_TIMEOUT_S = 10.0
_PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")


class SqliteTaskStore:
    """TaskStore in a state directory, which it holds alone from open() to close()."""

    def __init__(
        self,
        path: Path,
        lock: DirectoryLock,
        sealer: Sealer,
        writer: Writer,
        reader: aiosqlite.Connection,
    ) -> None:
        self._path = path
        self._lock = lock
        self._sealer = sealer
        self._writer = writer
        self._reader = reader
        self._queries = load_queries()
        self._pages = PageCache()

    @property
    def sealer(self) -> Sealer:
        """What seals credentials in this store."""
        return self._sealer

    @classmethod
    async def open(cls, state_dir: Path, *, credentials_directory: Path | None = None) -> SqliteTaskStore:
        """The store, at the newest schema. The directory is made if missing.

        credentials_directory: systemd's $CREDENTIALS_DIRECTORY. Raises TaskStoreError if another daemon holds the directory, if
        the schema is newer than this program, or if anything cannot be read.
        """
        path = state_dir / DATABASE_FILE
        with ExitStack() as undo, _translated(path):
            lock = _take_directory(state_dir)
            undo.callback(lock.release)
            sealer = Sealer(load_key(state_dir, credentials_directory))
            writer = await Writer.open(path, _connect_writer)
            try:
                await writer.run(partial(_migrate, path))
                reader = await _connect_reader(path)
            except BaseException:
                await writer.close()
                raise
            undo.pop_all()
            return cls(path, lock, sealer, writer, reader)

    async def commit(self, changes: Sequence[Change]) -> None:
        """All changes are durable, in this order, or none is."""
        await self.write(plan_writes(changes, self._sealer))

    async def write(self, writes: Iterable[Write]) -> None:
        """All writes are durable, in this order, or none is; transactions of several callers take turns."""
        statements = [(self._queries[name], rows) for name, rows in writes]
        self._pages.forget()
        try:
            with _translated(self._path):
                await self._writer.transaction(statements)
        finally:
            self._pages.forget()

    async def get_task(self, task_id: TaskId) -> Task | None:
        """The task; None if there is none."""
        rows = await self.read("get_task", {"task_id": task_id})
        return task_from_row(rows[0]) if rows else None

    async def find_request(self, project_id: str, request_id: str) -> Task | None:
        """The task that was made by this request."""
        rows = await self.read("find_request", {"project_id": project_id, "request_id": request_id})
        return task_from_row(rows[0]) if rows else None

    async def list_tasks(self, query: TaskQuery) -> tuple[tuple[Task, ...], int]:
        """The page, and the number of all matches."""
        if (known := self._pages.get(query)) is not None:
            return known
        moment = self._pages.moment
        wanted: Row = {
            "project_id": query.project_id,
            "state": query.state or 0,
            "name_part": query.name_part,
            "offset": query.offset,
            "limit": query.limit,
            "group_id": query.group_id or "",
        }
        kind = "group_tasks" if query.group_id else "tasks"
        rows = await self.read(f"list_{kind}", wanted)
        found_num = rows[0]["matches_num"] if rows else (await self.read(f"count_{kind}", wanted))[0][0]
        page = tuple(map(task_from_row, rows)), found_num
        self._pages.keep(query, page, moment)
        return page

    async def count_in(self, project_id: str, states: Sequence[TaskState]) -> int:
        """How many of the project's tasks are in one of these states."""
        count = 0
        for state in states:
            rows = await self.read("count_tasks_in", {"project_id": project_id, "state": int(state)})
            count += rows[0][0]
        return count

    async def count_created(self, project_id: str, kind: CreationKind, since_ms: int) -> int:
        """How many things of a kind the project has created later than this, at most a day ago; also those that are deleted."""
        wanted: Row = {"project_id": project_id, "kind": kind.value, "since_ms": since_ms}
        count: int = (await self.read("count_created", wanted))[0][0]
        return count

    async def created_at(self, project_id: str, kind: CreationKind, since_ms: int, place: int) -> int:
        """When one of them was created, counted from 0 for the oldest; 0 if there are not so many."""
        wanted: Row = {"project_id": project_id, "kind": kind.value, "since_ms": since_ms, "place": place}
        rows = await self.read("created_at", wanted)
        return rows[0]["created_ms"] if rows else 0

    async def tasks_in(self, states: Sequence[TaskState]) -> tuple[Task, ...]:
        """Every task in one of these states, of all projects, oldest first."""
        rows = [row for state in states for row in await self.read("tasks_in_state", {"state": int(state)})]
        return tuple(sorted(map(task_from_row, rows), key=lambda task: task.task_id))

    async def credentials(self, task_id: TaskId) -> TaskCredentials | None:
        """Its keys; None if none are stored. Raises CredentialsUnreadableError."""
        rows = await self.read("get_credentials", {"task_id": task_id})
        return self._sealer.unseal(task_id, rows[0]["sealed"]) if rows else None

    async def open_shards(self, task_id: TaskId) -> tuple[OpenShard, ...]:
        """The shards that are not finished, in order."""
        rows = await self.read("open_shards", {"task_id": task_id})
        return tuple(
            OpenShard(
                ShardId(row["shard_id"]),
                bool(row["already_listed"]),
                ShardKind(row["kind"]),
                row["large_key"],
                bool(row["large_key"]) and not row["after_key"],
            )
            for row in rows
        )

    async def get_shard(self, shard_id: ShardId) -> Shard:
        """The shard at its checkpoint. Raises CorruptRowError."""
        rows = await self.read("get_shard", {"shard_id": shard_id})
        if not rows:
            raise TaskStoreError(f"{self._path}: shard {shard_id} is missing; restore the file from a backup")
        return shard_from_row(rows[0])

    async def stale_uploads(self, task_id: TaskId, shard_id: ShardId) -> tuple[OpenUpload, ...]:
        """Open uploads of this shard, and those of the task whose shard is finished or gone."""
        rows = await self.read("stale_uploads", {"task_id": task_id, "shard_id": shard_id})
        return tuple(OpenUpload(row["key"], row["upload_id"]) for row in rows)

    async def stale_intents(self, task_id: TaskId, shard_id: ShardId) -> tuple[UploadIntent, ...]:
        """Intents of this shard, and those of the task whose shard is finished or gone; shard_id 0: all of the task."""
        rows = await self.read("stale_intents", {"task_id": task_id, "shard_id": shard_id})
        found: list[UploadIntent] = []
        for row in rows:
            recorded = await self.read("uploads_of_key", {"key": row["key"]})
            found.append(intent_from_row(row, tuple(each["upload_id"] for each in recorded)))
        return tuple(found)

    async def kept_upload(self, task_id: TaskId, key: str) -> KeptUpload | None:
        """The upload of a destination key that is gone on with."""
        rows = await self.read("kept_upload", {"task_id": task_id, "key": key})
        if not rows:
            return None
        upload = OpenUpload(key, rows[0]["upload_id"])
        parts = await self.read(
            "upload_parts", {"task_id": task_id, "key": key, "upload_id": upload.upload_id}
        )
        return KeptUpload(upload, plan_from_text(rows[0]["plan"]), tuple(map(part_from_row, parts)))

    async def open_uploads(self, task_id: TaskId) -> OpenUploads:
        """Everything of the task that is recorded as open."""
        rows = await self.read("open_uploads", {"task_id": task_id})
        parts: dict[OpenUpload, dict[int, int]] = {
            OpenUpload(row["key"], row["upload_id"]): {} for row in rows if row["plan"]
        }
        for row in await self.read("part_sizes", {"task_id": task_id}):
            sizes = parts.get(OpenUpload(row["key"], row["upload_id"]))
            if sizes is not None:
                sizes[row["part_number"]] = row["size_bytes"]
        return OpenUploads(
            tuple(OpenUpload(row["key"], row["upload_id"]) for row in rows),
            await self.stale_intents(task_id, ShardId(0)),
            parts,
        )

    async def due_sweeps(self) -> tuple[TaskId, ...]:
        """The tasks whose uploads are to be aborted now."""
        rows = await self.read("due_sweeps", {})
        return tuple(TaskId(row["task_id"]) for row in rows)

    async def get_sweep(self, task_id: TaskId) -> tuple[Location, Credentials] | None:
        """Destination and keys. Raises CredentialsUnreadableError."""
        rows = await self.read("get_sweep", {"task_id": task_id})
        if not rows:
            return None
        keys = self._sealer.unseal(task_id, rows[0]["sealed"])
        return destination_from_row(rows[0]), keys.destination

    async def failed_page(self, task_id: TaskId, after_row: int, limit: int) -> tuple[FailedObject, ...]:
        """Failed rows in the order they were stored, behind a row."""
        rows = await self.read("failed_page", {"task_id": task_id, "after_row": after_row, "limit": limit})
        return tuple(
            FailedObject(row["key"], row["size_bytes"], row["code"], row["message"], row["row_id"])
            for row in rows
        )

    async def failure_tally(self, task_id: TaskId) -> Mapping[str, tuple[int, str]]:
        """Code -> (failures with it, message of the first), also when failed objects are not recorded."""
        rows = await self.read("failure_tally", {"task_id": task_id})
        return {row["code"]: (row["failed_num"], row["message"]) for row in rows}

    async def list_parts(self, task_id: TaskId) -> tuple[ListPart, ...]:
        """The spooled files of the task's lists that are not settled, by list and number."""
        rows = await self.read("list_parts", {"task_id": task_id})
        return tuple(
            ListPart(
                OutcomeKind(row["kind"]),
                row["number"],
                row["size_bytes"],
                row["text_bytes"],
                row["lines_num"],
            )
            for row in rows
        )

    async def last_ids(self) -> tuple[TaskId, ShardId]:
        """The highest ids in use, 0 if there are none."""
        rows = await self.read("last_ids", {})
        return TaskId(rows[0][0]), ShardId(rows[0][1])

    async def close(self) -> None:
        """Everything committed is in the file; another daemon may open it."""
        try:
            await self._reader.close()
        finally:
            try:
                await self._writer.close()
            finally:
                self._lock.release()

    async def read(self, name: str, wanted: Row) -> list[sqlite3.Row]:
        """The rows a named query finds."""
        with _translated(self._path):
            return list(await self._reader.execute_fetchall(self._queries[name], wanted))


def _take_directory(state_dir: Path) -> DirectoryLock:
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return DirectoryLock.acquire(state_dir)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise TaskStoreError(
            f"{path}: {error}; check the disk's space and the directory's permissions"
        ) from error


def _connect_writer(path: Path) -> sqlite3.Connection:
    """Transactions are begun and ended by name only."""
    # Created by us first: SQLite would make it readable for all.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


async def _connect_reader(path: Path) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
    try:
        connection.row_factory = sqlite3.Row
        for pragma in (*_PRAGMAS, "PRAGMA query_only = ON"):
            await connection.execute(pragma)
    except BaseException:
        await connection.close()
        raise
    return connection


def _migrate(path: Path, writer: sqlite3.Connection) -> None:
    """The schema is the newest this program knows; each step is a transaction of its own."""
    migrations = load_migrations()
    (version,) = writer.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise TaskStoreError(
            f"{path} has schema {version}, this omsd knows {len(migrations)}; "
            "run the newer omsd, or restore the backup made before the upgrade"
        )
    for number, script in enumerate(migrations[version:], start=version + 1):
        writer.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
