"""SDK-HMAC-SHA256, the AK/SK signature of requests: canonical form, signing, and what a verifier must find in a request. Pure.

Source: API reference 3.2 and the published SDKs' signers. Percent-encoded slashes inside a path segment stay encoded.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from omsd.domain.access import SIGNATURE_CODE, unauthenticated
from omsd.domain.errors import RequestError

ALGORITHM = "SDK-HMAC-SHA256"
DATE_FORMAT = "%Y%m%dT%H%M%SZ"
# A signature that leaves these out would be good for another host, day, project or key.
ALWAYS_SIGNED = ("host", "x-sdk-date")
SIGNED_IF_SENT = ("x-project-id", "x-security-token")
ACCESS_KEY_MAX = 100
SECURITY_TOKEN_MAX = 16_384

_AUTHORIZATION = re.compile(
    r"SDK-HMAC-SHA256 +Access=([^\s,]+), *SignedHeaders=([a-z0-9!#$%&'*+.^`|~;-]+), *Signature=([0-9a-f]{64})"
)
_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came over the wire.

    raw_path, raw_query: still percent-encoded, without the `?`. headers: in any case, each as often as sent; bytes that are not UTF-8 as
    surrogate escapes. body: the bytes as received, also of a GET.
    """

    method: str
    raw_path: str
    raw_query: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """The value of a header, None if it was not sent. Raises RequestError if it was sent twice: which one would be meant?"""
        found = [value for key, value in self.headers if key.lower() == name]
        if len(found) > 1:
            raise refused(f"the header {name} is there {len(found)} times")
        return found[0].strip() if found else None


@dataclass(frozen=True, slots=True)
class Claim:
    """What the headers of a signed request claim; nothing of it is proven yet."""

    access_key: str
    signed_names: tuple[str, ...]
    signature: str = field(repr=False)
    date: str
    signed_at_s: float
    project_id: str
    security_token: str = field(repr=False)


def claim_of(request: SignedRequest) -> Claim:
    """The claim in the headers. Raises RequestError (OMS.1005) that says what is missing or malformed."""
    authorization = request.header("authorization") or ""
    found = _AUTHORIZATION.fullmatch(authorization)
    if found is None or len(found[1]) > ACCESS_KEY_MAX:
        if authorization and not authorization.startswith(ALGORITHM + " "):
            raise refused(f"only {ALGORITHM} signatures are taken")
        raise refused(
            f"wanted is Authorization: {ALGORITHM} Access=AK, SignedHeaders=a;b, Signature=64 hex digits"
        )
    names = tuple(found[2].split(";"))
    if len(set(names)) != len(names) or "" in names:
        raise refused("SignedHeaders names a header twice or not at all")
    sent = {key.lower() for key, _ in request.headers}
    for name in (*ALWAYS_SIGNED, *(optional for optional in SIGNED_IF_SENT if optional in sent)):
        if name not in names:
            raise refused(f"the header {name} must be signed")
    date = request.header("x-sdk-date") or ""
    token = request.header("x-security-token") or ""
    if len(token) > SECURITY_TOKEN_MAX:
        raise refused(f"X-Security-Token has at most {SECURITY_TOKEN_MAX} characters")
    return Claim(found[1], names, found[3], date, _unix_s(date), request.header("x-project-id") or "", token)


def body_hash(request: SignedRequest) -> str:
    """SHA-256 of the body, lower-case hex. Raises RequestError if X-Sdk-Content-Sha256 says another one, or that none was made."""
    digest = hashlib.sha256(request.body).hexdigest()
    stated = request.header("x-sdk-content-sha256")
    if request.body and stated is not None and not same_text(stated, digest):
        raise refused("X-Sdk-Content-Sha256 is not the SHA-256 of the body; unsigned payloads are not taken")
    return digest


def matches(claim: Claim, request: SignedRequest, secret_key: str, payload_hash: str) -> bool:
    """Was exactly this request signed with that key? Compared in constant time. Raises RequestError if a signed header is not there.

    Both forms of the path that clients sign are tried: encoded once, and (Node) the encoded path encoded once more.
    """
    good = False
    for path in canonical_paths(request.raw_path):
        wanted = signature_of(request, claim.signed_names, path, payload_hash, claim.date, secret_key)
        good |= same_text(wanted, claim.signature)
    return good


def signature_of(
    request: SignedRequest,
    signed_names: tuple[str, ...],
    path: str,
    payload_hash: str,
    date: str,
    secret_key: str,
) -> str:
    """The signature, 64 lower-case hex digits; path is one of canonical_paths()."""
    canonical = canonical_request(request, signed_names, path, payload_hash)
    to_sign = f"{ALGORITHM}\n{date}\n{hashlib.sha256(canonical).hexdigest()}"
    return hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def canonical_request(
    request: SignedRequest, signed_names: tuple[str, ...], path: str, payload_hash: str
) -> bytes:
    """What is hashed. Raises RequestError if a signed header was not sent."""
    method = request.method.upper().encode("utf-8", "surrogateescape")
    lines = [method, path.encode(), canonical_query(request.raw_query).encode()]
    for name in signed_names:
        value = request.header(name)
        if value is None:
            raise refused(f"the header {name} is named in SignedHeaders and was not sent")
        lines.append(f"{name}:{value}".encode("utf-8", "surrogateescape"))
    # The headers end with a line break of their own.
    lines += [b"", ";".join(signed_names).encode(), payload_hash.encode()]
    return b"\n".join(lines)


def canonical_paths(raw_path: str) -> tuple[str, ...]:
    """The forms in which a path may have been signed; one, unless it has percent-encoded characters."""
    raw = raw_path.encode("utf-8", "surrogateescape")
    once = "/".join(quote(unquote_to_bytes(segment), safe="~") for segment in raw.split(b"/"))
    forms = [once] if b"%" not in raw else [once, "/".join(quote(part, safe="~") for part in raw.split(b"/"))]
    return tuple(form if form.endswith("/") else form + "/" for form in forms)


def canonical_query(raw_query: str) -> str:
    """Names and values decoded, sorted and encoded again; a plus is a plus, a parameter without a value has `=`."""
    pairs = []
    for piece in raw_query.encode("utf-8", "surrogateescape").split(b"&"):
        if piece:
            name, _, value = piece.partition(b"=")
            pairs.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(pairs))


def same_text(one: str, other: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(
        one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape")
    )


def refused(message: str) -> RequestError:
    """A signature that is not taken."""
    return unauthenticated(SIGNATURE_CODE, message)


def _unix_s(date: str) -> float:
    if _DATE.fullmatch(date) is None:
        raise refused("X-Sdk-Date must be YYYYMMDDTHHMMSSZ, in UTC")
    try:
        return datetime.strptime(date, DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise refused("X-Sdk-Date is no date") from None
