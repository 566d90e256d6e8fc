"""SyncTaskService as a caller meets it: every rpc reaches the service as written, and every answer has all fields."""

from __future__ import annotations

from dataclasses import fields

import grpc
import pytest
from google.protobuf.message import Message
from grpc import aio

from omsd.domain.errors import Refusal, RequestError
from omsd.pb.v1 import sync_pb2, types_pb2
from omsd.pb.v1.sync_pb2_grpc import SyncTaskServiceStub
from omsd.service.requests import SourceCdn
from omsd.service.sync_requests import CreateSyncTask, ListSyncTasks, StartSyncTask, SyncStatistics
from tests.fakes.sync_service import SYNC_ID, FakeSyncService

BOOLEANS = ("enable_metadata_migration", "enable_kms", "enable_restore", "enable_delete")


@pytest.fixture
def stub(channel: aio.Channel) -> SyncTaskServiceStub:
    return SyncTaskServiceStub(channel)


async def test_every_field_of_a_creation_reaches_the_service(
    stub: SyncTaskServiceStub, syncs: FakeSyncService
) -> None:
    texts = {
        field.name: f"the {field.name}"
        for field in fields(CreateSyncTask)
        if field.name.startswith(("src_", "dst_")) or field.name in ("app_id", "description")
    }
    del texts["dst_storage_policy"]
    message = sync_pb2.CreateSyncTaskRequest(
        project_id="p",
        **texts,
        **dict.fromkeys(BOOLEANS, True),
        dst_storage_policy=types_pb2.DST_STORAGE_POLICY_IA,
        consistency_check=types_pb2.CONSISTENCY_CHECK_CRC64,
        object_overwrite_mode=types_pb2.OBJECT_OVERWRITE_MODE_NO_OVERWRITE,
        source_cdn=types_pb2.SourceCdnReq(domain="d"),
    )
    assert (await stub.CreateSyncTask(message)).sync_task_id == SYNC_ID
    wanted = CreateSyncTask(
        **texts,
        **dict.fromkeys(BOOLEANS, True),
        dst_storage_policy="IA",
        consistency_check="crc64",
        object_overwrite_mode="NO_OVERWRITE",
        source_cdn=SourceCdn(domain="d"),
    )
    assert syncs.calls == [("create", "p", wanted)]
    await stub.CreateSyncTask(sync_pb2.CreateSyncTaskRequest(project_id="p"))
    assert syncs.calls[-1] == ("create", "p", CreateSyncTask())


async def test_a_task_is_shown_with_its_month(stub: SyncTaskServiceStub, syncs: FakeSyncService) -> None:
    request = sync_pb2.GetSyncTaskRequest(project_id="p", sync_task_id=SYNC_ID, query_time=5)
    task = await stub.GetSyncTask(request)
    assert syncs.calls == [("get", "p", SYNC_ID, 5)]
    assert task == sync_pb2.SyncTask(
        sync_task_id=SYNC_ID,
        src_cloud_type="Tencent",
        src_region="r1",
        src_bucket="from-1",
        dst_cloud_type="HuaweiCloud",
        dst_region="r2",
        dst_bucket="into",
        dst_endpoint="https://h",
        create_time=1_700_000_000_000,
        last_start_time=1_700_000_001_000,
        description="live",
        status=sync_pb2.SYNC_TASK_STATUS_SYNCHRONIZING,
        enable_kms=True,
        enable_metadata_migration=True,
        enable_delete=True,
        app_id="1",
        object_overwrite_mode=types_pb2.OBJECT_OVERWRITE_MODE_SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE,
        dst_storage_policy=types_pb2.DST_STORAGE_POLICY_STANDARD,
        consistency_check=types_pb2.CONSISTENCY_CHECK_SIZE_LAST_MODIFIED,
        monthly_acceptance_request=100,
        monthly_success_object=60,
        monthly_failed_object=3,
        monthly_skip_object=30,
        monthly_size=4096,
        queued_object=7,
        project_id="default",
    )


async def test_statistics_keep_the_order_asked_for_and_leave_out_what_is_0(
    stub: SyncTaskServiceStub, syncs: FakeSyncService
) -> None:
    answer = await stub.GetSyncTaskStatistics(
        sync_pb2.GetSyncTaskStatisticsRequest(
            project_id="p",
            sync_task_id=SYNC_ID,
            data_type=[sync_pb2.SYNC_DATA_TYPE_SUCCESS, sync_pb2.SYNC_DATA_TYPE_REQUEST],
            start_time=1,
        )
    )
    wanted = SyncStatistics(data_type=("SUCCESS", "REQUEST"), start_time=1)
    assert syncs.calls == [("statistics", "p", SYNC_ID, wanted)]
    assert answer.statistic_time_type == sync_pb2.STATISTIC_TIME_TYPE_FIVE_MINUTES
    shown = [
        (entry.data_type, [(point.time_stamp, point.statistic_num) for point in entry.data])
        for entry in answer.statistic_datas
    ]
    assert shown == [
        (sync_pb2.SYNC_DATA_TYPE_SUCCESS, [(300_000, 1)]),
        (sync_pb2.SYNC_DATA_TYPE_REQUEST, [(300_000, 4), (600_000, 2)]),
    ]


async def test_the_other_calls_reach_the_service(stub: SyncTaskServiceStub, syncs: FakeSyncService) -> None:
    ids = {"project_id": "p", "sync_task_id": SYNC_ID}
    page = await stub.ListSyncTasks(
        sync_pb2.ListSyncTasksRequest(project_id="p", limit=3, status=sync_pb2.SYNC_TASK_STATUS_STOPPED)
    )
    assert ([task.sync_task_id for task in page.tasks], page.count) == ([SYNC_ID], 3)
    await stub.CreateSyncEvents(sync_pb2.CreateSyncEventsRequest(**ids, object_keys=["a%2Fb", "c"]))
    await stub.StartSyncTask(sync_pb2.StartSyncTaskRequest(**ids, src_ak="A", dst_security_token="T"))
    await stub.StopSyncTask(sync_pb2.StopSyncTaskRequest(**ids))
    await stub.DeleteSyncTask(sync_pb2.DeleteSyncTaskRequest(**ids))
    assert syncs.calls == [
        ("list", "p", ListSyncTasks(limit=3, status="STOPPED")),
        ("create_events", "p", SYNC_ID, ("a%2Fb", "c")),
        ("start", "p", SYNC_ID, StartSyncTask(src_ak="A", dst_security_token="T")),
        ("stop", "p", SYNC_ID),
        ("delete", "p", SYNC_ID),
    ]


async def test_a_secret_comes_with_the_path_and_where_it_is_listened(
    stub: SyncTaskServiceStub, syncs: FakeSyncService
) -> None:
    made = await stub.RotateSyncEventSecret(
        sync_pb2.RotateSyncEventSecretRequest(project_id="p", sync_task_id=SYNC_ID)
    )
    assert (made.secret, made.listen) == ("S3CR3T", "0.0.0.0:7071")
    assert made.path == f"/sync-tasks/{SYNC_ID}/s3-events"
    assert syncs.calls == [("rotate_secret", "p", SYNC_ID)]


@pytest.mark.parametrize(
    ("method", "message", "field"),
    [
        ("CreateSyncTask", sync_pb2.CreateSyncTaskRequest(), "project_id"),
        ("GetSyncTask", sync_pb2.GetSyncTaskRequest(project_id="p"), "sync_task_id"),
        ("StopSyncTask", sync_pb2.StopSyncTaskRequest(project_id="p"), "sync_task_id"),
        (
            "GetSyncTaskStatistics",
            sync_pb2.GetSyncTaskStatisticsRequest(project_id="p", sync_task_id="x", data_type=[1, 99]),
            "data_type[1]",
        ),
        ("ListSyncTasks", sync_pb2.ListSyncTasksRequest(project_id="p", status=99), "status"),
    ],
)
async def test_what_is_missing_or_no_such_value_is_named(
    stub: SyncTaskServiceStub, syncs: FakeSyncService, method: str, message: Message, field: str
) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await getattr(stub, method)(message)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in (caught.value.details() or "")
    assert not syncs.calls


async def test_too_many_events_are_unavailable(stub: SyncTaskServiceStub, syncs: FakeSyncService) -> None:
    syncs.raises = RequestError("OMS.2004", "too many", refusal=Refusal.BUSY)
    with pytest.raises(aio.AioRpcError) as caught:
        await stub.CreateSyncEvents(
            sync_pb2.CreateSyncEventsRequest(project_id="p", sync_task_id="x", object_keys=["a"])
        )
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
