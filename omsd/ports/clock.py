"""Time from outside, so that tests move it by hand."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and sleeping."""

    def now_s(self) -> float:
        """Unix seconds; may jump."""

    def monotonic_s(self) -> float:
        """Seconds of a clock that never jumps."""

    async def sleep(self, seconds: float) -> None:
        """Wait by the monotonic clock."""
