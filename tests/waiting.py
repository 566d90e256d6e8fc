"""Waiting for what must come: how long, and until it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# It only ends what hangs: a machine that is slow, and busy with other tests, must never come near it.
PATIENCE_S = 60.0


async def until(condition: Callable[[], object], *, pause_s: float = 0.001) -> None:
    """The condition holds; asked again after each pause, in which the loop runs. Raises TimeoutError when it has not come."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(pause_s)
