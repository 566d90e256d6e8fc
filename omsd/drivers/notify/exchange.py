"""One POST on our own wire, and what its failure means for a notice. Redirects are never followed: what is sent is signed for one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from omsd.ports.notices import DeliveryError
from omsd.wire import Origin, Pool, Request, WireError, WireErrorKind

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_ANSWER_BYTES = 64 * 1024

# Codes of the API reference for a notice that was not sent.
SMN_TROUBLE = "OMS.0156"
NO_TOPIC = "OMS.0157"
NOT_AUTHORISED = "OMS.0158"
SYSTEM_ERROR = "OMS.0159"
BUSY = "OMS.0160"
NETWORK_ERROR = "OMS.0161"

# A second try is as useless as the first until somebody changes the configuration.
_FINAL_KINDS = frozenset({WireErrorKind.FORBIDDEN_ADDRESS, WireErrorKind.PROTOCOL})


@dataclass(frozen=True, slots=True)
class Place:
    """An absolute URL, taken apart. host: as in the Host header."""

    origin: Origin
    host: str
    path: str
    query: str

    @property
    def target(self) -> str:
        """The request target: path and query."""
        return self.path + (f"?{self.query}" if self.query else "")


def place_of(url: str) -> Place:
    """url: http(s), as the configuration has checked it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    default = _DEFAULT_PORTS[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    named = shown if parts.port in (None, default) else f"{shown}:{parts.port}"
    return Place(Origin(parts.scheme, host, parts.port or default), named, parts.path or "/", parts.query)


async def post(pool: Pool, place: Place, headers: Mapping[str, str], body: bytes) -> bytes:
    """The body of a 2xx answer. Raises DeliveryError."""
    # Not idempotent: a receiver that has it and only lost the connection would get it twice in one attempt.
    request = Request("POST", place.target, list(headers.items()), body=body, idempotent=False)
    try:
        answer = await pool.send(place.origin, lambda: request)
        try:
            told = await answer.read_all(_MAX_ANSWER_BYTES)
        finally:
            await answer.close()
    except WireError as error:
        raise DeliveryError(
            NETWORK_ERROR, f"{place.origin}: {error.message}", retryable=error.kind not in _FINAL_KINDS
        ) from error
    if not 200 <= answer.head.status < 300:
        raise _refused(place, answer.head.status, answer.head.headers, told)
    return told


def _refused(place: Place, status: int, headers: Mapping[str, str], told: bytes) -> DeliveryError:
    code, retryable = _meaning(status)
    said = " ".join(told[:300].decode(errors="replace").split())
    return DeliveryError(
        code,
        f"{place.origin} answered {status}" + (f": {said}" if said else ""),
        retryable=retryable,
        retry_after_s=_retry_after_s(headers),
    )


def _meaning(status: int) -> tuple[str, bool]:
    """Code, and whether the same notice may be taken later."""
    match status:
        case 401:
            # Keys and tokens are being changed at this moment: the next try reads the new ones.
            return NOT_AUTHORISED, True
        case 403:
            return NOT_AUTHORISED, False
        case 404 | 410:
            return NO_TOPIC, False
        case 408 | 429 | 503:
            return BUSY, True
    # A redirect, or a request that is not understood: it will not be understood later either.
    return (SMN_TROUBLE, True) if status >= 500 else (SYSTEM_ERROR, False)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Only in seconds; a date is of a clock that is not ours."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isdecimal() else None
