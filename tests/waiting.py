"""Waiting for what must come: how long, and until it has; and for midnight to be past."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

# It only ends what hangs: a machine that is slow, and busy with other tests, must never come near it.
PATIENCE_S = 60.0
_DAY_S = 24 * 3600
_MIDNIGHT_ROOM_S = 60.0


async def until(condition: Callable[[], object], *, pause_s: float = 0.001) -> None:
    """The condition holds; asked again after each pause, in which the loop runs. Raises TimeoutError when it has not come."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(pause_s)


def pass_midnight() -> None:
    """Midnight (UTC) is not within the next minute: what is counted by day or by month begins anew then."""
    left_s = _DAY_S - time.time() % _DAY_S
    if left_s < _MIDNIGHT_ROOM_S:
        time.sleep(left_s + 1)
