"""From a request to an answer: the route, who is calling and may he, the call of a service, or the refusal. Knows no web server.

Everything that is wrong ends in _refused(); a handler only translates.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import msgspec

from omsd.api.rest import answers, openapi
from omsd.api.rest.errors import (
    UNKNOWN_PATH_CODE,
    WRONG_METHOD_CODE,
    error_body,
    internal_body,
    status_of,
)
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
from omsd.service.identifiers import validate_project_id
from omsd.telemetry.logging import bind_log_context, debug_switch, get_logger

MAX_CALLS = 1024
JSON = "application/json;charset=utf-8"
REQUEST_ID = "X-Request-Id"
# What clients send when they were not told their project.
_NO_PROJECT = "{project_id}"
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


class _PathError(RequestError):
    """status: 404 or 405, whatever the route."""

    def __init__(self, code: str, message: str, status: int, allowed: str = "") -> None:
        super().__init__(code, message, refusal=Refusal.NOT_FOUND)
        self.status = status
        self.allowed = allowed


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
        self._table = _Table(self.routes)
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
        _check_project(path)
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


class _Table:
    """Routes by path; decoders of their bodies by name."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._by_length: dict[int, list[tuple[str, ...]]] = {}
        self._by_path: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in routes:
            self._by_path.setdefault(route.segments, {})[route.method] = route
        for segments in self._by_path:
            self._by_length.setdefault(len(segments), []).append(segments)
        for templates in self._by_length.values():
            # Words before parameters: /tasks/batch-update is no task.
            templates.sort(key=lambda segments: [segment.startswith("{") for segment in segments])
        self.decoders = {
            route.name: msgspec.json.Decoder(route.body) for route in routes if route.body is not None
        }

    def find(self, method: str, raw_path: str) -> tuple[Route, MappingProxyType[str, str]]:
        """The route, and the values of its parameters. Raises RequestError: 404 for an unknown path, 405 for a wrong method."""
        try:
            given = [unquote(segment, errors="strict") for segment in raw_path[1:].split("/")]
        except UnicodeDecodeError as error:
            raise RequestError("OMS.0002", "the path must be UTF-8, URL-encoded") from error
        for template in self._by_length.get(len(given), ()):
            values = _match(template, given)
            if values is not None:
                routes = self._by_path[template]
                if method in routes:
                    return routes[method], MappingProxyType(values)
                allowed = ", ".join(sorted(routes))
                raise _PathError(WRONG_METHOD_CODE, f"the method must be {allowed}", 405, allowed)
        raise _PathError(UNKNOWN_PATH_CODE, "there is no such path", 404)


def _match(template: tuple[str, ...], given: Sequence[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for wanted, segment in zip(template, given, strict=True):
        if wanted.startswith("{"):
            if not segment:
                return None
            values[wanted[1:-1]] = segment
        elif wanted != segment:
            return None
    return values


def _check_project(path: Mapping[str, str]) -> None:
    project_id = path.get("project_id")
    if project_id == _NO_PROJECT:
        raise RequestError.of_field(
            "OMS.0064", "project_id", "the client has no project ID; give it one beside its keys"
        )
    if project_id is not None:
        validate_project_id(project_id)


def _refused(error: RequestError, route: Route | None, version: Version) -> Answer:
    body = error_body(error, version)
    if isinstance(error, _PathError):
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
