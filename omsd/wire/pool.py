"""Which connection an exchange gets: kept-alive ones first, never more than the limit for one origin, waiters in order."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from omsd.wire.answer import Answer
from omsd.wire.connection import Connection
from omsd.wire.dial import dial
from omsd.wire.errors import WireError, WireErrorKind
from omsd.wire.message import Deadlines, Origin, Request
from omsd.wire.tls import make_tls_context

_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class PoolCounts:
    """Connections of one origin. leased: in an exchange or being opened; open: transports not yet closed."""

    leased: int
    idle: int
    waiting: int
    open: int


class Pool:
    """Kept-alive connections to any number of origins, for one event loop.

    idle_s: how long an unused connection is kept. allow_address: asked for each address before it is connected to.
    """

    def __init__(
        self,
        *,
        deadlines: Deadlines,
        max_per_origin: int = 64,
        idle_s: float = 20.0,
        tls: ssl.SSLContext | None = None,
        allow_address: Callable[[str], bool] | None = None,
    ) -> None:
        self._deadlines = deadlines
        self._max_per_origin = max_per_origin
        self._idle_s = idle_s
        self._tls = tls
        self._allow_address = allow_address
        self._lanes: dict[Origin, _Lane] = {}
        self._closed = False

    async def send(self, origin: Origin, make_request: Callable[[], Request]) -> Answer:
        """The answer to the request, once its head is there; close it in every case.

        make_request is called when a connection is at hand, and once more if a kept-alive connection died before any byte of
        an answer; that happens only for idempotent requests whose body was not begun by a source.
        Raises WireError, or what the body's source failed with.
        """
        connection = await self._lane(origin).lease(fresh=False)
        reused = connection.exchanges > 0
        request = _make(make_request, connection)
        try:
            return await connection.exchange(request)
        except WireError as error:
            stale = reused and error.kind is WireErrorKind.RESET and not error.answered
            if not stale or not request.idempotent or connection.source_started:
                raise
        # The others that are kept may be as dead: the second try gets a connection of its own.
        connection = await self._lane(origin).lease(fresh=True)
        return await connection.exchange(_make(make_request, connection))

    def counts(self, origin: Origin) -> PoolCounts:
        """What is in use for an origin now."""
        lane = self._lanes.get(origin)
        return lane.counts() if lane is not None else PoolCounts(0, 0, 0, 0)

    async def close(self) -> None:
        """Every connection is closed, exchanges under way and waiters are broken. Safe to repeat."""
        self._closed = True
        for lane in list(self._lanes.values()):
            await lane.close()

    def _lane(self, origin: Origin) -> _Lane:
        if self._closed:
            raise WireError(WireErrorKind.CONNECT, "the pool is closed")
        lane = self._lanes.get(origin)
        if lane is None:
            if origin.scheme == "https" and self._tls is None:
                self._tls = make_tls_context()
            lane = self._lanes[origin] = _Lane(
                origin=origin,
                deadlines=self._deadlines,
                limit=self._max_per_origin,
                idle_s=self._idle_s,
                tls=self._tls,
                allow_address=self._allow_address,
                forget=self._forget,
            )
        return lane

    def _forget(self, lane: _Lane) -> None:
        if self._lanes.get(lane.origin) is lane:
            del self._lanes[lane.origin]


def _make(make_request: Callable[[], Request], connection: Connection) -> Request:
    try:
        return make_request()
    except BaseException:
        connection.return_unused()
        raise


class _Lane:
    """The connections of one origin. A slot is the right to one of them: it is leased, handed to a waiter, or free."""

    def __init__(
        self,
        *,
        origin: Origin,
        deadlines: Deadlines,
        limit: int,
        idle_s: float,
        tls: ssl.SSLContext | None,
        allow_address: Callable[[str], bool] | None,
        forget: Callable[[_Lane], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.origin = origin
        self._deadlines = deadlines
        self._limit = limit
        self._idle_s = idle_s
        self._tls = tls
        self._allow_address = allow_address
        self._forget = forget
        self._leased = 0
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._open: set[Connection] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self._closed = False
        self._all_gone: asyncio.Event | None = None

    def counts(self) -> PoolCounts:
        """What is in use now."""
        waiting = sum(not waiter.done() for waiter in self._waiters)
        return PoolCounts(self._leased, len(self._idle), waiting, len(self._open))

    async def lease(self, *, fresh: bool) -> Connection:
        """A slot and an open connection in it: the one used last, or a new one. Waiters are served in order."""
        connection: Connection | None
        if self._leased < self._limit and not self._waiters:
            self._leased += 1
            connection = self._idle.pop() if self._idle else None
        else:
            connection = await self._wait_for_slot()
        if connection is not None and not connection.closed:
            if not fresh:
                return connection
            connection.drop()
        try:
            return await self._dial()
        except BaseException:
            self._pass_on(None)
            raise

    def give_back(self, connection: Connection, *, usable: bool) -> None:
        """An exchange is over."""
        self._pass_on(connection if usable and not self._closed else None)
        if usable and self._closed:
            connection.drop()

    def lost(self, connection: Connection) -> None:
        """A transport is closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._all_gone is not None and not self._open:
            self._all_gone.set()
        self._forget_if_unused()

    async def close(self) -> None:
        """All connections are gone, waiters are refused."""
        self._closed = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(WireError(WireErrorKind.CONNECT, "the pool is closed"))
        self._waiters.clear()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._idle.clear()
        self._all_gone = asyncio.Event()
        for connection in list(self._open):
            connection.drop()
        if self._open:
            async with asyncio.timeout(_CLOSE_S):
                await self._all_gone.wait()
        self._forget_if_unused()

    async def _wait_for_slot(self) -> Connection | None:
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
            elif waiter.exception() is None:
                # The slot was handed over in the very moment of the cancellation.
                self._pass_on(waiter.result())
            raise

    async def _dial(self) -> Connection:
        connection = await dial(
            self.origin,
            lambda: Connection(self._loop, self._deadlines, self),
            connect_s=self._deadlines.connect_s,
            tls=self._tls,
            allow_address=self._allow_address,
        )
        if self._closed:
            connection.drop()
            raise WireError(WireErrorKind.CONNECT, "the pool is closed")
        if not connection.closed:
            self._open.add(connection)
        return connection

    def _pass_on(self, connection: Connection | None) -> None:
        """The slot goes to the first waiter, or is free and the connection is kept."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._leased -= 1
        if connection is not None and not connection.closed:
            connection.idle_since_s = self._loop.time()
            self._idle.append(connection)
            if self._expiry is None:
                self._expiry = self._loop.call_later(self._idle_s, self._expire)
        self._forget_if_unused()

    def _expire(self) -> None:
        # The longest unused ones stand in front: the list is a stack.
        self._expiry = None
        now_s = self._loop.time()
        kept = next((n for n, one in enumerate(self._idle) if one.idle_since_s + self._idle_s > now_s), None)
        expired = self._idle[:kept]
        del self._idle[:kept]
        for connection in expired:
            connection.drop()
        if self._idle:
            delay_s = self._idle[0].idle_since_s + self._idle_s - now_s
            self._expiry = self._loop.call_later(max(delay_s, 0.001), self._expire)

    def _forget_if_unused(self) -> None:
        if not self._leased and not self._waiters and not self._open:
            if self._expiry is not None:
                self._expiry.cancel()
                self._expiry = None
            self._forget(self)
