"""Small asyncio pieces that asyncio lacks: a closable bounded queue, shielded cleanup. The only room with bare tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class QueueClosedError(Exception):
    """The queue takes or gives no more items."""


class ClosableQueue(Generic[T]):
    """A bounded FIFO between tasks of one loop.

    close(): put() refuses, get() still gives what is queued. discard(): what is queued is dropped as well.
    """

    def __init__(self, max_items: int) -> None:
        self._items: deque[T] = deque()
        self._max_items = max_items
        self._getters: deque[asyncio.Future[None]] = deque()
        self._putters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """Would put() wait?"""
        return len(self._items) >= self._max_items

    def limit(self, max_items: int) -> None:
        """The queue holds so many from now on; what is in it stays."""
        self._max_items = max_items
        for _ in range(max_items - len(self._items)):
            self._wake(self._putters)

    @property
    def closed(self) -> bool:
        """Does it take nothing more?"""
        return self._closed

    async def put(self, item: T) -> None:
        """The item is queued; waits while the queue is full. Raises QueueClosedError once it is closed."""
        while len(self._items) >= self._max_items and not self._closed:
            await self._wait(self._putters)
        if self._closed:
            raise QueueClosedError
        self._items.append(item)
        self._wake(self._getters)

    async def get(self) -> T:
        """The next item; waits while there is none. Raises QueueClosedError once it is closed and empty."""
        while not self._items:
            if self._closed:
                raise QueueClosedError
            await self._wait(self._getters)
        item = self._items.popleft()
        self._wake(self._putters)
        return item

    def close(self) -> None:
        """No more items come in."""
        self._closed = True
        for waiters in (self._getters, self._putters):
            while waiters:
                self._wake(waiters)

    def discard(self) -> None:
        """Close, and drop what is queued."""
        self._items.clear()
        self.close()

    async def _wait(self, waiters: deque[asyncio.Future[None]]) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                # Woken and cancelled at once: the turn belongs to the next one.
                self._wake(waiters)
            elif waiter in waiters:
                waiters.remove(waiter)
            raise

    @staticmethod
    def _wake(waiters: deque[asyncio.Future[None]]) -> None:
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


async def shielded(work: Coroutine[Any, Any, T], *, deadline_s: float) -> T:
    """Run cleanup to its end even if the caller is cancelled meanwhile, then let the cancellation through.

    Raises TimeoutError if the work takes longer than deadline_s; it is cancelled then.
    """
    task = asyncio.get_running_loop().create_task(_bounded(work, deadline_s))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # taken, so that it is not reported as never retrieved
        raise


async def _bounded(work: Coroutine[Any, Any, T], deadline_s: float) -> T:
    async with asyncio.timeout(deadline_s):
        return await work
