"""AWS Signature Version 4 as S3 wants it: canonical paths and queries, and a signer made for thousands of calls a second.

Pure computing: nothing is sent here. Time comes from a ServerClock, which learns how far the server's clock is away.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from urllib.parse import quote

from omsd.domain.model import Credentials

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_PAYLOAD = sha256(b"").hexdigest()

# Below this a server's clock differs by nothing that matters: signatures live 15 minutes.
_SKEW_THAT_MATTERS_S = 120.0

HeaderPairs = Sequence[tuple[str, str]]

_is_plain_path = re.compile(r"[A-Za-z0-9._~/-]*").fullmatch
_BLOCK_BYTES = 64  # of SHA-256, RFC 2104


class ServerClock:
    """Unix seconds by the server's clock, as far as its answers told."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._offset_s = 0.0

    def now_s(self) -> float:
        """What the server would say now."""
        return self._now() + self._offset_s

    def learn(self, server_time_s: float) -> bool:
        """Follow the server's clock; True if it differed so much that signatures could be refused."""
        offset_s = server_time_s - self._now()
        if abs(offset_s - self._offset_s) < _SKEW_THAT_MATTERS_S:
            return False
        self._offset_s = offset_s
        return True


def encode_path(key: str) -> str:
    """A key as it stands in a path: everything but A-Z a-z 0-9 - _ . ~ and / is percent-encoded, nothing is normalised."""
    return key if _is_plain_path(key) else quote(key, safe="/~")


def encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    """The query string in canonical order; it is sent exactly as it is signed."""
    encoded = sorted([(quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs])
    return "&".join([f"{name}={value}" for name, value in encoded])


class _Hmac:
    """HMAC-SHA256 with one key: its two padded blocks are hashed once, which halves the time of hmac.digest()."""

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def hex(self, text: str) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return outer.hexdigest()


class _Block:
    """The headers of a request, sent and as they are signed: name lines, names, payload."""

    __slots__ = ("canonical", "names", "sent")

    def __init__(self, sent: list[tuple[str, str]], payload: str) -> None:
        self.sent = sent
        lines = sorted(sent)
        self.names = ";".join([name for name, _ in lines])
        text = "".join([f"{name}:{value}\n" for name, value in lines])
        if "  " in text or ": " in text or " \n" in text or "\t" in text:
            text = "".join([f"{name}:{' '.join(value.split())}\n" for name, value in lines])
        self.canonical = f"{text}\n{self.names}\n{payload}"


class Signer:
    """Signs requests of one host, region and pair of keys. The derived key is computed once a day, the date once a second."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        region: str,
        host: str,
        clock: ServerClock,
        service: str = "s3",
    ) -> None:
        self._credentials = credentials
        self._region = region
        self._host = host
        self._clock = clock
        self._service = service
        self._second = -1
        self._day = ""
        self._amz_date = ""
        self._scope = ""
        self._credential = ""
        self._hmac = _Hmac(b"")
        self._base: list[tuple[str, str]] = []
        self._blocks: dict[tuple[tuple[str, str], ...], _Block] = {}

    def sign(
        self,
        method: str,
        path: str,
        query: str,
        headers: HeaderPairs = (),
        *,
        payload: str = EMPTY_PAYLOAD,
    ) -> list[tuple[str, str]]:
        """All signed headers with Host and Authorization, to be sent as they are.

        path, query: from encode_path and encode_query. headers: lower-case names, each once, printable values.
        payload: hex SHA-256 of the body, or UNSIGNED_PAYLOAD. Headers that a proxy may change are added unsigned by the caller.
        """
        second = int(self._clock.now_s())
        if second != self._second:
            self._turn_to(second)
        block = self._block_of(headers, payload)
        request = f"{method}\n{path}\n{query}\n{block.canonical}"
        digest = sha256(request.encode()).hexdigest()
        signature = self._hmac.hex(f"AWS4-HMAC-SHA256\n{self._amz_date}\n{self._scope}\n{digest}")
        authorization = f"{self._credential}, SignedHeaders={block.names}, Signature={signature}"
        return [*block.sent, ("authorization", authorization)]

    def _block_of(self, headers: HeaderPairs, payload: str) -> _Block:
        if payload != EMPTY_PAYLOAD:
            return _Block([*self._base, ("x-amz-content-sha256", payload), *headers], payload)
        # Reads carry the same headers for every object of a second; those of writes differ by their checksum.
        known = tuple(headers)
        block = self._blocks.get(known)
        if block is None:
            block = _Block([*self._base, ("x-amz-content-sha256", payload), *known], payload)
            self._blocks[known] = block
        return block

    def _turn_to(self, second: int) -> None:
        self._second = second
        self._blocks.clear()
        self._amz_date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = self._amz_date[:8]
        if day != self._day:
            self._day = day
            self._scope = f"{day}/{self._region}/{self._service}/aws4_request"
            self._credential = f"AWS4-HMAC-SHA256 Credential={self._credentials.access_key}/{self._scope}"
            key = f"AWS4{self._credentials.secret_key}".encode()
            for step in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, step.encode(), "sha256")
            self._hmac = _Hmac(key)
        self._base = [("host", self._host), ("x-amz-date", self._amz_date)]
        if self._credentials.security_token:
            self._base.append(("x-amz-security-token", self._credentials.security_token))
