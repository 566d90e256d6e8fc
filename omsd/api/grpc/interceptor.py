"""Around each of our calls: a request id, a line in the access log, and errors turned into a status.

Calls of health and reflection pass through untouched.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
from grpc import aio
from grpc_status import rpc_status

from omsd.api.grpc.errors import status_of
from omsd.domain.errors import RequestError
from omsd.telemetry.logging import bind_log_context, get_logger

REQUEST_ID_KEY = "x-request-id"
OUR_METHODS = "/omsd."
# Asked many times a second: reads of watchers, events. They would drown the changes.
QUIET_METHODS = frozenset(
    {"GetTask", "ListTasks", "WatchTask", "GetSyncTask", "ListSyncTasks", "CreateSyncEvents"}
)

_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = aio.ServicerContext[Any, Any]
    Behaviour = Callable[[Any, Context], Awaitable[Any]]

log = get_logger(__name__)


class CallInterceptor(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Every call ends with a status of ours; its trailing metadata carries the request id, the caller's own if it sent one."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler with the call's frame around it."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        # None: no such method; grpc answers UNIMPLEMENTED.
        if handler is None or not method.startswith(OUR_METHODS):
            return handler
        name = method.rpartition("/")[2]
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                _framed(name, handler.unary_stream),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            _framed(name, handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _framed(name: str, behaviour: Any) -> Behaviour:
    async def call(request: Any, context: Context) -> Any:
        request_id = _request_id(context)
        context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
        began = time.monotonic()
        with bind_log_context(request_id=request_id):
            try:
                answer = await behaviour(request, context)
            except asyncio.CancelledError:
                _log_call(name, "CANCELLED", began)
                raise
            except Exception as error:
                if not isinstance(error, RequestError):
                    log.exception("call failed", method=name)
                status = rpc_status.to_status(status_of(error, request_id))
                _log_call(name, status.code.name, began, code=getattr(error, "code", ""))
                await context.abort(
                    status.code,
                    status.details,
                    (*status.trailing_metadata, (REQUEST_ID_KEY, request_id)),
                )
            _log_call(name, "OK", began)
            return answer

    return call


def _request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex


def _log_call(name: str, status: str, began: float, **fields: str) -> None:
    write = log.debug if status in ("OK", "CANCELLED") and name in QUIET_METHODS else log.info
    write("call", method=name, status=status, elapsed_ms=round((time.monotonic() - began) * 1000), **fields)
