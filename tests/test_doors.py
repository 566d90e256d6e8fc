"""The servers of the daemon, as they are made from the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import serialization

from omsd.config import Settings, load_settings
from omsd.daemon.doors import CertificateError, grpc_certificate, make_event_server, make_rest_server
from omsd.daemon.services import DaemonServices
from omsd.service.sync_receiver import EventReceiver
from tests.cli.test_client import self_signed

NOTHING: Any = None
NO_SERVICES = DaemonServices(*[NOTHING] * len(fields(DaemonServices)))
NO_RECEIVER = cast(EventReceiver, None)
DOORS: list[Callable[[Settings], object]] = [
    grpc_certificate,
    lambda settings: make_rest_server(settings, NO_SERVICES),
    lambda settings: make_event_server(settings, NO_RECEIVER),
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    made = self_signed()
    cert, key = tmp_path / "server.pem", tmp_path / "server.key"
    cert.write_bytes(made.chain)
    key.write_bytes(made.key)
    return cert, key


def settings_with(cert: Path, key: Path) -> Settings:
    environ = {
        "HOME": str(cert.parent),
        "OMSD_SERVER__REST_LISTEN": "127.0.0.1:0",
        "OMSD_SYNC__EVENTS_LISTEN": "127.0.0.1:0",
        "OMSD_TLS__CERT_FILE": str(cert),
        "OMSD_TLS__KEY_FILE": str(key),
    }
    return load_settings(None, environ)


@pytest.mark.parametrize("make", DOORS, ids=["grpc", "rest", "events"])
def test_a_certificate_that_cannot_be_used_is_named(
    make: Callable[[Settings], object], files: tuple[Path, Path], tmp_path: Path
) -> None:
    cert, key = files
    assert make(settings_with(cert, key)) is not None
    other, garbage, locked = tmp_path / "other.key", tmp_path / "garbage", tmp_path / "locked.key"
    other.write_bytes(self_signed().key)
    garbage.write_text("no PEM")
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    for wrong_cert, wrong_key in (
        (cert, other),
        (garbage, key),
        (cert, garbage),
        (key, cert),
        (cert, locked),
    ):
        with pytest.raises(CertificateError, match=f"{wrong_cert} and {wrong_key}"):
            make(settings_with(wrong_cert, wrong_key))
