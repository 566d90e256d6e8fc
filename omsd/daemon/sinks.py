"""From settings to the places where notices go. Loads what speaks HTTP, which most daemons never need: see notices.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from omsd.clock import SystemClock
from omsd.config import ConfigError, Settings
from omsd.config.notify import secret_path
from omsd.drivers.addresses import address_policy
from omsd.drivers.notify.sinks import TopicSinks
from omsd.drivers.notify.targets import SmnTarget, WebhookTarget, read_secret, webhook_key
from omsd.ports.notices import DeliveryError
from omsd.wire import Deadlines, Pool, make_tls_context

# Notices are few and tiny.
_MAX_PER_ORIGIN = 4


def open_sinks(settings: Settings, clock: SystemClock, environ: Mapping[str, str]) -> TopicSinks:
    """The sinks of the configured topics. Raises ConfigError."""
    network, notify = settings.network, settings.notify
    services, webhooks = _targets(settings, environ)
    pool = Pool(
        deadlines=Deadlines(
            connect_s=network.connect_timeout_s, first_byte_s=notify.deadline_s, stall_s=notify.deadline_s
        ),
        max_per_origin=_MAX_PER_ORIGIN,
        tls=make_tls_context(ca_file=str(network.ca_file or ""), verify=network.verify_tls),
        allow_address=address_policy(str(allowed) for allowed in network.allowed_networks),
    )
    return TopicSinks(pool, clock, services, webhooks)


async def check_secrets(settings: Settings, environ: Mapping[str, str]) -> None:
    """Every secret can be read and used. Raises ConfigError that names those that cannot."""
    services, webhooks = _targets(settings, environ)
    problems = []
    for service in services:
        for path in (service.secret_file, service.token_file):
            if path is not None:
                problems += await _secret_fault(f"[[notify.smn]] {service.region}", path)
    for webhook in webhooks:
        problems += await _secret_fault(f"[[notify.topic]] {webhook.urn}", webhook.secret_file, key=True)
    if problems:
        raise ConfigError(tuple(problems))


async def _secret_fault(where: str, path: Path, *, key: bool = False) -> list[str]:
    try:
        secret = await read_secret(path)
        if key:
            webhook_key(secret)
    except DeliveryError as error:
        return [f"{where}: {error.message}"]
    except ValueError as error:
        return [f"{where}: the secret in {path} cannot be used: {error}"]
    return []


def _targets(
    settings: Settings, environ: Mapping[str, str]
) -> tuple[tuple[SmnTarget, ...], tuple[WebhookTarget, ...]]:
    try:
        services = tuple(
            SmnTarget(
                entry.region,
                entry.service_url,
                entry.project_id,
                entry.access_key,
                secret_path(entry.secret_file, environ) if entry.secret_file is not None else None,
                secret_path(entry.token_file, environ) if entry.token_file is not None else None,
            )
            for entry in settings.notify.smn
        )
        webhooks = tuple(
            WebhookTarget(entry.urn, entry.url, secret_path(entry.secret_file, environ))
            for entry in settings.notify.topic
        )
    except ValueError as error:
        raise ConfigError((f"[notify] {error}",)) from error
    return services, webhooks
