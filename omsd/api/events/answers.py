"""What a notification is answered: JSON, and the status that makes its sender repeat it, or give up."""

from __future__ import annotations

import msgspec
from aiohttp import web

from omsd.domain.errors import Refusal, RequestError
from omsd.service.sync_receiver import Receipt

INTERNAL_CODE = "OMS.1001"
RETRY_AFTER_S = 5
_REALM = 'Bearer realm="omsd"'

_STATUS_OF = {
    Refusal.INVALID: 400,
    Refusal.UNAUTHENTICATED: 401,
    Refusal.FORBIDDEN: 403,
    Refusal.NOT_FOUND: 404,
    Refusal.STATE: 409,
    Refusal.QUOTA: 429,
    Refusal.INTERNAL: 500,
    Refusal.BUSY: 503,
}


def receipt_answer(receipt: Receipt) -> web.Response:
    """200: what was accepted is durable."""
    return _json({"accepted": receipt.accepted_num, "ignored": receipt.ignored_num}, 200)


def refusal_answer(error: RequestError) -> web.Response:
    """The status and body of a refusal."""
    return error_answer(_STATUS_OF[error.refusal], error.code, error.message)


def error_answer(status: int, code: str, message: str) -> web.Response:
    """The documented form of an error. A sender that is to come again is told when, one without a secret is told how."""
    answer = _json({"error_code": code, "error_msg": message}, status)
    if status in (429, 503):
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == 401:
        answer.headers["WWW-Authenticate"] = _REALM
    return answer


def _json(fields: dict[str, object], status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(fields), status=status, content_type="application/json")
