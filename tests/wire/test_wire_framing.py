"""Where a body begins and ends, what is refused as an answer, and that no byte is lost or invented."""

from __future__ import annotations

import asyncio

import pytest

from omsd.wire import CollectSink, Request, WireError, WireErrorKind
from tests.waiting import until
from tests.wire.bodies import BLOCK, RecordingSink, get, ok
from tests.wire.conftest import PoolFactory
from tests.wire.scripted_server import Peer, Script, scripted

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def say(data: bytes, *, close: bool = False) -> Script:
    """Answer every request with these bytes."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.send(data)
            if close:
                peer.close()

    return script


@pytest.mark.parametrize(
    ("data", "size_bytes", "body"),
    [
        (ok(b"hello"), 5, b"hello"),
        (ok(b""), 0, b""),
        (CHUNKED + b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n", -1, b"hello world"),
        (CHUNKED + b"0\r\n\r\n", -1, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + ok(b"hello"), 5, b"hello"),
    ],
)
async def test_body_comes_whole_and_connection_is_kept(
    make_pool: PoolFactory, data: bytes, size_bytes: int, body: bytes
) -> None:
    async with scripted(say(data)) as server:
        pool = make_pool()
        for _ in range(2):
            answer = await pool.send(server.origin, get)
            assert answer.size_bytes == size_bytes
            assert await answer.read_all(100) == body
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    "data", [ok(b"hello" * 20, "X-A: 1"), CHUNKED + b"64\r\n" + b"hello" * 20 + b"\r\n0\r\n\r\n"]
)
async def test_answer_that_comes_byte_by_byte_is_read_like_any_other(
    make_pool: PoolFactory, data: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        for n in range(len(data)):
            await peer.send(data[n : n + 1])
            await asyncio.sleep(0)

    async with scripted(script) as server:
        answer = await make_pool().send(server.origin, get)
        assert await answer.read_all(100) == b"hello" * 20


async def test_close_delimited_body_ends_with_the_connection(make_pool: PoolFactory) -> None:
    async with scripted(say(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True)) as server:
        pool = make_pool()
        answer = await pool.send(server.origin, get)
        assert answer.size_bytes == -1
        assert await answer.read_all(100) == b"hello"
        await until(lambda: pool.counts(server.origin).open == 0)


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: x\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 404 No\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_keep_the_connection(
    make_pool: PoolFactory, method: str, data: bytes
) -> None:
    async with scripted(say(data)) as server:
        pool = make_pool()
        for _ in range(2):
            answer = await pool.send(server.origin, lambda: Request(method, "/", [("Host", "fake")]))
            assert answer.size_bytes == 0
            assert await answer.read_all(0) == b""
        assert len(server.peers) == 1


async def test_headers_are_lower_case_and_joined(make_pool: PoolFactory) -> None:
    async with scripted(say(ok(b"", "X-One: a", "x-one: b", "ETag: \xe9"))) as server:
        answer = await make_pool().send(server.origin, get)
        assert answer.head.status == 200
        assert answer.head.headers["x-one"] == "a, b"
        assert answer.head.headers["etag"].encode("latin-1").decode() == "\xe9"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", WireErrorKind.TRUNCATED),
        (CHUNKED + b"a\r\nhello", WireErrorKind.TRUNCATED),
        (CHUNKED + b"5\r\nhello\r\n", WireErrorKind.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", WireErrorKind.OVERLONG),
        (CHUNKED + b"5\r\nhello\r\nzz\r\n", WireErrorKind.PROTOCOL),
        (CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 20_000, WireErrorKind.HEADERS_TOO_LARGE),
        (CHUNKED + b"5;" + b"x" * 100_000, WireErrorKind.HEADERS_TOO_LARGE),
    ],
)
async def test_broken_body_is_an_error_for_reader_and_sink(
    make_pool: PoolFactory, data: bytes, kind: WireErrorKind
) -> None:
    async with scripted(say(data, close=True)) as server:
        pool = make_pool()
        answer = await pool.send(server.origin, get)
        with pytest.raises(WireError) as caught:
            await answer.read_all(100)
        assert (caught.value.kind, caught.value.answered) == (kind, True)
        answer, sink = await pool.send(server.origin, get), RecordingSink()
        answer.start(sink)
        await until(lambda: bool(sink.outcomes))
        await answer.close()
        assert [getattr(outcome, "kind", outcome) for outcome in sink.outcomes] == [kind]
        assert pool.counts(server.origin).leased == 0


async def test_reset_in_a_body_is_an_error(make_pool: PoolFactory) -> None:
    read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await read.wait()
        peer.reset()

    async with scripted(script) as server:
        answer = await make_pool().send(server.origin, get)
        read.set()
        with pytest.raises(WireError) as caught:
            await answer.read_all(100)
        assert (caught.value.kind, caught.value.answered) == (WireErrorKind.RESET, True)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"SSH-2.0-OpenSSH\r\n", WireErrorKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", WireErrorKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", WireErrorKind.PROTOCOL),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            WireErrorKind.PROTOCOL,
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", WireErrorKind.PROTOCOL),
        (b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", WireErrorKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", WireErrorKind.PROTOCOL),
        (b"\r\n\r\n", WireErrorKind.PROTOCOL),
        (b"HTTP/1.1 102 Wait\r\n\r\n" * 100, WireErrorKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n", WireErrorKind.HEADERS_TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", WireErrorKind.HEADERS_TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, WireErrorKind.HEADERS_TOO_LARGE),
        (b"HTTP/1.1 200 O", WireErrorKind.RESET),
    ],
)
async def test_bad_head_is_refused(make_pool: PoolFactory, data: bytes, kind: WireErrorKind) -> None:
    close = kind is WireErrorKind.RESET
    async with scripted(say(data, close=close)) as server:
        pool = make_pool()
        with pytest.raises(WireError) as caught:
            await pool.send(server.origin, get)
        assert (caught.value.kind, caught.value.answered) == (kind, True)
        await until(lambda: pool.counts(server.origin).open == 0)


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/a\r\nX-Evil: 1", []),
        Request("GET", "/a b", []),
        Request("GET", "/", [("X-Meta", "a\nX-Evil: 1")]),
        Request("GET", "/", [("X-Meta\r", "a")]),
        Request("GET", "/\0", []),
    ],
)
async def test_request_head_that_would_mean_something_else_is_not_sent(
    make_pool: PoolFactory, request_: Request
) -> None:
    async with scripted(say(ok())) as server:
        pool = make_pool()
        with pytest.raises(WireError) as caught:
            await pool.send(server.origin, lambda: request_)
        assert caught.value.kind is WireErrorKind.PROTOCOL
        assert pool.counts(server.origin).leased == 0


async def test_read_all_stops_at_its_limit(make_pool: PoolFactory) -> None:
    chunked = CHUNKED + b"5\r\nhello\r\n" * 3 + b"0\r\n\r\n"
    for data in (ok(b"hello" * 3), chunked):
        async with scripted(say(data)) as server:
            pool = make_pool()
            answer = await pool.send(server.origin, get)
            with pytest.raises(WireError) as caught:
                await answer.read_all(14)
            assert caught.value.kind is WireErrorKind.OVERLONG
            assert pool.counts(server.origin).leased == 0


async def test_body_before_start_is_bounded_and_nothing_is_lost(make_pool: PoolFactory) -> None:
    blocks, blocked = 512, asyncio.Event()
    written = 0

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (blocks * len(BLOCK)))
        written = await peer.send_until_blocked(BLOCK, count=blocks, blocked_s=0.6)
        blocked.set()
        for _ in range(blocks - written):
            await peer.send(BLOCK)

    async with scripted(script) as server:
        answer = await make_pool(stall_s=0.4).send(server.origin, get)
        await blocked.wait()
        assert written < blocks
        body = await answer.read_all(blocks * len(BLOCK))
        assert body == BLOCK * blocks


async def test_slow_sink_pauses_the_peer_and_gets_every_byte(make_pool: PoolFactory) -> None:
    blocks, blocked = 512, asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (blocks * len(BLOCK)))
        written = await peer.send_until_blocked(BLOCK, count=blocks, blocked_s=0.6)
        blocked.set()
        for _ in range(blocks - written):
            await peer.send(BLOCK)

    class PausingSink(RecordingSink):
        def feed(self, chunk: bytes) -> None:
            super().feed(chunk)
            answer.pause()

    async with scripted(script) as server:
        # The stall deadline is shorter than our pause: it must not run while we are the ones who wait.
        answer = await make_pool(stall_s=0.4).send(server.origin, get)
        sink = PausingSink()
        answer.start(sink)
        await blocked.wait()
        assert sink.size_bytes <= 1024 * 1024
        while not sink.outcomes:
            answer.resume()
            await asyncio.sleep(0)
        assert sink.outcomes == ["end"]
        assert b"".join(sink.chunks) == BLOCK * blocks


async def test_end_waits_for_bytes_held_by_a_pause(make_pool: PoolFactory) -> None:
    async with scripted(say(ok(b"hello"))) as server:
        pool = make_pool()
        answer, sink = await pool.send(server.origin, get), RecordingSink()
        await until(lambda: pool.counts(server.origin).idle == 1)
        answer.pause()
        answer.start(sink)
        assert (sink.chunks, sink.outcomes) == ([], [])
        answer.resume()
        assert (sink.chunks, sink.outcomes) == ([b"hello"], ["end"])
        await answer.close()
        assert sink.outcomes == ["end"]


async def test_closing_an_unread_answer_drops_its_connection_and_fails_the_sink(
    make_pool: PoolFactory,
) -> None:
    async with scripted(say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")) as server:
        pool = make_pool()
        answer, sink = await pool.send(server.origin, get), CollectSink(100)
        answer.start(sink)
        await answer.close()
        await answer.close()
        with pytest.raises(WireError, match="closed before its end"):
            await sink.wait()
        assert pool.counts(server.origin).leased == 0
        await until(lambda: pool.counts(server.origin).open == 0)


async def test_closing_with_bytes_still_held_never_ends_the_sink_well(make_pool: PoolFactory) -> None:
    async with scripted(say(ok(b"hello"))) as server:
        pool = make_pool()
        answer, sink = await pool.send(server.origin, get), RecordingSink()
        await until(lambda: pool.counts(server.origin).idle == 1)
        answer.pause()
        answer.start(sink)
        await answer.close()
        assert [type(outcome) for outcome in sink.outcomes] == [WireError]


async def test_sink_that_closes_its_answer_from_inside_feed_hears_one_failure(make_pool: PoolFactory) -> None:
    class ClosingSink(RecordingSink):
        def feed(self, chunk: bytes) -> None:
            super().feed(chunk)
            answer.abandon()

    async with scripted(say(ok(b"hello"))) as server:
        pool = make_pool()
        answer = await pool.send(server.origin, get)
        sink = ClosingSink()
        answer.start(sink)
        await until(lambda: bool(sink.outcomes))
        assert len(sink.outcomes) == 1
        assert pool.counts(server.origin).leased == 0
