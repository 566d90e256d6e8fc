"""Aborts what tasks that do not work any more have left open at their destinations: failed, finished and deleted ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from omsd.domain.errors import RequestError
from omsd.domain.events import UploadsSwept
from omsd.domain.model import TaskId
from omsd.ports.clock import Clock
from omsd.ports.eventsink import EventSink
from omsd.ports.executor import Executor, Sweep, SweepResult
from omsd.ports.taskstore import CredentialsUnreadableError, OpenUploads, TaskStore
from omsd.service.ledger import Ledger
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

_DEADLINE_S = 120.0
_FIRST_PAUSE_S = 1.0
_MAX_PAUSE_S = 300.0
# With the pauses above: most of an hour. A restart of the daemon begins anew.
_MAX_TRIES = 16
_SHOWN_IDS = 20


class Sweeper:
    """Changes nothing itself: what it did comes to the ledger as an event. must_wait: is it too soon for this task, beside leases?"""

    def __init__(
        self,
        store: TaskStore,
        executor: Executor,
        clock: Clock,
        ledger: Ledger,
        sink: EventSink,
        must_wait: Callable[[TaskId], bool],
    ) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._ledger = ledger
        self._sink = sink
        self._must_wait = must_wait
        self._tries: dict[TaskId, int] = {}
        self._next_s: dict[TaskId, float] = {}

    async def run(self) -> None:
        """Sweeps what is due at the start and whenever something becomes due, until it is cancelled."""
        while True:
            self._ledger.sweeps_due.clear()
            due = await self._store.due_sweeps()
            self._tries = {task_id: self._tries.get(task_id, 0) for task_id in due}
            for task_id in due:
                # What its last leases still open and close comes first.
                if self._next_s.get(task_id, 0.0) <= self._clock.monotonic_s():
                    await self._sweep_unless_busy(task_id)
            self._next_s = {task_id: at for task_id, at in self._next_s.items() if task_id in due}
            await self._pause(min(self._next_s.values(), default=None))

    async def _pause(self, until_s: float | None) -> None:
        if until_s is None:
            await self._ledger.sweeps_due.wait()
            return
        async with asyncio.TaskGroup() as group:
            sleeper = group.create_task(self._wake_after(until_s - self._clock.monotonic_s()))
            await self._ledger.sweeps_due.wait()
            sleeper.cancel()

    async def _wake_after(self, seconds: float) -> None:
        await self._clock.sleep(max(0.0, seconds))
        self._ledger.sweeps_due.set()

    async def _sweep_unless_busy(self, task_id: TaskId) -> None:
        pause_s = _FIRST_PAUSE_S
        if not self._ledger.has_leases(task_id) and not self._must_wait(task_id):
            pause_s = min(_MAX_PAUSE_S, _FIRST_PAUSE_S * 2 ** self._tries[task_id])
            self._tries[task_id] += 1
            await self._sweep(task_id)
        self._next_s[task_id] = self._clock.monotonic_s() + pause_s

    async def _sweep(self, task_id: TaskId) -> None:
        found = await self._store.open_uploads(task_id)
        result = SweepResult()
        if found.uploads or found.intents:
            result = await self._result(task_id, found)
        left = OpenUploads(
            tuple(upload for upload in found.uploads if upload not in result.uploads),
            tuple(intent for intent in found.intents if intent not in result.intents),
        )
        over = not left.uploads and not left.intents
        if not over and self._tries[task_id] >= _MAX_TRIES:
            self._give_up(task_id, left, result.failure)
            result, over = SweepResult(found.uploads, found.intents), True
        await self._sink.emit(UploadsSwept(task_id, result.uploads, result.intents, over))

    async def _result(self, task_id: TaskId, found: OpenUploads) -> SweepResult:
        try:
            sweep = await self._store.get_sweep(task_id)
            if sweep is None:
                return SweepResult()
            work = Sweep(*sweep, found.uploads, found.intents)
            return await self._executor.sweep(work, deadline_s=_DEADLINE_S)
        except (CredentialsUnreadableError, RequestError) as error:
            return SweepResult(failure=error.message)

    def _give_up(self, task_id: TaskId, left: OpenUploads, failure: str) -> None:
        _log.warning(
            "uploads_left_open",
            task_id=task_id,
            reason=failure,
            number=len(left.uploads),
            uploads=[f"{upload.key} {upload.upload_id}" for upload in left.uploads[:_SHOWN_IDS]],
            note="abort them by hand, or let a lifecycle rule of the bucket do it",
        )
