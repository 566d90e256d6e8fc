"""The one bounded channel into the ledger: shards wait when it is full, calls and orders overtake them."""

from __future__ import annotations

import asyncio
from collections import deque

from omsd.domain.errors import OmsdError, RequestError
from omsd.domain.events import ShardEvent
from omsd.scheduler.orders import Order
from omsd.service.calls import Call, Made, Wish
from omsd.service.group_orders import GroupOrder
from omsd.service.refusals import stopping

LedgerEvent = ShardEvent | Order | GroupOrder | Call


class ChannelClosedError(OmsdError):
    """The ledger takes no more events: the daemon ends."""

    def __init__(self) -> None:
        super().__init__(
            "the ledger takes no more events; what was not committed is done again after the restart"
        )


class EventChannel:
    """EventSink of the executor, inbox of calls and orders.

    Orders and calls are few by construction (one per task or caller under way), so only shard events are bounded.
    """

    def __init__(self, *, max_events: int = 1024) -> None:
        self._max_events = max_events
        self._urgent: deque[Order | GroupOrder | Call] = deque()
        self._events: deque[ShardEvent] = deque()
        self._changed = asyncio.Condition()
        self._wake = asyncio.Event()
        self._closed = False

    async def emit(self, event: ShardEvent) -> None:
        """The event is queued; waits while the channel is full. Raises ChannelClosedError once it is closed."""
        if len(self._events) >= self._max_events:
            async with self._changed:
                await self._changed.wait_for(lambda: self._closed or len(self._events) < self._max_events)
        if self._closed:
            raise ChannelClosedError
        self._events.append(event)
        self._wake.set()

    def order(self, order: Order | GroupOrder) -> None:
        """The order of the scheduler or of a group's planning is queued, before all shard events; after the end it is dropped."""
        if not self._closed:
            self._urgent.append(order)
            self._wake.set()

    async def call(self, wish: Wish) -> Made:
        """What the ledger answered, after its commit. Raises RequestError if it refused or takes no more calls.

        A caller that is cancelled does not take its wish back.
        """
        if self._closed:
            raise stopping()
        call = Call(wish, asyncio.get_running_loop().create_future())
        self._urgent.append(call)
        self._wake.set()
        return await call.reply

    async def take(self, limit: int) -> list[LedgerEvent]:
        """Up to limit events, calls and orders first; waits for one. Empty once the channel is closed and drained."""
        while not self._urgent and not self._events:
            if self._closed:
                return []
            self._wake.clear()
            await self._wake.wait()
        taken: list[LedgerEvent] = []
        for queue in (self._urgent, self._events):
            while queue and len(taken) < limit:
                taken.append(queue.popleft())
        async with self._changed:
            self._changed.notify_all()
        return taken

    def pending_num(self) -> int:
        """Events that were not taken yet."""
        return len(self._urgent) + len(self._events)

    async def close(self) -> None:
        """Nothing more comes in; what is queued is still taken."""
        self._closed = True
        self._wake.set()
        async with self._changed:
            self._changed.notify_all()

    async def fail(self, error: RequestError) -> None:
        """Close, drop what is queued, and refuse every waiting call with the error."""
        for waiting in self._urgent:
            if isinstance(waiting, Call):
                waiting.refuse(error)
        self._urgent.clear()
        self._events.clear()
        await self.close()
