"""The gRPC server as a caller meets it: every rpc, errors with their details, health, reflection, drain."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from omsd.api.grpc.server import SYNC_SERVICE, TASK_SERVICE, GrpcServer, ListenError
from omsd.domain.errors import Refusal, RequestError, Violation
from omsd.domain.model import TaskId, TaskState
from omsd.pb.v1 import task_pb2, types_pb2
from omsd.pb.v1.service_pb2_grpc import MigrationTaskServiceStub
from omsd.service import requests
from tests.fakes.task_service import FakeTaskService
from tests.waiting import PATIENCE_S

PROJECT = "p1"


def creation(**fields: Any) -> task_pb2.CreateTaskRequest:
    return task_pb2.CreateTaskRequest(
        project_id=PROJECT,
        src_node=task_pb2.SrcNodeReq(bucket="from", cloud_type="AWS", region="r", ak="AK", sk="SK"),
        dst_node=task_pb2.DstNodeReq(bucket="to", region="r"),
        **fields,
    )


async def failure(call: Awaitable[Any]) -> tuple[aio.AioRpcError, dict[str, Message]]:
    """The error of a call, and its details by type name."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    error = caught.value
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            assert status.code == error.code().value[0]
            assert status.message == error.details()
            return error, {name: found for detail in status.details for name, found in [unpacked(detail)]}
    return error, {}


def unpacked(detail: Any) -> tuple[str, Message]:
    name = detail.TypeName().rpartition(".")[2]
    message: Message = getattr(error_details_pb2, name)()
    detail.Unpack(message)
    return name, message


async def test_create_get_and_list_return_the_task(stub: MigrationTaskServiceStub) -> None:
    made = await stub.CreateTask(creation(task_priority=types_pb2.TASK_PRIORITY_HIGH))
    assert made.task_name == "from-to"
    task = await stub.GetTask(task_pb2.GetTaskRequest(project_id=PROJECT, task_id=made.id))
    assert (task.id, task.name, task.status) == (made.id, "from-to", types_pb2.TASK_STATUS_WAITING)
    assert task.task_priority == types_pb2.TASK_PRIORITY_HIGH
    page = await stub.ListTasks(task_pb2.ListTasksRequest(project_id=PROJECT))
    assert (list(page.tasks), page.count) == ([task], 1)


async def test_start_stop_delete_reach_the_service_with_their_arguments(
    stub: MigrationTaskServiceStub, tasks: FakeTaskService
) -> None:
    made = await stub.CreateTask(creation())
    await stub.StopTask(task_pb2.StopTaskRequest(project_id=PROJECT, task_id=made.id))
    assert tasks.tasks[TaskId(made.id)].state is TaskState.PAUSED
    start = task_pb2.StartTaskRequest(
        project_id=PROJECT, task_id=made.id, src_ak="A", migrate_failed_object=True
    )
    await stub.StartTask(start)
    assert tasks.calls[-1] == (
        "start",
        PROJECT,
        made.id,
        requests.StartTask(src_ak="A", migrate_failed_object=True),
    )
    await tasks.change(TaskId(made.id), state=TaskState.SUCCEEDED)
    await stub.DeleteTask(task_pb2.DeleteTaskRequest(project_id=PROJECT, task_id=made.id))
    assert tasks.tasks == {}


async def test_bandwidth_and_batch_update_reach_the_service(
    stub: MigrationTaskServiceStub, tasks: FakeTaskService
) -> None:
    made = await stub.CreateTask(creation())
    rule = types_pb2.BandwidthPolicy(start="08:00", end="18:30", max_bandwidth=2_000_000)
    await stub.UpdateBandwidthPolicy(
        task_pb2.UpdateBandwidthPolicyRequest(project_id=PROJECT, task_id=made.id, bandwidth_policy=[rule])
    )
    task = await stub.GetTask(task_pb2.GetTaskRequest(project_id=PROJECT, task_id=made.id))
    assert list(task.bandwidth_policy) == [rule]
    await stub.BatchUpdateTasks(
        task_pb2.BatchUpdateTasksRequest(
            project_id=PROJECT, ids=[made.id], task_priority=types_pb2.TASK_PRIORITY_LOW
        )
    )
    assert tasks.calls[-1] == (
        "batch_update",
        PROJECT,
        requests.BatchUpdateTasks(ids=(made.id,), task_priority="LOW"),
    )


async def test_a_watch_tells_each_change_and_ends_with_the_task(
    stub: MigrationTaskServiceStub, tasks: FakeTaskService
) -> None:
    made = await stub.CreateTask(creation())
    watch = stub.WatchTask(task_pb2.WatchTaskRequest(project_id=PROJECT, task_id=made.id))
    seen = []
    async for answer in watch:
        seen.append(answer.task.status)
        following = {1: TaskState.MIGRATING, 2: TaskState.SUCCEEDED}.get(answer.task.status)
        if following:
            await tasks.change(TaskId(made.id), state=following)
    assert seen == [1, 2, 5]


async def test_a_watch_that_the_caller_leaves_ends_at_the_server(
    stub: MigrationTaskServiceStub, tasks: FakeTaskService, server: GrpcServer
) -> None:
    made = await stub.CreateTask(creation())
    watch = stub.WatchTask(task_pb2.WatchTaskRequest(project_id=PROJECT, task_id=made.id))
    await watch.read()
    watch.cancel()
    async with asyncio.timeout(PATIENCE_S):
        await server.stop(grace_s=10 * PATIENCE_S)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refusal.INVALID, grpc.StatusCode.INVALID_ARGUMENT),
        (Refusal.STATE, grpc.StatusCode.FAILED_PRECONDITION),
        (Refusal.NOT_FOUND, grpc.StatusCode.NOT_FOUND),
        (Refusal.QUOTA, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (Refusal.UNAUTHENTICATED, grpc.StatusCode.UNAUTHENTICATED),
        (Refusal.FORBIDDEN, grpc.StatusCode.PERMISSION_DENIED),
        (Refusal.BUSY, grpc.StatusCode.UNAVAILABLE),
        (Refusal.INTERNAL, grpc.StatusCode.INTERNAL),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_refusal_carries_its_code_and_fields_in_the_details(
    stub: MigrationTaskServiceStub,
    tasks: FakeTaskService,
    refusal: Refusal,
    code: grpc.StatusCode,
    streaming: bool,
) -> None:
    violations = (Violation("src_node.bucket", "is too long"), Violation("description", "häßlich"))
    tasks.raises = RequestError("OMS.1003", "zwei Fehler: ä", refusal=refusal, violations=violations)
    if streaming:
        call: Any = stub.WatchTask(task_pb2.WatchTaskRequest(project_id=PROJECT, task_id=1)).read()
    else:
        call = stub.GetTask(task_pb2.GetTaskRequest(project_id=PROJECT, task_id=1))
    error, details = await failure(call)
    assert (error.code(), error.details()) == (code, "zwei Fehler: ä")
    info: Any = details["ErrorInfo"]
    assert (info.reason, info.domain) == ("OMS.1003", "omsd")
    wrong: Any = details["BadRequest"]
    assert [(v.field, v.description) for v in wrong.field_violations] == [
        ("src_node.bucket", "is too long"),
        ("description", "häßlich"),
    ]
    assert ("RetryInfo" in details) is (refusal is Refusal.BUSY)
    assert dict(error.trailing_metadata())["x-request-id"] == info.metadata["request_id"]


async def test_any_other_exception_shows_nothing_of_the_inside(
    stub: MigrationTaskServiceStub, tasks: FakeTaskService
) -> None:
    tasks.raises = ValueError("SK of the customer is HUSH")
    error, details = await failure(stub.GetTask(task_pb2.GetTaskRequest(project_id=PROJECT, task_id=1)))
    assert error.code() is grpc.StatusCode.INTERNAL
    info: Any = details["ErrorInfo"]
    assert info.reason == "OMS.1001"
    assert info.metadata["request_id"] in str(error.details())
    assert "HUSH" not in repr(error)
    assert "ValueError" not in repr(error)


async def test_hundreds_of_violations_still_reach_the_caller(
    stub: MigrationTaskServiceStub, tasks: FakeTaskService
) -> None:
    violations = tuple(Violation(f"src_node.object_key[{n}]", "x" * 100) for n in range(500))
    tasks.raises = RequestError("OMS.1003", "y" * 60_000, violations=violations)
    error, details = await failure(stub.GetTask(task_pb2.GetTaskRequest(project_id=PROJECT, task_id=1)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    wrong: Any = details["BadRequest"]
    assert 10 < len(wrong.field_violations) < 500


async def test_the_request_id_of_the_caller_is_kept_and_a_bad_one_replaced(
    stub: MigrationTaskServiceStub,
) -> None:
    for sent, kept in (("my-id.1", True), ("no spaces here", False)):
        call = stub.ListTasks(
            task_pb2.ListTasksRequest(project_id=PROJECT), metadata=(("x-request-id", sent),)
        )
        await call
        returned = dict(await call.trailing_metadata())["x-request-id"]
        assert (returned == sent) is kept
        assert kept or len(returned) == 32


CALLS: list[tuple[str, type[Message]]] = [
    ("CreateTask", task_pb2.CreateTaskRequest),
    ("GetTask", task_pb2.GetTaskRequest),
    ("ListTasks", task_pb2.ListTasksRequest),
    ("StartTask", task_pb2.StartTaskRequest),
    ("StopTask", task_pb2.StopTaskRequest),
    ("DeleteTask", task_pb2.DeleteTaskRequest),
    ("UpdateBandwidthPolicy", task_pb2.UpdateBandwidthPolicyRequest),
    ("BatchUpdateTasks", task_pb2.BatchUpdateTasksRequest),
    ("WatchTask", task_pb2.WatchTaskRequest),
]


@pytest.mark.parametrize(("name", "kind"), CALLS)
@pytest.mark.parametrize(("project_id", "code"), [("", "OMS.1004"), ("p" * 1025, "OMS.1003")])
async def test_every_call_wants_a_project(
    stub: MigrationTaskServiceStub,
    tasks: FakeTaskService,
    name: str,
    kind: type[Message],
    project_id: str,
    code: str,
) -> None:
    call: Any = getattr(stub, name)(kind(project_id=project_id))
    error, details = await failure(call.read() if name == "WatchTask" else call)
    info: Any = details["ErrorInfo"]
    wrong: Any = details["BadRequest"]
    assert (error.code(), info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, code)
    assert [violation.field for violation in wrong.field_violations] == ["project_id"]
    assert tasks.calls == []


async def test_every_rpc_of_the_proto_is_served() -> None:
    methods = {method.name for method in task_service_descriptor().methods}
    assert methods == {name for name, _ in CALLS}


def task_service_descriptor() -> Any:
    from omsd.pb.v1 import service_pb2

    return service_pb2.DESCRIPTOR.services_by_name["MigrationTaskService"]


async def test_a_task_of_another_project_is_not_found(stub: MigrationTaskServiceStub) -> None:
    made = await stub.CreateTask(creation())
    error, details = await failure(stub.GetTask(task_pb2.GetTaskRequest(project_id="other", task_id=made.id)))
    info: Any = details["ErrorInfo"]
    assert (error.code(), info.reason) == (grpc.StatusCode.NOT_FOUND, "OMS.0054")


async def test_a_task_id_of_zero_is_a_missing_one(stub: MigrationTaskServiceStub) -> None:
    _, details = await failure(stub.GetTask(task_pb2.GetTaskRequest(project_id=PROJECT)))
    info: Any = details["ErrorInfo"]
    assert info.reason == "OMS.1004"


async def test_health_serves_after_the_start_and_no_more_while_draining(
    channel: aio.Channel, server: GrpcServer
) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", TASK_SERVICE, SYNC_SERVICE):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    await server.drain()
    for name in ("", TASK_SERVICE, SYNC_SERVICE):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_draining_ends_watches_with_a_wish_to_come_back_and_answers_other_calls(
    stub: MigrationTaskServiceStub, server: GrpcServer
) -> None:
    made = await stub.CreateTask(creation())
    request = task_pb2.WatchTaskRequest(project_id=PROJECT, task_id=made.id)
    watch = stub.WatchTask(request)
    await watch.read()
    await server.drain()
    for ended in (watch, stub.WatchTask(request)):
        error, details = await failure(ended.read())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "RetryInfo" in details
    assert (await stub.GetTask(task_pb2.GetTaskRequest(project_id=PROJECT, task_id=made.id))).id == made.id


async def test_reflection_lists_the_services_and_describes_ours(channel: aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)

    async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=TASK_SERVICE)

    listed, described = [answer async for answer in stub.ServerReflectionInfo(ask())]
    names = {service.name for service in listed.list_services_response.service}
    assert {TASK_SERVICE, SYNC_SERVICE, "grpc.health.v1.Health"} <= names
    assert b"WatchTask" in described.file_descriptor_response.file_descriptor_proto[0]


async def test_a_call_under_way_is_finished_within_the_grace(
    stub: MigrationTaskServiceStub, server: GrpcServer, tasks: FakeTaskService
) -> None:
    made = await stub.CreateTask(creation())
    tasks.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        call = stub.GetTask(task_pb2.GetTaskRequest(project_id=PROJECT, task_id=made.id))
        answer = group.create_task(_answer(call))
        while tasks.calls[-1][0] != "get":
            await asyncio.sleep(0.01)
        stopping = group.create_task(server.stop(grace_s=10))
        await asyncio.sleep(0)
        tasks.gate.set()
        await stopping
    assert answer.result().id == made.id


async def _answer(call: Awaitable[task_pb2.Task]) -> task_pb2.Task:
    return await call


async def test_a_second_server_on_the_same_port_is_refused(address: str, tasks: FakeTaskService) -> None:
    second = GrpcServer(tasks, listen=address)
    with pytest.raises(ListenError, match=f"cannot listen on {address}"):
        await second.start()


async def test_a_unix_socket_is_for_its_owner_and_group_only(tmp_path: Path, tasks: FakeTaskService) -> None:
    path = tmp_path / "s.sock"
    server = GrpcServer(tasks, listen=f"unix:{path}")
    try:
        address = await server.start()
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with aio.insecure_channel(address) as channel:
            page = await MigrationTaskServiceStub(channel).ListTasks(
                task_pb2.ListTasksRequest(project_id=PROJECT)
            )
        assert page.count == 0
    finally:
        await server.stop(grace_s=0)


async def test_the_status_of_an_error_can_be_read_with_the_official_helper(
    stub: MigrationTaskServiceStub, tasks: FakeTaskService
) -> None:
    tasks.raises = RequestError.of_field("OMS.1004", "src_node", "is required")
    call = stub.GetTask(task_pb2.GetTaskRequest(project_id=PROJECT, task_id=1))
    with pytest.raises(aio.AioRpcError):
        await call
    status = await rpc_status.aio.from_call(call)
    assert status.message == "src_node: is required"
