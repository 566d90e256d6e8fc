"""omsctl group from the outside: arguments in, calls at the server, output and exit code out."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from omsd.cli import group_progress
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.group import GroupState
from omsd.domain.model import Priority, Task, TaskId, TaskState
from omsd.domain.notices import SmnInfo
from omsd.pb.v1 import group_pb2, task_pb2
from omsd.service.group_requests import CreateTaskGroup, ListTaskGroups, RetryTaskGroup, StartTaskGroup
from omsd.service.requests import BandwidthRule, DstNode, ListFile, ListTasks, SmnConfig, SrcNode
from tests.cli.conftest import Omsctl
from tests.fakes.group_service import GROUP_ID, FakeGroupService, group_view
from tests.fakes.task_service import FakeTaskService, view_of

RULE = BandwidthRule(start="08:00", end="18:00", max_bandwidth=20_000_000)


async def test_create_sends_prefixes_options_and_keys_of_the_environment(
    omsctl: Omsctl, groups: FakeGroupService
) -> None:
    done = await omsctl(
        *("group", "create", "s3://from", "s3://into/to/", "--prefix", "a/", "--prefix", "b/"),
        *("--src-region", "r1", "--dst-region", "r2", "--window", "08:00-18:00=20MB", "--metadata"),
        *("--check", "crc64", "--storage", "IA", "--since", "1700000000", "--request-id", "once"),
        *("--description", "all", "--no-record-failed", "--notify-topic", "urn:smn:r:p:t"),
        *("--notify-on", "failure", "--notify-language", "zh-cn", "--notify-template", "oms_end"),
    )
    assert (done.code, done.err) == (0, "")
    assert done.out == f"task group {GROUP_ID} created\n"
    assert groups.calls == [
        (
            "create",
            "default",
            CreateTaskGroup(
                src_node=SrcNode(
                    cloud_type="AWS",
                    region="r1",
                    bucket="from",
                    ak="SRCAK",
                    sk="SRCSK",
                    object_key=("a/", "b/"),
                ),
                dst_node=DstNode(
                    cloud_type="AWS",
                    region="r2",
                    bucket="into",
                    ak="DSTAK",
                    sk="DSTSK",
                    save_prefix="to/",
                ),
                task_type="PREFIX",
                description="all",
                migrate_since=1_700_000_000,
                bandwidth_policy=(RULE,),
                smn_config=SmnConfig(
                    topic_urn="urn:smn:r:p:t",
                    trigger_conditions=("FAILURE",),
                    language="zh-cn",
                    message_template_name="oms_end",
                ),
                enable_metadata_migration=True,
                enable_failed_object_recording=False,
                object_overwrite_mode="SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE",
                dst_storage_policy="IA",
                consistency_check="crc64",
                request_id="once",
            ),
        )
    ]


async def test_a_folder_of_lists_makes_a_list_group(omsctl: Omsctl, groups: FakeGroupService) -> None:
    done = await omsctl("group", "create", "s3://from", "s3://into", "--list-file", "s3://lists/in/")
    assert done.code == 0
    (_, _, request) = groups.calls[0]
    assert isinstance(request, CreateTaskGroup)
    assert request.task_type == "LIST"
    assert request.src_node is not None
    assert request.src_node.list_file == ListFile(list_file_key="in/", obs_bucket="lists")


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "s3://from/x/", "s3://into", "--prefix", "a/"),
        ("create", "s3://from", "s3://into", "--prefix", "a/", "--list-file", "s3://l/k/"),
        ("create", "from", "s3://into"),
        ("create", "s3://from", "s3://into", "--notify-template", "t"),
        ("create", "s3://from", "s3://into", "--notify-topic", "u", "--notify-on", "never"),
        ("list", "--status", "nonsense"),
        ("limit", GROUP_ID),
    ],
)
async def test_wrong_usage_reaches_no_server(
    omsctl: Omsctl, groups: FakeGroupService, arguments: tuple[str, ...]
) -> None:
    assert (await omsctl("group", *arguments)).code == 2
    assert not groups.calls


async def test_show_and_list_say_what_there_is(omsctl: Omsctl, groups: FakeGroupService) -> None:
    groups.view = group_view(GroupState.MIGRATION_FAILED, smn=SmnInfo(True, False, "", ""))
    done = await omsctl("group", "show", GROUP_ID)
    assert done.code == 0
    shown = dict(line.split("  ", 1) for line in done.out.splitlines())
    shown = {name: text.strip() for name, text in shown.items()}
    assert shown["status"] == "migration failed"
    assert shown["tasks"] == "2 of 7, 2 running, 1 waiting, 1 paused, 1 failed"
    assert shown["objects"] == "68 of 100, 5 skipped, 3 failed"
    assert shown["failed lists"] == f"oms/task_group/{GROUP_ID}/failed_object_lists/"
    assert shown["notice"] == "sent"
    assert shown["error"] == "TRF.0152: 1 of 5 tasks failed"
    done = await omsctl("group", "list", "--status", "migration-failed", "-o", "json")
    assert done.json["taskgroups"][0]["group_id"] == GROUP_ID
    assert done.json["taskgroups"][0]["status"] == "MIGRATION_FAILED"
    assert groups.calls[-1] == ("list", "default", ListTaskGroups(limit=20, offset=0, status=5))
    done = await omsctl("group", "list")
    assert done.out.splitlines()[1].split()[:3] == [GROUP_ID, "migration", "failed"]
    assert "1 of 3" in done.err


async def test_start_retry_stop_delete_and_limit_reach_the_server(
    omsctl: Omsctl, groups: FakeGroupService
) -> None:
    keys = {"src_ak": "SRCAK", "src_sk": "SRCSK", "dst_ak": "DSTAK", "dst_sk": "DSTSK"}
    for arguments in (
        ("start", GROUP_ID),
        ("retry", GROUP_ID, "--failed-only"),
        ("retry", GROUP_ID, "--stored-keys"),
        ("stop", GROUP_ID),
        ("delete", GROUP_ID),
        ("limit", GROUP_ID, "--window", "08:00-18:00=20MB"),
        ("limit", GROUP_ID, "--none"),
    ):
        done = await omsctl("group", *arguments)
        assert (done.code, done.err) == (0, ""), arguments
    assert groups.calls == [
        ("start", "default", GROUP_ID, StartTaskGroup(**keys)),
        ("retry", "default", GROUP_ID, RetryTaskGroup(**keys, migrate_failed_object=True)),
        ("retry", "default", GROUP_ID, RetryTaskGroup(migrate_failed_object=False)),
        ("stop", "default", GROUP_ID),
        ("delete", "default", GROUP_ID),
        ("update", "default", GROUP_ID, (RULE,)),
        ("update", "default", GROUP_ID, ()),
    ]


async def test_a_watch_shows_the_group_and_its_running_tasks_and_ends_with_its_result(
    omsctl: Omsctl, groups: FakeGroupService
) -> None:
    spec = groups.view.group.spec
    task = Task(TaskId(5), "default", "n", spec, TaskState.MIGRATING, Priority.MEDIUM, (), 1)
    groups.running = (view_of(task),)
    groups.watched = [group_view(), group_view(GroupState.COMPLETED)]
    done = await omsctl("group", "watch", GROUP_ID)
    assert done.code == 0
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["monitoring", "completed"]
    done = await omsctl("group", "watch", GROUP_ID, "-o", "json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["task_group"]["status"] for line in lines] == ["MONITORING", "COMPLETED"]
    assert [task["id"] for task in lines[0]["running"]] == [5]
    groups.watched = [group_view(GroupState.MIGRATION_FAILED)]
    done = await omsctl("group", "watch", GROUP_ID)
    assert done.code == 1
    assert "TRF.0152" in done.err


async def test_tasks_of_a_group_can_be_listed(omsctl: Omsctl, tasks: FakeTaskService) -> None:
    assert (await omsctl("task", "list", "--group", GROUP_ID)).code == 0
    assert tasks.calls[-1] == ("list", "default", ListTasks(limit=20, offset=0, group_id=GROUP_ID))


async def test_an_unknown_group_has_an_exit_code_of_its_own(omsctl: Omsctl, groups: FakeGroupService) -> None:
    groups.raises = RequestError("OMS.1009", "no such group", refusal=Refusal.NOT_FOUND)
    done = await omsctl("group", "show", "nobody")
    assert (done.code, done.err) == (5, "omsctl: OMS.1009 no such group\n")


def test_on_a_terminal_each_running_task_has_a_bar_below_that_of_the_group() -> None:
    out = io.StringIO()
    display = group_progress.open_group_display(Console(file=out, force_terminal=True, width=250))
    group = group_pb2.TaskGroup(
        status=group_pb2.TASK_GROUP_STATUS_CREATING,
        progress=0.25,
        total_num=8,
        success_num=2,
        create_task_num=3,
        complete_task_num=1,
        executing_task_num=2,
        migrate_speed=2048,
    )
    tasks = [task_pb2.Task(id=number, progress=0.5, total_num=4) for number in (11, 12)]
    display.update(group_pb2.WatchTaskGroupResponse(task_group=group, running=tasks))
    display.update(group_pb2.WatchTaskGroupResponse(task_group=group, running=tasks[1:]))
    display.close()
    shown = out.getvalue()
    for part in ("creating: tasks 1 of 3+, 2 running", "25.0 %", "2 of 8+", "2.0 KiB/s", "12", "50.0 %"):
        assert part in shown
    # What has ended is not in the last picture.
    last = shown[shown.rindex("creating: tasks") :]
    assert " 12 " in last
    assert " 11 " not in last
