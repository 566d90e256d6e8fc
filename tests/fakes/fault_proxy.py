"""A proxy in front of a real server that makes the faults a test asks for, request by request.

It runs in a thread with a loop of its own, so that any test, loop or process can use it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tests.fakes.faults import Fault, Kind
from tests.fakes.http_relay import LAST_CHUNK, Head, body_length, framed, iter_body, read_head

START_DEADLINE_S = 10.0
STALL_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came, and the fault it met."""

    method: str
    target: str
    fault: Kind | None


class _Cut(Exception):
    """The exchange is over and so is the connection. reset: with a RST."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


class FaultProxy:
    """Passes HTTP/1.1 on to `upstream` (http://host:port), heads as they came, so that signatures hold."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._clients: set[asyncio.StreamWriter] = set()
        # Bound for as long as we live, so that nobody else gets the port while connections are refused.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self._port: int = self._held.getsockname()[1]
        self._refusals: set[asyncio.Task[None]] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.seen: list[Seen] = []

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(START_DEADLINE_S):
            raise TimeoutError("the fault proxy did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_DEADLINE_S)
        self._held.close()

    @property
    def url(self) -> str:
        """Where clients go instead of the server."""
        return f"http://127.0.0.1:{self._port}"

    def add(self, fault: Fault) -> Fault:
        """The fault is armed; of several that fit a request the first added meets it."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """All faults are gone; what stalls goes on stalling."""
        with self._lock:
            self._faults.clear()

    def refuse(self) -> None:
        """Connections are refused and open ones reset, until accept()."""
        self._call(self._close_listener)

    def accept(self) -> None:
        """Connections are taken again, on the same port."""
        self._call(self._open_listener)

    def count(self, method: str = "", target: str = "") -> int:
        """Requests seen that fit."""
        fits = [s for s in list(self.seen) if method in ("", s.method) and re.search(target, s.target)]
        return len(fits)

    def _call(self, action: object) -> None:
        future = asyncio.run_coroutine_threadsafe(action(), self._loop)  # type: ignore[operator]
        future.result(START_DEADLINE_S)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await self._open_listener()
        self._ready.set()
        await self._stop.wait()
        for refusal in self._refusals:
            refusal.cancel()
        await self._close_listener()
        for serving in self._serving:
            serving.cancel()
        while self._serving:
            await asyncio.wait(self._serving)

    async def _open_listener(self) -> None:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", self._port)

    async def _close_listener(self) -> None:
        self._server.close()
        # What was accepted last is known a step later.
        await asyncio.sleep(0)
        for client in list(self._clients):
            _abort(client)

    def _refuse_for(self, duration_s: float) -> None:
        async def refuse() -> None:
            await self._close_listener()
            await asyncio.sleep(duration_s)
            await self._open_listener()

        refusal = asyncio.create_task(refuse())
        self._refusals.add(refusal)
        refusal.add_done_callback(self._refusals.discard)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # From here on, so that whoever closes all connections knows also those that nobody serves yet.
        self._clients.add(writer)
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = _Upstream(*self._upstream)
        try:
            while (head := await read_head(reader)) is not None:
                if not await self._exchange(reader, writer, server, head):
                    break
        except _Cut as cut:
            if cut.reset:
                _abort(writer)
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # Cancelled at the end of the loop; asyncio's streams would report that as an error.
            _abort(writer)
        finally:
            self._clients.discard(writer)
            server.drop()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _fault_for(self, method: str, target: str) -> Fault | None:
        with self._lock:
            fault = next((f for f in self._faults if f.meets(method, target)), None)
        self.seen.append(Seen(method, target, fault.kind if fault else None))
        return fault

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: _Upstream, head: Head
    ) -> bool:
        """One request and its answer; True if another may follow."""
        method, target = head.first_line.decode("latin-1").split(" ")[:2]
        fault = self._fault_for(method, target)
        kind = fault.kind if fault else None
        if fault is not None and kind is Kind.RESET:
            raise _Cut(reset=True)
        if fault is not None and kind is Kind.REFUSE:
            self._refuse_for(fault.delay_s)
            raise _Cut(reset=True)
        if fault is not None and kind is Kind.DELAY:
            await asyncio.sleep(fault.delay_s)
        if head.get("expect").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = body_length(head)
        if fault is not None and kind in (Kind.ANSWER, Kind.SILENCE):
            async for _ in iter_body(reader, head, length):
                pass
            return await self._answer(writer, fault, method)
        answer, upload = await self._forward(reader, server, head, fault)
        try:
            if fault is not None and kind in (Kind.LOSE, Kind.REPLACE):
                await server.skip_body(answer, method)
                return await self._answer(writer, fault, method)
            await self._relay(writer, server, answer, method, fault)
            # An answer before the end of the request leaves both connections in no known state.
            return upload.done() and answer.keeps_alive and head.keeps_alive
        finally:
            upload.cancel()
            if not answer.keeps_alive:
                server.drop()

    async def _forward(
        self, reader: asyncio.StreamReader, server: _Upstream, head: Head, fault: Fault | None
    ) -> tuple[Head, asyncio.Task[None]]:
        """The head of the server's answer, and the upload that may still be under way."""
        await server.connect()
        length = body_length(head)
        body = iter_body(reader, head, length)
        if fault is not None and fault.kind is Kind.FLIP_REQUEST:
            body = _flipped(body, fault.at, length)
        upload = asyncio.create_task(
            _send(server.writer, head.without("expect"), body, chunked=length is None)
        )
        answer = asyncio.create_task(server.read_answer())
        await asyncio.wait([answer, upload], return_when=asyncio.FIRST_COMPLETED)
        if upload.done() and isinstance(upload.exception(), EOFError):
            # The client went away in mid request; the server must not wait for the rest.
            answer.cancel()
            raise _Cut(reset=True)
        await answer
        # The upload ends in the same instant as a rule; its answer may overtake it by a step.
        await asyncio.wait([upload], timeout=0.05)
        return answer.result(), upload

    async def _answer(self, writer: asyncio.StreamWriter, fault: Fault, method: str) -> bool:
        if fault.kind is Kind.SILENCE:
            await self._stall()
        if fault.kind is Kind.LOSE:
            raise _Cut
        lines = [f"HTTP/1.1 {fault.status} Fault", f"Content-Length: {len(fault.body)}"]
        lines += [f"{name}: {value}" for name, value in fault.headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == "HEAD" else fault.body))
        await writer.drain()
        return True

    async def _relay(
        self,
        writer: asyncio.StreamWriter,
        server: _Upstream,
        answer: Head,
        method: str,
        fault: Fault | None,
    ) -> None:
        length = body_length(answer, of_answer_to=method)
        body = iter_body(server.reader, answer, length)
        chunked = answer.get("transfer-encoding").lower() == "chunked"
        if fault is None or fault.kind in (Kind.DELAY, Kind.FLIP_REQUEST):
            await _send(writer, answer, body, chunked=chunked)
            return
        match fault.kind:
            case Kind.FLIP_ANSWER:
                await _send(writer, answer, _flipped(body, fault.at, length), chunked=chunked)
            case Kind.LENGTHEN:
                longer = answer.with_header("Content-Length", str((length or 0) + fault.at))
                await _send(writer, longer, body, chunked=False)
                writer.write(b"x" * fault.at)
                await writer.drain()
            case Kind.UNSIZED:
                unsized = answer.without("content-length").without("transfer-encoding")
                kept = _first(body, _offset(fault.at, length)) if fault.at else body
                await _send(writer, unsized.with_header("Connection", "close"), kept, chunked=False)
                raise _Cut
            case Kind.OVERRUN:
                await _send(writer, answer, body, chunked=chunked)
                writer.write(b"x" * fault.at)
                await writer.drain()
            case _:
                await _send(
                    writer, answer, _first(body, _offset(fault.at, length)), chunked=chunked, whole=False
                )
                if fault.kind is Kind.STALL:
                    await self._stall()
                raise _Cut

    async def _stall(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), STALL_LIMIT_S)
        raise _Cut(reset=True)


class _Upstream:
    """A kept-alive connection to the real server."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def connect(self) -> None:
        """There is a connection, the last one if it still stands."""
        if self._streams is not None and self._streams[0].at_eof():
            self.drop()
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)

    @property
    def reader(self) -> asyncio.StreamReader:
        assert self._streams is not None
        return self._streams[0]

    @property
    def writer(self) -> asyncio.StreamWriter:
        assert self._streams is not None
        return self._streams[1]

    async def read_answer(self) -> Head:
        """The head of the final answer."""
        while True:
            head = await read_head(self.reader)
            if head is None:
                raise ConnectionResetError("the server closed without an answer")
            if head.status >= 200:
                return head

    async def skip_body(self, answer: Head, method: str) -> None:
        """The answer's body is read and dropped."""
        length = body_length(answer, of_answer_to=method)
        async for _ in iter_body(self.reader, answer, length):
            pass

    def drop(self) -> None:
        """There is no connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _send(
    writer: asyncio.StreamWriter, head: Head, body: AsyncIterator[bytes], *, chunked: bool, whole: bool = True
) -> None:
    writer.write(head.render())
    await writer.drain()
    async for piece in body:
        writer.write(framed(piece) if chunked else piece)
        await writer.drain()
    if chunked and whole:
        writer.write(LAST_CHUNK)
        await writer.drain()


def _offset(at: int, length: int | None) -> int:
    if at >= 0:
        return at
    assert length is not None, "an offset from the end needs a length"
    return max(0, length + at)


async def _flipped(body: AsyncIterator[bytes], at: int, length: int | None) -> AsyncIterator[bytes]:
    offset = _offset(at, length)
    async for piece in body:
        if 0 <= offset < len(piece):
            yield piece[:offset] + bytes([piece[offset] ^ 1]) + piece[offset + 1 :]
        else:
            yield piece
        offset -= len(piece)


async def _first(body: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    left = size
    async for piece in body:
        if piece[:left]:
            yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _abort(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        # Zero linger makes the close a RST.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
