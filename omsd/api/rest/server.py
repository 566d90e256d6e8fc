"""The web server in front of RestApp: one listening address, plain or TLS. All it says is in the documented form, also to garbage."""

from __future__ import annotations

import asyncio
import ssl
import uuid

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from omsd.api.connections import ConnectionLimits, Connections
from omsd.api.rest.answers import ErrorBody
from omsd.api.rest.app import JSON, REQUEST_ID, Incoming, RestApp, TooLargeError
from omsd.domain.errors import OmsdError, Refusal, RequestError
from omsd.telemetry.logging import get_logger

MIB = 1024 * 1024
BODY_MAX_BYTES = 12 * MIB
BODIES_MAX_BYTES = 128 * MIB
BODY_TIMEOUT_S = 60.0
# A token has up to 16,384 characters; a project id of 1,024 characters three times as many bytes, percent-encoded.
_HEADER_MAX_BYTES = 20 * 1024
_LINE_MAX_BYTES = 32 * 1024
_MALFORMED = "OMS.0004"

log = get_logger(__name__)


class RestListenError(OmsdError):
    """The address cannot be listened on."""


class RestServer:
    """Answers from start() on; stop() ends it."""

    def __init__(
        self,
        app: RestApp,
        *,
        listen: str,
        tls: ssl.SSLContext | None = None,
        limits: ConnectionLimits | None = None,
        bodies_max_bytes: int = BODIES_MAX_BYTES,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._app = app
        self._listen = listen
        self._tls = tls
        self._connections = Connections(limits or ConnectionLimits())
        self._bodies = _Bodies(bodies_max_bytes, body_timeout_s)
        self._web: web.Server | None = None
        self._listening: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen and answer. Returns the address, with the port that was given for port 0.

        Raises RestListenError if the address is taken or cannot be used.
        """
        server = _Server(
            self._handle,
            keepalive_timeout=self._connections.limits.keepalive_timeout_s,
            auto_decompress=False,
            max_line_size=_LINE_MAX_BYTES,
            max_field_size=_HEADER_MAX_BYTES,
            access_log=None,
        )
        try:
            self._listening, address = await self._connections.listen(server, self._listen, self._tls)
        except OSError as error:
            raise RestListenError(
                f"cannot listen on {self._listen} (rest_listen): {error.strerror or error}; "
                "is it in use, or not an address of this machine?"
            ) from error
        self._web = server
        return address

    async def stop(self, *, grace_s: float) -> None:
        """Take no more requests; those under way get grace_s, then are cut. Safe to repeat."""
        self._app.drain()
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        if self._web is not None:
            self._web.pre_shutdown()
            await self._web.shutdown(grace_s)
            self._web = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        with self._connections.serving(request.transport):
            return await self._answer(request)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        held: list[int] = []
        incoming = Incoming(
            request.method,
            _target_of(request.raw_path),
            tuple(request.headers.items()),
            lambda: self._bodies.read(request, held),
            request.remote or "",
            "https" if self._tls is not None else "http",
        )
        try:
            outgoing = await self._app.answer(incoming)
        finally:
            self._bodies.release(held)
        response = web.Response(status=outgoing.status, headers=outgoing.headers, body=outgoing.body)
        if not request.content.is_eof():
            # The rest of a body that is not wanted is not waited for.
            response.force_close()
        return response


class _Server(web.Server):
    """Makes connections that answer garbage in the documented form."""

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """Nothing but its words for errors is changed."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What cannot be read as HTTP gets an answer all the same, and the connection ends."""
        request_id = uuid.uuid4().hex
        log.info("malformed request", request_id=request_id, error=type(exc).__name__)
        body = ErrorBody(
            error_code=_MALFORMED, error_msg="the request is malformed HTTP, or its head too long"
        )
        response = web.Response(
            status=400,
            headers={REQUEST_ID: request_id, "Content-Type": JSON, "Server": "omsd"},
            body=msgspec.json.encode(body),
        )
        response.force_close()
        return response


class _Bodies:
    """Bodies that are held at this moment, bounded: callers send them before it is known who they are."""

    def __init__(self, max_bytes: int, timeout_s: float) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._held_bytes = 0

    async def read(self, request: web.BaseRequest, held: list[int]) -> bytes:
        """The body; what is added to `held` must be given back by release().

        Raises RequestError if it is too large, too slow or broken off, or if too much is held already.
        """
        if not request.body_exists:
            return b""
        if (request.content_length or 0) > BODY_MAX_BYTES:
            raise _too_large()
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                while chunk := await request.content.readany():
                    chunks.append(chunk)
                    held.append(len(chunk))
                    self._held_bytes += len(chunk)
                    if sum(held) > BODY_MAX_BYTES:
                        raise _too_large()
                    if self._held_bytes > self._max_bytes:
                        raise RequestError(
                            "OMS.2004", "too many large bodies at once; try again later", refusal=Refusal.BUSY
                        )
        except TimeoutError as error:
            raise RequestError(_MALFORMED, f"the body did not come within {self._timeout_s:g} s") from error
        except web.RequestPayloadError as error:
            raise RequestError(_MALFORMED, "the body is not what its headers say") from error
        return b"".join(chunks)

    def release(self, held: list[int]) -> None:
        """The request is answered."""
        self._held_bytes -= sum(held)


def _too_large() -> TooLargeError:
    return TooLargeError(
        "OMS.0064", f"the body is larger than {BODY_MAX_BYTES // MIB} MB; send less in one call"
    )


def _target_of(raw: str) -> str:
    """Path and query, also of a target in absolute form."""
    if raw.startswith("/"):
        return raw
    _, separator, rest = raw.partition("://")
    return "/" + rest.partition("/")[2] if separator else "/" + raw
