"""The connections of an HTTP server: where it listens, how long a client may hold one without a request, how many there may be.

aiohttp.web bounds neither of the last two. Here a protocol stands between a transport and that of aiohttp, and sees when bytes come. That a
request's head is complete it learns from the server, whose handlers run inside serving(). So it relies on asyncio's interface of
protocols alone, and on `request.transport` being the one that aiohttp's protocol was given.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from omsd.telemetry.logging import get_logger

_BACKLOG = 1024
# That all connections are taken is told so often at most.
_TOLD_EVERY_S = 60.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """head_timeout_s: from the beginning of a connection, later from the first byte of a request, to the end of the request's head.

    keepalive_timeout_s: from an answer to the next request; the answer must be read in that time, too. max_connections: open at once.
    """

    head_timeout_s: float = 10.0
    keepalive_timeout_s: float = 75.0
    max_connections: int = 2000


class Connections:
    """Those of one server."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open: dict[asyncio.BaseTransport, _Guarded] = {}
        # Those without a request under way, longest first.
        self._waiting: dict[_Guarded, None] = {}
        self._told_at_s = -_TOLD_EVERY_S

    async def listen(
        self, make: Callable[[], asyncio.Protocol], address: str, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.Server, str]:
        """Listen at host:port or unix:/path, with the protocols that are made. Returns the address, too, with the port that was given for
        port 0. Raises OSError."""
        loop, handshake_s = asyncio.get_running_loop(), self.limits.head_timeout_s if tls else None

        def guarded() -> asyncio.Protocol:
            return _Guarded(self, make)

        if address.startswith("unix:"):
            # Open to its owner and group only: where nobody is asked, whoever can connect to the REST API can do everything.
            before = os.umask(0o117)
            try:
                server = await loop.create_unix_server(
                    guarded,
                    address.removeprefix("unix:"),
                    ssl=tls,
                    backlog=_BACKLOG,
                    ssl_handshake_timeout=handshake_s,
                )
            finally:
                os.umask(before)
            return server, address
        host, _, port = address.rpartition(":")
        server = await loop.create_server(
            guarded,
            host.strip("[]"),
            int(port),
            ssl=tls,
            backlog=_BACKLOG,
            ssl_handshake_timeout=handshake_s,
        )
        return server, f"{host}:{server.sockets[0].getsockname()[1]}"

    @contextmanager
    def serving(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """A request with its head complete is under way; how long its body and its answer take is the handler's."""
        # None: it has just ended.
        guarded = self._open.get(transport) if transport is not None else None
        if guarded is None:
            yield
            return
        guarded.serve()
        self._waiting.pop(guarded, None)
        try:
            yield
        finally:
            if transport in self._open:
                guarded.rest()
                self._waiting[guarded] = None

    def admit(self, guarded: _Guarded, transport: asyncio.Transport) -> bool:
        """The connection is one of those that are open; one that waits gives way to it. False: all have a request under way."""
        if len(self._open) >= self.limits.max_connections:
            now_s = time.monotonic()
            if now_s - self._told_at_s >= _TOLD_EVERY_S:
                self._told_at_s = now_s
                _log.warning("too_many_connections", max_connections=self.limits.max_connections)
            longest = next(iter(self._waiting), None)
            if longest is None:
                return False
            longest.abort()
        self._open[transport] = guarded
        self._waiting[guarded] = None
        return True

    def forget(self, guarded: _Guarded, transport: asyncio.BaseTransport) -> None:
        """The connection is open no more. Safe to repeat."""
        self._open.pop(transport, None)
        self._waiting.pop(guarded, None)


class _Guarded(asyncio.Protocol):
    """A connection whose inner protocol is closed if it lets its time pass."""

    def __init__(self, connections: Connections, make: Callable[[], asyncio.Protocol]) -> None:
        self._connections = connections
        self._make = make
        # Does nothing, and remains if the connection is not admitted.
        self._inner = asyncio.Protocol()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._is_idle = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._connections.admit(self, self._transport):
            self._transport.abort()
            return
        self._inner = self._make()
        self._inner.connection_made(transport)
        self._end_in(self._connections.limits.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._is_idle:
            self._is_idle = False
            self._end_in(self._connections.limits.head_timeout_s)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.serve()
        self._connections.forget(self, self._transport)
        self._inner.connection_lost(exc)

    def serve(self) -> None:
        """Until rest() the time is not looked at."""
        self._is_idle = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def rest(self) -> None:
        """The request is done, and the next may come."""
        self._is_idle = True
        self._end_in(self._connections.limits.keepalive_timeout_s)

    def abort(self) -> None:
        """End it without a word; what was not sent is lost."""
        self._connections.forget(self, self._transport)
        self._transport.abort()

    def _end_in(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._expire)

    def _expire(self) -> None:
        if not self._is_idle:
            address = str(self._transport.get_extra_info("peername") or "")
            _log.debug("no_request_in_time", address=address)
        # A client that does not read would keep close() waiting.
        if self._transport.get_write_buffer_size():
            self.abort()
        else:
            self._transport.close()
