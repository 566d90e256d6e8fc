"""The part of the composition root that notices need: their sender, and the way out, opened when there is something to send."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

from omsd.clock import SystemClock
from omsd.config import Settings
from omsd.domain.notices import Notice, NoticeMessage
from omsd.ports.notices import NoticeStore
from omsd.service.notifier import NoticeSender, NotifierSettings

if TYPE_CHECKING:
    from omsd.drivers.notify.sinks import TopicSinks


class Notices:
    """Sends as long as the daemon runs. Is the NoticeSink of its sender: without topics nothing that speaks HTTP is loaded."""

    def __init__(
        self,
        settings: Settings,
        store: NoticeStore,
        clock: SystemClock,
        due: asyncio.Event,
        environ: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._environ = environ
        self._sinks: TopicSinks | None = None
        notify = settings.notify
        self._sender = NoticeSender(
            store,
            self,
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
        if self._settings.notify.smn or self._settings.notify.topic:
            from omsd.daemon.sinks import check_secrets

            await check_secrets(self._settings, self._environ)

    async def deliver(self, notice: Notice, message: NoticeMessage) -> None:
        """As TopicSinks does; also a notice of a topic that is configured no more needs its answer."""
        if self._sinks is None:
            from omsd.daemon.sinks import open_sinks

            self._sinks = open_sinks(self._settings, self._clock, self._environ)
        await self._sinks.deliver(notice, message)

    async def run(self) -> None:
        """Sends until it is cancelled."""
        try:
            await self._sender.run()
        finally:
            if self._sinks is not None:
                await self._sinks.close()
