"""What a worker's tasks move under their limits, told to the control process several times a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from omsd.domain.model import TaskId
from omsd.engine.throttle import Throttle
from omsd.executors.protocol import Demand, TaskDemand

# Two reports make a demand known, and an idle worker has half a second to lend its grant.
REPORT_INTERVAL_S = 0.2


class DemandReporter:
    """The throttles of one worker's tasks. A grant holds until the next one comes, however long that takes."""

    def __init__(self) -> None:
        self._throttles: dict[TaskId, Throttle] = {}
        self._limited = asyncio.Event()

    def throttle(self, task_id: TaskId) -> Throttle:
        """The task's throttle; one that is new has no limit."""
        return self._throttles.setdefault(task_id, Throttle())

    def set_limit(self, task_id: TaskId, limit_bytes_per_s: int | None) -> None:
        """The task's grant in this worker."""
        throttle = self.throttle(task_id)
        if not throttle.limited:
            throttle.take_moved()
        throttle.set_limit(limit_bytes_per_s)
        self._note()

    def forget(self, task_id: TaskId) -> None:
        """Nothing of the task runs here any more."""
        self._throttles.pop(task_id, None)
        self._note()

    async def report(self, send: Callable[[Demand], Awaitable[None]]) -> None:
        """Reports until it is cancelled, and rests while nothing has a limit."""
        began_s = time.monotonic()
        while True:
            if not self._limited.is_set():
                await self._limited.wait()
                began_s = time.monotonic()
            await asyncio.sleep(REPORT_INTERVAL_S)
            now_s = time.monotonic()
            tasks = tuple(
                TaskDemand(task_id, throttle.take_moved(), throttle.waiting_bytes)
                for task_id, throttle in self._throttles.items()
                if throttle.limited
            )
            if tasks:
                await send(Demand(now_s - began_s, tasks))
            began_s = now_s

    def _note(self) -> None:
        if any(throttle.limited for throttle in self._throttles.values()):
            self._limited.set()
        else:
            self._limited.clear()
