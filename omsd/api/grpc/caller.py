"""Who makes a gRPC call: the token in its metadata, else the client certificate of its connection."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from grpc import aio

from omsd.domain.access import TOKEN_CODE, Principal
from omsd.service.access import IssuedToken, TokenRequest

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = aio.ServicerContext[Any, Any]

TOKEN_KEY = "x-auth-token"  # noqa: S105 - the name of a header
_CERTIFICATE_NAMES = ("x509_common_name", "x509_subject_alternative_name")


class AccessCalls(Protocol):
    """What is needed of service.access.AccessService; every call raises RequestError if the caller is refused."""

    @property
    def required(self) -> bool: ...
    def anonymous(self, code: str, wanted: str) -> Principal: ...
    async def by_token(self, token: str, *, address: str) -> Principal: ...
    async def by_certificate(self, names: Iterable[str], *, address: str) -> Principal: ...
    async def issue_token(self, request: TokenRequest, *, address: str) -> IssuedToken: ...
    def authorize(self, principal: Principal, project_id: str, *, change: bool) -> None: ...


async def caller_of(access: AccessCalls, context: Context) -> Principal:
    """The caller. Raises RequestError if he has not proved who he is, and must."""
    address = address_of(context)
    if not access.required:
        return access.anonymous("", "")
    for key, value in context.invocation_metadata() or ():
        if key == TOKEN_KEY:
            return await access.by_token(value if isinstance(value, str) else "", address=address)
    names = _certificate_names(context)
    if names:
        return await access.by_certificate(names, address=address)
    return access.anonymous(
        TOKEN_CODE,
        f"send a token as metadata {TOKEN_KEY}; CreateToken gives one (omsctl token, then OMSCTL_TOKEN)",
    )


def address_of(context: Context) -> str:
    """The caller's IP address, or `unix`."""
    # ipv4:127.0.0.1:40000, ipv6:%5B::1%5D:40000, unix:
    kind, _, rest = unquote(context.peer()).partition(":")
    host = rest.rpartition(":")[0].strip("[]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return kind or "unknown"


def _certificate_names(context: Context) -> list[str]:
    """Subject names of a certificate that was verified when the connection was made."""
    found = context.auth_context() or {}
    return [value.decode("utf-8", "replace") for name in _CERTIFICATE_NAMES for value in found.get(name, ())]
