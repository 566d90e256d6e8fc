"""The real clock behind ports/clock.py."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Time of this machine."""

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
