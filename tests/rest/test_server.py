"""The web server and the frame around calls, in this loop, in front of services that fail or wait as a test wants."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from omsd.api.rest.app import Incoming, RestApp
from omsd.api.rest.server import RestListenError, RestServer
from omsd.api.rest.services import Services
from omsd.clock import SystemClock
from omsd.domain.access import Accounts
from omsd.domain.errors import Refusal, RequestError
from omsd.service.access import AccessService
from omsd.telemetry.logging import setup_logging
from tests.cli.test_client import self_signed
from tests.fakes.bucket_service import FakeBucketService, FakeCatalog
from tests.fakes.group_service import FakeGroupService
from tests.fakes.sync_service import FakeSyncService
from tests.fakes.task_service import FakeTaskService
from tests.waiting import PATIENCE_S


@pytest.fixture
def tasks() -> FakeTaskService:
    return FakeTaskService()


@pytest.fixture
def groups() -> FakeGroupService:
    return FakeGroupService()


@pytest.fixture
def services(tasks: FakeTaskService, groups: FakeGroupService) -> Services:
    access = AccessService(Accounts(), lambda: b"0" * 32, SystemClock())
    return Services(access, tasks, groups, FakeSyncService(), FakeBucketService(), FakeCatalog())


@pytest.fixture
def app(services: Services) -> RestApp:
    return RestApp(services)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    out = io.StringIO()
    setup_logging("info", "json", out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
async def server(app: RestApp) -> AsyncIterator[RestServer]:
    server = RestServer(app, listen="127.0.0.1:0")
    yield server
    await server.stop(grace_s=0)


async def ask(
    address: str, path: str, *, method: str = "GET", body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    host, _, port = address.rpartition(":")
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        reader, writer = await asyncio.open_connection(host, int(port))
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    async with asyncio.timeout(PATIENCE_S):
        told, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = told.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, rest


async def is_open(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


async def test_what_breaks_inside_is_not_told_to_callers(server: RestServer, tasks: FakeTaskService) -> None:
    tasks.raises = ZeroDivisionError("the secret of the store")
    with capture_logs() as said:
        status, headers, body = await ask(await server.start(), "/v2/p/tasks")
    told = json.loads(body)
    assert (status, told["error_code"]) == (500, "OMS.1001")
    assert "secret" not in body.decode()
    assert headers["x-request-id"] in told["error_msg"]
    assert any(line["event"] == "call failed" and line["exc_info"] for line in said)


@pytest.mark.parametrize(
    ("refusal", "v1", "status", "code"),
    [
        (Refusal.BUSY, False, 503, "OMS.2004"),
        (Refusal.BUSY, True, 503, "OMS.2004"),
        (Refusal.QUOTA, False, 400, "OMS.2004"),
        (Refusal.INTERNAL, False, 500, "OMS.2004"),
    ],
)
async def test_refusals_have_their_status(
    server: RestServer, tasks: FakeTaskService, refusal: Refusal, v1: bool, status: int, code: str
) -> None:
    tasks.raises = RequestError("OMS.2004", "not now", refusal=refusal)
    path = "/v1/p/objectstorage/task?start=0&limit=1" if v1 else "/v2/p/tasks"
    found, _, body = await ask(await server.start(), path)
    assert (found, json.loads(body)) == (status, {"error_code": code, "error_msg": "not now"})


async def test_a_server_that_stops_says_so_and_finishes_what_was_asked(
    server: RestServer, app: RestApp, tasks: FakeTaskService
) -> None:
    address = await server.start()
    app.drain()
    assert (await ask(address, "/readyz"))[0] == 503
    assert (await ask(address, "/healthz"))[0] == 200
    tasks.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask(address, "/v2/p/tasks/5"))
        while not tasks.calls:
            await asyncio.sleep(0)
        stopping = group.create_task(server.stop(grace_s=PATIENCE_S))
        while await is_open(address):
            await asyncio.sleep(0)
        tasks.gate.set()
        assert json.loads((await asking)[2])["error_code"] == "OMS.0054"
        await stopping
    assert not await is_open(address)


async def test_a_change_that_is_cut_short_is_in_the_audit_log(
    groups: FakeGroupService, app: RestApp, stream: io.StringIO
) -> None:
    async def no_body() -> bytes:
        return b""

    groups.gate = asyncio.Event()
    wanted = Incoming("PUT", "/v2/p/taskgroups/g1/stop", (), no_body, address="10.0.0.9")
    answering = asyncio.create_task(app.answer(wanted))
    while not groups.calls:
        await asyncio.sleep(0)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    (audited,) = [line for line in lines if line["event"] == "audit"]
    assert (audited["operation"], audited["group_id"], audited["outcome"]) == (
        "StopTaskGroup",
        "g1",
        "CANCELLED",
    )
    assert (audited["project_id"], audited["address"]) == ("p", "10.0.0.9")
    (called,) = [line for line in lines if line["event"] == "call"]
    assert (called["code"], called["request_id"]) == ("CANCELLED", audited["request_id"])


async def test_too_many_calls_at_once_are_told_to_come_back(
    services: Services, tasks: FakeTaskService
) -> None:
    server = RestServer(RestApp(services, max_calls=1), listen="127.0.0.1:0")
    address = await server.start()
    tasks.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(ask(address, "/v2/p/tasks/5"))
        while not tasks.calls:
            await asyncio.sleep(0)
        assert (await ask(address, "/healthz"))[0] == 503
        tasks.gate.set()
        assert (await first)[0] == 404
    assert (await ask(address, "/healthz"))[0] == 200
    await server.stop(grace_s=0)


async def test_bodies_held_at_once_are_bounded(app: RestApp) -> None:
    server = RestServer(app, listen="127.0.0.1:0", bodies_max_bytes=1000)
    address = await server.start()
    for _ in range(3):
        assert (await ask(address, "/v2/p/tasks", method="POST", body=b" " * 900))[0] == 400
    status, _, body = await ask(address, "/v2/p/tasks", method="POST", body=b" " * 1100)
    assert (status, json.loads(body)["error_code"]) == (503, "OMS.2004")
    await server.stop(grace_s=0)


async def test_tls_is_spoken_to_callers_who_trust_the_certificate(app: RestApp, tmp_path: Path) -> None:
    made = self_signed()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(made.chain)
    key.write_bytes(made.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    server = RestServer(app, listen="127.0.0.1:0", tls=context)
    host, _, port = (await server.start()).rpartition(":")
    trust = ssl.create_default_context(cafile=chain)
    reader, writer = await asyncio.open_connection(host, int(port), ssl=trust)
    writer.write(f"GET /v2 HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    told = await reader.read()
    assert f'"href":"https://{host}:{port}/v2/"'.encode() in told
    writer.close()
    await server.stop(grace_s=0)


async def test_it_listens_on_a_unix_socket_of_its_owner(app: RestApp, tmp_path: Path) -> None:
    path = tmp_path / "rest.sock"
    server = RestServer(app, listen=f"unix:{path}")
    address = await server.start()
    assert (path.stat().st_mode & 0o777) == 0o660
    assert (await ask(address, "/healthz"))[0] == 200
    await server.stop(grace_s=0)


async def test_an_address_that_is_taken_is_named(server: RestServer, app: RestApp) -> None:
    address = await server.start()
    with pytest.raises(RestListenError, match=rf"{address} \(rest_listen\)"):
        await RestServer(app, listen=address).start()


async def test_a_token_is_given_where_nobody_is_asked(server: RestServer) -> None:
    user = {"name": "any", "password": "x", "domain": {"name": "d"}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    status, headers, told = await ask(
        await server.start(), "/v3/auth/tokens", method="POST", body=json.dumps(body).encode()
    )
    assert (status, json.loads(told)["token"]["project"]) == (201, None)
    assert headers["x-subject-token"]
