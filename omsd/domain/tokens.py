"""Tokens: what one says, signed with the server's key. Pure; key and time come in as arguments.

Ours, not a JWT: one issuer, one reader, one algorithm. There is no header that could name another one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from omsd.domain.access import TOKEN_CODE, User, unauthenticated
from omsd.domain.errors import RequestError

KEY_BYTES = 32
TOKEN_MAX = 16_384
_PREFIX = "omsd1."


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. project_id "": all projects of the user. generation: of the password it was issued for."""

    user: str
    project_id: str
    generation: str
    issued_at_s: int
    expires_at_s: int


def generation_of(user: User) -> str:
    """Changes with the user's password: a new one ends the tokens of the old."""
    return hashlib.sha256(b"omsd generation " + user.password_hash.encode()).hexdigest()[:16]


def sign_token(token: Token, key: bytes) -> str:
    """The text that the caller gets."""
    claims = [token.user, token.project_id, token.generation, token.issued_at_s, token.expires_at_s]
    payload = _PREFIX + _text(json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode())
    return f"{payload}.{_text(_mac(payload, key))}"


def read_token(text: str, key: bytes, now_s: float) -> Token:
    """What the token says. Raises RequestError (OMS.0068) unless it was signed with this key and has not ended."""
    payload, _, mac = text.rpartition(".")
    try:
        given = _bytes(mac)
    except (binascii.Error, ValueError):
        given = b""
    # Also the spelling must be ours: base64 has several for the same bytes.
    genuine = hmac.compare_digest(given, _mac(payload, key)) and _text(given) == mac
    if not genuine or not payload.startswith(_PREFIX) or len(text) > TOKEN_MAX:
        raise refused("the token is not one of this server, or its key has been changed; get a new one")
    token = Token(*json.loads(_bytes(payload.removeprefix(_PREFIX))))
    if now_s >= token.expires_at_s:
        raise refused("the token has expired; get a new one")
    return token


def refused(message: str) -> RequestError:
    """A token that is not taken."""
    return unauthenticated(TOKEN_CODE, message)


def _mac(payload: str, key: bytes) -> bytes:
    return hmac.new(key, b"omsd token " + payload.encode("utf-8", "replace"), hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
