"""The HTTP server for event notifications of storage services. No rule lives here: who may send, and what counts, is the service's."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from aiohttp import web

from omsd.api.connections import ConnectionLimits, Connections
from omsd.api.events.answers import INTERNAL_CODE, error_answer, receipt_answer, refusal_answer
from omsd.api.events.payload import read_notification
from omsd.domain.bucket_events import Notification
from omsd.domain.errors import OmsdError, RequestError
from omsd.domain.sync import SyncTask
from omsd.service.sync_receiver import Receipt, events_path
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

BODY_MAX_BYTES = 1024 * 1024
# A body arrives within this, whoever sends it.
BODY_TIMEOUT_S = 30.0
# Bodies in memory at once; more are asked to come later.
_MOST_AT_ONCE = 64

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver(Protocol):
    """What is needed of service.sync_receiver.EventReceiver; both raise RequestError."""

    def admit(self, sync_task_id: str, secret: str, address: str) -> SyncTask:
        """The task whose secret the caller showed."""

    async def accept(self, task: SyncTask, notification: Notification) -> Receipt:
        """The events of the notification are durable."""


class EventsListenError(OmsdError):
    """The address cannot be used."""


class EventServer:
    """Answers from start() to stop(). listen: host:port or unix:/path."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        listen: str,
        tls: ssl.SSLContext | None = None,
        limits: ConnectionLimits | None = None,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._receiver = receiver
        self._listen = listen
        self._tls = tls
        self._at_once = 0
        self._connections = Connections(limits or ConnectionLimits())
        self._body_timeout_s = body_timeout_s
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen and answer. Returns the address, with the port that was given for port 0. Raises EventsListenError."""
        app = web.Application(middlewares=[self._served, _framed], client_max_size=BODY_MAX_BYTES)
        path = events_path("{sync_task_id}")
        app.router.add_post(path, self._receive)
        app.router.add_route("HEAD", path, _look)
        # Paths are not logged: a sender that puts its secret into one would leave it there.
        keepalive_s = self._connections.limits.keepalive_timeout_s
        runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=keepalive_s)
        await runner.setup()
        try:
            # It is there after setup().
            server = cast(web.Server, runner.server)
            self._listening, address = await self._connections.listen(server, self._listen, self._tls)
        except OSError as error:
            await runner.cleanup()
            raise EventsListenError(
                f"cannot listen on [sync] events_listen = {self._listen}: {error.strerror or error}"
            ) from error
        self._runner = runner
        return address

    async def stop(self) -> None:
        """Take no more notifications; those under way are answered. Safe to repeat."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _served(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        with self._connections.serving(request.transport):
            return await handler(request)

    async def _receive(self, request: web.Request) -> web.Response:
        task = self._receiver.admit(
            request.match_info["sync_task_id"],
            secret_of(request.headers.get("Authorization", "")),
            request.remote or "unix",
        )
        if self._at_once >= _MOST_AT_ONCE:
            return error_answer(503, "OMS.2004", "too many notifications at once; repeat the request later")
        self._at_once += 1
        try:
            async with asyncio.timeout(self._body_timeout_s):
                body = await request.read()
            return receipt_answer(await self._receiver.accept(task, read_notification(body)))
        except TimeoutError:
            return error_answer(408, "OMS.1003", "body: did not arrive in time")
        finally:
            self._at_once -= 1


async def _look(_: web.Request) -> web.Response:
    """MinIO asks so whether anybody is there, without a secret; it tells nothing of tasks."""
    return web.Response()


@web.middleware
async def _framed(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every answer has our form, whatever happens."""
    try:
        return await handler(request)
    except RequestError as error:
        return refusal_answer(error)
    except web.HTTPRequestEntityTooLarge:
        return error_answer(413, "OMS.1003", f"body: must have at most {BODY_MAX_BYTES} bytes")
    except web.HTTPMethodNotAllowed:
        answer = error_answer(405, "OMS.1003", "notifications are sent with POST")
        answer.headers["Allow"] = "POST, HEAD"
        return answer
    except web.HTTPException as error:
        right = f"no such path; notifications are sent to {events_path('ID')}"
        return error_answer(error.status, "OMS.1003", right)
    except ConnectionError:
        raise
    except Exception:
        _log.exception("notification failed")
        return error_answer(500, INTERNAL_CODE, "internal service error; see the server's log")


def secret_of(authorization: str) -> str:
    """The secret in an Authorization header, "" if there is none: a bearer token, the password of Basic, or the token alone.

    MinIO and SeaweedFS send a bearer token, MinIO whatever it was told if that has two words; Ceph can only be given a user and a
    password in the URL.
    """
    scheme, _, rest = authorization.strip().partition(" ")
    match scheme.lower(), rest.strip():
        case _, "":
            return scheme
        case "bearer", token:
            return token
        case "basic", encoded:
            try:
                return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return ""
        case _:
            return ""
