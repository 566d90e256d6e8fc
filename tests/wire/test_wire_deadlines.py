"""Every deadline has its name, runs only while the peer is the one we wait for, and leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from omsd.wire import Origin, WireError, WireErrorKind
from tests.waiting import until
from tests.wire.bodies import BLOCK, BlockSource, HandSource, get, ok, put
from tests.wire.conftest import PoolFactory
from tests.wire.scripted_server import Peer, scripted


async def test_connect(make_pool: PoolFactory, full_backlog: Origin) -> None:
    pool = make_pool(connect_s=0.1)
    with pytest.raises(WireError) as caught:
        await pool.send(full_backlog, get)
    assert (caught.value.kind, caught.value.answered) == (WireErrorKind.TIMEOUT_CONNECT, False)
    assert pool.counts(full_backlog).leased == 0


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"])
async def test_first_byte(make_pool: PoolFactory, begin: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(begin)
        await peer.gone()

    async with scripted(script) as server:
        # Long enough for what the peer does begin.
        pool = make_pool(first_byte_s=0.5)
        with pytest.raises(WireError) as caught:
            await pool.send(server.origin, get)
        assert caught.value.kind is WireErrorKind.TIMEOUT_FIRST_BYTE
        assert caught.value.answered is bool(begin)
        await until(lambda: pool.counts(server.origin).open == 0)


async def test_first_byte_counts_from_the_end_of_the_body(make_pool: PoolFactory) -> None:
    source = HandSource()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.body(2)
        await peer.gone()

    async with scripted(script) as server, asyncio.TaskGroup() as group:
        pool = make_pool(first_byte_s=0.2, stall_s=0.2)
        loop = asyncio.get_running_loop()
        sending = group.create_task(swallow_error(pool.send(server.origin, lambda: put(source, 2))))
        await until(lambda: source.sink is not None)
        # The source is the one that is late here: longer than both deadlines, and no deadline runs.
        await asyncio.sleep(0.5)
        assert not sending.done()
        assert source.sink is not None
        source.sink.feed(b"hi")
        source.sink.end()
        ended = loop.time()
        error = await sending
        assert error is not None
        assert error.kind is WireErrorKind.TIMEOUT_FIRST_BYTE
        assert loop.time() - ended >= 0.19


async def swallow_error(sending: object) -> WireError | None:
    """The WireError of an awaitable."""
    try:
        await sending  # type: ignore[misc]
    except WireError as error:
        return error
    return None


@pytest.mark.parametrize("framing", [b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n", b""])
async def test_stall_in_the_answers_body(make_pool: PoolFactory, framing: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n2\r\nhi\r\n")
        await peer.gone()

    async with scripted(script) as server:
        pool = make_pool(stall_s=0.1)
        answer = await pool.send(server.origin, get)
        with pytest.raises(WireError) as caught:
            await answer.read_all(100)
        assert (caught.value.kind, caught.value.answered) == (WireErrorKind.STALLED, True)
        assert pool.counts(server.origin).leased == 0


@pytest.mark.parametrize("pushed", [False, True])
async def test_stall_in_the_requests_body(make_pool: PoolFactory, pushed: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await asyncio.Event().wait()

    blocks = 1024  # 64 MiB: more than both sockets hold
    body: object = BlockSource(blocks) if pushed else BLOCK * blocks
    async with scripted(script) as server:
        pool = make_pool(stall_s=0.2)
        with pytest.raises(WireError) as caught:
            await pool.send(server.origin, lambda: put(body, blocks * len(BLOCK)))
        assert (caught.value.kind, caught.value.answered) == (WireErrorKind.STALLED, False)
        await until(lambda: pool.counts(server.origin).open == 0)


async def test_slow_but_moving_upload_is_no_stall(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        for _ in range(10):
            await peer.swallow(len(BLOCK) * 100)
            await asyncio.sleep(0.2)
        await peer.send(ok())

    async with scripted(script) as server:
        pool = make_pool(stall_s=1.5)
        answer = await pool.send(server.origin, lambda: put(BLOCK * 1000, 0))
        assert answer.head.status == 200


async def test_kept_connection_meets_its_deadline_again(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        for _ in range(3):
            await peer.head()
            await peer.send(ok())
        await peer.head()
        await peer.gone()

    async with scripted(script) as server:
        pool = make_pool(first_byte_s=0.5)
        for _ in range(3):
            await (await pool.send(server.origin, get)).read_all(10)
            # Together longer than the deadline.
            await asyncio.sleep(0.2)
        with pytest.raises(WireError) as caught:
            await pool.send(server.origin, get)
        assert caught.value.kind is WireErrorKind.TIMEOUT_FIRST_BYTE
        assert len(server.peers) == 1
