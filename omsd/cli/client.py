"""What the gRPC clients of all services share: the channel, the token, and errors that are ready to be shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from omsd.domain.errors import OmsdError, Violation

Answer = TypeVar("Answer")
Streamed = TypeVar("Streamed", bound=Message)

MIB = 1024 * 1024
TOKEN_KEY = "x-auth-token"  # noqa: S105 - the name of a header
RECONNECT_INTERVAL_S = 0.3
_OPTIONS = (
    # A page of 100 tasks with 500 keys each.
    ("grpc.max_receive_message_length", 256 * MIB),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The next attempt after a refused connection comes within a second, not within minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
_UNREACHABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class CallError(OmsdError):
    """A call that did not succeed. `code` is the OMS code, "" if the answer did not come from omsd."""

    def __init__(
        self, status: grpc.StatusCode, message: str, *, code: str = "", violations: tuple[Violation, ...] = ()
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.violations = violations

    @property
    def unreachable(self) -> bool:
        """No omsd answered."""
        return not self.code and self.status in _UNREACHABLE

    @property
    def not_found(self) -> bool:
        """The task does not exist in this project."""
        return self.status is grpc.StatusCode.NOT_FOUND or self.code == "OMS.0054"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the server is, and who we are there.

    target: host:port or unix:/path. ca_file: speak TLS and trust these certificates. cert_file, key_file: the certificate we show. token:
    sent with every call, "" for none.
    """

    target: str = "127.0.0.1:7070"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    token: str = field(default="", repr=False)


class Client:
    """A connection to one server, for one project; to be used in `async with`. Every call raises CallError."""

    def __init__(self, server: ServerAddress, project_id: str, *, timeout_s: float = 30.0) -> None:
        self._target = server.target
        self._project_id = project_id
        self._timeout_s = timeout_s
        self._channel = open_channel(server)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close(None)

    async def _call(self, method: Callable[..., Awaitable[Answer]], request: Message) -> Answer:
        return await translated(method(request, timeout=self._timeout_s), self._target)


def open_channel(server: ServerAddress) -> aio.Channel:
    """A channel that connects when it is used first. Raises OSError if a file cannot be read."""
    showing: Any = [_ShowUnary(server.token), _ShowStream(server.token)] if server.token else None
    if server.ca_file is None:
        return aio.insecure_channel(server.target, options=_OPTIONS, interceptors=showing)
    credentials = grpc.ssl_channel_credentials(
        server.ca_file.read_bytes(),
        server.key_file.read_bytes() if server.key_file else None,
        server.cert_file.read_bytes() if server.cert_file else None,
    )
    return aio.secure_channel(server.target, credentials, options=_OPTIONS, interceptors=showing)


class _ShowUnary(aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Sends the token with each call."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(_with_token(client_call_details, self._token), request)


class _ShowStream(aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Sends the token with each watch."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(_with_token(client_call_details, self._token), request)


def _with_token(details: aio.ClientCallDetails, token: str) -> aio.ClientCallDetails:
    metadata = aio.Metadata(*(details.metadata or ()), (TOKEN_KEY, token))
    return aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


async def translated(call: Awaitable[Answer], target: str) -> Answer:
    """The call's answer. Raises CallError."""
    try:
        return await call
    except aio.AioRpcError as error:
        raise _call_error(error, target) from error


async def follow(
    open_stream: Callable[[], aio.UnaryStreamCall[Any, Streamed]], target: str, timeout_s: float
) -> AsyncGenerator[Streamed, None]:
    """Everything the server streams, to the end.

    A server that goes away in mid watch is waited for, as long as one call may take; then CallError is raised.
    """
    gone_since: float | None = None
    seen = False
    while True:
        stream = open_stream()
        try:
            answer = await _first(stream, target, timeout_s)
            while answer is not None:
                seen, gone_since = True, None
                yield answer
                answer = await translated(_next(stream), target)
        except CallError as error:
            now = time.monotonic()
            gone_since = gone_since or now
            if not seen or error.status not in _UNREACHABLE or now - gone_since > timeout_s:
                raise
            await asyncio.sleep(RECONNECT_INTERVAL_S)
        else:
            return
        finally:
            stream.cancel()


async def _first(
    stream: aio.UnaryStreamCall[Any, Streamed], target: str, timeout_s: float
) -> Streamed | None:
    try:
        async with asyncio.timeout(timeout_s):
            return await translated(_next(stream), target)
    except TimeoutError as error:
        raise CallError(grpc.StatusCode.DEADLINE_EXCEEDED, _late(target)) from error


async def _next(stream: aio.UnaryStreamCall[Any, Streamed]) -> Streamed | None:
    answer: object = await stream.read()
    # At the end the library answers with a mark of its own.
    return cast("Streamed", answer) if isinstance(answer, Message) else None


def _late(target: str) -> str:
    return f"omsd at {target} did not answer in time (--timeout)"


def _call_error(error: aio.AioRpcError, target: str) -> CallError:
    code, violations = "", []
    for detail in _status_of(error).details:
        info, wrong = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            code = info.reason
        elif detail.Unpack(wrong):
            violations += [Violation(entry.field, entry.description) for entry in wrong.field_violations]
    message = error.details() or error.code().name
    if not code and error.code() is grpc.StatusCode.UNAVAILABLE:
        message = f"no omsd answers at {target}: is `omsd serve` running there? ({message})"
    if not code and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = _late(target)
    return CallError(error.code(), message, code=code, violations=tuple(violations))


def _status_of(error: aio.AioRpcError) -> status_pb2.Status:
    metadata: Any = error.trailing_metadata()
    for key, value in metadata or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()
