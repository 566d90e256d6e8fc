"""Request bodies: counted, slowed by the peer, broken by their source, answered before their end."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from omsd.wire import BytesSource, Origin, Request, WireError, WireErrorKind
from tests.waiting import until
from tests.wire.bodies import BLOCK, BlockSource, HandSource, ok, put
from tests.wire.conftest import PoolFactory
from tests.wire.scripted_server import Peer, scripted

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ndenied"


def announced(head: bytes) -> int:
    """The length in a request's head."""
    return int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])


@pytest.mark.parametrize("size_bytes", [0, 1, 65_536, 65_537, 3_000_000])
@pytest.mark.parametrize("pushed", [False, True])
async def test_body_arrives_byte_for_byte(make_pool: PoolFactory, size_bytes: int, pushed: bool) -> None:
    data = (BLOCK * (size_bytes // len(BLOCK) + 1))[:size_bytes]

    async def script(peer: Peer) -> None:
        for _ in range(2):
            head = await peer.head()
            assert head.lower().count(b"content-length") == 1
            assert await peer.body(announced(head)) == data
            await peer.send(ok())

    async with scripted(script) as server:
        pool = make_pool()
        for _ in range(2):
            body = BytesSource(data) if pushed else data
            answer = await pool.send(server.origin, lambda body=body: put(body, size_bytes))
            assert await answer.read_all(10) == b""
        assert len(server.peers) == 1


async def test_length_given_by_the_caller_is_not_repeated(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.head()
        assert head == b"PUT / HTTP/1.1\r\nHost: fake\r\nCONTENT-LENGTH: 2\r\n\r\n"
        assert await peer.body(2) == b"hi"
        await peer.send(ok())

    request = Request("PUT", "/", [("Host", "fake"), ("CONTENT-LENGTH", "2")], b"hi", 2)
    async with scripted(script) as server:
        await (await make_pool().send(server.origin, lambda: request)).close()


async def test_peer_that_reads_nothing_pauses_the_source(make_pool: PoolFactory) -> None:
    read_on, source = asyncio.Event(), BlockSource(1024)

    async def script(peer: Peer) -> None:
        size_bytes = announced(await peer.head())
        await read_on.wait()
        await peer.swallow(size_bytes)
        await peer.send(ok())

    async with scripted(script) as server, asyncio.TaskGroup() as group:
        sending = group.create_task(make_pool().send(server.origin, lambda: put(source, 1024 * len(BLOCK))))
        await until(lambda: source.pauses > 0)
        assert source.pushed < 1024
        read_on.set()
        answer = await sending
        assert answer.head.status == 200
        assert source.pushed == 1024


@pytest.mark.parametrize(
    ("announced_blocks", "kind"), [(2, WireErrorKind.OVERLONG), (4, WireErrorKind.TRUNCATED)]
)
async def test_source_of_another_size_than_announced_is_an_error(
    make_pool: PoolFactory, announced_blocks: int, kind: WireErrorKind
) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.gone()

    async with scripted(script) as server:
        pool = make_pool()
        with pytest.raises(WireError) as caught:
            await pool.send(server.origin, lambda: put(BlockSource(3), announced_blocks * len(BLOCK)))
        assert caught.value.kind is kind
        assert pool.counts(server.origin).leased == 0


async def test_failure_of_the_source_is_raised_as_it_is_and_the_connection_dropped(
    make_pool: PoolFactory,
) -> None:
    class DigestError(Exception):
        pass

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.gone()

    failure = DigestError("flipped")
    async with scripted(script) as server:
        pool = make_pool()
        with pytest.raises(DigestError) as caught:
            await pool.send(server.origin, lambda: put(BlockSource(3, error=failure), 4 * len(BLOCK)))
        assert caught.value is failure
        await until(lambda: pool.counts(server.origin).open == 0)


@pytest.mark.parametrize("ending", ["keep", "close", "reset"])
async def test_early_refusal_is_delivered_and_ends_the_upload(make_pool: PoolFactory, ending: str) -> None:
    source = HandSource()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.body(len(BLOCK))
        await peer.send(REFUSAL)
        if ending != "keep":
            getattr(peer, ending)()

    async with scripted(script) as server, asyncio.TaskGroup() as group:
        pool = make_pool()
        sending = group.create_task(pool.send(server.origin, lambda: put(source, 100 * len(BLOCK))))
        await until(lambda: source.sink is not None)
        assert source.sink is not None
        source.sink.feed(BLOCK)
        answer = await sending
        assert answer.head.status == 403
        assert await answer.read_all(100) == b"denied"
        assert source.paused
        # What a source still pushes goes nowhere.
        source.sink.feed(BLOCK)
        source.sink.fail(ValueError("late"))
        await until(lambda: pool.counts(server.origin).open == 0)


@pytest.mark.parametrize("pushed", [False, True])
async def test_early_refusal_survives_the_reset_behind_it(make_pool: PoolFactory, pushed: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(REFUSAL)
        # Closed with unread bytes in the socket: the kernel sends a reset after the answer.
        peer.close()

    async with scripted(script) as server:
        pool = make_pool()
        for _ in range(20):
            body: object = BlockSource(400) if pushed else BLOCK * 400
            answer = await pool.send(server.origin, lambda body=body: put(body, 400 * len(BLOCK)))
            assert answer.head.status == 403
            assert await answer.read_all(100) == b"denied"


async def test_refusal_that_lies_unread_when_our_write_fails_is_still_delivered(
    make_pool: PoolFactory,
) -> None:
    source = HandSource()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = Origin("http", "127.0.0.1", listener.getsockname()[1])
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(make_pool().send(origin, lambda: put(source, 100 * len(BLOCK))))
            await until(lambda: source.sink is not None)
            assert source.sink is not None
            # All in one step of the loop: it cannot read the answer before it meets the reset.
            peer, _ = listener.accept()
            peer.sendall(REFUSAL)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            for _ in range(10):
                source.sink.feed(BLOCK)
            answer = await sending
        assert answer.head.status == 403
        assert await answer.read_all(100) == b"denied"


async def test_success_before_the_body_was_sent_is_not_believed(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(ok())

    async with scripted(script) as server:
        with pytest.raises(WireError) as caught:
            await make_pool().send(server.origin, lambda: put(HandSource(), 10))
        assert (caught.value.kind, caught.value.answered) == (WireErrorKind.PROTOCOL, True)


@pytest.mark.parametrize("pushed", [False, True])
async def test_expect_continue_holds_the_body_until_100(make_pool: PoolFactory, pushed: bool) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.head()
        assert b"\r\nExpect: 100-continue\r\n" in head
        assert not source.started
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await peer.body(len(BLOCK))
        await peer.send(ok())

    source = BlockSource(1)
    body = source if pushed else BLOCK
    async with scripted(script) as server:
        pool = make_pool()
        request = put(body, len(BLOCK), expect_continue=True)
        await (await pool.send(server.origin, lambda: request)).read_all(10)
        assert pool.counts(server.origin).idle == 1


async def test_expect_continue_sends_nothing_after_a_refusal(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(REFUSAL)

    source = BlockSource(1)
    async with scripted(script) as server:
        pool = make_pool()
        answer = await pool.send(server.origin, lambda: put(source, len(BLOCK), expect_continue=True))
        assert await answer.read_all(100) == b"denied"
        assert not source.started
        await until(lambda: pool.counts(server.origin).open == 0)


async def test_expect_continue_does_not_wait_for_ever(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.body(len(BLOCK))
        await peer.send(ok())

    async with scripted(script) as server:
        request = put(BlockSource(1), len(BLOCK), expect_continue=True)
        answer = await make_pool().send(server.origin, lambda: request)
        assert answer.head.status == 200


async def test_download_piped_into_an_upload_moves_every_byte_in_bounded_memory(
    make_pool: PoolFactory,
) -> None:
    blocks, blocked = 512, asyncio.Event()
    received: list[bytes] = []

    async def script(peer: Peer) -> None:
        head = await peer.head()
        if head.startswith(b"GET"):
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (blocks * len(BLOCK)))
            written = await peer.send_until_blocked(BLOCK, count=blocks, blocked_s=0.2)
            assert written < blocks
            blocked.set()
            for _ in range(blocks - written):
                await peer.send(BLOCK)
        else:
            await blocked.wait()
            received.append(await peer.body(announced(head)))
            await peer.send(ok())

    async with scripted(script) as server:
        pool = make_pool()
        reading = await pool.send(server.origin, lambda: Request("GET", "/", [("Host", "fake")]))
        answer = await pool.send(server.origin, lambda: put(reading, reading.size_bytes))
        assert answer.head.status == 200
        assert received == [BLOCK * blocks]
        await reading.close()


async def test_download_that_breaks_breaks_its_upload_with_the_same_error(make_pool: PoolFactory) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.head()
        if head.startswith(b"GET"):
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello")
            peer.close()
        else:
            await peer.gone()

    async with scripted(script) as server:
        pool = make_pool()
        reading = await pool.send(server.origin, lambda: Request("GET", "/", [("Host", "fake")]))
        with pytest.raises(WireError) as caught:
            await pool.send(server.origin, lambda: put(reading, reading.size_bytes))
        assert caught.value.kind is WireErrorKind.TRUNCATED
        await until(lambda: pool.counts(server.origin).open == 0)
