"""Plain documents of the web: redirects, what is never followed, and what is never sent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.drivers.addresses import address_policy
from omsd.drivers.registry import StoreFactory
from omsd.ports.web import Web
from omsd.wire import make_tls_context
from tests.drivers.scripted import Reply, Seen, scripted
from tests.wire.test_wire_tls import make_certificate


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    factory = StoreFactory(allow_address=address_policy(["127.0.0.0/8"]))
    yield factory.web()
    await factory.close()


class Collected:
    """A body as it came."""

    def __init__(self) -> None:
        self.data = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def feed(self, chunk: bytes) -> None:
        self.data += chunk

    def end(self) -> None:
        self.ended.set_result(None)

    def fail(self, error: Exception) -> None:
        self.ended.set_exception(error)


async def refused(web: Web, url: str) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await web.get(url)
    return caught.value


async def test_redirects_are_followed_and_nothing_tells_who_asks(web: Web) -> None:
    def script(seen: Seen) -> Reply:
        if seen.target == "/a?x=1":
            return Reply(302, headers={"Location": "/b%20c"})
        return Reply(200, b"body", {"ETag": '"e"'})

    async with scripted(script) as server:
        page = await web.get(f"{server.url}/a?x=1")
        assert (page.head.status, page.head.size_bytes, page.head.headers["etag"]) == (200, 4, '"e"')
        assert page.head.url == f"{server.url}/b%20c"
        sink = Collected()
        page.start(sink)
        await sink.ended
        assert sink.data == b"body"
        await page.close()
        assert [seen.target for seen in server.seen] == ["/a?x=1", "/b%20c"]
        assert all(set(seen.headers) == {"host", "accept", "accept-encoding"} for seen in server.seen)


async def test_any_status_is_an_answer(web: Web) -> None:
    async with scripted(lambda seen: Reply(403, b"no")) as server:
        page = await web.get(server.url)
        assert page.head.status == 403
        await page.close()


async def test_a_circle_of_redirects_ends(web: Web) -> None:
    async with scripted(lambda seen: Reply(301, headers={"Location": seen.target})) as server:
        error = await refused(web, f"{server.url}/x?secret=1")
        assert error.kind is StoreErrorKind.INVALID
        assert "secret" not in error.message
        assert len(server.seen) == 6


async def test_https_never_becomes_http(tmp_path: Path) -> None:
    make_certificate(
        tmp_path / "own.pem", "own", names=[x509.IPAddress(ip_address("127.0.0.1"))], issuer=None
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem")
    factory = StoreFactory(tls=make_tls_context(verify=False))
    async with (
        scripted(lambda seen: Reply(200)) as plain,
        scripted(lambda seen: Reply(302, headers={"Location": plain.url}), tls=context) as secure,
    ):
        error = await refused(factory.web(), secure.url)
        assert error.kind is StoreErrorKind.INVALID
        assert "https to http" in error.message
        assert (len(secure.seen), len(plain.seen)) == (1, 0)
        await factory.close()


@pytest.mark.parametrize("target", ["http://169.254.169.254/", "http://10.1.2.3/", "http://[::1]/"])
async def test_a_redirect_into_a_private_network_is_refused(web: Web, target: str) -> None:
    async with scripted(lambda seen: Reply(302, headers={"Location": target})) as server:
        assert (await refused(web, server.url)).kind is StoreErrorKind.FORBIDDEN_ADDRESS


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/",
        "http:///x",
        "http://u:p@h/",
        "http://h:99999/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\u00e9",
    ],
)
async def test_what_is_no_url_is_refused(web: Web, url: str) -> None:
    assert (await refused(web, url)).kind is StoreErrorKind.INVALID


async def test_a_body_cut_short_fails_the_sink_with_a_store_error(web: Web) -> None:
    async with scripted(lambda seen: Reply(200, b"abc", {"Content-Length": "10"}, closes=True)) as server:
        page = await web.get(server.url)
        sink = Collected()
        page.start(sink)
        with pytest.raises(StoreError) as caught:
            await sink.ended
        assert caught.value.kind is StoreErrorKind.TRUNCATED
        await page.close()
