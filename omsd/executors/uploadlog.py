"""What a lease does with multipart uploads, told to the control process; intents are waited for until they are durable.

Parts are told when they are stored, so that a crash costs those in flight and no others. The end of an upload goes together with what
comes next: nothing is sent again for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from omsd.domain.events import (
    IntentSettled,
    LeaseEvent,
    PartsSent,
    UploadClosed,
    UploadIntended,
    UploadOpened,
    UploadSought,
)
from omsd.domain.model import LeaseId
from omsd.domain.shards import KeptUpload, OpenUpload, SentPart, UploadIntent, UploadPlan

# So many ends of uploads are told at once; fewer wait, but not longer than for the lease's next report.
MOST_UNTOLD = 4


class IntentWaits:
    """Intents that were told and are not known to be durable."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}

    def noted(self, key: str) -> None:
        """The control process has stored the intent."""
        waiting = self._waiting.get(key)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def until_noted(self, key: str, telling: Awaitable[None]) -> None:
        """What `telling` tells is durable."""
        stored = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await telling
            await stored
        finally:
            del self._waiting[key]


class LeaseUploads:
    """The UploadLog of one lease."""

    def __init__(
        self,
        lease_id: LeaseId,
        emit: Callable[[LeaseEvent], Awaitable[None]],
        *,
        most_untold: int = MOST_UNTOLD,
    ) -> None:
        self._lease_id = lease_id
        self._emit = emit
        self._waits = IntentWaits()
        self._asking: dict[str, asyncio.Future[KeptUpload | None]] = {}
        self._closed: list[OpenUpload] = []
        self._most_untold = most_untold

    def noted(self, key: str) -> None:
        """The control process has stored the intent."""
        self._waits.noted(key)

    def found(self, key: str, kept: KeptUpload | None) -> None:
        """The control process's answer to kept()."""
        asking = self._asking.get(key)
        if asking is not None and not asking.done():
            asking.set_result(kept)

    async def emit(self, event: LeaseEvent) -> None:
        """The event of the lease is told, and what has gathered before it."""
        await self.tell()
        await self._emit(event)

    async def kept(self, key: str) -> KeptUpload | None:
        """The upload of this destination key that an earlier lease has left for this one."""
        answer: asyncio.Future[KeptUpload | None]
        answer = self._asking[key] = asyncio.get_running_loop().create_future()
        try:
            await self.emit(UploadSought(self._lease_id, key))
            return await answer
        finally:
            del self._asking[key]

    async def intended(self, intent: UploadIntent) -> None:
        """The intent is durable."""
        await self._waits.until_noted(intent.key, self.emit(UploadIntended(self._lease_id, intent)))

    async def opened(self, upload: OpenUpload, plan: UploadPlan | None, *, settled: bool) -> None:
        """The upload is told, after those that were closed before."""
        await self.emit(UploadOpened(self._lease_id, upload, plan, settled))

    async def settled(self, key: str) -> None:
        """Nothing is left of the intent."""
        await self.emit(IntentSettled(self._lease_id, key))

    async def sent(self, upload: OpenUpload, parts: tuple[SentPart, ...]) -> None:
        """The parts are told at once: a crash then costs those in flight only."""
        await self.emit(PartsSent(self._lease_id, upload, parts))

    async def closed(self, upload: OpenUpload) -> None:
        """Told with others, or before anything else of the lease."""
        self._closed.append(upload)
        if len(self._closed) >= self._most_untold:
            await self.tell()

    async def tell(self) -> None:
        """What has gathered is told now."""
        closed, self._closed = self._closed, []
        for upload in closed:
            await self._emit(UploadClosed(self._lease_id, upload))
