"""Sends the notices that are due: each one again until it arrives or its time is over. Nobody ever waits for it but itself.

A notice is settled after it has arrived, so one whose sender dies in between is sent again by the next: at least once, with the same
message id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from weakref import WeakValueDictionary

from omsd.aio import shielded
from omsd.domain.notice_text import compose
from omsd.domain.notices import Notice, NoticeId
from omsd.domain.retry import RetryPolicy, next_delay
from omsd.ports.clock import Clock
from omsd.ports.notices import DeliveryError, NoticeSink, NoticeStore
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

# In memory at once, most of them resting between two tries; the others wait in the store.
_MAX_UNDER_WAY = 1000
_MAX_SENDING = 16
# So that a topic that hangs leaves room for others.
_MAX_SENDING_PER_TOPIC = 2
_SETTLE_DEADLINE_S = 30.0
_MAX_DETAIL = 1000
# Two seconds at first, a minute at most; how long in all is a setting.
_BACKOFF = RetryPolicy(max_attempts=1_000_000, base_s=2.0, cap_s=60.0, retry_after_cap_s=300.0)


@dataclass(frozen=True, slots=True)
class NotifierSettings:
    """zone: in which times are told. deadline_s: of one attempt. give_up_after_s: from the first attempt of this process."""

    zone: tzinfo
    deadline_s: float = 15.0
    give_up_after_s: float = 600.0
    backoff: RetryPolicy = field(default=_BACKOFF)


class NoticeSender:
    """due: set by whoever has committed a notice."""

    def __init__(
        self,
        store: NoticeStore,
        sink: NoticeSink,
        clock: Clock,
        due: asyncio.Event,
        random01: Callable[[], float],
        settings: NotifierSettings,
    ) -> None:
        self._store = store
        self._sink = sink
        self._clock = clock
        self._due = due
        self._random01 = random01
        self._settings = settings
        self._taken = NoticeId(0)
        self._under_way_num = 0
        self._sending = asyncio.Semaphore(_MAX_SENDING)
        self._topics: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self) -> None:
        """Sends until it is cancelled; what was due before comes first. Raises TaskStoreError if the store fails."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._due.clear()
                await self._take_up(group)
                await self._due.wait()

    async def _take_up(self, group: asyncio.TaskGroup) -> None:
        while (room := _MAX_UNDER_WAY - self._under_way_num) > 0:
            found = await self._store.due_notices(self._taken, room)
            if not found:
                return
            for notice in found:
                self._taken = notice.notice_id
                self._under_way_num += 1
                group.create_task(self._send(notice), name=f"notice {notice.message_id}")

    async def _send(self, notice: Notice) -> None:
        try:
            error = await self._try_until_over(notice)
            if error is None:
                settle = self._store.settle_notice(notice.notice_id)
            else:
                detail = error.message[:_MAX_DETAIL]
                settle = self._store.settle_notice(notice.notice_id, error_code=error.code, detail=detail)
            # A stop in between would send it once more.
            await shielded(settle, deadline_s=_SETTLE_DEADLINE_S)
        finally:
            self._under_way_num -= 1
            # There may be more in the store than there was room for.
            self._due.set()

    async def _try_until_over(self, notice: Notice) -> DeliveryError | None:
        """None: it has arrived. Else why not, after the last try."""
        began_s: float | None = None
        attempt = 0
        while True:
            attempt += 1
            async with self._lane(notice.config.topic_urn), self._sending:
                if began_s is None:
                    began_s = self._clock.monotonic_s()
                error = await self._try(notice)
            if error is None:
                _log.info("notice_sent", notice=notice.message_id, attempts=attempt)
                return None
            delay_s = next_delay(
                error.retryable,
                attempt,
                error.retry_after_s,
                policy=self._settings.backoff,
                random01=self._random01(),
            )
            left_s = began_s + self._settings.give_up_after_s - self._clock.monotonic_s()
            if delay_s is None or delay_s > left_s:
                _log.warning(
                    "notice_given_up",
                    notice=notice.message_id,
                    topic=notice.config.topic_urn,
                    attempts=attempt,
                    code=error.code,
                    error=error.message,
                )
                return error
            _log.info("notice_delayed", notice=notice.message_id, code=error.code, error=error.message)
            await self._clock.sleep(delay_s)

    async def _try(self, notice: Notice) -> DeliveryError | None:
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                await self._sink.deliver(notice, compose(notice, self._settings.zone))
        except DeliveryError as error:
            return error
        except TimeoutError:
            text = f"no answer within {self._settings.deadline_s:g} s"
            return DeliveryError("OMS.0161", text, retryable=True)
        except Exception as error:
            # Whatever is wrong with one notice must not end the daemon, at this start and at each one after it.
            _log.exception("notice_failed", notice=notice.message_id)
            return DeliveryError("OMS.0159", f"unexpected: {type(error).__name__}", retryable=False)
        return None

    def _lane(self, topic_urn: str) -> asyncio.Semaphore:
        lane = self._topics.get(topic_urn)
        if lane is None:
            lane = self._topics[topic_urn] = asyncio.Semaphore(_MAX_SENDING_PER_TOPIC)
        return lane
