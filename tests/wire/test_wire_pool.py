"""Slots: never too many, never lost, given in order; addresses checked before they are used."""

from __future__ import annotations

import asyncio
import socket

import pytest

from omsd.wire import Origin, WireError, WireErrorKind
from tests.waiting import until
from tests.wire.bodies import BLOCK, BlockSource, RecordingSink, get, ok, put
from tests.wire.conftest import PoolFactory
from tests.wire.scripted_server import Peer, scripted
from tests.wire.test_wire_keepalive import answer_for_ever


async def test_never_more_connections_than_allowed_and_waiters_in_order(make_pool: PoolFactory) -> None:
    served: list[bytes] = []
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            served.append((await peer.head()).split(b" ")[1])
            await gate.wait()
            await peer.send(ok())

    async with scripted(script) as server:
        pool = make_pool(max_per_origin=2)

        async def ask(n: int) -> None:
            await (await pool.send(server.origin, lambda: get(f"/{n}"))).read_all(10)

        async with asyncio.TaskGroup() as group:
            for n in range(8):
                group.create_task(ask(n))
            await until(lambda: len(served) == 2)
            counts = pool.counts(server.origin)
            assert (counts.leased, counts.waiting, counts.open) == (2, 6, 2)
            gate.set()
        assert [int(one[1:]) // 2 for one in served] == [0, 0, 1, 1, 2, 2, 3, 3]
        assert len(server.peers) == 2
        assert pool.counts(server.origin).idle == 2


async def test_cancelled_waiter_loses_no_slot(make_pool: PoolFactory) -> None:
    async with scripted(answer_for_ever) as server:
        pool = make_pool(max_per_origin=1)
        held = await pool.send(server.origin, get)
        waiters = [asyncio.ensure_future(pool.send(server.origin, get)) for _ in range(3)]
        await until(lambda: pool.counts(server.origin).waiting == 3 or not waiters[0].done())
        await held.read_all(10)
        waiters[0].cancel()
        waiters[1].cancel()
        await asyncio.wait(waiters)
        await waiters[2].result().read_all(10)
        counts = pool.counts(server.origin)
        assert (counts.leased, counts.idle, counts.waiting) == (0, 1, 0)


@pytest.mark.parametrize("steps", range(24))
@pytest.mark.parametrize("warm", [False, True])
async def test_cancellation_after_any_step_of_the_loop_leaves_slot_and_connection_right(
    make_pool: PoolFactory, steps: int, warm: bool
) -> None:
    async with scripted(answer_for_ever) as server:
        pool = make_pool(max_per_origin=1)
        if warm:
            await (await pool.send(server.origin, get)).read_all(10)

        async def exchange() -> None:
            answer = await pool.send(server.origin, lambda: put(BlockSource(2), 2 * len(BLOCK)))
            await answer.read_all(10)

        tasks = [asyncio.ensure_future(exchange()) for _ in range(3)]
        for _ in range(steps):
            await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[1].cancel()
        await asyncio.wait(tasks)
        tasks[2].result()
        counts = pool.counts(server.origin)
        assert (counts.leased, counts.waiting) == (0, 0)
        assert await (await pool.send(server.origin, get)).read_all(10)
        await until(lambda: pool.counts(server.origin).open == 1 and server.live() == 1)


@pytest.mark.parametrize("steps", range(8))
async def test_cancellation_at_the_moment_of_the_answer_drops_its_connection(
    make_pool: PoolFactory, steps: int
) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()

    async with scripted(script) as server:
        pool = make_pool()

        async def exchange() -> None:
            await (await pool.send(server.origin, get)).read_all(10)

        task = asyncio.ensure_future(exchange())
        await asyncio.wait([task])
        assert task.cancelled()
        assert pool.counts(server.origin).leased == 0
        await until(lambda: server.live() == 0)


@pytest.mark.parametrize("stage", ["handshake", "body out", "head", "body in"])
async def test_cancellation_in_each_stage_closes_the_connection(make_pool: PoolFactory, stage: str) -> None:
    gone = asyncio.Event()
    arrived = asyncio.Event()

    async def script(peer: Peer) -> None:
        if stage != "handshake":
            await peer.head()
            if stage == "body in":
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        arrived.set()
        await peer.gone()
        gone.set()

    async with scripted(script) as server:
        pool = make_pool(max_per_origin=1)
        scheme = "https" if stage == "handshake" else "http"
        origin = Origin(scheme, server.origin.host, server.origin.port)
        source = BlockSource(2000)

        async def exchange() -> None:
            body = put(source, 2000 * len(BLOCK)) if stage == "body out" else get()
            await (await pool.send(origin, lambda: body)).read_all(10)

        task = asyncio.ensure_future(exchange())
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.counts(origin).leased == 0
        await gone.wait()
        await until(lambda: pool.counts(origin).open == 0)


async def test_every_address_is_checked_before_it_is_used(make_pool: PoolFactory) -> None:
    asked: list[str] = []

    def refuse(address: str) -> bool:
        asked.append(address)
        return False

    async with scripted(answer_for_ever) as server:
        for host in ("127.0.0.1", "localhost"):
            pool = make_pool(allow_address=refuse)
            origin = Origin("http", host, server.origin.port)
            with pytest.raises(WireError) as caught:
                await pool.send(origin, get)
            assert caught.value.kind is WireErrorKind.FORBIDDEN_ADDRESS
            assert pool.counts(origin).leased == 0
        assert set(asked) >= {"127.0.0.1"}
        assert server.peers == []


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """The running loop's resolver knows these addresses for every name; returns the names it was asked for."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


async def test_the_next_address_is_tried_when_one_refuses(
    make_pool: PoolFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(answer_for_ever) as server:
        resolve_to(monkeypatch, "127.0.0.9", "127.0.0.1")
        origin = Origin("http", "some.example", server.origin.port)
        assert await (await make_pool().send(origin, get)).read_all(10) == b"0"


async def test_only_allowed_addresses_are_used_and_the_name_is_asked_for_once(
    make_pool: PoolFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(answer_for_ever) as server, scripted(answer_for_ever) as forbidden:
        asked = resolve_to(monkeypatch, "127.0.0.9", "127.0.0.1")
        origin = Origin("http", "some.example", server.origin.port)
        pool = make_pool(allow_address=lambda address: address == "127.0.0.1")
        assert await (await pool.send(origin, get)).read_all(10) == b"0"
        assert asked == ["some.example"]
        pool = make_pool(allow_address=lambda address: address == "127.0.0.9")
        with pytest.raises(WireError) as caught:
            await pool.send(Origin("http", "some.example", forbidden.origin.port), get)
        assert caught.value.kind is WireErrorKind.CONNECT
        assert forbidden.peers == []


async def test_silent_address_leaves_time_for_the_next(
    make_pool: PoolFactory, monkeypatch: pytest.MonkeyPatch, full_backlog: Origin
) -> None:
    # The listener that answers nothing stands on 127.0.0.1, the one that answers on 127.0.0.2 of the same port.
    async with scripted(answer_for_ever, host="127.0.0.2", port=full_backlog.port):
        resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
        origin = Origin("http", "some.example", full_backlog.port)
        assert await (await make_pool(connect_s=2).send(origin, get)).read_all(10) == b"0"


async def test_refused_connection_and_unknown_name_are_told_apart(make_pool: PoolFactory) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for host, kind in (("127.0.0.1", WireErrorKind.CONNECT), ("no.such.name.invalid", WireErrorKind.DNS)):
            pool = make_pool()
            with pytest.raises(WireError) as caught:
                await pool.send(Origin("http", host, port), get)
            assert (caught.value.kind, caught.value.answered) == (kind, False)
            assert pool.counts(Origin("http", host, port)).leased == 0


@pytest.mark.parametrize("host", ["", "a" * 64 + ".example", "..", "\0"])
async def test_host_that_is_no_name_is_a_wire_error(make_pool: PoolFactory, host: str) -> None:
    with pytest.raises(WireError) as caught:
        await make_pool(allow_address=lambda address: False).send(Origin("http", host, 1), get)
    assert caught.value.kind in (WireErrorKind.DNS, WireErrorKind.FORBIDDEN_ADDRESS)


async def test_close_breaks_exchanges_and_waiters_and_refuses_new_ones(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await peer.gone()

    async with scripted(script) as server:
        pool = make_pool(max_per_origin=1)
        answer, sink = await pool.send(server.origin, get), RecordingSink()
        answer.start(sink)
        waiter = asyncio.ensure_future(pool.send(server.origin, get))
        await until(lambda: pool.counts(server.origin).waiting == 1)
        await pool.close()
        await pool.close()
        assert [getattr(outcome, "kind", outcome) for outcome in sink.outcomes] == [WireErrorKind.RESET]
        for sending in (waiter, pool.send(server.origin, get)):
            with pytest.raises(WireError) as caught:
                await sending
            assert caught.value.kind is WireErrorKind.CONNECT
        assert pool.counts(server.origin).open == 0


async def test_connections_send_small_packets_at_once(make_pool: PoolFactory) -> None:
    async with scripted(answer_for_ever) as server:
        pool = make_pool()
        await (await pool.send(server.origin, get)).read_all(10)
        (connection,) = pool._lanes[server.origin]._open
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
