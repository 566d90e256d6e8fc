"""omsctl from the outside: arguments in, calls at the server, output and exit code out."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omsd.api.grpc.server import GrpcServer
from omsd.cli.omsctl import app
from omsd.domain.errors import Refusal, RequestError, Violation
from omsd.domain.model import BandwidthWindow, Counters, ListFileRef, Priority, TaskId, TaskState, TaskType
from omsd.service import requests
from tests.cli.conftest import KEYS, Omsctl, Spawn
from tests.fakes.task_service import FakeTaskService

CREATE = ("task", "create", "s3://from/logs/", "s3://to/copy/", "--src-region", "r1", "--dst-region", "r2")


async def made_task(tasks: FakeTaskService, **fields: object) -> TaskId:
    request = requests.CreateTask(
        src_node=requests.SrcNode(bucket="from", cloud_type="AWS", object_key=("logs/",)),
        dst_node=requests.DstNode(bucket="to", cloud_type="AWS"),
        task_type="prefix",
    )
    task = await tasks.create("default", request)
    tasks.calls.clear()
    if fields:
        await tasks.change(task.task_id, **fields)
    return task.task_id


def sent(tasks: FakeTaskService) -> requests.CreateTask:
    name, _, request = tasks.calls[-1]
    assert name == "create"
    assert isinstance(request, requests.CreateTask)
    return request


async def test_create_sends_locations_and_keys_of_the_environment(
    omsctl: Omsctl, tasks: FakeTaskService
) -> None:
    done = await omsctl(*CREATE, "--src-endpoint", "http://h:1", OMSCTL_SRC_TOKEN="TOKEN")
    assert (done.code, done.err) == (0, "")
    (task_id,) = tasks.tasks
    assert done.out == f"task {task_id} created: from-to\n"
    request = sent(tasks)
    assert request.src_node == requests.SrcNode(
        cloud_type="AWS",
        region="r1",
        ak="SRCAK",
        sk="SRCSK",
        security_token="TOKEN",
        bucket="from",
        object_key=("logs/",),
        endpoint="http://h:1",
    )
    assert request.dst_node == requests.DstNode(
        cloud_type="AWS", region="r2", ak="DSTAK", sk="DSTSK", bucket="to", save_prefix="copy/"
    )
    assert request.task_type == "prefix"


async def test_every_option_of_create_reaches_its_field(omsctl: Omsctl, tasks: FakeTaskService) -> None:
    done = await omsctl(
        *("task", "create", "s3://from", "s3://to", "--key", "a b", "--key", "dir/", "--src-app-id", "app"),
        *("--src-cloud", "Tencent", "--dst-cloud", "HuaweiCloud", "--description", "nightly"),
        *("--overwrite", "no_overwrite", "--check", "CRC64", "--storage", "ia", "--priority", "high"),
        *("--since", "1700000000", "--window", "08:00-18:00=20MB", "--window", "22:00-02:00=1.5MiB/s"),
        *("--metadata", "--no-record-failed", "--restore", "--kms", "--requester-pays", "--request-id", "x1"),
        *("--notify-topic", "urn:smn:r:p:t", "--notify-on", "failure", "--notify-language", "zh-cn"),
        *("--notify-template", "oms_end", "--project", "p2", "-o", "json"),
    )
    assert (done.code, done.err) == (0, "")
    assert done.json == {"id": next(iter(tasks.tasks)), "task_name": "from-to"}
    assert tasks.calls[-1][1] == "p2"
    request = sent(tasks)
    assert request.src_node is not None
    assert request.dst_node is not None
    assert (request.src_node.object_key, request.src_node.app_id) == (("a b", "dir/"), "app")
    assert (request.src_node.cloud_type, request.dst_node.cloud_type) == ("Tencent", "HuaweiCloud")
    assert request == requests.CreateTask(
        smn_config=requests.SmnConfig(
            topic_urn="urn:smn:r:p:t",
            trigger_conditions=("FAILURE",),
            language="zh-cn",
            message_template_name="oms_end",
        ),
        src_node=request.src_node,
        dst_node=request.dst_node,
        task_type="object",
        description="nightly",
        object_overwrite_mode="NO_OVERWRITE",
        consistency_check="crc64",
        dst_storage_policy="IA",
        task_priority="HIGH",
        migrate_since=1_700_000_000,
        bandwidth_policy=(
            requests.BandwidthRule(start="08:00", end="18:00", max_bandwidth=20_000_000),
            requests.BandwidthRule(start="22:00", end="02:00", max_bandwidth=1_572_864),
        ),
        enable_metadata_migration=True,
        enable_failed_object_recording=False,
        enable_restore=True,
        enable_kms=True,
        enable_requester_pays=True,
        request_id="x1",
    )


async def test_a_template_without_a_topic_is_wrong_usage(omsctl: Omsctl, tasks: FakeTaskService) -> None:
    done = await omsctl(*CREATE, "--notify-template", "oms_end")
    assert done.code == 2
    assert "--notify-topic" in done.err
    assert tasks.calls == []


async def test_create_from_a_list_file_names_its_bucket_and_key(
    omsctl: Omsctl, tasks: FakeTaskService
) -> None:
    for written, key in (("s3://lists/hw/keys.txt", "hw/keys.txt"), ("s3://lists/hw/", "hw/")):
        done = await omsctl("task", "create", "s3://from", "s3://to", "--list-file", written)
        assert (done.code, done.err) == (0, "")
        request = sent(tasks)
        assert request.task_type == "list"
        assert request.src_node is not None
        assert (request.src_node.bucket, request.src_node.object_key) == ("from", None)
        assert request.src_node.list_file == requests.ListFile(list_file_key=key, obs_bucket="lists")


async def test_common_keys_of_aws_serve_both_ends(spawn: Spawn, tasks: FakeTaskService) -> None:
    aws = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SESSION_TOKEN": "T"}
    process = await spawn(*CREATE, **aws, OMSCTL_DST_AK="DA", OMSCTL_DST_SK="DS")
    _, err = await process.communicate()
    assert process.returncode == 0, err
    request = sent(tasks)
    assert request.src_node is not None
    assert request.dst_node is not None
    assert (request.src_node.ak, request.src_node.sk, request.src_node.security_token) == ("A", "S", "T")
    assert (request.dst_node.ak, request.dst_node.sk, request.dst_node.security_token) == ("DA", "DS", None)


async def test_missing_keys_are_a_usage_error_that_names_the_variables(
    spawn: Spawn, tasks: FakeTaskService
) -> None:
    process = await spawn(*CREATE)
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"source access key (AK) is missing: set OMSCTL_SRC_AK or AWS_ACCESS_KEY_ID" in err
    assert tasks.calls == []


async def test_keys_are_not_in_the_arguments_of_the_process(spawn: Spawn, tasks: FakeTaskService) -> None:
    await made_task(tasks, state=TaskState.MIGRATING)
    process = await spawn(*CREATE, "--watch", **KEYS)
    assert process.stdout is not None
    await process.stdout.readline()
    arguments = await asyncio.to_thread(Path(f"/proc/{process.pid}/cmdline").read_bytes)
    assert b"s3://from/logs/" in arguments
    assert not any(key.encode() in arguments for key in KEYS.values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("task", "create", "from", "s3://to"), "'from' is not a location: write s3://bucket"),
        (("task", "create", "s3://", "s3://to"), "'s3://' is not a location"),
        (("task", "create", "s3://a/p", "s3://to", "--key", "k"), "with --key write the source as s3://a"),
        (
            ("task", "create", "s3://a/p", "s3://b", "--list-file", "s3://l/k.txt"),
            "with --list-file write the source",
        ),
        (("task", "create", "s3://a", "s3://b", "--list-file", "k.txt"), "'k.txt' is not a location"),
        (
            ("task", "create", "s3://a", "s3://b", "--list-file", "s3://l"),
            "write s3://bucket/file.txt or s3://bucket/folder/",
        ),
        (
            ("task", "create", "s3://a", "s3://b", "--key", "k", "--list-file", "s3://l/k.txt"),
            "write --key or --list-file, not both",
        ),
        (
            ("task", "create", "s3://a", "s3://b", "--window", "8-9=1"),
            "--window '8-9=1': write hh:mm-hh:mm=RATE",
        ),
        (("task", "create", "s3://a", "s3://b", "--since", "monday"), "--since 'monday': write Unix seconds"),
        (("task", "create", "s3://a", "s3://b", "--overwrite", "maybe"), "no_overwrite"),
        (("task", "limit", "1"), "write --window (again for each one), or --none"),
        (("task", "list", "--status", "busy"), "--status 'busy': write one of waiting, migrating"),
        (("task", "show", "zero"), "Input should be a valid integer"),
        (("task", "list", "--ca-file", "/no/such"), "--ca-file /no/such: No such file"),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_what_is_right(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(app, arguments, env=KEYS)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


async def test_list_prints_a_table_and_says_when_there_are_more(
    omsctl: Omsctl, tasks: FakeTaskService
) -> None:
    first = await made_task(tasks, counters=Counters(10, 2048, 9, 0, 1, 1024, 0, 1024), listing_over=True)
    second = await made_task(tasks)
    done = await omsctl("task", "list")
    header, newest, oldest = done.out.splitlines()
    assert done.code == 0
    assert header.split() == ["ID", "STATUS", "PROGRESS", "OBJECTS", "BYTES", "SOURCE", "DESTINATION"]
    assert newest.startswith(f"{second}  waiting")
    assert oldest.startswith(f"{first}  waiting")
    assert "10 of 10, 1 failed  1.0 KiB of 2.0 KiB  s3://from/logs/  s3://to/" in oldest
    done = await omsctl("task", "list", "--limit", "1")
    assert "1 of 2 tasks shown" in done.err


async def test_list_as_json_has_the_documented_fields(omsctl: Omsctl, tasks: FakeTaskService) -> None:
    task_id = await made_task(tasks, state=TaskState.PAUSED)
    done = await omsctl("task", "list", "-o", "json", "--status", "paused", "--name", "fr", "--offset", "0")
    (task,) = done.json["tasks"]
    assert (task["id"], task["status"], task["src_node"]["bucket"]) == (task_id, "PAUSED", "from")
    assert (task["error_reason"], task["src_node"]["list_file"], done.json["count"]) == (None, None, 1)
    assert tasks.calls[-1] == (
        "list",
        "default",
        requests.ListTasks(limit=20, offset=0, status=3, task_name="fr"),
    )


async def test_show_tells_all_of_a_task(omsctl: Omsctl, tasks: FakeTaskService) -> None:
    window = BandwidthWindow(60, 1439, 2 * 1024 * 1024)
    failed = {"state": TaskState.FAILED, "error_code": "TRF.0058", "error_message": "bucket gone"}
    task_id = await made_task(tasks, windows=(window,), **failed)
    done = await omsctl("task", "show", str(task_id))
    assert done.code == 0
    rows = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert (rows["id"], rows["status"], rows["error"]) == (str(task_id), "failed", "TRF.0058: bucket gone")
    assert rows["limit"] == "01:00-23:59 2.0 MiB/s"
    assert (await omsctl("task", "show", str(task_id), "-o", "json")).json["error_reason"] == {
        "error_code": "TRF.0058",
        "error_msg": "bucket gone",
    }


async def test_show_tells_where_the_keys_of_a_list_task_are_written(
    omsctl: Omsctl, tasks: FakeTaskService
) -> None:
    task_id = await made_task(tasks)
    spec = tasks.tasks[task_id].spec
    listed = replace(
        spec, task_type=TaskType.LIST, object_keys=(), list_file=ListFileRef("lists", "hw/keys.txt")
    )
    await tasks.change(task_id, spec=listed)
    done = await omsctl("task", "show", str(task_id))
    rows = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert rows["type"] == "list"
    assert done.out.count("s3://lists/hw/keys.txt") == 1
    shown = (await omsctl("task", "show", str(task_id), "-o", "json")).json["src_node"]
    assert shown["list_file"] == {"list_file_key": "hw/keys.txt", "obs_bucket": "lists", "list_file_num": "1"}


async def test_start_sends_fresh_keys_and_failed_only(omsctl: Omsctl, tasks: FakeTaskService) -> None:
    task_id = await made_task(tasks, state=TaskState.FAILED)
    done = await omsctl("task", "start", str(task_id), "--failed-only", OMSCTL_DST_TOKEN="T")
    assert (done.code, done.out) == (0, f"task {task_id} started\n")
    assert tasks.calls[-1][3] == requests.StartTask(
        src_ak="SRCAK",
        src_sk="SRCSK",
        dst_ak="DSTAK",
        dst_sk="DSTSK",
        dst_security_token="T",
        migrate_failed_object=True,
    )


async def test_stop_delete_limit_and_priority_do_what_they_say(
    omsctl: Omsctl, tasks: FakeTaskService
) -> None:
    task_id = await made_task(tasks)
    number = str(task_id)
    assert (await omsctl("task", "limit", number, "--window", "00:00-23:59=2000k")).code == 0
    assert tasks.tasks[task_id].windows == (BandwidthWindow(0, 1439, 2_000_000),)
    assert (await omsctl("task", "limit", number, "--none")).code == 0
    assert tasks.tasks[task_id].windows == ()
    assert (await omsctl("task", "set-priority", "low", number)).code == 0
    assert tasks.tasks[task_id].priority is Priority.LOW
    assert (await omsctl("task", "stop", number)).out == f"task {task_id} is pausing\n"
    assert tasks.tasks[task_id].state is TaskState.PAUSED
    assert (await omsctl("task", "delete", number, "-o", "json")).json == {"id": task_id}
    assert tasks.tasks == {}


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [(TaskState.SUCCEEDED, 0, ""), (TaskState.FAILED, 1, "failed: TRF.0058 bucket gone")],
)
async def test_watch_ends_with_the_task_and_its_exit_code_tells_how(
    spawn: Spawn, tasks: FakeTaskService, state: TaskState, code: int, said: str
) -> None:
    task_id = await made_task(tasks, state=TaskState.MIGRATING)
    process = await spawn("task", "watch", str(task_id))
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"migrating: 0.0 %, 976.6 KiB/s; objects 0 of 0+")
    await tasks.change(task_id, state=state, error_code="TRF.0058", error_message="bucket gone")
    out, err = await process.communicate()
    assert process.returncode == code
    assert out.decode().startswith(state.name.lower())
    assert said in err.decode()


async def test_watch_as_json_writes_a_line_for_each_state(spawn: Spawn, tasks: FakeTaskService) -> None:
    task_id = await made_task(tasks)
    process = await spawn("task", "watch", str(task_id), "-o", "json")
    assert process.stdout is not None
    states = [json.loads(await process.stdout.readline())["status"]]
    await tasks.change(task_id, state=TaskState.SUCCEEDED)
    states.append(json.loads(await process.stdout.readline())["status"])
    assert states == ["WAITING", "SUCCEEDED"]
    assert await process.wait() == 0


async def test_ctrl_c_leaves_the_watch_and_not_the_task(spawn: Spawn, tasks: FakeTaskService) -> None:
    task_id = await made_task(tasks, state=TaskState.MIGRATING)
    process = await spawn("task", "watch", str(task_id))
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert err.decode() == f"omsctl: task {task_id} goes on; `omsctl task watch {task_id}` shows it again\n"
    assert tasks.tasks[task_id].state is TaskState.MIGRATING


async def test_a_task_deleted_in_mid_watch_is_said_to_be_gone(spawn: Spawn, tasks: FakeTaskService) -> None:
    task_id = await made_task(tasks, state=TaskState.PAUSED)
    process = await spawn("task", "watch", str(task_id))
    assert process.stdout is not None
    await process.stdout.readline()
    await tasks.delete("default", task_id)
    _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (5, f"omsctl: task {task_id} was deleted\n")


async def test_a_watch_waits_for_a_server_that_restarts(
    spawn: Spawn, tasks: FakeTaskService, server: GrpcServer, address: str
) -> None:
    task_id = await made_task(tasks, state=TaskState.MIGRATING)
    process = await spawn("task", "watch", str(task_id))
    assert process.stdout is not None
    await process.stdout.readline()
    await server.stop(grace_s=0)
    following = GrpcServer(tasks, listen=address)
    await following.start()
    try:
        await tasks.change(task_id, state=TaskState.SUCCEEDED)
        _, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")
    finally:
        await following.stop(grace_s=0)


async def test_every_wrong_field_is_a_line_and_a_refusal_exits_4(
    omsctl: Omsctl, tasks: FakeTaskService
) -> None:
    tasks.raises = RequestError(
        "OMS.1003",
        "two",
        violations=(Violation("src_node.bucket", "is too long"), Violation("description", "has a <")),
    )
    done = await omsctl(*CREATE)
    assert (done.code, done.out) == (4, "")
    assert done.err == ("omsctl: OMS.1003 src_node.bucket: is too long\nomsctl: description: has a <\n")


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refusal.STATE, 4),
        (Refusal.QUOTA, 4),
        (Refusal.BUSY, 4),
        (Refusal.NOT_FOUND, 5),
        (Refusal.INTERNAL, 4),
    ],
)
async def test_a_refusal_of_the_server_is_one_line(
    omsctl: Omsctl, tasks: FakeTaskService, refusal: Refusal, code: int
) -> None:
    tasks.raises = RequestError("OMS.0066", "the task does not run", refusal=refusal)
    done = await omsctl("task", "stop", "1")
    assert (done.code, done.err) == (code, "omsctl: OMS.0066 the task does not run\n")


async def test_a_task_that_does_not_exist_exits_5(omsctl: Omsctl) -> None:
    for name in ("show", "watch"):
        done = await omsctl("task", name, "1")
        assert (done.code, done.err) == (5, "omsctl: OMS.0054 there is no task 1\n")


async def test_a_server_that_is_down_exits_3(omsctl: Omsctl) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = await omsctl("task", "list", "--server", address)
    assert done.code == 3
    assert f"no omsd answers at {address}: is `omsd serve` running there?" in done.err


async def test_a_server_that_does_not_answer_in_time_exits_3(omsctl: Omsctl, tasks: FakeTaskService) -> None:
    task_id = await made_task(tasks)
    tasks.gate = asyncio.Event()
    done = await omsctl("task", "show", str(task_id), "--timeout", "0.3")
    assert done.code == 3
    assert "did not answer in time (--timeout)" in done.err


async def test_help_documents_every_exit_code(omsctl: Omsctl) -> None:
    done = await omsctl("--help")
    assert done.code == 0
    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "130"):
        assert f"\n    {code}" in done.out or f"\n  {code}" in done.out
