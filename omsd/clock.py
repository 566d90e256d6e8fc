"""The real clock behind ports/clock.py."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Time of this machine."""

    def now_s(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds since some moment; never set back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Give way for so long."""
        await asyncio.sleep(seconds)
