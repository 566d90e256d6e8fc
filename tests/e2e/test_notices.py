"""The end of real tasks and groups is told to a real receiver, over kill -9; what a project may create is remembered over it, too."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from omsd.cli.client import CallError
from omsd.pb.v1 import task_pb2, types_pb2
from tests.e2e.group_harness import COMPLETED, group_client, group_request, wait_for_group
from tests.e2e.harness import FAILED, SUCCEEDED, Daemon, ended, node, request, wait_for
from tests.noticeserver import PUBLISHED, NoticeServer, start_notice_server
from tests.servers import S3Server
from tests.waiting import until

SMN_URN = "urn:smn:eu-de:smnproject:storage"
HOOK_URN = "urn:smn:local:0:team"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def configuration(server: NoticeServer) -> str:
    return f"""
[quotas]
tasks_per_day = 3
[notify]
deadline_s = 300
[[notify.smn]]
region = "eu-de"
url = "{server.url}"
project_id = "smnproject"
access_key = "AK"
secret_file = "smn-sk"
[[notify.topic]]
urn = "{HOOK_URN}"
url = "{server.url}/hook"
secret_file = "hook"
"""


def telling(urn: str, language: str = "en-us") -> types_pb2.SmnConfig:
    return types_pb2.SmnConfig(topic_urn=urn, trigger_conditions=["SUCCESS", "FAIL"], language=language)


def is_told(task: task_pb2.Task) -> bool:
    return task.HasField("smn_info") and not task.smn_info.is_pending


async def test_the_end_of_a_task_is_told_over_a_kill(
    daemon: Daemon, seaweed: S3Server, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name, text in (("smn-sk", "SK"), ("hook", SECRET)):
        (credentials / name).touch(mode=0o600)
        (credentials / name).write_text(text)
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    receiver = start_notice_server(tmp_path)
    try:
        daemon.extra = configuration(receiver)
        await daemon.start(environment)
        await _story(daemon, seaweed, receiver, environment)
        assert "Traceback" not in daemon.log()
        assert SECRET not in daemon.log()
    finally:
        receiver.stop()


async def _story(
    daemon: Daemon, seaweed: S3Server, receiver: NoticeServer, environment: dict[str, str]
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put_many(source, {"a": b"12345", "b": b"678"})
    ends = node(seaweed, source), node(seaweed, destination)

    # The receiver hangs: the task ends all the same, and the daemon is killed before anything has arrived.
    receiver.answer({"hang": True})
    async with daemon.client() as client:
        told = (await client.create(request(*ends, smn_config=telling(SMN_URN, "zh-cn")))).id
        task = await ended(client, told)
        assert task.status == SUCCEEDED
        assert (task.smn_info.is_pending, task.smn_info.notify_result) == (True, False)
        assert task.smn_info.topic_name == "storage"
        await until(receiver.seen, pause_s=0.05)
    daemon.kill()
    receiver.answer(PUBLISHED)
    await daemon.start(environment)
    async with daemon.client() as client:
        task = await wait_for(client, told, is_told)
        assert task.smn_info == types_pb2.SmnInfo(notify_result=True)
        posts = receiver.seen()
        assert len(posts) == 2
        assert {post.path for post in posts} == {f"/v2/smnproject/notifications/topics/{SMN_URN}/publish"}
        assert posts[0].body == posts[1].body
        assert f"OMS：迁移任务成功：{task.name}" == posts[1].json["subject"]  # noqa: RUF001
        assert "SDK-HMAC-SHA256 Access=AK, " in posts[1].headers["authorization"]

        # A refusal is recorded; it is no failure of the task, which has one of its own.
        receiver.answer({"status": 403, "body": "not you"})
        missing = request(
            *ends, ["a", "gone"], task_type=types_pb2.TASK_TYPE_OBJECT, smn_config=telling(HOOK_URN)
        )
        refused = (await client.create(missing)).id
        task = await wait_for(client, refused, is_told)
        assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0156")
        assert (task.smn_info.notify_result, task.smn_info.notify_error_message) == (False, "OMS.0158")
        assert task.smn_info.topic_name == "team"
        hook = receiver.seen("/hook")[0]
        facts = Webhook(SECRET).verify(hook.body, hook.headers)["facts"]
        assert (facts["skipped_num"], facts["failed_num"], facts["error_code"]) == (1, 1, "TRF.0156")
        assert facts["failed_list"] == task.failed_object_record.list_file_key

        # The end of a group is told, those of its tasks are not.
        receiver.answer(PUBLISHED)
        await _group_story(daemon, ends, receiver)

        # One that is on its way does not hold up the end of the daemon.
        receiver.answer({"hang": True})
        hanging = (await client.create(request(*ends, smn_config=telling(HOOK_URN)))).id
        assert (await ended(client, hanging)).status == SUCCEEDED
        await until(lambda: len(receiver.seen("/hook")) == 3, pause_s=0.05)

        # What may not be named is refused, and nothing is created; nor is it when the day's tasks are used up, deleted or not.
        await client.delete(refused)
        for wrong, code in (
            ("urn:smn:mars:p:t", "OMS.0168"),
            ("urn:smn:eu-de:p:t", "OMS.0169"),
            (HOOK_URN, "OMS.1021"),
        ):
            with pytest.raises(CallError) as caught:
                await client.create(request(*ends, smn_config=telling(wrong)))
            assert caught.value.code == code
        # The third is of the group: it is no creation of the day.
        assert (await client.list(task_pb2.ListTasksRequest())).count == 3
    assert await daemon.stop() == 0


async def _group_story(
    daemon: Daemon, ends: tuple[dict[str, Any], dict[str, Any]], receiver: NoticeServer
) -> None:
    async with group_client(daemon) as groups:
        group_id = await groups.create(group_request(*ends, smn_config=telling(HOOK_URN)))
        group = await wait_for_group(
            groups, group_id, lambda group: group.HasField("smn_config") and not group.smn_config.is_pending
        )
    assert group.status == COMPLETED
    assert group.smn_config == types_pb2.SmnInfo(notify_result=True)
    hook = receiver.seen("/hook")[-1]
    told = Webhook(SECRET).verify(hook.body, hook.headers)
    assert (told["type"], told["id"], told["tags"]["Task_Name"]) == ("group.succeeded", group_id, group_id)
    assert (told["facts"]["listed_num"], told["facts"]["skipped_num"]) == (2, 2)
