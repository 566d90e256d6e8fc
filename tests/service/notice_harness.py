"""Notices of a control process on their way to a real server; pauses between tries are moved by hand."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from omsd.clock import SystemClock
from omsd.domain.model import TaskState
from omsd.domain.notices import Notice, NoticeMessage, SmnInfo
from omsd.drivers.addresses import address_policy
from omsd.drivers.notify.sinks import TopicSinks
from omsd.drivers.notify.targets import SmnTarget, WebhookTarget
from omsd.ports.notices import NoticeSink
from omsd.service import requests
from omsd.service.notice_topics import NoticeTopics, SmnService, WebhookTopic, notice_topics
from omsd.service.notifier import NoticeSender, NotifierSettings
from omsd.wire import Deadlines, Pool
from tests.noticeserver import NoticeServer
from tests.service.harness import PROJECT, Control, create_request
from tests.waiting import PATIENCE_S

SMN_URN = "urn:smn:eu-de:smnproject:storage"
HOOK_URN = "urn:smn:local:0:team"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
TOPICS: NoticeTopics = notice_topics([SmnService("eu-de", "smnproject")], [WebhookTopic(HOOK_URN)])


def telling(urn: str = SMN_URN, *conditions: str, **changes: str) -> requests.CreateTask:
    """A task that tells of its end, of both if none is named."""
    triggers = conditions or ("SUCCESS", "FAILURE")
    return create_request(
        smn_config=requests.SmnConfig(topic_urn=urn, trigger_conditions=triggers, **changes)
    )


@dataclass
class NoSink:
    """A sink that is broken in a way nobody thought of."""

    error: Exception

    async def deliver(self, notice: Notice, message: NoticeMessage) -> None:
        raise self.error


class _Watched:
    """Passes on to a sink, and knows how many notices are on their way."""

    def __init__(self, inner: NoticeSink) -> None:
        self._inner = inner
        self.under_way_num = 0

    async def deliver(self, notice: Notice, message: NoticeMessage) -> None:
        self.under_way_num += 1
        try:
            await self._inner.deliver(notice, message)
        finally:
            self.under_way_num -= 1


@asynccontextmanager
async def sending(
    control: Control,
    server: NoticeServer,
    folder: Path,
    *,
    deadline_s: float = PATIENCE_S,
    give_up_after_s: float = 600.0,
    sink: NoticeSink | None = None,
) -> AsyncIterator[Callable[[], bool]]:
    """Notices are sent while the block runs; the sender dies at its end as it would be killed.

    Yields what tells whether none is on its way to a server, which has a clock of its own.
    """
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    pool = Pool(deadlines=Deadlines(), allow_address=address_policy(["127.0.0.0/8"]))
    sinks = TopicSinks(
        pool,
        SystemClock(),
        [SmnTarget("eu-de", server.url, "smnproject", "AK", secret)],
        [WebhookTarget(HOOK_URN, f"{server.url}/hook", secret)],
    )
    settings = NotifierSettings(UTC, deadline_s=deadline_s, give_up_after_s=give_up_after_s)
    watched = _Watched(sink or sinks)
    sender = NoticeSender(control.notices, watched, control.clock, control.notices_due, lambda: 0.9, settings)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(sender.run())
            try:
                yield lambda: not watched.under_way_num
            finally:
                running.cancel()
    finally:
        await sinks.close()


async def end(control: Control, request: requests.CreateTask) -> int:
    """The id of a task that was created and has ended."""
    task_id = (await control.service.create(PROJECT, request)).task_id
    await control.run_out(task_id)
    return task_id


async def settled(
    control: Control, task_id: int, *, step_s: float = 0.0, resting: Callable[[], bool] = lambda: True
) -> SmnInfo:
    """What became of the task's notice; the clock is moved by step_s whenever nothing is on its way."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            view = await control.service.get(PROJECT, task_id)
            assert view.task.state in (TaskState.SUCCEEDED, TaskState.FAILED)
            assert view.smn is not None
            if not view.smn.pending:
                return view.smn
            if step_s and resting():
                control.clock.advance(step_s)
            await asyncio.sleep(0.005)
