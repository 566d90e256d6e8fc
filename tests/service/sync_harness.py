"""The sync ledger and service on a real store; copies and clock are moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from omsd.domain.model import Outcome, OutcomeKind, TaskId, TaskWork
from omsd.ports.objectcopies import CopyOrder, CopyResult, NoteUpload, UploadNote, WorkerGoneError
from omsd.ports.syncstore import SyncChange
from omsd.ports.taskstore import TaskStoreError
from omsd.service.locations import ValidationPolicy
from omsd.service.probing import EndsProbe
from omsd.service.sync_hot import SyncLimits
from omsd.service.sync_ledger import SyncLedger
from omsd.service.sync_requests import CreateSyncTask, StartSyncTask
from omsd.service.syncs import SyncService
from omsd.store.sqlite import SqliteTaskStore
from omsd.store.syncs import SqliteSyncStore
from tests.fakes.clock import FakeClock
from tests.fakes.executor import FakeExecutor, World
from tests.waiting import PATIENCE_S, until

PROJECT = "project"


def create_sync(**changes: object) -> CreateSyncTask:
    fields: dict[str, object] = {
        "src_cloud_type": "AWS",
        "src_region": "us-east-1",
        "src_bucket": "from",
        "src_ak": "SRCAK",
        "src_sk": "SRCSECRET",
        "dst_region": "eu-de",
        "dst_bucket": "into",
        "dst_ak": "DSTAK",
        "dst_sk": "DSTSECRET",
        "dst_endpoint": "https://obs.example.com",
    }
    return CreateSyncTask(**(fields | changes))  # type: ignore[arg-type]


def start_sync() -> StartSyncTask:
    return StartSyncTask(src_ak="A2", src_sk="S2", dst_ak="A3", dst_sk="S3")


def success(key: str, size_bytes: int = 10) -> CopyResult:
    return CopyResult(Outcome(key, size_bytes, OutcomeKind.SUCCESS))


def skip(key: str) -> CopyResult:
    return CopyResult(Outcome(key, 0, OutcomeKind.SKIPPED, reason="gone at the source"))


def failure(key: str, *, final: bool = False) -> CopyResult:
    outcome = Outcome(key, 0, OutcomeKind.FAILED, error_code="TRF.0152", reason="no")
    return CopyResult(outcome, tries_again=not final)


class FakeCopies:
    """A copy ends when the test says so. log: the orders in the order they were begun."""

    def __init__(self) -> None:
        self.running: dict[str, tuple[asyncio.Future[CopyResult], NoteUpload]] = {}
        self.log: list[tuple[TaskWork, CopyOrder]] = []
        self.forgotten: list[TaskId] = []
        self.cut: list[str] = []
        self.late: dict[str, NoteUpload] = {}
        self.noted: list[str] = []

    async def copy(self, work: TaskWork, order: CopyOrder, note: NoteUpload) -> CopyResult:
        key = order.names.key
        assert key not in self.running, "one key is copied twice at the same time"
        answer: asyncio.Future[CopyResult] = asyncio.get_running_loop().create_future()
        self.running[key] = (answer, note)
        self.log.append((work, order))
        try:
            return await answer
        except asyncio.CancelledError:
            self.cut.append(key)
            self.late[key] = note
            raise
        finally:
            del self.running[key]

    def forget(self, task_id: TaskId) -> None:
        self.forgotten.append(task_id)

    def end(self, result: CopyResult, key: str = "") -> None:
        assert result.outcome is not None or key
        self.running[key or (result.outcome.key if result.outcome else "")][0].set_result(result)

    def lose(self, key: str, *, begun: bool = True) -> None:
        self.running[key][0].set_exception(WorkerGoneError(begun=begun))

    def has_cut_copies(self, task_id: TaskId) -> bool:
        return bool(self.late)

    def note(self, key: str, note: UploadNote) -> None:
        """noted: the keys whose intents are durable."""
        hear = self.running[key][1] if key in self.running else self.late[key]
        hear(note, lambda: self.noted.append(key))

    def keys(self) -> list[str]:
        return [order.names.key for _, order in self.log]


class GatedStore(SqliteSyncStore):
    """Commits wait while the gate is closed; once it is broken they fail."""

    def __init__(self, store: SqliteTaskStore) -> None:
        super().__init__(store)
        self.gate = asyncio.Event()
        self.gate.set()
        self.commits: list[Sequence[SyncChange]] = []
        self.broken = False

    async def commit(self, changes: Sequence[SyncChange]) -> None:
        self.commits.append(changes)
        await self.gate.wait()
        if self.broken:
            raise TaskStoreError("database or disk is full")
        await super().commit(changes)


@dataclass
class SyncControl:
    """What a test holds. died: what the ledger ended with."""

    store: GatedStore
    copies: FakeCopies
    clock: FakeClock
    ledger: SyncLedger
    service: SyncService
    executor: FakeExecutor
    found_num: int
    tasks: SqliteTaskStore
    sweeps_due: asyncio.Event
    died: list[Exception] = field(default_factory=list)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition."""
        await until(condition)

    async def settled(self, task_id: str, **figures: int) -> None:
        """Wait until the month's figures are these, the others 0."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                month = (await self.service.get(PROJECT, task_id, None)).month
                wanted = {
                    name: figures.get(name, 0)
                    for name in ("request_num", "success_num", "failure_num", "skip_num", "size_bytes")
                }
                if all(getattr(month, name) == value for name, value in wanted.items()):
                    return
                await asyncio.sleep(0.001)


@asynccontextmanager
async def sync_control(
    folder: Path, *, limits: SyncLimits | None = None, crash: bool = False, now_s: float = 1_700_000_000.0
) -> AsyncIterator[SyncControl]:
    """A running ledger. crash: it ends in the middle of what it does."""
    store = await SqliteTaskStore.open(folder)
    syncs, copies, clock = GatedStore(store), FakeCopies(), FakeClock(now_s)
    sweeps = asyncio.Event()
    ledger = SyncLedger(syncs, copies, clock, limits or SyncLimits(), lambda: 0.999_999, sweeps.set)
    executor = FakeExecutor(World({}))
    ends = EndsProbe(executor, clock, deadline_s=10.0)
    service = SyncService(syncs, ledger, ends, clock, ValidationPolicy(), UTC)
    found_num = await ledger.recover()
    control = SyncControl(syncs, copies, clock, ledger, service, executor, found_num, store, sweeps)

    async def run() -> None:
        try:
            await ledger.run()
        except* TaskStoreError as group:
            control.died.extend(group.exceptions)

    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(run())
            yield control
            if crash:
                running.cancel()
            else:
                ledger.hold()
                for answer, _ in copies.running.values():
                    answer.set_exception(WorkerGoneError(begun=True))
                ledger.close()
    finally:
        await store.close()
