"""Which connection serves a request, and when a request is sent twice."""

from __future__ import annotations

import asyncio

import pytest

from omsd.wire import Request, WireError, WireErrorKind
from tests.waiting import until
from tests.wire.bodies import BlockSource, get, ok, put
from tests.wire.conftest import PoolFactory
from tests.wire.scripted_server import Peer, scripted


async def answer_for_ever(peer: Peer) -> None:
    """Every request is told the number of its connection."""
    while True:
        head = await peer.head()
        if head.startswith(b"PUT"):
            await peer.body(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        await peer.send(ok(b"%d" % peer.number))


async def test_sequential_requests_share_one_connection(make_pool: PoolFactory) -> None:
    async with scripted(answer_for_ever) as server:
        pool = make_pool()
        for _ in range(5):
            answer = await pool.send(server.origin, get)
            assert await answer.read_all(10) == b"0"
        await (await pool.send(server.origin, lambda: put(b"x" * 200_000))).read_all(10)
        assert len(server.peers) == 1
        assert pool.counts(server.origin).idle == 1


async def test_connection_used_last_is_used_first(make_pool: PoolFactory) -> None:
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            if b"/slow" in head:
                await release.wait()
            await peer.send(ok(b"%d" % peer.number))

    async with scripted(script) as server:
        pool = make_pool()
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(pool.send(server.origin, lambda: get("/slow")))
            await until(lambda: len(server.peers) == 1)
            quick = await pool.send(server.origin, get)
            assert await quick.read_all(10) == b"1"
            release.set()
        assert await slow.result().read_all(10) == b"0"
        again = await pool.send(server.origin, get)
        assert await again.read_all(10) == b"0"


async def test_idle_connections_expire(make_pool: PoolFactory) -> None:
    async with scripted(answer_for_ever) as server:
        pool = make_pool(idle_s=0.2)
        await (await pool.send(server.origin, get)).read_all(10)
        assert pool.counts(server.origin).idle == 1
        await until(lambda: pool.counts(server.origin).open == 0)


async def test_connection_closed_by_the_peer_while_idle_is_not_used(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(ok(b"%d" % peer.number))
        peer.close()

    async with scripted(script) as server:
        pool = make_pool()
        await (await pool.send(server.origin, get)).read_all(10)
        await until(lambda: pool.counts(server.origin).idle == 0)
        assert await (await pool.send(server.origin, get)).read_all(10) == b"1"


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_stale_connection_is_retried_on_a_fresh_one(make_pool: PoolFactory, how: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(ok(b"%d" % peer.number))
        await peer.head()
        if peer.number == 0:
            getattr(peer, how)()
        else:
            await peer.send(ok(b"%d" % peer.number))

    made = 0

    def make() -> Request:
        nonlocal made
        made += 1
        return get()

    async with scripted(script) as server:
        pool = make_pool()
        await (await pool.send(server.origin, get)).read_all(10)
        assert await (await pool.send(server.origin, make)).read_all(10) == b"1"
        assert made == 2


async def test_stale_connection_is_retried_only_once(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        if peer.number == 0:
            await peer.send(ok())
            await peer.head()
        peer.close()

    async with scripted(script) as server:
        pool = make_pool()
        await (await pool.send(server.origin, get)).read_all(10)
        with pytest.raises(WireError) as caught:
            await pool.send(server.origin, get)
        assert (caught.value.kind, caught.value.answered) == (WireErrorKind.RESET, False)
        assert len(server.peers) == 2
        await until(lambda: pool.counts(server.origin).open == 0)


async def test_the_retry_does_not_trust_another_kept_connection(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        if peer.number < 2:
            await until(lambda: len(server.peers) == 2)
            await peer.send(ok())
            await peer.head()
            peer.close()
        else:
            await peer.send(ok(b"fresh"))

    async with scripted(script) as server:
        pool = make_pool()
        for answer in await asyncio.gather(pool.send(server.origin, get), pool.send(server.origin, get)):
            await answer.read_all(10)
        assert pool.counts(server.origin).idle == 2
        assert await (await pool.send(server.origin, get)).read_all(10) == b"fresh"


async def test_fresh_connection_is_never_retried(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        peer.close()

    async with scripted(script) as server:
        with pytest.raises(WireError) as caught:
            await make_pool().send(server.origin, get)
        assert caught.value.kind is WireErrorKind.RESET
        assert len(server.peers) == 1


@pytest.mark.parametrize("case", ["answer byte", "not idempotent", "source begun"])
async def test_no_retry_when_it_could_do_harm(make_pool: PoolFactory, case: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(ok())
        await peer.head()
        if case == "answer byte":
            await peer.send(b"HTTP/1.1 2")
        peer.close()

    source = BlockSource(1)
    requests = {
        "answer byte": get,
        "not idempotent": lambda: put(b"x", idempotent=False),
        "source begun": lambda: put(source, 65536),
    }
    async with scripted(script) as server:
        pool = make_pool()
        await (await pool.send(server.origin, get)).read_all(10)
        with pytest.raises(WireError) as caught:
            await pool.send(server.origin, requests[case])
        assert caught.value.kind is WireErrorKind.RESET
        assert caught.value.answered is (case == "answer byte")
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nConnection: X-Y, Close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
    ],
)
async def test_connection_is_not_kept_when_the_peer_says_so_or_sends_too_much(
    make_pool: PoolFactory, answer: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)

    async with scripted(script) as server:
        pool = make_pool()
        assert await (await pool.send(server.origin, get)).read_all(10) == b"hi"
        await until(lambda: pool.counts(server.origin).open == 0)


async def test_http_1_0_with_keep_alive_is_kept(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")

    async with scripted(script) as server:
        pool = make_pool()
        await (await pool.send(server.origin, get)).close()
        assert pool.counts(server.origin).idle == 1


async def test_bytes_without_a_request_close_the_connection(make_pool: PoolFactory) -> None:
    late = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(ok())
        await late.wait()
        await peer.send(ok(b"smuggled"))

    async with scripted(script) as server:
        pool = make_pool()
        await (await pool.send(server.origin, get)).read_all(10)
        late.set()
        await until(lambda: pool.counts(server.origin).open == 0)


async def test_an_exception_in_make_request_keeps_the_connection(make_pool: PoolFactory) -> None:
    def explode() -> Request:
        raise ValueError("no signature")

    async with scripted(answer_for_ever) as server:
        pool = make_pool()
        await (await pool.send(server.origin, get)).read_all(10)
        with pytest.raises(ValueError, match="no signature"):
            await pool.send(server.origin, explode)
        counts = pool.counts(server.origin)
        assert (counts.leased, counts.idle) == (0, 1)
