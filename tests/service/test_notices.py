"""The end of a task is told, whatever the receiver does, and whenever the control process dies."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from omsd.domain.errors import RequestError
from omsd.domain.model import TaskState
from omsd.domain.notices import NoticeId, SmnInfo
from omsd.ports.taskstore import TaskStoreError
from omsd.service import requests
from omsd.store.sqlite import DATABASE_FILE
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.noticeserver import PUBLISHED, NoticeServer, start_notice_server
from tests.service.harness import PROJECT, control_process, create_request, start_request
from tests.service.notice_harness import (
    HOOK_URN,
    SECRET,
    SMN_URN,
    TOPICS,
    NoSink,
    end,
    sending,
    settled,
    telling,
)
from tests.waiting import PATIENCE_S

SENT = SmnInfo(sent=True, pending=False, error_code="", topic_name="")


@pytest.fixture(scope="module")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NoticeServer]:
    server = start_notice_server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def server(running_server: NoticeServer) -> NoticeServer:
    """It publishes everything and has seen nothing."""
    running_server.answer(PUBLISHED)
    (running_server.folder / "seen").unlink(missing_ok=True)
    return running_server


def good_world() -> World:
    return World({"a": 100, "b": 100})


def bad_world() -> World:
    return World({"a": 100, "b": 100}, broken={"b": "TRF.0152"})


async def test_success_and_failure_are_told_as_they_were_asked_for(
    tmp_path: Path, server: NoticeServer
) -> None:
    world = World({"a": 100, "b": 50})
    async with (
        control_process(tmp_path, world, topics=TOPICS) as control,
        sending(control, server, tmp_path),
    ):
        silent = await end(control, create_request())
        unwanted = await end(control, telling(SMN_URN, "FAIL"))
        chinese = await end(control, telling(SMN_URN, "success", language="zh-CN"))
        assert await settled(control, chinese) == SENT
        world.broken["b"] = "TRF.0152"
        hooked = await end(control, telling(HOOK_URN, "FAIL"))
        assert await settled(control, hooked) == SENT
        for task_id in (silent, unwanted):
            assert (await control.service.get(PROJECT, task_id)).smn is None
        name = (await control.task(chinese)).name
        page = await control.service.list(PROJECT, requests.ListTasks())
        assert {view.task.task_id: view.smn for view in page.tasks} == {
            silent: None,
            unwanted: None,
            chinese: SENT,
            hooked: SENT,
        }
    smn, hook = server.seen()
    assert smn.path == f"/v2/smnproject/notifications/topics/{SMN_URN}/publish"
    assert smn.json["subject"] == f"OMS：迁移任务成功：{name}"  # noqa: RUF001
    assert "对象数：共 2 个，迁移成功 2 个，跳过 0 个，失败 0 个" in smn.json["message"]  # noqa: RUF001
    told = Webhook(SECRET).verify(hook.body, hook.headers)
    assert (told["type"], told["id"]) == ("task.failed", str(hooked))
    facts = told["facts"]
    assert (facts["listed_num"], facts["successful_num"], facts["failed_num"]) == (2, 1, 1)
    assert (facts["source_bucket"], facts["destination_bucket"]) == ("from", "into")
    assert facts["failed_list"] == f"oms/failed_object_lists/{hooked}/failed-objects-list.txt"
    assert facts["error_code"] == "TRF.0152"
    assert "grant the source's AK the permission" in told["message"]


async def test_a_task_is_not_told_of_before_it_has_ended(tmp_path: Path, server: NoticeServer) -> None:
    async with control_process(tmp_path, good_world(), topics=TOPICS) as control:
        task_id = (await control.service.create(PROJECT, telling())).task_id
        await control.lease(task_id)
        assert (await control.service.get(PROJECT, task_id)).smn is None
        await control.run_out(task_id)
        view = await control.service.get(PROJECT, task_id)
        # Nothing sends here: it is due, and the task has ended all the same.
        assert view.task.state is TaskState.SUCCEEDED
        assert view.smn == SmnInfo(sent=False, pending=True, error_code="", topic_name="storage")
    assert server.seen() == []


async def test_trouble_that_passes_delays_a_notice_and_nothing_else(
    tmp_path: Path, server: NoticeServer
) -> None:
    server.answer(
        {"status": 500},
        {"status": 200, "body": "<html>"},
        {"status": 503, "headers": {"Retry-After": "9"}},
        PUBLISHED,
    )
    async with (
        control_process(tmp_path, good_world(), topics=TOPICS) as control,
        sending(control, server, tmp_path),
    ):
        task_id = await end(control, telling())
        for number, pause_s in ((1, 1.8), (2, 3.6), (3, 10.8)):
            await control.until(lambda n=number: len(server.seen()) == n and control.clock.sleeping())
            asleep_s = min(control.clock.sleeping()) - control.clock.monotonic_s()
            assert asleep_s == pytest.approx(pause_s)
            view = await control.service.get(PROJECT, task_id)
            assert (view.task.state, view.smn is not None and view.smn.pending) == (TaskState.SUCCEEDED, True)
            control.clock.advance(pause_s)
        assert await settled(control, task_id) == SENT
    bodies = {post.body for post in server.seen()}
    assert (len(server.seen()), len(bodies)) == (4, 1)


@pytest.mark.parametrize(("status", "code"), [(403, "OMS.0158"), (404, "OMS.0157"), (400, "OMS.0159")])
async def test_a_refusal_is_recorded_at_once_and_survives_a_restart(
    tmp_path: Path, server: NoticeServer, status: int, code: str
) -> None:
    server.answer({"status": status, "body": "no"})
    async with (
        control_process(tmp_path, good_world(), topics=TOPICS) as control,
        sending(control, server, tmp_path),
    ):
        task_id = await end(control, telling())
        info = await settled(control, task_id)
        assert (info.sent, info.error_code, info.topic_name) == (False, code, "storage")
        assert f"answered {status}" in info.detail
    async with (
        control_process(tmp_path, good_world(), topics=TOPICS) as control,
        sending(control, server, tmp_path),
    ):
        assert await settled(control, task_id) == info
        other = await end(control, telling())
        await settled(control, other)
    assert len(server.seen()) == 2


@pytest.mark.parametrize(("answer", "code"), [({"status": 500}, "OMS.0156"), ({"status": 429}, "OMS.0160")])
async def test_trouble_that_stays_ends_with_its_code(
    tmp_path: Path, server: NoticeServer, answer: dict[str, int], code: str
) -> None:
    server.answer(answer)
    async with (
        control_process(tmp_path, good_world(), topics=TOPICS) as control,
        sending(control, server, tmp_path, give_up_after_s=30) as resting,
    ):
        task_id = await end(control, telling(HOOK_URN))
        began_s = control.clock.monotonic_s()
        info = await settled(control, task_id, step_s=0.5, resting=resting)
        assert (info.sent, info.error_code, info.topic_name) == (False, code, "team")
        # With the pauses 1.8, 3.6, 7.2 and 14.4 s; the next would lead beyond the time.
        assert len(server.seen()) == 5
        assert control.clock.monotonic_s() - began_s < 60


async def test_a_receiver_that_hangs_holds_up_no_other_and_no_task(
    tmp_path: Path, server: NoticeServer
) -> None:
    server.answer({"hang": True, "only": "/hook"})
    async with (
        control_process(tmp_path, good_world(), topics=TOPICS) as control,
        sending(control, server, tmp_path, deadline_s=600),
    ):
        stuck = [await end(control, telling(HOOK_URN)) for _ in range(40)]
        await control.until(lambda: server.seen("/hook"))
        assert await settled(control, await end(control, telling(SMN_URN))) == SENT
        for task_id in stuck:
            view = await control.service.get(PROJECT, task_id)
            assert view.smn is not None
            assert view.smn.pending
        # No more than two at a time hang there.
        assert len(server.seen("/hook")) <= 2


async def test_an_answer_that_does_not_come_is_given_up(tmp_path: Path, server: NoticeServer) -> None:
    server.answer({"hang": True})
    async with (
        control_process(tmp_path, good_world(), topics=TOPICS) as control,
        sending(control, server, tmp_path, deadline_s=0.5, give_up_after_s=0),
    ):
        info = await settled(control, await end(control, telling(HOOK_URN)))
        assert (info.sent, info.error_code) == (False, "OMS.0161")
        assert info.detail == "no answer within 0.5 s"


async def test_what_was_due_when_the_process_died_is_sent_by_the_next_one(
    tmp_path: Path, server: NoticeServer
) -> None:
    clock = FakeClock()
    async with control_process(tmp_path, good_world(), clock=clock, topics=TOPICS) as control:
        task_id = await end(control, telling(HOOK_URN))
    clock.advance(7 * 24 * 3600)
    async with (
        control_process(tmp_path, good_world(), clock=clock, topics=TOPICS) as control,
        sending(control, server, tmp_path),
    ):
        assert await settled(control, task_id) == SENT
    async with (
        control_process(tmp_path, good_world(), clock=clock, topics=TOPICS) as control,
        sending(control, server, tmp_path),
    ):
        other = await end(control, telling(HOOK_URN))
        assert await settled(control, other) == SENT
    assert [post.json["id"] for post in server.seen()] == [str(task_id), str(other)]


@pytest.mark.parametrize("durable", [False, True], ids=["lost", "durable"])
@pytest.mark.parametrize("die_at", range(1, 9))
async def test_a_death_at_any_commit_neither_loses_a_notice_nor_makes_two(
    tmp_path: Path, die_at: int, durable: bool
) -> None:
    asked = create_request(
        request_id="the-one",
        smn_config=requests.SmnConfig(topic_urn=SMN_URN, trigger_conditions=("SUCCESS",)),
    )
    world, clock = good_world(), FakeClock()
    try:
        async with control_process(
            tmp_path, world, clock=clock, die_at=die_at, durable=durable, topics=TOPICS
        ) as control:
            task_id = (await control.service.create(PROJECT, asked)).task_id
            ending = asyncio.ensure_future(control.run_out(task_id))
            await control.until(lambda: control.died or ending.done())
            ending.cancel()
            await asyncio.wait([ending])
    except* (TaskStoreError, RequestError):
        pass  # the death, or the call that it refused
    async with control_process(tmp_path, world, clock=clock, topics=TOPICS) as control:
        task_id = await end(control, asked)
        (due,) = await control.notices.due_notices(NoticeId(0), 10)
        assert (due.owner.owner_id, due.facts.successful_num) == (str(task_id), 2)


async def test_each_end_is_told_and_the_last_one_is_shown(tmp_path: Path, server: NoticeServer) -> None:
    world = bad_world()
    async with control_process(tmp_path, world, topics=TOPICS) as control:
        task_id = await end(control, telling(HOOK_URN))
        world.broken.clear()
        await control.service.start(PROJECT, task_id, start_request(failed_only=True))
        await control.lease(task_id)
        # What is said of a task that runs again is not what was said of its last end.
        assert (await control.service.get(PROJECT, task_id)).smn is None
        await control.run_out(task_id)
        async with sending(control, server, tmp_path):
            assert await settled(control, task_id) == SENT
            await control.until(lambda: len(server.seen()) == 2)
        assert await _rows(tmp_path) == [(str(task_id), "sent")]
    assert sorted(post.json["type"] for post in server.seen()) == ["task.failed", "task.succeeded"]


async def test_a_due_notice_is_sent_although_its_task_is_deleted_and_leaves_nothing(
    tmp_path: Path, server: NoticeServer
) -> None:
    async with control_process(tmp_path, good_world(), topics=TOPICS) as control:
        gone = await end(control, telling(HOOK_URN))
        await control.service.delete(PROJECT, gone)
        async with sending(control, server, tmp_path):
            kept = await end(control, telling(HOOK_URN))
            assert await settled(control, kept) == SENT
            await control.until(lambda: len(server.seen()) == 2)
        await control.service.delete(PROJECT, kept)
        assert await _rows(tmp_path) == []
    assert {post.json["id"] for post in server.seen()} == {str(gone), str(kept)}


async def _rows(state_dir: Path) -> list[tuple[str, str]]:
    """Owner and state of what is stored, once nothing is due."""
    database = sqlite3.connect(state_dir / DATABASE_FILE)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                rows = database.execute("SELECT owner_id, state FROM notices").fetchall()
                if all(state != "due" for _, state in rows):
                    return rows
                await asyncio.sleep(0.01)
    finally:
        database.close()


def _alter(state_dir: Path, statement: str, value: str) -> None:
    database = sqlite3.connect(state_dir / DATABASE_FILE)
    try:
        database.execute(statement, (value,))
        database.commit()
    finally:
        database.close()


async def test_a_row_that_is_damaged_and_a_sink_that_breaks_end_nothing(
    tmp_path: Path, server: NoticeServer
) -> None:
    async with control_process(tmp_path, good_world(), topics=TOPICS) as control:
        first = await end(control, telling(HOOK_URN))
        _alter(tmp_path, "UPDATE notices SET facts = ?", "{")
        second = await end(control, telling(HOOK_URN))
        async with sending(control, server, tmp_path, sink=NoSink(RuntimeError("never thought of"))):
            infos = [await settled(control, task_id) for task_id in (first, second)]
    assert [(info.sent, info.error_code) for info in infos] == [(False, "OMS.0159")] * 2
    assert "damaged" in infos[0].detail
    assert infos[1].detail == "unexpected: RuntimeError"
    assert server.seen() == []


async def test_facts_of_another_version_are_read_as_far_as_they_are_known(
    tmp_path: Path, server: NoticeServer
) -> None:
    async with control_process(tmp_path, good_world(), topics=TOPICS) as control:
        task_id = await end(control, telling(HOOK_URN))
        facts = json.dumps({"name": "old", "succeeded": True, "of_the_future": 1})
        _alter(tmp_path, "UPDATE notices SET facts = ?", facts)
        async with sending(control, server, tmp_path):
            assert await settled(control, task_id) == SENT
    assert server.seen()[0].json["facts"]["name"] == "old"
