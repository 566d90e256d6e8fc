"""Bytes per second of one task in this worker: spends the budget that the control process set."""

from __future__ import annotations

import time
from collections.abc import Callable

# A body may run ahead of its schedule by this much before it is paused: short enough for smoothness, long enough that
# timers stay rare.
_AHEAD_S = 0.02


class Throttle:
    """A schedule of bytes: each spend books its time behind the ones before, over all bodies of the task."""

    __slots__ = ("_limit", "_monotonic", "_next_free_s")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._limit: int | None = None
        self._next_free_s = 0.0

    @property
    def limit_bytes_per_s(self) -> int | None:
        return self._limit

    def set_limit(self, limit_bytes_per_s: int | None) -> None:
        """The new rate counts at once; what is booked already at the old rate is booked anew."""
        now = self._monotonic()
        if self._limit and limit_bytes_per_s and self._next_free_s > now:
            booked_bytes = (self._next_free_s - now) * self._limit
            self._next_free_s = now + booked_bytes / limit_bytes_per_s
        else:
            self._next_free_s = now
        self._limit = limit_bytes_per_s

    def spend(self, size_bytes: int) -> float:
        """Book size_bytes that just moved; returns for how many seconds the caller must rest, 0.0 for none."""
        limit = self._limit
        if not limit:
            return 0.0
        now = self._monotonic()
        start = self._next_free_s if self._next_free_s > now else now
        self._next_free_s = start + size_bytes / limit
        rest = self._next_free_s - now
        return rest if rest > _AHEAD_S else 0.0
