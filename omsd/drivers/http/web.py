"""Plain HTTP documents on our own wire: no credentials, redirects re-checked, every address under the policy of the pool."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.drivers.s3 import errors
from omsd.ports.objectstore import ByteSink
from omsd.ports.web import Page, PageHead
from omsd.wire import Answer, Origin, Pool, Request, WireError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5


class HttpWeb:
    """pool: opens the connections, and asks its address policy for each of them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, url: str) -> Page:
        """The last answer, redirects followed."""
        for _ in range(_MAX_REDIRECTS + 1):
            answer = await self._send(url)
            location = answer.head.headers.get("location", "")
            if answer.head.status not in _REDIRECTS or not location:
                return _HttpPage(url, answer)
            await answer.close()
            following = urljoin(url, location)
            if urlsplit(url).scheme == "https" and urlsplit(following).scheme != "https":
                raise _invalid(url, "redirects from https to http, which is not followed")
            url = following
        raise _invalid(url, f"redirects more than {_MAX_REDIRECTS} times")

    async def _send(self, url: str) -> Answer:
        origin, target, host = _parts(url)
        # Identity: the bytes themselves are compared, and the length is theirs.
        headers = [("host", host), ("accept", "*/*"), ("accept-encoding", "identity")]
        try:
            return await self._pool.send(origin, lambda: Request("GET", target, headers))
        except WireError as error:
            raise errors.of_wire(f"GET {origin}", error) from error


class _HttpPage:
    """An answer as a page."""

    def __init__(self, url: str, answer: Answer) -> None:
        self._answer = answer
        self.head = PageHead(answer.head.status, url, answer.head.headers, answer.size_bytes)

    def start(self, sink: ByteSink) -> None:
        """Begin to push."""
        self._answer.start(_Translated(sink, urlsplit(self.head.url).netloc))

    def pause(self) -> None:
        """Stop pushing soon."""
        self._answer.pause()

    def resume(self) -> None:
        """Go on."""
        self._answer.resume()

    async def close(self) -> None:
        """Drop the connection unless the body was read."""
        await self._answer.close()


class _Translated:
    """The sink behind a body: it hears StoreErrors only."""

    def __init__(self, sink: ByteSink, host: str) -> None:
        self._host = host
        self.feed = sink.feed
        self.end = sink.end
        self._fail = sink.fail

    def fail(self, error: Exception) -> None:
        """The body is broken."""
        translated = errors.of_wire(f"GET {self._host}", error) if isinstance(error, WireError) else error
        self._fail(translated)


def _parts(url: str) -> tuple[Origin, str, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _invalid(url, "is no URL") from None
    host = parts.hostname or ""
    if parts.scheme not in _DEFAULT_PORTS or not host or parts.username is not None:
        raise _invalid(url, "must begin with http:// or https:// and a host, without user and password")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (target.isascii() and target.isprintable()) or " " in target:
        raise _invalid(url, "is not URL-encoded")
    default = _DEFAULT_PORTS[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    named = shown if port in (None, default) else f"{shown}:{port}"
    return Origin(parts.scheme, host, port or default), target, named


def _invalid(url: str, what: str) -> StoreError:
    # What stands in a query may be a secret.
    return StoreError(StoreErrorKind.INVALID, f"{url.partition('?')[0][:200]!a} {what}")
