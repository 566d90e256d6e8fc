"""A clock that a test moves by hand."""

from __future__ import annotations

import asyncio


class FakeClock:
    """Wall and monotonic time go together; sleepers wake when advance() passes their time."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self._now_s = now_s
        self._monotonic_s = 100.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    async def sleep(self, seconds: float) -> None:
        """Waits until the clock was advanced this far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        entry = (self._monotonic_s + seconds, asyncio.get_running_loop().create_future())
        self._sleepers.append(entry)
        try:
            await entry[1]
        finally:
            self._sleepers.remove(entry)

    def advance(self, seconds: float) -> None:
        """Time goes on; who slept that long wakes."""
        self._now_s += seconds
        self._monotonic_s += seconds
        for until_s, sleeper in self._sleepers:
            if until_s <= self._monotonic_s + 1e-9 and not sleeper.done():
                sleeper.set_result(None)

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock; the monotonic one does not move."""
        self._now_s += seconds

    def sleeping(self) -> list[float]:
        """Until when, by the monotonic clock, somebody sleeps."""
        return [until_s for until_s, sleeper in self._sleepers if not sleeper.done()]
