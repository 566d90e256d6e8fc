"""Connections on which no request comes, or not all of one, over real sockets to both HTTP servers."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from omsd.api.connections import ConnectionLimits
from omsd.api.events.server import EventServer
from omsd.api.rest.app import RestApp
from omsd.api.rest.server import RestServer
from omsd.api.rest.services import Services
from omsd.domain.bucket_events import Notification
from omsd.domain.model import TaskId
from omsd.domain.sync import SyncTask
from omsd.service.access import AccessService
from omsd.service.sync_receiver import Receipt
from omsd.service.views import TaskView
from tests.cli.test_client import self_signed
from tests.fakes.bucket_service import FakeBucketService, FakeCatalog
from tests.fakes.group_service import FakeGroupService
from tests.fakes.sync_service import FakeSyncService
from tests.fakes.task_service import FakeTaskService

# What is limited to NEVER_S must not be what ends a connection; the limit that a test is about is SOON_S.
NEVER_S = 1000.0
SOON_S = 0.2
DEADLINE_S = 30.0


class Gate:
    """A handler says that it was called, and waits."""

    def __init__(self) -> None:
        self.calls = asyncio.Semaphore(0)
        self.opened = asyncio.Event()

    async def pass_through(self) -> None:
        self.calls.release()
        await self.opened.wait()


class GatedTasks(FakeTaskService):
    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    async def get(self, project_id: str, task_id: TaskId) -> TaskView:
        await self._gate.pass_through()
        return await super().get(project_id, task_id)


class GatedReceiver:
    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def admit(self, sync_task_id: str, secret: str, address: str) -> SyncTask:
        return cast(SyncTask, None)

    async def accept(self, task: SyncTask, notification: Notification) -> Receipt:
        await self._gate.pass_through()
        return Receipt(1, 0)


def request(method: str, path: str, body: bytes = b"", *, missing: int = 0) -> bytes:
    """A request of whose body some bytes are missing."""
    length = len(body) + missing
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + body


class Client:
    """A connection and what is read from it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def status(self) -> int:
        """Of the next answer, which is read whole."""
        async with asyncio.timeout(DEADLINE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            await self._reader.readexactly(length)
        return int(head.split()[1])

    async def ended(self) -> bool:
        """The server has closed the connection, and has said nothing more."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                return await self._reader.read() == b""
            except ConnectionResetError:
                return True

    def close(self) -> None:
        self._writer.close()


@dataclass
class Door:
    """A server that listens. quick is answered at once with 200, slow when the gate opens; of `stalled` the body never comes."""

    address: str
    gate: Gate
    quick: bytes
    slow: bytes
    stalled: bytes
    stalled_status: int
    clients: list[Client] = field(default_factory=list)

    async def connect(self, sent: bytes = b"") -> Client:
        """A new connection, on which something was sent."""
        host, _, port = self.address.rpartition(":")
        client = Client(*await asyncio.open_connection(host, int(port)))
        client.send(sent)
        self.clients.append(client)
        return client

    async def close(self) -> None:
        """No client is there any more, and no handler waits."""
        self.gate.opened.set()
        for client in self.clients:
            client.close()


@asynccontextmanager
async def rest_door(
    limits: ConnectionLimits, *, body_timeout_s: float = NEVER_S, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Door]:
    gate = Gate()
    services = Services(
        AccessService.open_to_all(),
        GatedTasks(gate),
        FakeGroupService(),
        FakeSyncService(),
        FakeBucketService(),
        FakeCatalog(),
    )
    server = RestServer(
        RestApp(services), listen="127.0.0.1:0", tls=tls, limits=limits, body_timeout_s=body_timeout_s
    )
    stalled = request("POST", "/v2/p/tasks", b"{", missing=10)
    quick, slow = request("GET", "/healthz"), request("GET", "/v2/p/tasks/5")
    door = Door(await server.start(), gate, quick, slow, stalled, 400)
    yield door
    await door.close()
    await server.stop(grace_s=DEADLINE_S)


@asynccontextmanager
async def events_door(limits: ConnectionLimits, *, body_timeout_s: float = NEVER_S) -> AsyncIterator[Door]:
    gate = Gate()
    server = EventServer(
        GatedReceiver(gate), listen="127.0.0.1:0", limits=limits, body_timeout_s=body_timeout_s
    )
    path = "/sync-tasks/x/s3-events"
    event = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}
    slow = request("POST", path, json.dumps({"Records": [event]}).encode())
    stalled = request("POST", path, b"{", missing=10)
    door = Door(await server.start(), gate, request("GET", path), slow, stalled, 408)
    yield door
    await door.close()
    await server.stop()


OpenDoor = Callable[..., AbstractAsyncContextManager[Door]]
both = pytest.mark.parametrize(
    "open_door", [pytest.param(rest_door, id="rest"), pytest.param(events_door, id="events")]
)


async def head_timeout_passes(door: Door) -> None:
    """A connection that begins now is closed for want of a request."""
    assert await (await door.connect()).ended()


@both
@pytest.mark.parametrize("sent", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_without_a_whole_head_is_closed(open_door: OpenDoor, sent: bytes) -> None:
    async with open_door(ConnectionLimits(SOON_S, NEVER_S)) as door:
        assert await (await door.connect(sent)).ended()


@both
async def test_a_head_that_never_stops_coming_is_cut(open_door: OpenDoor) -> None:
    async with open_door(ConnectionLimits(SOON_S, NEVER_S)) as door:
        client = await door.connect(b"GET /healthz HTTP/1.1\r\n")
        ending = asyncio.ensure_future(client.ended())
        while not ending.done():
            client.send(b"x: y\r\n")
            await asyncio.wait([ending], timeout=SOON_S / 20)
        assert ending.result()


@both
async def test_the_next_head_on_a_connection_is_bounded_too(open_door: OpenDoor) -> None:
    async with open_door(ConnectionLimits(SOON_S, NEVER_S)) as door:
        client = await door.connect(door.quick)
        assert await client.status() in (200, 405)
        client.send(door.quick[:-2])
        assert await client.ended()


@both
async def test_a_request_under_way_has_its_time_and_so_has_the_pause_behind_it(open_door: OpenDoor) -> None:
    async with open_door(ConnectionLimits(SOON_S, NEVER_S)) as door:
        client = await door.connect(door.slow)
        await door.gate.calls.acquire()
        await head_timeout_passes(door)
        door.gate.opened.set()
        assert await client.status() in (200, 404)
        await head_timeout_passes(door)
        client.send(door.slow)
        assert await client.status() in (200, 404)


@both
async def test_a_connection_that_is_kept_is_closed_if_nothing_more_is_asked(open_door: OpenDoor) -> None:
    async with open_door(ConnectionLimits(NEVER_S, SOON_S)) as door:
        client = await door.connect(door.quick)
        assert await client.status() in (200, 405)
        assert await client.ended()


@both
async def test_a_body_that_stalls_is_answered_and_the_connection_closed(open_door: OpenDoor) -> None:
    async with open_door(ConnectionLimits(NEVER_S, SOON_S), body_timeout_s=SOON_S) as door:
        client = await door.connect(door.stalled)
        assert await client.status() == door.stalled_status
        assert await client.ended()


@both
async def test_whoever_waits_longest_for_a_request_gives_way_to_one_connection_too_many(
    open_door: OpenDoor,
) -> None:
    async with open_door(ConnectionLimits(NEVER_S, NEVER_S, max_connections=3)) as door:
        asking = await door.connect(door.slow)
        await door.gate.calls.acquire()
        kept, silent = await door.connect(), await door.connect()
        # Whoever has had an answer waits anew.
        for client in (kept, silent, kept):
            client.send(door.quick)
            assert await client.status() in (200, 405)
        silent.send(door.quick[:-2])
        another = await door.connect(door.slow)
        await door.gate.calls.acquire()
        assert await silent.ended()
        kept.send(door.slow)
        await door.gate.calls.acquire()
        # All three have a request under way.
        assert await (await door.connect(door.quick)).ended()
        door.gate.opened.set()
        for client in (asking, kept, another):
            assert await client.status() in (200, 404)


async def test_who_does_not_read_what_he_asked_for_is_cut() -> None:
    async with rest_door(ConnectionLimits(NEVER_S, SOON_S)) as door:
        host, _, port = door.address.rpartition(":")
        with socket.create_connection((host, int(port))) as plain:
            plain.setblocking(False)
            with pytest.raises(ConnectionError):
                await ask_without_end(plain)


async def ask_without_end(plain: socket.socket) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await asyncio.get_running_loop().sock_sendall(plain, request("GET", "/openapi.json"))


async def test_who_does_not_shake_hands_is_cut(tmp_path: Path) -> None:
    made = self_signed()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(made.chain)
    key.write_bytes(made.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    async with rest_door(ConnectionLimits(SOON_S, NEVER_S), tls=context) as door:
        assert await (await door.connect()).ended()
