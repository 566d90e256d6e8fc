"""TaskGroupService as a caller meets it: every rpc reaches the service as written, and every answer has all fields."""

from __future__ import annotations

from dataclasses import fields

import grpc
import pytest
from google.protobuf.message import Message
from grpc import aio

from omsd.api.grpc.server import GrpcServer
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.group import GroupState
from omsd.domain.notices import SmnInfo
from omsd.pb.v1 import group_pb2, task_pb2, types_pb2
from omsd.pb.v1.group_pb2_grpc import TaskGroupServiceStub
from omsd.service.group_requests import CreateTaskGroup, ListTaskGroups, RetryTaskGroup, StartTaskGroup
from omsd.service.requests import BandwidthRule, DstNode, ListFile, SmnConfig, SourceCdn, SrcNode
from tests.fakes.group_service import GROUP_ID, FakeGroupService, group_view

IDS = {"project_id": "p", "group_id": GROUP_ID}


@pytest.fixture
def stub(channel: aio.Channel) -> TaskGroupServiceStub:
    return TaskGroupServiceStub(channel)


async def test_every_field_of_a_creation_reaches_the_service(
    stub: TaskGroupServiceStub, groups: FakeGroupService
) -> None:
    booleans = (
        "enable_kms",
        "enable_metadata_migration",
        "enable_failed_object_recording",
        "enable_restore",
        "enable_requester_pays",
    )
    message = group_pb2.CreateTaskGroupRequest(
        project_id="p",
        src_node=task_pb2.SrcNodeReq(
            bucket="b",
            ak="A",
            security_token="T",
            endpoint="http://h",
            object_key=["x", "y"],
            list_file=types_pb2.ListFile(list_file_key="k/", obs_bucket="o", list_file_num="2"),
        ),
        dst_node=task_pb2.DstNodeReq(bucket="d", cloud_type="HEC", save_prefix="s/"),
        task_type=group_pb2.TASK_GROUP_TYPE_URL_LIST,
        description="d",
        **dict.fromkeys(booleans, True),
        bandwidth_policy=[types_pb2.BandwidthPolicy(start="01:00", end="02:00", max_bandwidth=5)],
        smn_config=types_pb2.SmnConfig(topic_urn="u"),
        source_cdn=types_pb2.SourceCdnReq(domain="c"),
        migrate_since=9,
        object_overwrite_mode=types_pb2.OBJECT_OVERWRITE_MODE_NO_OVERWRITE,
        dst_storage_policy=types_pb2.DST_STORAGE_POLICY_IA,
        consistency_check=types_pb2.CONSISTENCY_CHECK_CRC64,
        request_id="once",
    )
    assert all(message.HasField(field.name) for field in message.DESCRIPTOR.fields if field.has_presence)
    assert (await stub.CreateTaskGroup(message)).group_id == GROUP_ID
    wanted = CreateTaskGroup(
        src_node=SrcNode(
            bucket="b",
            ak="A",
            security_token="T",
            endpoint="http://h",
            object_key=("x", "y"),
            list_file=ListFile(list_file_key="k/", obs_bucket="o", list_file_num="2"),
        ),
        dst_node=DstNode(bucket="d", cloud_type="HEC", save_prefix="s/"),
        task_type="URL_LIST",
        description="d",
        **dict.fromkeys(booleans, True),  # type: ignore[arg-type]
        bandwidth_policy=(BandwidthRule(start="01:00", end="02:00", max_bandwidth=5),),
        smn_config=SmnConfig(topic_urn="u"),
        source_cdn=SourceCdn(domain="c"),
        migrate_since=9,
        object_overwrite_mode="NO_OVERWRITE",
        dst_storage_policy="IA",
        consistency_check="crc64",
        request_id="once",
    )
    assert groups.calls == [("create", "p", wanted)]
    assert all(getattr(wanted, field.name) is not None for field in fields(wanted))
    await stub.CreateTaskGroup(group_pb2.CreateTaskGroupRequest(project_id="p"))
    assert groups.calls[-1] == ("create", "p", CreateTaskGroup())


async def test_a_group_is_shown_with_all_fields(stub: TaskGroupServiceStub, groups: FakeGroupService) -> None:
    smn = SmnInfo(sent=False, pending=True, error_code="", topic_name="team")
    groups.view = group_view(GroupState.MIGRATION_FAILED, smn=smn)
    group = await stub.GetTaskGroup(group_pb2.GetTaskGroupRequest(**IDS))
    assert groups.calls == [("get", "p", GROUP_ID)]
    assert group == group_pb2.TaskGroup(
        group_id=GROUP_ID,
        status=group_pb2.TASK_GROUP_STATUS_MIGRATION_FAILED,
        error_reason=types_pb2.ErrorReason(error_code="TRF.0152", error_msg="1 of 5 tasks failed"),
        src_node=task_pb2.SrcNodeResp(
            bucket="from",
            cloud_type="KINGSOFTCLOUD",
            region="r1",
            object_key=["a/", "b/"],
            endpoint="https://src.example.com",
        ),
        description="all of it",
        dst_node=task_pb2.DstNodeResp(
            bucket="into", region="r2", save_prefix="to/", cloud_type="HuaweiCloud", endpoint="https://h"
        ),
        enable_metadata_migration=True,
        enable_failed_object_recording=True,
        enable_restore=True,
        enable_kms=True,
        enable_requester_pays=True,
        task_type=group_pb2.TASK_GROUP_TYPE_PREFIX,
        bandwidth_policy=[types_pb2.BandwidthPolicy(start="01:00", end="23:59", max_bandwidth=5_000_000)],
        smn_config=types_pb2.SmnInfo(topic_name="team", is_pending=True),
        migrate_since=1_700_000_000_000,
        migrate_speed=2048,
        total_time=61_000,
        start_time=1_700_000_001_000,
        total_task_num=8,
        create_task_num=7,
        failed_task_num=1,
        complete_task_num=2,
        paused_task_num=1,
        executing_task_num=2,
        waiting_task_num=1,
        total_num=100,
        create_complete_num=95,
        success_num=60,
        fail_num=3,
        skip_num=5,
        total_size=1000,
        create_complete_size=950,
        complete_size=680,
        failed_object_record=types_pb2.FailedObjectRecord(
            result=True, list_file_key=f"oms/task_group/{GROUP_ID}/failed_object_lists/"
        ),
        object_overwrite_mode=types_pb2.OBJECT_OVERWRITE_MODE_SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE,
        dst_storage_policy=types_pb2.DST_STORAGE_POLICY_STANDARD,
        consistency_check=types_pb2.CONSISTENCY_CHECK_SIZE_LAST_MODIFIED,
        project_id="default",
        is_create_over=True,
        progress=0.68,
        real_size=600,
        create_time=1_700_000_000_000,
    )


@pytest.mark.parametrize("state", [state for state in GroupState if state is not GroupState.DELETED])
async def test_every_state_has_a_status_and_can_be_asked_for(
    stub: TaskGroupServiceStub, groups: FakeGroupService, state: GroupState
) -> None:
    groups.view = group_view(state)
    status = group_pb2.TaskGroupStatus.Value(f"TASK_GROUP_STATUS_{state.name}")
    assert status == (10 if state is GroupState.WAITING else int(state))
    page = await stub.ListTaskGroups(
        group_pb2.ListTaskGroupsRequest(project_id="p", limit=3, offset=2, status=status)
    )
    assert groups.calls == [("list", "p", ListTaskGroups(limit=3, offset=2, status=int(state)))]
    assert (page.count, page.taskgroups[0].status) == (3, status)


async def test_the_other_calls_reach_the_service(
    stub: TaskGroupServiceStub, groups: FakeGroupService
) -> None:
    keys = {field.name: f"the {field.name}" for field in fields(StartTaskGroup)}
    await stub.StartTaskGroup(group_pb2.StartTaskGroupRequest(**IDS, **keys))
    retry = group_pb2.RetryTaskGroupRequest(**IDS, **keys, migrate_failed_object=True)
    await stub.RetryTaskGroup(retry)
    await stub.StopTaskGroup(group_pb2.StopTaskGroupRequest(**IDS))
    await stub.DeleteTaskGroup(group_pb2.DeleteTaskGroupRequest(**IDS))
    await stub.UpdateTaskGroup(group_pb2.UpdateTaskGroupRequest(**IDS))
    assert groups.calls == [
        ("start", "p", GROUP_ID, StartTaskGroup(**keys)),
        ("retry", "p", GROUP_ID, RetryTaskGroup(**keys, migrate_failed_object=True)),
        ("stop", "p", GROUP_ID),
        ("delete", "p", GROUP_ID),
        ("update", "p", GROUP_ID, ()),
    ]


async def test_a_watch_streams_the_group_and_ends_with_it(
    stub: TaskGroupServiceStub, groups: FakeGroupService
) -> None:
    groups.watched = [group_view(), group_view(GroupState.COMPLETED)]
    seen = [answer async for answer in stub.WatchTaskGroup(group_pb2.WatchTaskGroupRequest(**IDS))]
    assert [answer.task_group.status for answer in seen] == [2, 6]


@pytest.mark.parametrize(
    ("rpc", "message"),
    [
        ("GetTaskGroup", group_pb2.GetTaskGroupRequest()),
        ("CreateTaskGroup", group_pb2.CreateTaskGroupRequest()),
        ("WatchTaskGroup", group_pb2.WatchTaskGroupRequest()),
        ("UpdateTaskGroup", group_pb2.UpdateTaskGroupRequest()),
    ],
)
async def test_a_call_without_a_project_is_refused(
    stub: TaskGroupServiceStub, groups: FakeGroupService, rpc: str, message: Message
) -> None:
    call = getattr(stub, rpc)(message)
    with pytest.raises(aio.AioRpcError) as refused:
        await (call.read() if rpc.startswith("Watch") else call)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not groups.calls


async def test_refusals_come_with_their_status(stub: TaskGroupServiceStub, groups: FakeGroupService) -> None:
    groups.raises = RequestError("OMS.1037", "too many", refusal=Refusal.QUOTA)
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.CreateTaskGroup(group_pb2.CreateTaskGroupRequest(project_id="p"))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_draining_ends_new_watches_of_groups_too(
    stub: TaskGroupServiceStub, groups: FakeGroupService, server: GrpcServer
) -> None:
    groups.watched = [group_view()]
    await stub.GetTaskGroup(group_pb2.GetTaskGroupRequest(**IDS))
    await server.drain()
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.WatchTaskGroup(group_pb2.WatchTaskGroupRequest(**IDS)).read()
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_unknown_number_of_an_enumeration_is_refused(
    stub: TaskGroupServiceStub, groups: FakeGroupService
) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.CreateTaskGroup(group_pb2.CreateTaskGroupRequest(project_id="p", task_type=99))  # type: ignore[arg-type]
    assert "task_type" in (refused.value.details() or "")
    assert not groups.calls
