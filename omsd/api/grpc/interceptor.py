"""Around each of our calls: a request id, who is calling and whether he may, a line in the access log, one in the audit log if the call
changes something, and errors turned into a status.

Health passes through untouched. Reflection is for callers who have proved who they are, where that is asked.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
from grpc import aio
from grpc_health.v1 import health
from grpc_status import rpc_status

from omsd.api.grpc.caller import AccessCalls, address_of, caller_of
from omsd.api.grpc.errors import status_of
from omsd.domain.access import OPEN_OPERATIONS, Principal, changes
from omsd.domain.errors import RequestError
from omsd.service.audit import OK, audit
from omsd.telemetry.logging import bind_log_context, get_logger

REQUEST_ID_KEY = "x-request-id"
OUR_METHODS = "/omsd."
HEALTH_METHODS = f"/{health.SERVICE_NAME}/"
# Asked many times a second: reads of watchers, events. They would drown the changes.
QUIET_METHODS = frozenset(
    {"GetTask", "ListTasks", "WatchTask", "GetSyncTask", "ListSyncTasks", "CreateSyncEvents"}
)
INTERNAL_CODE = "OMS.1001"
# Fields of requests that say what a call is about, and how the answer of a creation names it.
_RESOURCES = ("task_id", "group_id", "sync_task_id")
_CREATED = {
    "CreateTask": ("id", "task_id"),
    "CreateTaskGroup": ("group_id", "group_id"),
    "CreateSyncTask": ("sync_task_id", "sync_task_id"),
}

_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = aio.ServicerContext[Any, Any]
    Behaviour = Callable[[Any, Context], Awaitable[Any]]

log = get_logger(__name__)


class CallInterceptor(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Every call ends with a status of ours; its trailing metadata carries the request id, the caller's own if it sent one."""

    def __init__(self, access: AccessCalls) -> None:
        self._access = access

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler with the call's frame around it."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        # None: no such method; grpc answers UNIMPLEMENTED.
        if handler is None or method.startswith(HEALTH_METHODS):
            return handler
        if not method.startswith(OUR_METHODS):
            return _guarded(handler, self._access)
        name = method.rpartition("/")[2]
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                _framed(name, handler.unary_stream, self._access),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            _framed(name, handler.unary_unary, self._access),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class _Call:
    """One call: what its lines in the logs say."""

    def __init__(self, name: str, request: Any, context: Context) -> None:
        self.name = name
        self.request = request
        self.context = context
        self.request_id = _request_id(context)
        self.principal: Principal | None = None
        self._began = time.monotonic()

    async def admit(self, access: AccessCalls) -> None:
        """The caller is known and may do this. Raises RequestError."""
        if self.name in OPEN_OPERATIONS:
            return
        self.principal = await caller_of(access, self.context)
        access.authorize(self.principal, self.request.project_id, change=changes(self.name))

    def ended(self, status: str, *, outcome: str, answer: Any = None) -> None:
        """Write the lines. outcome: OK, or the code of the error."""
        quiet = status in ("OK", "CANCELLED") and self.name in QUIET_METHODS
        fields = {} if outcome in (OK, status) else {"code": outcome}
        (log.debug if quiet else log.info)(
            "call",
            method=self.name,
            status=status,
            elapsed_ms=round((time.monotonic() - self._began) * 1000),
            **fields,
        )
        if changes(self.name):
            audit(
                self.principal,
                self.name,
                address=address_of(self.context),
                project_id=self.request.project_id,
                resource=_resource(self.name, self.request, answer),
                outcome=outcome,
                request_id=self.request_id,
            )


def _framed(name: str, behaviour: Any, access: AccessCalls) -> Behaviour:
    async def framed(request: Any, context: Context) -> Any:
        call = _Call(name, request, context)
        context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
        with bind_log_context(request_id=call.request_id):
            try:
                await call.admit(access)
                with bind_log_context(**_shown(call.principal)):
                    answer = await behaviour(request, context)
            except asyncio.CancelledError:
                call.ended("CANCELLED", outcome="CANCELLED")
                raise
            except Exception as error:
                if not isinstance(error, RequestError):
                    log.exception("call failed", method=name)
                status = rpc_status.to_status(status_of(error, call.request_id))
                outcome = error.code if isinstance(error, RequestError) else INTERNAL_CODE
                call.ended(status.code.name, outcome=outcome)
                await context.abort(
                    status.code,
                    status.details,
                    (*status.trailing_metadata, (REQUEST_ID_KEY, call.request_id)),
                )
            call.ended("OK", outcome=OK, answer=answer)
            return answer

    return framed


def _guarded(
    handler: grpc.RpcMethodHandler[Any, Any], access: AccessCalls
) -> grpc.RpcMethodHandler[Any, Any]:
    """A stream of another's service, for callers that are known."""
    if not access.required or not (handler.request_streaming and handler.response_streaming):
        return handler
    answers: Any = handler.stream_stream

    async def guarded(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        try:
            await caller_of(access, context)
        except RequestError as error:
            status = rpc_status.to_status(status_of(error, _request_id(context)))
            await context.abort(status.code, status.details, status.trailing_metadata)
        async for answer in answers(requests, context):
            yield answer

    return grpc.stream_stream_rpc_method_handler(
        guarded,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _shown(principal: Principal | None) -> dict[str, str | int]:
    return {"user": principal.user} if principal is not None and principal.user else {}


def _resource(name: str, request: Any, answer: Any) -> dict[str, str | int]:
    """What the call was about; of a creation, what came of it."""
    found: dict[str, str | int] = {}
    for field in _RESOURCES:
        value = getattr(request, field, None)
        if value:
            found[field] = value
    ids = getattr(request, "ids", None)
    if ids:
        found["task_ids"] = ",".join(map(str, ids))
    if answer is not None and name in _CREATED:
        theirs, ours = _CREATED[name]
        found[ours] = getattr(answer, theirs)
    return found


def _request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex
