"""The part of the composition root that notices need: from settings to topics, sinks and their sender."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

from omsd.clock import SystemClock
from omsd.config import ConfigError, Settings
from omsd.config.notify import secret_path
from omsd.drivers.addresses import address_policy
from omsd.drivers.notify.sinks import TopicSinks
from omsd.drivers.notify.targets import SmnTarget, WebhookTarget, read_secret, webhook_key
from omsd.ports.notices import DeliveryError, NoticeStore
from omsd.service.notice_topics import NoticeTopics, SmnService, WebhookTopic, notice_topics
from omsd.service.notifier import NoticeSender, NotifierSettings
from omsd.wire import Deadlines, Pool, make_tls_context

# Notices are few and tiny.
_MAX_PER_ORIGIN = 4


def topics_of(settings: Settings) -> NoticeTopics:
    """What callers may name."""
    return notice_topics(
        [
            SmnService(entry.region, entry.project_id, frozenset(entry.topics), frozenset(entry.projects))
            for entry in settings.notify.smn
        ],
        [WebhookTopic(entry.urn, frozenset(entry.projects)) for entry in settings.notify.topic],
    )


class Notices:
    """The way out, open as long as the daemon runs."""

    def __init__(
        self,
        settings: Settings,
        store: NoticeStore,
        clock: SystemClock,
        due: asyncio.Event,
        environ: Mapping[str, str],
    ) -> None:
        self._services, self._webhooks = _targets(settings, environ)
        network, notify = settings.network, settings.notify
        self._sinks = TopicSinks(
            Pool(
                deadlines=Deadlines(
                    connect_s=network.connect_timeout_s,
                    first_byte_s=notify.deadline_s,
                    stall_s=notify.deadline_s,
                ),
                max_per_origin=_MAX_PER_ORIGIN,
                tls=make_tls_context(ca_file=str(network.ca_file or ""), verify=network.verify_tls),
                allow_address=address_policy(str(allowed) for allowed in network.allowed_networks),
            ),
            clock,
            self._services,
            self._webhooks,
        )
        self._sender = NoticeSender(
            store,
            self._sinks,
            clock,
            due,
            random.random,
            NotifierSettings(
                zone=settings.server.zone,
                deadline_s=notify.deadline_s,
                give_up_after_s=notify.give_up_after_s,
            ),
        )

    async def check(self) -> None:
        """Every secret can be read and used. Raises ConfigError that names those that cannot."""
        problems = []
        for service in self._services:
            for path in (service.secret_file, service.token_file):
                if path is not None:
                    problems += await _secret_fault(f"[[notify.smn]] {service.region}", path)
        for webhook in self._webhooks:
            problems += await _secret_fault(f"[[notify.topic]] {webhook.urn}", webhook.secret_file, key=True)
        if problems:
            raise ConfigError(tuple(problems))

    async def run(self) -> None:
        """Sends until it is cancelled."""
        try:
            await self._sender.run()
        finally:
            await self._sinks.close()


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
