"""The memory budget of a worker: reserved before an object is read whole."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class BufferBudget:
    """Bytes that may be held at once; waiters are served in order, so a large one is not starved by small ones."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._free = total_bytes
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def free_bytes(self) -> int:
        return self._free

    @asynccontextmanager
    async def reserve(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold size_bytes (at most the total) until the block is left."""
        wanted = min(size_bytes, self.total_bytes)
        if self._waiters or self._free < wanted:
            await self._wait(wanted)
        else:
            self._free -= wanted
        try:
            yield
        finally:
            self._free += wanted
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
