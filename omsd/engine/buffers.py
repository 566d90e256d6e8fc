"""The memory budget of a worker: reserved before an object is read whole."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class BufferBudget:
    """Bytes that may be held at once; waiters are served in order, so a large one is not starved by small ones."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._free = total_bytes
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def free_bytes(self) -> int:
        """What nobody holds."""
        return self._free

    def reserve(self, size_bytes: int) -> Reservation:
        """Hold size_bytes (at most the total) while the block of `async with` runs."""
        return Reservation(self, min(size_bytes, self.total_bytes))

    async def take(self, size_bytes: int) -> None:
        """The bytes are held; give them back with give()."""
        if self._waiters or self._free < size_bytes:
            await self._wait(size_bytes)
        else:
            self._free -= size_bytes

    def give(self, size_bytes: int) -> None:
        """The bytes are free again."""
        self._free += size_bytes
        self._serve()

    async def _wait(self, wanted: int) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (wanted, waiter)
        self._waiters.append(entry)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._free += wanted
            elif entry in self._waiters:
                self._waiters.remove(entry)
            self._serve()
            raise

    def _serve(self) -> None:
        while self._waiters and self._waiters[0][0] <= self._free:
            wanted, waiter = self._waiters.popleft()
            if not waiter.done():
                self._free -= wanted
                waiter.set_result(None)


class Reservation:
    """One entry into the budget. A class: the generator of asynccontextmanager costs 2 us more per object."""

    __slots__ = ("_budget", "_size_bytes")

    def __init__(self, budget: BufferBudget, size_bytes: int) -> None:
        self._budget = budget
        self._size_bytes = size_bytes

    async def __aenter__(self) -> None:
        await self._budget.take(self._size_bytes)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._budget.give(self._size_bytes)
