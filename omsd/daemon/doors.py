"""The doors of the control process: gRPC, and the servers that are only loaded where they have an address."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from omsd.api.connections import ConnectionLimits
from omsd.api.grpc.server import (
    Certificate,
    GrpcServer,
    bucket_service,
    catalog_service,
    group_service,
    sync_service,
)
from omsd.config import Settings, is_local
from omsd.domain.errors import OmsdError
from omsd.telemetry.logging import get_logger

if TYPE_CHECKING:
    from omsd.api.events.server import EventServer
    from omsd.api.rest.server import RestServer
    from omsd.daemon.services import DaemonServices
    from omsd.service.sync_receiver import EventReceiver

_log = get_logger(__name__)


class CertificateError(OmsdError):
    """A certificate or its key cannot be used."""


def make_grpc_server(settings: Settings, services: DaemonServices) -> GrpcServer:
    """The gRPC API. Raises CertificateError."""
    return GrpcServer(
        services.tasks,
        bucket_service(services.buckets),
        catalog_service(services.catalog),
        sync_service(services.syncs),
        group_service(services.groups),
        listen=settings.server.grpc_listen,
        access=services.access,
        certificate=grpc_certificate(settings),
    )


def grpc_certificate(settings: Settings) -> Certificate | None:
    """The certificate of gRPC, None = plain text. Raises CertificateError."""
    tls = settings.tls
    if tls.cert_file is None or tls.key_file is None:
        return None
    # gRPC would only say that it cannot listen.
    _tls_of(tls.cert_file, tls.key_file)
    client_ca = tls.client_ca_file.read_bytes() if tls.client_ca_file is not None else None
    return Certificate(tls.cert_file.read_bytes(), tls.key_file.read_bytes(), client_ca)


def make_rest_server(settings: Settings, services: DaemonServices) -> RestServer | None:
    """The REST API, if it has an address. Raises CertificateError."""
    listen, tls = settings.server.rest_listen, settings.tls
    if listen is None:
        return None
    # aiohttp is loaded by those daemons that have a use for it.
    from omsd.api.rest.app import RestApp
    from omsd.api.rest.server import RestServer
    from omsd.api.rest.services import Services

    if settings.auth.methods and tls.cert_file is None and not is_local(listen):
        _log.warning("rest_in_plain_text", listen=listen, advice="set [tls] cert_file and key_file")
    context = _tls_of(tls.cert_file, tls.key_file)
    rest_services = Services(
        services.access, services.tasks, services.groups, services.syncs, services.buckets, services.catalog
    )
    return RestServer(RestApp(rest_services), listen=listen, tls=context, limits=_connection_limits(settings))


def make_event_server(settings: Settings, receiver: EventReceiver) -> EventServer | None:
    """The receiver of event notifications, if it has an address. Raises CertificateError."""
    sync, tls = settings.sync, settings.tls
    if sync.events_listen is None:
        return None
    from omsd.api.events.server import EventServer

    cert_file, key_file = sync.events_cert_file or tls.cert_file, sync.events_key_file or tls.key_file
    context, limits = _tls_of(cert_file, key_file), _connection_limits(settings)
    return EventServer(receiver, listen=sync.events_listen, tls=context, limits=limits)


def _tls_of(cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext | None:
    """What a server with this certificate speaks, None = plain text. Raises CertificateError."""
    if cert_file is None or key_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # An empty password: else the library asks the terminal for that of a key that has one.
        context.load_cert_chain(cert_file, key_file, password="")
    except OSError as error:
        raise CertificateError(
            f"{cert_file} and {key_file} cannot be used: they must be a certificate chain and its key without a password, in PEM ({error})"
        ) from error
    return context


def _connection_limits(settings: Settings) -> ConnectionLimits:
    http = settings.http
    return ConnectionLimits(http.head_timeout_s, http.keepalive_timeout_s, http.max_connections)
