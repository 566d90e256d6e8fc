"""The only door of this room: a notice goes where its topic is configured to be."""

from __future__ import annotations

from collections.abc import Iterable

from omsd.domain.notices import Notice, NoticeMessage, parse_topic
from omsd.drivers.notify.exchange import NO_TOPIC
from omsd.drivers.notify.smn import publish
from omsd.drivers.notify.targets import SmnTarget, WebhookTarget
from omsd.drivers.notify.webhook import post_webhook
from omsd.ports.clock import Clock
from omsd.ports.notices import DeliveryError
from omsd.wire import Pool


class TopicSinks:
    """NoticeSink. pool: opens the connections, and asks its address policy for each of them; closed with this."""

    def __init__(
        self, pool: Pool, clock: Clock, services: Iterable[SmnTarget], webhooks: Iterable[WebhookTarget]
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._services = {target.region: target for target in services}
        self._webhooks = {target.urn: target for target in webhooks}

    async def deliver(self, notice: Notice, message: NoticeMessage) -> None:
        """The receiver has it. Raises DeliveryError; a topic that is no longer configured is one."""
        urn = notice.config.topic_urn
        webhook = self._webhooks.get(urn)
        if webhook is not None:
            await post_webhook(self._pool, webhook, notice, message, self._clock.now_s())
            return
        topic = parse_topic(urn)
        service = self._services.get(topic.region)
        if service is None or service.project_id != topic.project_id:
            raise DeliveryError(
                NO_TOPIC, f"[notify] of the configuration has no place for {urn} any more", retryable=False
            )
        await publish(self._pool, service, notice, message, self._clock.now_s())

    async def close(self) -> None:
        """No connection is open."""
        await self._pool.close()
