"""What a lease does with multipart uploads, told to the control process; intents are waited for until they are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from omsd.domain.events import (
    IntentSettled,
    PartsSent,
    ShardEvent,
    UploadClosed,
    UploadIntended,
    UploadOpened,
)
from omsd.domain.model import LeaseId, OpenUpload, SentPart, UploadIntent, UploadPlan


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

    def __init__(self, lease_id: LeaseId, emit: Callable[[ShardEvent], Awaitable[None]]) -> None:
        self._lease_id = lease_id
        self._emit = emit
        self._waits = IntentWaits()

    def noted(self, key: str) -> None:
        """The control process has stored the intent."""
        self._waits.noted(key)

    async def intended(self, intent: UploadIntent) -> None:
        """The intent is durable."""
        await self._waits.until_noted(intent.key, self._emit(UploadIntended(self._lease_id, intent)))

    async def opened(self, upload: OpenUpload, plan: UploadPlan | None, *, settled: bool) -> None:
        await self._emit(UploadOpened(self._lease_id, upload, plan, settled))

    async def settled(self, key: str) -> None:
        await self._emit(IntentSettled(self._lease_id, key))

    async def sent(self, upload: OpenUpload, parts: tuple[SentPart, ...]) -> None:
        await self._emit(PartsSent(self._lease_id, upload, parts))

    async def closed(self, upload: OpenUpload) -> None:
        await self._emit(UploadClosed(self._lease_id, upload))
