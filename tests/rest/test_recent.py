"""Many callers who poll cost one answer, and none of them is told what is no longer so."""

from __future__ import annotations

import json
import threading

import pytest

from omsd.api.rest.app import Incoming, Outgoing, RestApp
from omsd.api.rest.recent import MAX_AGE_S, MAX_ANSWERS, MAX_BYTES, RecentAnswers
from omsd.api.rest.services import Services
from omsd.clock import SystemClock
from omsd.domain.access import Accounts
from omsd.domain.model import Priority
from omsd.service import requests
from omsd.service.access import AccessService
from tests.fakes.bucket_service import FakeBucketService, FakeCatalog
from tests.fakes.group_service import FakeGroupService
from tests.fakes.sync_service import FakeSyncService
from tests.fakes.task_service import FakeTaskService
from tests.rest.harness import REGION, Http, contents, fill, until
from tests.servers import S3Server


def test_an_answer_serves_for_its_moment_and_its_question() -> None:
    recent = RecentAnswers()
    assert recent.find("/a", 1, 0.0) is None
    recent.keep("/a", 1, 10.0, b"first")
    assert recent.find("/a", 1, 10.0 + MAX_AGE_S / 2) == b"first"
    assert recent.find("/a", 1, 10.0 + MAX_AGE_S * 2) is None
    assert recent.find("/b", 1, 10.0) is None
    assert recent.find("/a", 2, 10.0) is None
    recent.keep("/b", 2, 10.0, b"second")
    assert recent.find("/a", 2, 10.0) is None
    assert recent.find("/b", 2, 10.0) == b"second"


def test_little_is_kept() -> None:
    recent = RecentAnswers()
    recent.keep("/large", 1, 0.0, b"x" * (MAX_BYTES + 1))
    assert recent.find("/large", 1, 0.0) is None
    for number in range(MAX_ANSWERS + 1):
        recent.keep(f"/{number}", 1, 0.0, b"x")
    assert recent.find("/0", 1, 0.0) is None
    assert recent.find(f"/{MAX_ANSWERS}", 1, 0.0) == b"x"


@pytest.fixture
def tasks() -> FakeTaskService:
    return FakeTaskService()


@pytest.fixture
def app(tasks: FakeTaskService) -> RestApp:
    access = AccessService(Accounts(), lambda: b"0" * 32, SystemClock())
    return RestApp(
        Services(access, tasks, FakeGroupService(), FakeSyncService(), FakeBucketService(), FakeCatalog())
    )


async def ask(app: RestApp, target: str) -> Outgoing:
    async def no_body() -> bytes:
        return b""

    return await app.answer(Incoming("GET", target, (), no_body))


async def make_task(tasks: FakeTaskService, project_id: str = "p") -> int:
    wanted = requests.CreateTask(
        src_node=requests.SrcNode(bucket="from", object_key=("a",)), dst_node=requests.DstNode(bucket="to")
    )
    return (await tasks.create(project_id, wanted)).task_id


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("/v2/p/tasks/{}", "/v2/p/tasks?limit=10"),
        ("/v1/p/objectstorage/task/{}", "/v1/p/objectstorage/task?start=0&limit=10"),
    ],
)
async def test_callers_who_ask_the_same_share_an_answer_until_something_is_committed(
    app: RestApp, tasks: FakeTaskService, one: str, several: str
) -> None:
    task_id = await make_task(tasks)
    for target in (one.format(task_id), several):
        tasks.calls.clear()
        for _ in range(50):
            told = await ask(app, target)
            assert told.status == 200
            assert str(task_id) in told.body.decode()
        # Few, not one: each is good for a tenth of a second.
        assert 1 <= len(tasks.calls) < 25
        before = told.body
        await tasks.change(
            task_id, priority=Priority.HIGH, error_code="changed", name=f"renamed for {target}"
        )
        assert (await ask(app, target)).body != before


async def test_what_changes_while_an_answer_is_made_is_in_the_next_one(
    app: RestApp, tasks: FakeTaskService
) -> None:
    task_id = await make_task(tasks)
    target = f"/v2/p/tasks/{task_id}"
    real = tasks.get

    async def overtaken(project_id: str, asked: int) -> object:
        view = await real(project_id, asked)  # type: ignore[arg-type]
        await tasks.change(task_id, name="new")  # type: ignore[arg-type]
        return view

    tasks.get = overtaken  # type: ignore[assignment]
    assert json.loads((await ask(app, target)).body)["name"] == "from-to"
    tasks.get = real  # type: ignore[method-assign]
    assert json.loads((await ask(app, target)).body)["name"] == "new"


async def test_nobody_is_told_of_another_project(app: RestApp, tasks: FakeTaskService) -> None:
    task_id = await make_task(tasks)
    assert (await ask(app, f"/v2/p/tasks/{task_id}")).status == 200
    assert (await ask(app, f"/v2/q/tasks/{task_id}")).status == 404
    assert json.loads((await ask(app, "/v2/q/tasks")).body)["count"] == 0


async def test_a_refusal_is_not_kept(app: RestApp, tasks: FakeTaskService) -> None:
    task_id = await make_task(tasks)
    tasks.raises = ZeroDivisionError()
    assert (await ask(app, f"/v2/p/tasks/{task_id}")).status == 500
    tasks.raises = None
    assert (await ask(app, f"/v2/p/tasks/{task_id}")).status == 200


def test_who_has_been_answered_sees_what_he_did_however_many_poll(
    http: Http, seaweed_server: S3Server
) -> None:
    source, destination = fill(seaweed_server, {"a": b"a"})
    stopping = threading.Event()
    polls: list[int] = []

    def poll() -> None:
        while not stopping.is_set():
            polls.append(http.v2("GET", "/tasks?limit=100").status)

    pollers = [threading.Thread(target=poll) for _ in range(3)]
    for poller in pollers:
        poller.start()
    try:
        for number in range(8):
            keys = {"ak": seaweed_server.access_key, "sk": seaweed_server.secret_key, "region": REGION}
            made = http.v2(
                "POST",
                "/tasks",
                {
                    "src_node": {
                        **keys,
                        "cloud_type": "HuaweiCloud",
                        "bucket": source,
                        "object_key": ["a"],
                    },
                    "dst_node": {**keys, "bucket": destination, "save_prefix": f"{number}/"},
                },
            )
            assert made.status == 200, made
            task_id = made.json["id"]
            listed = http.v2("GET", "/tasks?limit=100").json["tasks"]
            assert task_id in [task["id"] for task in listed]
            ended = until(
                lambda task_id=task_id: http.v2("GET", f"/tasks/{task_id}").json,
                lambda task: task["status"] in (4, 5),
            )
            assert ended["status"] == 5, ended
            assert http.v2("DELETE", f"/tasks/{task_id}").status == 200
            listed = http.v2("GET", "/tasks?limit=100").json["tasks"]
            assert task_id not in [task["id"] for task in listed]
            assert http.v2("GET", f"/tasks/{task_id}").status == 404
    finally:
        stopping.set()
        for poller in pollers:
            poller.join(60)
    assert set(polls) == {200}
    assert len(contents(seaweed_server, destination)) == 8
