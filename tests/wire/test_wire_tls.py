"""TLS: verified against the given authority and the name, refused otherwise."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from omsd.wire import Origin, WireError, WireErrorKind, make_tls_context
from tests.waiting import until
from tests.wire.bodies import BLOCK, BlockSource, get, ok, put
from tests.wire.conftest import PoolFactory
from tests.wire.scripted_server import Peer, scripted


def make_certificate(
    path: Path,
    subject: str,
    *,
    names: list[x509.GeneralName],
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None,
) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    """A certificate and its key in one PEM file; self-signed and an authority without an issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    issuer_name, issuer_key = issuer or (name, key)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder(issuer_name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        # From Python 3.13 on these are asked for.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=issuer is None,
                crl_sign=issuer is None,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return name, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem signed local.pem (127.0.0.1, localhost) and other.pem (another name)."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = make_certificate(folder / "ca.pem", "test authority", names=[], issuer=None)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    make_certificate(
        folder / "local.pem", "local", names=[address, x509.DNSName("localhost")], issuer=authority
    )
    make_certificate(folder / "other.pem", "other", names=[x509.DNSName("other.example")], issuer=authority)
    return folder


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def script(peer: Peer) -> None:
    while True:
        head = await peer.head()
        if head.startswith(b"PUT"):
            await peer.swallow(100 * len(BLOCK))
            await peer.send(ok())
        else:
            await peer.send(ok(BLOCK * 100))


async def test_verified_exchange_moves_bodies_both_ways_on_one_connection(
    make_pool: PoolFactory, certificates: Path
) -> None:
    async with scripted(script, tls=server_context(certificates / "local.pem")) as server:
        pool = make_pool(tls=make_tls_context(ca_file=str(certificates / "ca.pem")))
        for host in ("127.0.0.1", "localhost"):
            origin = Origin("https", host, server.origin.port)
            for _ in range(2):
                answer = await pool.send(origin, get)
                assert await answer.read_all(100 * len(BLOCK)) == BLOCK * 100
                answer = await pool.send(origin, lambda: put(BlockSource(100), 100 * len(BLOCK)))
                assert await answer.read_all(10) == b""
        assert len(server.peers) == 2


async def test_name_is_sent_and_http_1_1_is_asked_for(make_pool: PoolFactory, certificates: Path) -> None:
    seen: list[str | None] = []
    context = server_context(certificates / "local.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    async with scripted(script, tls=context) as server:
        pool = make_pool(tls=make_tls_context(ca_file=str(certificates / "ca.pem")))
        await (await pool.send(Origin("https", "localhost", server.origin.port), get)).close()
        assert seen == ["localhost"]


@pytest.mark.parametrize(("certificate", "trusted"), [("local.pem", False), ("other.pem", True)])
async def test_unknown_authority_and_wrong_name_are_refused(
    make_pool: PoolFactory, certificates: Path, certificate: str, trusted: bool
) -> None:
    async with scripted(script, tls=server_context(certificates / certificate)) as server:
        tls = make_tls_context(ca_file=str(certificates / "ca.pem")) if trusted else None
        pool = make_pool(tls=tls)
        with pytest.raises(WireError) as caught:
            await pool.send(server.origin, get)
        assert (caught.value.kind, caught.value.answered) == (WireErrorKind.TLS, False)
        assert pool.counts(server.origin).leased == 0
        await until(lambda: pool.counts(server.origin).open == 0)


async def test_verification_can_be_switched_off(make_pool: PoolFactory, certificates: Path) -> None:
    async with scripted(script, tls=server_context(certificates / "other.pem")) as server:
        pool = make_pool(tls=make_tls_context(verify=False))
        answer = await pool.send(server.origin, get)
        assert await answer.read_all(100 * len(BLOCK)) == BLOCK * 100


async def test_server_without_tls_is_an_error_of_tls_or_connection(make_pool: PoolFactory) -> None:
    async def plain(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with scripted(plain) as server:
        with pytest.raises(WireError) as caught:
            await make_pool().send(Origin("https", "127.0.0.1", server.origin.port), get)
        assert caught.value.kind is WireErrorKind.TLS


async def test_close_of_an_idle_tls_connection_is_noticed(make_pool: PoolFactory, certificates: Path) -> None:
    async def once(peer: Peer) -> None:
        await peer.head()
        await peer.send(ok())
        peer.close()

    async with scripted(once, tls=server_context(certificates / "local.pem")) as server:
        pool = make_pool(tls=make_tls_context(ca_file=str(certificates / "ca.pem")))
        await (await pool.send(server.origin, get)).read_all(10)
        await until(lambda: pool.counts(server.origin).open == 0)


def test_authority_file_that_is_missing_or_no_certificate_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        make_tls_context(ca_file=str(tmp_path / "missing.pem"))
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        make_tls_context(ca_file=str(tmp_path / "bad.pem"))
