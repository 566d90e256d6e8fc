"""What reaches the sync ledger: calls that want an answer, and what became of copies; all that waits is taken at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from omsd.domain.errors import RequestError
from omsd.domain.model import TaskCredentials, TaskSpec
from omsd.domain.sync import EventId, KeyNames, SyncCall, SyncNumber, SyncTask, SyncTaskId
from omsd.ports.objectcopies import CopyResult, UploadNote
from omsd.service.refusals import stopping


@dataclass(frozen=True, slots=True)
class CreateSync:
    """A task that takes events. deletes: it also deletes what is gone at the source."""

    project_id: str
    spec: TaskSpec
    credentials: TaskCredentials
    deletes: bool


@dataclass(frozen=True, slots=True)
class ChangeSync:
    """credentials: of a start."""

    project_id: str
    sync_task_id: SyncTaskId
    call: SyncCall
    credentials: TaskCredentials | None = None


@dataclass(frozen=True, slots=True)
class AcceptEvents:
    """These objects are to be synchronized."""

    project_id: str
    sync_task_id: SyncTaskId
    names: tuple[KeyNames, ...]


@dataclass(frozen=True, slots=True)
class ReplaceSecret:
    """digest: of the secret that is good from now on."""

    project_id: str
    sync_task_id: SyncTaskId
    digest: bytes = field(repr=False)


SyncWish = CreateSync | ChangeSync | AcceptEvents | ReplaceSecret


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """Answered once, after the commit."""

    wish: SyncWish
    reply: asyncio.Future[SyncTask]

    def answer(self, task: SyncTask) -> None:
        """The caller goes on, if it still waits."""
        if not self.reply.done():
            self.reply.set_result(task)

    def refuse(self, error: RequestError) -> None:
        """The caller gets the error, if it still waits."""
        if not self.reply.done():
            self.reply.set_exception(error)


@dataclass(frozen=True, slots=True)
class CopyEnded:
    """result None: the worker is gone; begun: it had the copy."""

    number: SyncNumber
    event_id: EventId
    result: CopyResult | None
    begun: bool = True


@dataclass(frozen=True, slots=True)
class UploadNoted:
    """A copy tells of a multipart upload. noted: to be called when that is durable."""

    number: SyncNumber
    event_id: EventId
    note: UploadNote
    noted: Callable[[], None]


SyncNews = WaitingCall | CopyEnded | UploadNoted


class SyncInbox:
    """Its length is bounded by the callers under way and the copies at work."""

    def __init__(self) -> None:
        self._news: deque[SyncNews] = deque()
        self._wake = asyncio.Event()
        self._closed = False

    async def call(self, wish: SyncWish) -> SyncTask:
        """The task as it is after the commit. Raises RequestError if the wish is refused or the daemon ends."""
        if self._closed:
            raise stopping()
        call = WaitingCall(wish, asyncio.get_running_loop().create_future())
        self.put(call)
        return await call.reply

    def put(self, news: SyncNews) -> None:
        """Something came, or time has passed."""
        self._news.append(news)
        self._wake.set()

    def wake(self) -> None:
        """take() returns, if need be with nothing."""
        self._wake.set()

    async def take(self) -> list[SyncNews]:
        """All that waits; waits for something, for wake() or for the end."""
        await self._wake.wait()
        self._wake.clear()
        return self.take_now()

    def take_now(self) -> list[SyncNews]:
        """All that waits."""
        news = list(self._news)
        self._news.clear()
        return news

    @property
    def closed(self) -> bool:
        """Are calls refused?"""
        return self._closed

    def close(self) -> None:
        """Calls are refused from now on; what waits is still taken."""
        self._closed = True
        self._wake.set()

    def fail(self, error: RequestError) -> None:
        """Calls are refused from now on, and those that wait."""
        self.close()
        for news in self.take_now():
            if isinstance(news, WaitingCall):
                news.refuse(error)
