"""A fake server that makes faults: it speaks exactly the bytes a test's script says, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from omsd.wire import Origin


class Peer:
    """The server's end of one connection. number: 0 for the first accepted."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer
        self.received_bytes = 0

    async def head(self) -> bytes:
        """The next request's head."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def body(self, size_bytes: int) -> bytes:
        """Exactly so many bytes."""
        return await self._reader.readexactly(size_bytes)

    async def swallow(self, size_bytes: int) -> None:
        """Read so many bytes and forget them."""
        while size_bytes:
            chunk = await self._reader.read(min(size_bytes, 65536))
            assert chunk
            size_bytes -= len(chunk)
            self.received_bytes += len(chunk)

    async def send(self, data: bytes) -> None:
        """Write and drain."""
        self._writer.write(data)
        await self._writer.drain()

    async def send_until_blocked(self, block: bytes, *, count: int, blocked_s: float) -> int:
        """Write blocks; returns how many were written when the other end stopped reading, at most count."""
        for written in range(count):
            self._writer.write(block)
            try:
                async with asyncio.timeout(blocked_s):
                    await self._writer.drain()
            except TimeoutError:
                return written + 1
        return count

    async def gone(self) -> None:
        """Return when the other end has closed."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    def close(self) -> None:
        """Close in order."""
        self._writer.close()

    def reset(self) -> None:
        """Close with a TCP reset."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class ScriptedServer:
    """Runs one script for every connection."""

    def __init__(self, script: Script, scheme: str) -> None:
        self._script = script
        self._scheme = scheme
        self._tasks: set[asyncio.Task[None]] = set()
        self.peers: list[Peer] = []
        self.errors: list[BaseException] = []
        self.origin = Origin(scheme, "127.0.0.1", 0)

    def listen_on(self, port: int) -> None:
        """The port is known now."""
        self.origin = Origin(self._scheme, "127.0.0.1", port)

    def live(self) -> int:
        """How many connections are open."""
        return len(self._tasks)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        try:
            await self._script(peer)
            await peer.gone()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except Exception as error:
            self.errors.append(error)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def stop(self) -> None:
        """End every connection; raise what a script raised."""
        for task in list(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.sleep(0)
        if self.errors:
            raise self.errors[0]


@asynccontextmanager
async def scripted(
    script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[ScriptedServer]:
    """A listening server; over TLS if a context is given."""
    server = ScriptedServer(script, "https" if tls else "http")
    listener = await asyncio.start_server(server.serve, host, port, ssl=tls)
    server.listen_on(listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()
        try:
            await server.stop()
        finally:
            # From Python 3.12 on it waits for connections, too.
            await listener.wait_closed()
