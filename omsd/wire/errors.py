"""What can go wrong on the wire, by meaning. Drivers translate these; nothing here knows a cloud."""

from __future__ import annotations

from enum import StrEnum


class WireErrorKind(StrEnum):
    """What happened between us and the peer."""

    CONNECT = "connect"  # refused, unreachable, or closed before a request could be sent
    DNS = "dns"
    TLS = "tls"
    FORBIDDEN_ADDRESS = "forbidden_address"  # our own network policy refused every address of the host
    RESET = "reset"  # the connection ended before the answer did, or we closed it
    TIMEOUT_CONNECT = "timeout_connect"
    TIMEOUT_FIRST_BYTE = "timeout_first_byte"
    STALLED = "stalled"
    TRUNCATED = "truncated"  # fewer body bytes than announced
    OVERLONG = "overlong"  # more body bytes than announced or allowed
    PROTOCOL = "protocol"  # not the HTTP/1.1 we asked for, or a request that may not be sent
    HEADERS_TOO_LARGE = "headers_too_large"


class WireError(Exception):
    """An exchange that did not come to its end. answered: at least one byte of an answer came."""

    def __init__(self, kind: WireErrorKind, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.answered = answered

    def __repr__(self) -> str:
        return f"WireError({self.kind.name}, {self.message!r}, answered={self.answered})"
