"""One connection: requests go out, answers come in, one exchange at a time. Who may use it is the pool's business."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol, cast

from omsd.wire.answer import Answer
from omsd.wire.errors import WireError, WireErrorKind
from omsd.wire.message import ByteSource, Deadlines, Head, Request, render_head
from omsd.wire.parse import AnswerParser, Framing, framing_of, keeps_alive, read_plain_head
from omsd.wire.upload import Upload

_HIGH_WATER_BYTES = 256 * 1024
_LOW_WATER_BYTES = 64 * 1024
_JOIN_BYTES = 64 * 1024  # below this a copy costs less than a second buffer in the transport
_RESCUE_BYTES = 64 * 1024
_MAX_INTERIM = 16
_CONTINUE_S = 1.0  # RFC 9110 10.1.1: a client should not wait for 100 for ever


class Owner(Protocol):
    """Whom a connection belongs to."""

    def give_back(self, connection: Connection, *, usable: bool) -> None:
        """The exchange is over; called once for each."""

    def lost(self, connection: Connection) -> None:
        """The connection is gone for good."""


class _Phase(Enum):
    IDLE = auto()
    HEAD = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


# By their own names: looking a member up in its Enum is a call into Python in 3.11, 0.2 us, a dozen times per exchange.
_IDLE, _HEAD, _LENGTH, _CHUNKED, _UNTIL_CLOSE = _Phase
_PHASE_OF = {
    Framing.NONE: _IDLE,
    Framing.LENGTH: _LENGTH,
    Framing.CHUNKED: _CHUNKED,
    Framing.UNTIL_CLOSE: _UNTIL_CLOSE,
}


class Connection(asyncio.Protocol):
    """An open connection. Between exchanges any byte or end from the peer closes it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deadlines: Deadlines, owner: Owner) -> None:
        self.idle_since_s = 0.0
        self.exchanges = 0
        self.source_started = False  # of the latest exchange: its body cannot be sent again
        self.closed = False
        self._loop = loop
        self._now: Callable[[], float] = loop.time
        self._deadlines = deadlines
        self._owner = owner
        self._transport: asyncio.Transport
        self._phase = _IDLE
        self._waiter: asyncio.Future[Answer | Exception] | None = None
        self._answer: Answer | None = None
        self._parser: AnswerParser | None = None
        self._request: Request | None = None
        self._upload: Upload | None = None
        self._body_held_back = False
        self._left = 0
        self._interim = 0
        self._answered = False
        self._keep = False
        self._reading_paused = False
        self._last_s = 0.0
        self._drained_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._continue_timer: asyncio.TimerHandle | None = None

    async def exchange(self, request: Request) -> Answer:
        """Send the request; the answer, once its head is there. The owner gets the connection back exactly once for each call.

        Raises WireError, or the very exception that the body's source failed with. Cancelled or failed, the connection is gone.
        """
        waiter: asyncio.Future[Answer | Exception] = self._loop.create_future()
        if self.closed:
            self._owner.give_back(self, usable=False)
            raise WireError(WireErrorKind.RESET, "the connection was already closed")
        assert self._phase is _IDLE
        self._waiter = waiter
        try:
            self._send(request)
            result = await waiter
        except BaseException:
            # By now the connection may be somebody else's: touch it only through what is surely ours.
            if self._waiter is waiter:
                self.drop()
            elif waiter.done() and not waiter.cancelled() and isinstance(answer := waiter.result(), Answer):
                answer.abandon()
            raise
        if isinstance(result, Answer):
            return result
        raise result

    def return_unused(self) -> None:
        """Leased, but no exchange was begun."""
        self._owner.give_back(self, usable=not self.closed)

    def drop(self) -> None:
        """End the connection at once; an exchange under way is broken."""
        self._break(WireError(WireErrorKind.RESET, "the exchange was given up", answered=self._answered))

    # -- asked by the answer's body

    def pause_body(self) -> None:
        """Stop reading; the stall deadline rests."""
        if not self._reading_paused and not self.closed:
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_body(self) -> None:
        """Read on; the stall deadline counts from now."""
        if self._reading_paused and not self.closed:
            self._reading_paused = False
            self._last_s = self._now()
            self._transport.resume_reading()

    # -- asked by the request's body

    def upload_ended(self) -> None:
        """The whole body is in the transport; the first-byte deadline counts from now, or from when it has drained."""
        self._last_s = self._now()

    def upload_failed(self, error: Exception) -> None:
        """The body will not be whole: the connection is of no use any more."""
        self._break(error)

    # -- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The way is open."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES, low=_LOW_WATER_BYTES)

    def pause_writing(self) -> None:
        """The transport is full."""
        if self._upload is not None:
            self._upload.pause()

    def resume_writing(self) -> None:
        """The transport has room."""
        self._last_s = self._now()
        if self._upload is not None:
            self._upload.resume()

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        self._last_s = self._now()
        phase = self._phase
        if phase is _LENGTH:
            self._take_counted(data)
        elif phase is _HEAD:
            self._answered = True
            try:
                self._take_head(data)
            except WireError as error:
                self._break(error)
        elif phase is _CHUNKED:
            self._take_chunked(data)
        elif phase is _UNTIL_CLOSE:
            assert self._answer is not None
            self._answer.deliver(data)
        else:
            self.drop()

    def eof_received(self) -> bool:
        """The peer sends nothing more."""
        if self._phase is _UNTIL_CLOSE:
            self._finish()
        elif self._phase in (_LENGTH, _CHUNKED):
            self._break(WireError(WireErrorKind.TRUNCATED, "the body ended early", answered=True))
        else:
            self._break(WireError(WireErrorKind.RESET, "closed without an answer", answered=self._answered))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The way is gone."""
        if exc is not None and not self.closed:
            self._rescue_answer()
        if not self.closed:
            if exc is None:
                self.eof_received()
            else:
                error = WireError(WireErrorKind.RESET, f"connection lost: {exc}", answered=self._answered)
                error.__cause__ = exc
                self._break(error)
        self._owner.lost(self)

    # -- sending

    def _send(self, request: Request) -> None:
        head = render_head(request)
        self.exchanges += 1
        self.source_started = False
        self._request = request
        self._phase = _HEAD
        self._answered = False
        self._interim = 0
        self._last_s = self._now()
        self._drained_bytes = 0
        body = request.body
        if body is None:
            self._transport.write(head)
        elif request.expect_continue:
            self._body_held_back = True
            self._transport.write(head)
            self._continue_timer = self._loop.call_later(_CONTINUE_S, self._send_held_back)
        elif isinstance(body, bytes):
            if len(body) <= _JOIN_BYTES:
                self._transport.write(head + body)
            else:
                self._transport.write(head)
                self._transport.write(body)
        else:
            self._transport.write(head)
            self._send_source(body, request.size_bytes)
        if self._timer is None and not self.closed:
            self._arm(self._tick_s())

    def _send_source(self, source: ByteSource, size_bytes: int) -> None:
        self.source_started = True
        self._upload = Upload(source, size_bytes, self._transport.write, self)
        self._upload.start()

    def _send_held_back(self) -> None:
        if not self._body_held_back or self._request is None:
            return
        self._stop_continue_timer()
        self._body_held_back = False
        self._last_s = self._now()
        body = self._request.body
        if isinstance(body, bytes):
            self._transport.write(body)
        elif body is not None:
            self._send_source(body, self._request.size_bytes)

    def _is_unsent(self) -> bool:
        """Part of the request's body, if it has one, is still on our side."""
        pending = self._body_held_back or (self._upload is not None and self._upload.open)
        return pending or self._transport.get_write_buffer_size() > 0

    # -- receiving

    def _take_head(self, data: bytes) -> None:
        if self._parser is None:
            plain = read_plain_head(data)
            if plain is not None:
                self._begin_answer(*plain, version="1.1")
                return
            self._parser = AnswerParser()
        rest: bytes | None = data
        while self._phase is _HEAD and rest is not None:
            rest = self._parser.read_head(rest)
            head = self._parser.head
            if head is None or rest is None:
                return
            if head.status >= 200:
                self._begin_answer(head, rest, self._parser.version)
                return
            self._interim += 1
            if head.status == 101 or self._interim > _MAX_INTERIM:
                text = f"interim status {head.status} where a final one is due"
                raise WireError(WireErrorKind.PROTOCOL, text, answered=True)
            self._parser = AnswerParser()
            if head.status == 100:
                self._send_held_back()
            rest = rest or None

    def _begin_answer(self, head: Head, rest: bytes, version: str) -> None:
        assert self._request is not None
        unsent = self._request.body is not None and self._is_unsent()
        if unsent and head.status < 300:
            raise WireError(
                WireErrorKind.PROTOCOL, f"status {head.status} before the body was sent", answered=True
            )
        framing, size_bytes = framing_of(self._request.method, head)
        phase = _PHASE_OF[framing]
        self._keep = not unsent and phase is not _UNTIL_CLOSE and keeps_alive(head, version)
        if self._upload is not None or self._body_held_back or self._continue_timer is not None:
            self._stop_upload()
        waiter, self._waiter = self._waiter, None
        self._phase = phase
        self._left = max(size_bytes, 0)
        answer = self._answer = Answer(head, size_bytes, self)
        if waiter is None or waiter.done():
            self.drop()
            return
        waiter.set_result(answer)
        if phase is _IDLE:
            # Whatever follows a bodyless answer is not its body, but it makes the connection unfit.
            self._keep = self._keep and not rest
            self._finish()
        elif phase is _LENGTH:
            self._take_counted(rest)
        elif phase is _CHUNKED and rest:
            self._take_chunked(rest)
        elif rest:
            answer.deliver(rest)

    def _take_counted(self, data: bytes) -> None:
        # No parser here: counting is all that a body of known length needs, and the chunk goes on uncopied.
        left = self._left - len(data)
        answer = self._answer
        assert answer is not None
        if left < 0:
            self._break(WireError(WireErrorKind.OVERLONG, f"{-left} bytes behind the body", answered=True))
            return
        self._left = left
        if data:
            answer.deliver(data)
        if left == 0 and self._answer is answer:
            self._finish()

    def _take_chunked(self, data: bytes) -> None:
        answer, parser = self._answer, self._parser
        assert answer is not None
        assert parser is not None
        try:
            body = parser.read_chunked(data)
        except WireError as error:
            self._break(error)
            return
        if body:
            answer.deliver(body)
        if parser.complete and self._answer is answer:
            self._keep = self._keep and not parser.leftover
            self._finish()

    def _rescue_answer(self) -> None:
        # A peer that refuses an upload answers and closes; our next write then fails before the loop has read the answer,
        # which still lies in the socket. Seen with 403 and 503 in the middle of a PUT. Not possible under TLS.
        if self._phase is not _HEAD or self._transport.get_extra_info("ssl_object") is not None:
            return
        socket = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            while not self.closed and socket is not None:
                data = os.read(socket.fileno(), _RESCUE_BYTES)
                if not data:
                    self.eof_received()
                    return
                self.data_received(data)

    # -- the end of an exchange

    def _finish(self) -> None:
        answer, self._answer = self._answer, None
        assert answer is not None
        self._phase = _IDLE
        self._parser = None
        self._request = None
        if not self._keep:
            self._close()
        elif self._reading_paused:
            self.resume_body()
        self._owner.give_back(self, usable=self._keep)
        answer.finished(None)

    def _break(self, error: Exception) -> None:
        if self.closed:
            return
        busy = self._waiter is not None or self._answer is not None
        self._close()
        self._phase = _IDLE
        self._parser = None
        self._request = None
        self._stop_upload()
        waiter, self._waiter = self._waiter, None
        answer, self._answer = self._answer, None
        if busy:
            self._owner.give_back(self, usable=False)
        if waiter is not None and not waiter.done():
            waiter.set_result(error)
        if answer is not None:
            answer.finished(error)

    def _close(self) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop_continue_timer()
        self._transport.abort()

    def _stop_upload(self) -> None:
        self._body_held_back = False
        self._stop_continue_timer()
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.stop()

    def _stop_continue_timer(self) -> None:
        if self._continue_timer is not None:
            self._continue_timer.cancel()
            self._continue_timer = None

    # -- deadlines: one timer for the life of the connection, it looks at stamps

    def _tick_s(self) -> float:
        return min(self._deadlines.first_byte_s, self._deadlines.stall_s) / 4

    def _arm(self, delay_s: float) -> None:
        self._timer = self._loop.call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._phase is _IDLE:
            return
        left_s = self._tick_s()
        due = self._due()
        if due is not None:
            kind, at_s = due
            if self._now() >= at_s:
                self._break(
                    WireError(
                        kind,
                        f"{kind.value} after {_limit_s(self._deadlines, kind)} s",
                        answered=self._answered,
                    )
                )
                return
            left_s = min(left_s, at_s - self._now())
        self._arm(max(left_s, 0.001))

    def _due(self) -> tuple[WireErrorKind, float] | None:
        """Which deadline runs, and when it is over; None while we, or the source of the body, are the ones who wait."""
        limits = self._deadlines
        if self._phase is not _HEAD:
            return None if self._reading_paused else (WireErrorKind.STALLED, self._last_s + limits.stall_s)
        buffered_bytes = self._transport.get_write_buffer_size()
        if buffered_bytes == 0:
            if self._body_held_back or (self._upload is not None and self._upload.open):
                self._last_s = self._now()
                return None
            return WireErrorKind.TIMEOUT_FIRST_BYTE, self._last_s + limits.first_byte_s
        sent_bytes = self._upload.sent_bytes if self._upload is not None else 0
        if sent_bytes - buffered_bytes != self._drained_bytes:
            self._drained_bytes = sent_bytes - buffered_bytes
            self._last_s = self._now()
        if limits.stall_s <= limits.first_byte_s:
            return WireErrorKind.STALLED, self._last_s + limits.stall_s
        return WireErrorKind.TIMEOUT_FIRST_BYTE, self._last_s + limits.first_byte_s


def _limit_s(limits: Deadlines, kind: WireErrorKind) -> float:
    return limits.stall_s if kind is WireErrorKind.STALLED else limits.first_byte_s
