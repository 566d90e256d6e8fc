"""One bucket as a place to send signed requests to: where it is, how it signs, what it learns from refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import Credentials
from omsd.drivers.s3 import errors
from omsd.drivers.s3.dates import http_date_to_unix_s
from omsd.drivers.s3.profiles import Addressing, PayloadSigning, Profile, is_host_of
from omsd.drivers.s3.signing import (
    EMPTY_PAYLOAD,
    UNSIGNED_PAYLOAD,
    HeaderPairs,
    ServerClock,
    Signer,
    encode_path,
)
from omsd.drivers.s3.xml import MAX_ERROR_BYTES, ErrorBody, parse_error
from omsd.ports.objectstore import BucketAddress, ByteSource
from omsd.wire import Answer, Origin, Pool, Request, WireError

_REGION_HEADERS = ("x-amz-bucket-region", "x-obs-bucket-location", "x-cos-bucket-region")
_REDIRECTS = frozenset({301, 302, 307, 308})
# The clock, the region and the host may each be wrong once.
_MAX_LESSONS = 3
_DEFAULT_PORTS = {"http": 80, "https": 443}

# Never signed: proxies change it (rclone #6670). Always sent: else a server may compress what it sends (trap 39).
_IDENTITY = ("accept-encoding", "identity")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bucket is: service url without the bucket, and the region in signatures."""

    url: str
    region: str


@dataclass(slots=True)
class Call:
    """One S3 request. key "" is the bucket itself. signed: lower-case headers; unsigned: those a proxy may touch.

    missing: what a 404 without a code means here. Never changed, but not frozen: that would cost 1.2 us per request.
    """

    what: str
    method: str
    key: str = ""
    query: str = ""
    signed: HeaderPairs = ()
    unsigned: HeaderPairs = ()
    body: bytes | ByteSource | None = None
    size_bytes: int = 0
    idempotent: bool = True
    missing: StoreErrorKind = StoreErrorKind.NO_SUCH_KEY

    @property
    def named(self) -> str:
        """For messages: the call and its key."""
        if not self.key:
            return self.what
        return f"{self.what} {self.key if self.key.isprintable() else ascii(self.key)}"


class Bucket:
    """Sends calls and raises what the service refuses. Learns the server's clock and the bucket's true region once.

    name "": the account itself, for calls about its buckets.
    """

    def __init__(
        self,
        name: str,
        place: Place,
        credentials: Credentials,
        profile: Profile,
        pool: Pool,
        *,
        url_of_region: Callable[[str], str | None],
        clock: ServerClock | None = None,
        requester_pays: bool = False,
    ) -> None:
        self.name = name
        self.profile = profile
        self._credentials = credentials
        self._pool = pool
        self._url_of_region = url_of_region
        self._always = [(profile.payer_header, "requester")] if requester_pays else []
        self._clock = clock or ServerClock()
        self._move_to(place)

    @property
    def address(self) -> BucketAddress:
        """The bucket, and scheme, host, port, dialect and addressing of the service it is spoken to at."""
        parts = urlsplit(self.place.url)
        host = f"{parts.scheme}://{(parts.hostname or '').lower()}:{self.origin.port}"
        return BucketAddress(f"{self.profile.name} {self.profile.addressing} {host}", self.name)

    async def send(self, call: Call) -> Answer:
        """A 2xx answer, its body unread; the caller closes it. Raises StoreError, or what a pushed body failed with."""
        lessons = 0
        while True:
            try:
                answer = await self._pool.send(self.origin, lambda: self._request(call))
            except WireError as error:
                raise errors.of_wire(call.named, error) from error
            status = answer.head.status
            if 200 <= status < 300:
                return answer
            body = await self._error_body(answer, call)
            lessons += 1
            if lessons > _MAX_LESSONS or not self._learn(status, answer.head.headers, body):
                raise self._refusal(call, answer, body)
            if call.body is not None and not isinstance(call.body, bytes):
                # The body may be half gone: whoever pushes it has to begin again.
                raise StoreError(
                    StoreErrorKind.UNAVAILABLE,
                    f"{call.named}: the bucket's region or clock was learned, the request has to be repeated",
                    status=status,
                    provider_code=body.code,
                )

    async def fetch(self, call: Call, limit_bytes: int) -> tuple[bytes, dict[str, str]]:
        """The whole body of a small answer, and its headers."""
        answer = await self.send(call)
        try:
            return await answer.read_all(limit_bytes), answer.head.headers
        except WireError as error:
            raise errors.of_wire(call.named, error) from error
        finally:
            await answer.close()

    def _move_to(self, place: Place) -> None:
        parts = urlsplit(place.url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise StoreError(StoreErrorKind.INVALID, f"{place.url}: not an http or https address")
        host = parts.hostname
        self._path = "/"
        # A dot in the name breaks the wildcard of the vendor's certificate.
        dotted = "." in self.name and parts.scheme == "https"
        if self.profile.addressing is Addressing.VIRTUAL and self.name and not dotted:
            host = f"{self.name}.{host}"
        elif self.name:
            self._path = f"/{self.name}/"
        default = _DEFAULT_PORTS[parts.scheme]
        self.origin = Origin(parts.scheme, host, parts.port or default)
        shown = f"[{host}]" if ":" in host else host
        self.place = place
        self._signer = Signer(
            self._credentials,
            region=place.region,
            host=shown if self.origin.port == default else f"{shown}:{self.origin.port}",
            clock=self._clock,
        )

    def _request(self, call: Call) -> Request:
        path = self._path + encode_path(call.key)
        signed = [*call.signed, *self._always] if self._always else call.signed
        headers = self._signer.sign(
            call.method, path, call.query, signed, payload=self._payload_of(call.body)
        )
        headers.append(_IDENTITY)
        headers += call.unsigned
        target = f"{path}?{call.query}" if call.query else path
        return Request(call.method, target, headers, call.body, call.size_bytes, call.idempotent)

    def _payload_of(self, body: bytes | ByteSource | None) -> str:
        if not body:
            return EMPTY_PAYLOAD
        if isinstance(body, bytes) and self.profile.payload_signing is PayloadSigning.SHA256:
            return sha256(body).hexdigest()
        return UNSIGNED_PAYLOAD

    @staticmethod
    async def _error_body(answer: Answer, call: Call) -> ErrorBody:
        try:
            if call.method == "HEAD":
                return ErrorBody()
            return parse_error(await answer.read_all(MAX_ERROR_BYTES))
        except WireError:
            return ErrorBody()  # the status is known and says enough
        finally:
            await answer.close()

    def _refusal(self, call: Call, answer: Answer, body: ErrorBody) -> StoreError:
        status, headers = answer.head.status, answer.head.headers
        if status in _REDIRECTS:
            where = headers.get("location") or body.endpoint or "elsewhere"
            return StoreError(
                StoreErrorKind.INVALID,
                f"{call.named}: the service says the bucket is at {urlsplit(where).netloc or where}, which is no host"
                f" of {self.profile.name} we may send keys to; give the bucket's own region or endpoint",
                status=status,
                provider_code=body.code,
                request_id=errors.request_id_of(headers),
            )
        return errors.of_answer(call.named, status, headers, body, missing=call.missing)

    def _learn(self, status: int, headers: dict[str, str], body: ErrorBody) -> bool:
        if status in (400, 403) and self._learn_clock(headers.get("date", "")):
            return True
        region = body.region or next((headers[name] for name in _REGION_HEADERS if name in headers), "")
        if status in _REDIRECTS:
            place = self._redirected(region, headers.get("location", ""), body.endpoint)
        elif status in (400, 403) and region and region != self.place.region:
            place = Place(self._url_for(region) or self.place.url, region)
        else:
            return False
        if place is None or place == self.place:
            return False
        self._move_to(place)
        return True

    def _learn_clock(self, date: str) -> bool:
        try:
            return self._clock.learn(http_date_to_unix_s(date))
        except ValueError:
            return False

    def _url_for(self, region: str) -> str | None:
        """The catalogue's url of a region, if this bucket is on the vendor's own hosts."""
        return self._url_of_region(region) if self.profile.domains else None

    def _redirected(self, region: str, location: str, endpoint: str) -> Place | None:
        if region and (url := self._url_for(region)):
            return Place(url, region)
        scheme = urlsplit(self.place.url).scheme
        parts = urlsplit(location) if "://" in location else urlsplit(f"{scheme}://{endpoint}")
        host = (parts.hostname or "").removeprefix(f"{self.name}.")
        same_host = host == urlsplit(self.place.url).hostname
        if not host or (scheme == "https" and parts.scheme != "https"):
            return None
        if not (same_host or is_host_of(self.profile, host)):
            return None
        port = f":{parts.port}" if parts.port else ""
        return Place(f"{parts.scheme}://{host}{port}", region or self.place.region)
