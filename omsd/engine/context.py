"""What one shard's copiers share: the open stores, the task's wishes, the budgets and the way to report uploads."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from omsd.domain.caveats import Caveat
from omsd.domain.errors import DECISIVE_KINDS, Failure, Side, StoreError, StoreErrorKind, failure_of
from omsd.domain.model import TaskSpec
from omsd.domain.retry import RetryPolicy, next_delay
from omsd.domain.shards import KeptUpload, OpenUpload, SentPart, UploadIntent, UploadPlan
from omsd.engine.buffers import BufferBudget
from omsd.engine.copyprobe import ServerCopying
from omsd.engine.largework import LargeWork
from omsd.engine.pacer import PacerPair
from omsd.engine.settings import EngineSettings
from omsd.engine.stream import Meter
from omsd.engine.throttle import Throttle
from omsd.ports.objectstore import ObjectStore


class ShardFailedError(Exception):
    """The shard cannot go on; failure says why. decisive: nor can the task."""

    def __init__(self, failure: Failure, *, decisive: bool) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.decisive = decisive


class GaveUpError(Exception):
    """A part of an object was tried as often as it may be: the object has failed, trying it as a whole would begin all over."""

    def __init__(self, error: StoreError) -> None:
        super().__init__(error.message)
        self.error = error


class AtSide:
    """Marks StoreErrors that leave the block with the end that was called; reusable, cheap."""

    __slots__ = ("_side",)

    def __init__(self, side: Side) -> None:
        self._side = side

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, StoreError) and error.side is None:
            error.side = self._side


class AtCopy:
    """Marks StoreErrors of a copy inside the service: sent to the destination, but a failed condition is about the source."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, StoreError) and error.side is None:
            changed = error.kind is StoreErrorKind.PRECONDITION
            error.side = Side.SOURCE if changed else Side.DESTINATION


AT_SOURCE = AtSide(Side.SOURCE)
AT_DESTINATION = AtSide(Side.DESTINATION)
AT_COPY = AtCopy()


class UploadLog(Protocol):
    """Tells the ledger of multipart uploads, so that none is left behind whatever happens; the events say what each means."""

    async def kept(self, key: str) -> KeptUpload | None:
        """What earlier leases have left of an upload to this destination key, for this one to go on with."""

    async def intended(self, intent: UploadIntent) -> None:
        """The intent is durable."""

    async def opened(self, upload: OpenUpload, plan: UploadPlan | None, *, settled: bool) -> None:
        """The upload is open. settled: its intent is over. plan: later leases may go on with it."""

    async def settled(self, key: str) -> None:
        """Nothing is left of the intent for this key."""

    async def sent(self, upload: OpenUpload, parts: tuple[SentPart, ...]) -> None:
        """These parts are stored."""

    async def closed(self, upload: OpenUpload) -> None:
        """Told at once or, with others, before anything else that the lease tells."""

    async def tell(self) -> None:
        """What has gathered is told now."""


@dataclass(slots=True)
class TaskNotes:
    """What was learned of a task's services on the way. lacks: what they do not have; tags_proven: the destination keeps tags."""

    lacks: set[Caveat] = field(default_factory=set)
    tags_proven: bool = False


@dataclass(slots=True)
class ShardContext:
    """redo_since_s: start of the run if an earlier lease may have written objects that were never reported, else None.

    learned: the ends whose service has been asked what it is (see learn()); shared by all shards that use the same stores.
    server_copying: likewise; None = everything is streamed. notes: likewise. restore_since_s: of the shard.
    lists: the bucket of the task's object list files, if it has any.
    keeps_uploads: an object in many parts is gone on with by later leases.
    large: what a PARTS shard knows of its object. doubts: creations of uploads that may have left one, by destination key.
    """

    source: ObjectStore
    destination: ObjectStore
    spec: TaskSpec
    settings: EngineSettings
    throttle: Throttle
    budget: BufferBudget
    pacers: PacerPair
    uploads: UploadLog
    redo_since_s: float | None
    learned: set[Side] = field(default_factory=set)
    server_copying: ServerCopying | None = None
    lists: ObjectStore | None = None
    meter: Meter = field(default_factory=Meter)
    random01: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now_s: Callable[[], float] = time.time
    restore_since_s: float = 0.0
    notes: TaskNotes = field(default_factory=TaskNotes)
    keeps_uploads: bool = True
    large: LargeWork | None = None
    doubts: dict[str, UploadIntent] = field(default_factory=dict)

    def policy(self, kind: StoreErrorKind) -> RetryPolicy:
        """How often and how fast the engine tries again; a storm of refusals is sat out."""
        busy = kind in (StoreErrorKind.THROTTLED, StoreErrorKind.UNAVAILABLE)
        return RetryPolicy(
            max_attempts=self.settings.busy_attempts if busy else self.settings.max_attempts,
            base_s=self.settings.retry_base_s,
            cap_s=self.settings.retry_cap_s,
        )

    def store_at(self, side: Side) -> ObjectStore:
        """The store of one end."""
        return self.source if side is Side.SOURCE else self.destination

    async def learn(self, sides: Sequence[Side] = (Side.SOURCE, Side.DESTINATION)) -> None:
        """The stores know what their service can do. Raises ShardFailedError if one cannot be used."""
        for side in sides:
            attempt = 0
            while side not in self.learned:
                try:
                    await self.store_at(side).check()
                    self.learned.add(side)
                except StoreError as error:
                    error.side = side
                    await self.raise_if_decisive(error)
                    attempt += 1
                    if not await self.backed_off(error, attempt):
                        decisive = error.kind is StoreErrorKind.PERMISSION
                        raise ShardFailedError(failure_of(error, side), decisive=decisive) from error

    async def backed_off(self, error: StoreError, attempt: int) -> bool:
        """Wait before the next attempt; False if there is none. attempt: how often it was tried, from 1."""
        side = error.side or Side.SOURCE
        pacer = self.pacers.source if side is Side.SOURCE else self.pacers.destination
        pacer.note_error(error)
        retryable = error.retryable or (attempt <= 2 and error.kind in DOUBTED_KINDS)
        if not retryable:
            return False
        delay_s = next_delay(
            retryable, attempt, error.retry_after_s, policy=self.policy(error.kind), random01=self.random01()
        )
        if delay_s is None:
            return False
        if not pacer.take_retry():
            delay_s += (1.0 + self.random01()) * _EMPTY_BUDGET_PAUSE_S
        await self.sleep(delay_s)
        return True

    async def raise_if_decisive(self, error: StoreError) -> None:
        """Raise ShardFailedError if the error means that nothing of the task can go on.

        Services sometimes refuse once what they grant a moment later, so the bucket itself is asked before a task is given up.
        """
        side = error.side or Side.SOURCE
        if error.kind not in DECISIVE_KINDS:
            return
        if error.kind is StoreErrorKind.ENCRYPTION and side is Side.SOURCE:
            return
        if error.kind not in _CERTAIN_KINDS:
            try:
                await self.store_at(side).check()
            except StoreError as confirmation:
                if confirmation.retryable:
                    return
            else:
                return
        raise ShardFailedError(failure_of(error, side), decisive=True) from error


# Decisive though the bucket itself answers.
_CERTAIN_KINDS = frozenset(
    {
        StoreErrorKind.NO_SPACE,
        StoreErrorKind.FORBIDDEN_ADDRESS,
        StoreErrorKind.ENCRYPTION,
        StoreErrorKind.BALANCE,
    }
)

# While most requests fail, each retry waits this much longer: the service gets air, and nothing is given up.
_EMPTY_BUDGET_PAUSE_S = 1.0

# Refusals that services are known to give once by mistake (fresh permissions, a lagging replica): asked again before they count.
DOUBTED_KINDS = frozenset(
    {
        StoreErrorKind.PERMISSION,
        StoreErrorKind.UNAUTHENTICATED,
        StoreErrorKind.NO_SUCH_KEY,
        StoreErrorKind.NO_SUCH_BUCKET,
        StoreErrorKind.NO_SUCH_UPLOAD,
    }
)
