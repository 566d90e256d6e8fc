"""Streams that show something as it changes: so many at once, and all end when the server is taken out of service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

from omsd.domain.errors import Refusal, RequestError

# A watch holds a call slot for as long as its task runs; the rest of the slots stays for other calls.
MAX_WATCHES = 256

V = TypeVar("V")


class Watches:
    """The open watches of a server, whatever they show."""

    def __init__(self) -> None:
        self._open: set[asyncio.Timeout] = set()
        self._draining = False

    def end_all(self) -> None:
        """Open watches end with UNAVAILABLE, so that their callers come back to the next daemon; new ones are refused."""
        self._draining = True
        for scope in self._open:
            scope.reschedule(asyncio.get_running_loop().time())

    async def relay(self, views: AsyncIterator[V], write: Callable[[V], Awaitable[None]]) -> None:
        """Every view is written until there are no more. Raises RequestError BUSY if the server stops, or too many watch.

        A coroutine, not a generator: so a watch that is ended from outside is always interrupted inside its scope.
        """
        if self._draining or len(self._open) >= MAX_WATCHES:
            why = "the server is stopping" if self._draining else f"{MAX_WATCHES} watches are open already"
            raise RequestError("OMS.2004", f"{why}; try again later", refusal=Refusal.BUSY)
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._open.add(scope)
                async for view in views:
                    await write(view)
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise RequestError(
                "OMS.2004", "the server is stopping; watch again", refusal=Refusal.BUSY
            ) from error
        finally:
            self._open.discard(scope)
            if isinstance(views, AsyncGenerator):
                await views.aclose()
