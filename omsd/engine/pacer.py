"""Concurrency that finds itself, per endpoint: doubling until the service first says slow down, then additive increase and halving."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.retry import RetryBudget

_START_REQUESTS = 16.0
# One burst of refusals comes from one state of the service: it halves the limit once, not once per refused request.
_HALVING_INTERVAL_S = 1.0


class Pacer:
    """How many requests may be at one endpoint at once.

    Grows while the limit is used up: to the double with each round of successes until the first refusal, by one after it. Halves on
    THROTTLED and honours Retry-After.
    """

    def __init__(self, cap: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._cap = float(cap)
        self._limit = min(_START_REQUESTS, self._cap)
        self._monotonic = monotonic
        self._in_flight = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._halved_at = float("-inf")
        self._refused = False
        self._closed_until = 0.0
        self._reopening: asyncio.TimerHandle | None = None
        self._retries = RetryBudget()

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        """Requests that are."""
        return self._in_flight

    async def acquire(self, count: int = 1) -> None:
        """Room for `count` requests is taken; first come, first served. Every acquire needs one release of the same count."""
        if not self._waiters and self._admits(count):
            self._in_flight += count
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (count, waiter)
        self._waiters.append(entry)
        self._serve()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._in_flight -= count
            elif entry in self._waiters:
                self._waiters.remove(entry)
            self._serve()
            raise

    def release(self, count: int = 1, *, succeeded: bool = True) -> None:
        """The requests are over."""
        # Used up: not one more request of this kind would have fitted in.
        if succeeded and self._limit < self._cap and self._in_flight + count > int(self._limit):
            step = count / self._limit if self._refused else count
            self._limit = min(self._cap, self._limit + step)
        self._in_flight -= count
        self._retries = self._retries.after_request()
        if self._waiters:
            self._serve()

    def take_retry(self) -> bool:
        """A retry may go now; False: retries are too large a part of the requests already."""
        left = self._retries.after_retry()
        if left is None:
            return False
        self._retries = left
        return True

    def note_error(self, error: StoreError) -> None:
        """Learn from a refusal."""
        if error.kind is not StoreErrorKind.THROTTLED:
            return
        self._refused = True
        now = self._monotonic()
        if now - self._halved_at >= _HALVING_INTERVAL_S:
            self._halved_at = now
            self._limit = max(1.0, self._limit / 2)
        if error.retry_after_s:
            self._closed_until = max(self._closed_until, now + error.retry_after_s)

    def _admits(self, count: int) -> bool:
        if self._in_flight and self._in_flight + count > int(self._limit):
            return False
        return self._monotonic() >= self._closed_until

    def _serve(self) -> None:
        while self._waiters and self._admits(self._waiters[0][0]):
            count, waiter = self._waiters.popleft()
            if not waiter.done():
                self._in_flight += count
                waiter.set_result(None)
        if self._waiters and self._reopening is None:
            wait_s = self._closed_until - self._monotonic()
            if wait_s > 0:
                self._reopening = asyncio.get_running_loop().call_later(wait_s, self._reopen)

    def _reopen(self) -> None:
        self._reopening = None
        self._serve()


class PacerPair:
    """The pacers of a copy's two ends, taken together in one fixed order: two copies can never wait for each other's half."""

    __slots__ = ("_first", "_second", "destination", "source")

    def __init__(self, source: Pacer, destination: Pacer) -> None:
        self.source = source
        self.destination = destination
        self._first = source
        self._second: Pacer | None = None
        if source is not destination:
            self._first, self._second = sorted((source, destination), key=id)

    async def acquire(self) -> None:
        """One request at each end may go."""
        if self._second is None:
            await self._first.acquire(2)
            return
        await self._first.acquire()
        try:
            await self._second.acquire()
        except BaseException:
            self._first.release(succeeded=False)
            raise

    def release(self, *, succeeded: bool) -> None:
        """Both requests are over."""
        if self._second is None:
            self._first.release(2, succeeded=succeeded)
            return
        self._first.release(succeeded=succeeded)
        self._second.release(succeeded=succeeded)
