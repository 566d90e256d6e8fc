"""From a request to an answer: the route, who is calling and may he, the call of a service, or the refusal. Knows no web server.

Everything that is wrong ends in _refused(); a handler only translates.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from omsd.api.rest import answers, openapi
from omsd.api.rest.dispatch import PathError, RouteTable, check_project
from omsd.api.rest.errors import error_body, internal_body, status_of
from omsd.api.rest.iam import IAM_ROUTES
from omsd.api.rest.reading import read_body, read_query
from omsd.api.rest.recent import RecentAnswers
from omsd.api.rest.routes_v1 import V1_ROUTES
from omsd.api.rest.routes_v2 import V2_ROUTES
from omsd.api.rest.routes_v2_groups import GROUP_ROUTES
from omsd.api.rest.routes_v2_others import BUCKET_ROUTES, SYNC_ROUTES
from omsd.api.rest.services import Services
from omsd.api.rest.table import Access, Answer, Call, Nothing, Route, Version
from omsd.domain.access import ANYBODY, Principal
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.signature import SignedRequest
from omsd.service.audit import CANCELLED, OK, audit
from omsd.telemetry.logging import bind_log_context, debug_switch, get_logger

MAX_CALLS = 1024
JSON = "application/json;charset=utf-8"
REQUEST_ID = "X-Request-Id"
_HOST = re.compile(r"[A-Za-z0-9._\-\[\]:]{1,300}")
# In the log alone, as other servers write it: the connection ended first.
_NOT_ANSWERED = 499
_RESOURCES = ("task_id", "group_id", "sync_task_id")

API_ROUTES: tuple[Route, ...] = (
    *V2_ROUTES,
    *SYNC_ROUTES,
    *GROUP_ROUTES,
    *BUCKET_ROUTES,
    *V1_ROUTES,
    *IAM_ROUTES,
)

log = get_logger(__name__)
_is_debug = debug_switch(__name__)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it came over the wire.

    target: path and query, still percent-encoded. read: the body; raises RequestError if it is too large or broken.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    read: Callable[[], Awaitable[bytes]]
    address: str = ""
    scheme: str = "http"

    def header(self, name: str) -> str:
        """The first value of a header, "" if it was not sent."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """status, headers and body; an empty body has no type."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class TooLargeError(RequestError):
    """The body is larger than is read."""


class RestApp:
    """Answers requests until it is told to drain; then only those that ask how it is learn that."""

    def __init__(self, services: Services, *, max_calls: int = MAX_CALLS) -> None:
        self._services = services
        self._max_calls = max_calls
        self._running = 0
        self._draining = False
        self.routes = (*self._own_routes(), *API_ROUTES)
        self._table = RouteTable(self.routes)
        self._document = openapi.document(self.routes)
        self._recent = RecentAnswers()

    def drain(self) -> None:
        """/readyz says that no more requests should come; they are still answered."""
        self._draining = True

    async def answer(self, incoming: Incoming) -> Outgoing:
        """Always an answer, whatever happens but cancellation."""
        request_id = uuid.uuid4().hex
        began = time.monotonic()
        version = _version_of(incoming.target)
        attempt = _Attempt()
        self._running += 1
        with bind_log_context(request_id=request_id):
            try:
                if self._running > self._max_calls:
                    raise RequestError(
                        "OMS.2004", "too many calls at once; try again later", refusal=Refusal.BUSY
                    )
                answer = await self._answer(incoming, attempt)
                code = OK
            except asyncio.CancelledError:
                # The caller or the server goes; what was asked for may be done all the same.
                _log_call(attempt, _NOT_ANSWERED, began, CANCELLED)
                _audit(attempt, incoming.address, Answer(None, _NOT_ANSWERED), CANCELLED, request_id)
                raise
            except RequestError as error:
                answer, code = _refused(error, attempt.route, version), error.code
            except Exception:
                log.exception("call failed", method=attempt.name)
                answer, code = Answer(internal_body(request_id), 500), "OMS.1001"
            finally:
                self._running -= 1
            _log_call(attempt, answer.status, began, code)
            _audit(attempt, incoming.address, answer, code, request_id)
        body = b"" if answer.body is None else _encode(answer.body)
        headers = {REQUEST_ID: request_id, "Content-Type": JSON, "Server": "omsd", **dict(answer.headers)}
        return Outgoing(answer.status, headers, body)

    async def _answer(self, incoming: Incoming, attempt: _Attempt) -> Answer:
        raw_path, _, raw_query = incoming.target.partition("?")
        route, path = self._table.find(incoming.method, raw_path)
        attempt.route, attempt.path = route, path
        check_project(path)
        data = await incoming.read()
        caller = ANYBODY
        if route.access is not Access.OPEN:
            signed = SignedRequest(incoming.method, raw_path, raw_query, incoming.headers, data)
            caller = await self._services.access.by_http(signed, address=incoming.address)
            attempt.caller = caller
            project_id = path.get("project_id", "")
            self._services.access.authorize(caller, project_id, change=route.access is Access.CHANGE)
        if route.of_tasks:
            return await self._told_of_tasks(route, path, incoming, caller)
        return await self._handled(route, path, incoming, caller, data)

    async def _told_of_tasks(
        self, route: Route, path: MappingProxyType[str, str], incoming: Incoming, caller: Principal
    ) -> Answer:
        """As the handler answers, or has answered in the same moment."""
        moment, now_s = self._services.tasks.moment, time.monotonic()
        body = self._recent.find(incoming.target, moment, now_s)
        if body is None:
            body = _encode((await self._handled(route, path, incoming, caller)).body)
            if moment == self._services.tasks.moment:
                self._recent.keep(incoming.target, moment, now_s, body)
        return Answer(msgspec.Raw(body), route.status)

    async def _handled(
        self,
        route: Route,
        path: MappingProxyType[str, str],
        incoming: Incoming,
        caller: Principal,
        data: bytes = b"",
    ) -> Answer:
        raw_query = incoming.target.partition("?")[2]
        call = Call(
            path=path,
            query=read_query(route.query, raw_query) if route.query is not Nothing else None,
            body=self._body_of(route, incoming, data),
            base_url=_base_url(incoming),
            address=incoming.address,
            caller=caller,
        )
        result = await route.handler(self._services, call)
        return result if isinstance(result, Answer) else Answer(result, route.status)

    def _body_of(self, route: Route, incoming: Incoming, data: bytes) -> msgspec.Struct | None:
        if route.body is None:
            return None
        kind = incoming.header("content-type").partition(";")[0].strip().lower()
        if data and kind and kind != "application/json":
            raise RequestError("OMS.1006", "Content-Type must be application/json")
        if incoming.header("content-encoding").strip().lower() not in ("", "identity"):
            raise RequestError("OMS.1006", "the body must not be compressed: Content-Encoding is not taken")
        if not data:
            raise RequestError("OMS.1006", "the body is missing; wanted is a JSON object")
        return read_body(self._table.decoders[route.name], data)

    def _own_routes(self) -> tuple[Route, ...]:
        async def health(_services: Services, _call: Call) -> Health:
            return Health(status="ok")

        async def ready(_services: Services, _call: Call) -> Health:
            if self._draining:
                raise RequestError("OMS.2004", "the server is stopping", refusal=Refusal.BUSY)
            return Health(status="ready")

        async def show_document(_services: Services, _call: Call) -> dict[str, Any]:
            return self._document

        return (
            _own("healthz", "Is the process alive?", health, Health),
            _own("readyz", "Does the server take requests?", ready, Health),
            _own("openapi.json", "This document", show_document, dict[str, Any]),
        )


class Health(msgspec.Struct, frozen=True, kw_only=True):
    status: str


@dataclass(slots=True)
class _Attempt:
    """What was found out about a request so far."""

    route: Route | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    caller: Principal | None = None

    @property
    def name(self) -> str:
        return self.route.name if self.route else ""


def _refused(error: RequestError, route: Route | None, version: Version) -> Answer:
    body = error_body(error, version)
    if isinstance(error, PathError):
        return Answer(body, error.status, (("Allow", error.allowed),) if error.allowed else ())
    if isinstance(error, TooLargeError):
        return Answer(body, 413)
    return Answer(body, status_of(error, missing_is_404=route is not None and route.missing_is_404))


def _version_of(target: str) -> Version:
    """By the path alone: errors of paths that do not exist have a form, too."""
    return Version.V1 if target.startswith("/v1/") else Version.V2


def _base_url(incoming: Incoming) -> str:
    """How the caller reaches this server."""
    host = incoming.header("host")
    return f"{incoming.scheme}://{host}" if _HOST.fullmatch(host) else ""


def _own(name: str, summary: str, handler: Callable[..., Awaitable[object]], answer: object) -> Route:
    return Route(
        name.replace(".", "_"),
        "GET",
        f"/{name}",
        summary,
        handler,
        Access.OPEN,
        "",
        Version.NONE,
        answer=answer,
        frequent=True,
    )


def _log_call(attempt: _Attempt, status: int, began: float, code: str) -> None:
    quiet = status < 400 and attempt.route is not None and attempt.route.frequent
    if quiet and not _is_debug():
        return
    write = log.debug if quiet else log.info
    elapsed_ms = round((time.monotonic() - began) * 1000)
    write("call", api="rest", method=attempt.name, status=status, elapsed_ms=elapsed_ms, code=code)


def _audit(attempt: _Attempt, address: str, answer: Answer, code: str, request_id: str) -> None:
    """Calls that change something, or tried to."""
    route = attempt.route
    if route is None or route.access is not Access.CHANGE:
        return
    resource: dict[str, str | int] = {name: attempt.path[name] for name in _RESOURCES if name in attempt.path}
    match answer.body:
        case answers.TaskCreated(id=task_id):
            resource["task_id"] = task_id
        case answers.SyncTaskCreated(sync_task_id=sync_task_id):
            resource["sync_task_id"] = sync_task_id
        case answers.GroupCreated(group_id=group_id):
            resource["group_id"] = group_id
    audit(
        attempt.caller,
        route.operation,
        address=address,
        project_id=attempt.path.get("project_id", ""),
        resource=resource,
        outcome=code,
        request_id=request_id,
    )
