"""Who may call over gRPC: credentials, projects, roles, client certificates, reflection, and the audit log."""

from __future__ import annotations

import importlib
import io
import ipaddress
import json
import logging
import pkgutil
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from omsd.api.grpc.server import (
    Certificate,
    GrpcServer,
    bucket_service,
    catalog_service,
    group_service,
    sync_service,
)
from omsd.domain.access import CHANGING_OPERATIONS, OPEN_OPERATIONS, READING_OPERATIONS, AuthMethod
from omsd.pb import v1
from omsd.pb.v1 import auth_pb2, bucket_pb2, catalog_pb2, group_pb2, sync_pb2, task_pb2
from omsd.pb.v1.auth_pb2_grpc import AuthServiceStub
from omsd.pb.v1.group_pb2_grpc import TaskGroupServiceStub
from omsd.pb.v1.service_pb2_grpc import BucketServiceStub, CatalogServiceStub, MigrationTaskServiceStub
from omsd.pb.v1.sync_pb2_grpc import SyncTaskServiceStub
from omsd.service.access import AccessService, AccessSettings
from omsd.telemetry.logging import setup_logging
from tests.api.test_server import failure
from tests.fakes.bucket_service import FakeBucketService, FakeCatalog
from tests.fakes.clock import FakeClock
from tests.fakes.group_service import GROUP_ID, FakeGroupService
from tests.fakes.sync_service import FakeSyncService
from tests.fakes.task_service import FakeTaskService
from tests.service.accounts import ACCOUNTS, NOW_S, PASSWORD
from tests.wire.test_wire_tls import make_certificate

# All there are, so that no service is forgotten.
FILES = [
    importlib.import_module(f"omsd.pb.v1.{found.name}")
    for found in pkgutil.iter_modules(v1.__path__)
    if found.name.endswith("_pb2")
]


def guarded_server(
    tasks: FakeTaskService, syncs: FakeSyncService, certificate: Certificate | None
) -> GrpcServer:
    key = secrets.token_bytes(32)
    settings = AccessSettings(frozenset({AuthMethod.TOKEN, AuthMethod.SIGNATURE, AuthMethod.CERTIFICATE}))
    return GrpcServer(
        tasks,
        bucket_service(FakeBucketService()),
        catalog_service(FakeCatalog()),
        sync_service(syncs),
        group_service(FakeGroupService()),
        listen="127.0.0.1:0",
        access=AccessService(ACCOUNTS, lambda: key, FakeClock(NOW_S), settings),
        certificate=certificate,
    )


@pytest.fixture
async def channel(tasks: FakeTaskService, syncs: FakeSyncService) -> AsyncIterator[aio.Channel]:
    server = guarded_server(tasks, syncs, None)
    async with aio.insecure_channel(await server.start()) as channel:
        yield channel
    await server.stop(grace_s=0)


@pytest.fixture
def stub(channel: aio.Channel) -> MigrationTaskServiceStub:
    return MigrationTaskServiceStub(channel)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged, at the level `error`."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    out = io.StringIO()
    setup_logging("error", "json", out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)


def audited(stream: io.StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in lines if line["event"] == "audit"]


async def token(
    channel: aio.Channel, user: str = "maria", password: str = PASSWORD, project: str = ""
) -> Any:
    request = auth_pb2.CreateTokenRequest(user=user, password=password, project=project)
    made = await AuthServiceStub(channel).CreateToken(request)
    assert made.expires_at - made.issued_at == 24 * 3600 * 1000
    return (("x-auth-token", made.token),)


def creation(project: str) -> task_pb2.CreateTaskRequest:
    return task_pb2.CreateTaskRequest(
        project_id=project,
        src_node=task_pb2.SrcNodeReq(bucket="from", ak="HUSHAK", sk="HUSHSK", security_token="HUSHTOKEN"),
        dst_node=task_pb2.DstNodeReq(bucket="to", ak="HUSHAK", sk="HUSHSK"),
    )


def listing(project: str) -> task_pb2.ListTasksRequest:
    return task_pb2.ListTasksRequest(project_id=project)


async def reason(call: Any) -> tuple[grpc.StatusCode, str]:
    error, details = await failure(call)
    info = details["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    return error.code(), info.reason


def test_of_every_rpc_it_is_known_whether_it_changes_something() -> None:
    methods = {method.name for file in FILES for service in services_of(file) for method in service.methods}
    assert {"CreateTask", "CreateSyncTask", "CreateToken", "ListBuckets"} <= methods
    assert methods - (OPEN_OPERATIONS | READING_OPERATIONS | CHANGING_OPERATIONS) == set()


def services_of(file: Any) -> list[Any]:
    return list(file.DESCRIPTOR.services_by_name.values())


async def test_without_credentials_there_are_health_and_versions_and_nothing_else(
    channel: aio.Channel,
) -> None:
    health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    versions = catalog_pb2.ListApiVersionsRequest(project_id="p1")
    assert (await CatalogServiceStub(channel).ListApiVersions(versions)).versions
    clouds = catalog_pb2.ListCloudTypesRequest(project_id="p1", type="src")
    events = sync_pb2.CreateSyncEventsRequest(project_id="p1", sync_task_id="x", object_keys=["k"])
    tasks = MigrationTaskServiceStub(channel)
    for call in (
        tasks.ListTasks(listing("p1")),
        tasks.CreateTask(creation("p1")),
        tasks.WatchTask(task_pb2.WatchTaskRequest(project_id="p1", task_id=1)).read(),
        BucketServiceStub(channel).ListBuckets(bucket_pb2.ListBucketsRequest(project_id="p1")),
        CatalogServiceStub(channel).ListCloudTypes(clouds),
        SyncTaskServiceStub(channel).CreateSyncEvents(events),
        AuthServiceStub(channel).GetCaller(auth_pb2.GetCallerRequest()),
    ):
        assert await reason(call) == (grpc.StatusCode.UNAUTHENTICATED, "OMS.0068")


async def test_reflection_is_for_callers_who_are_known(channel: aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)

    async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    with pytest.raises(aio.AioRpcError) as caught:
        _ = [answer async for answer in stub.ServerReflectionInfo(ask())]
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    metadata = await token(channel)
    (answer,) = [answer async for answer in stub.ServerReflectionInfo(ask(), metadata=metadata)]
    assert answer.list_services_response.service


async def test_a_token_opens_the_users_projects_to_what_his_role_allows(
    channel: aio.Channel, stub: MigrationTaskServiceStub
) -> None:
    metadata = await token(channel)
    made = await stub.CreateTask(creation("p1"), metadata=metadata)
    assert (await stub.ListTasks(listing("p2"), metadata=metadata)).count == 0
    watch = stub.WatchTask(task_pb2.WatchTaskRequest(project_id="p1", task_id=made.id), metadata=metadata)
    assert (await watch.read()).task.id == made.id
    watch.cancel()
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert await reason(stub.CreateTask(creation("p2"), metadata=metadata)) == (denied, "OMS.0205")
    assert await reason(stub.ListTasks(listing("p3"), metadata=metadata)) == (denied, "OMS.0206")
    nobody = await token(channel, "nobody", "no password")
    assert await reason(stub.ListTasks(listing("p1"), metadata=nobody)) == (denied, "OMS.0206")
    scoped = await token(channel, project="eu-west-102")
    assert await reason(stub.ListTasks(listing("p1"), metadata=scoped)) == (denied, "OMS.0206")
    error, _ = await failure(stub.ListTasks(listing(""), metadata=metadata))
    assert error.details() == "project_id: is mandatory and must not be empty"


async def test_a_reader_may_change_nothing_at_all(channel: aio.Channel) -> None:
    metadata = await token(channel)
    refused = 0
    for file in FILES:
        for service in services_of(file):
            for method in service.methods:
                if method.name in CHANGING_OPERATIONS:
                    request = method.input_type._concrete_class(project_id="p2")
                    call = channel.unary_unary(
                        f"/{service.full_name}/{method.name}",
                        request_serializer=lambda message: message.SerializeToString(),
                    )
                    error, details = await failure(call(request, metadata=metadata))
                    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                        continue  # this server does not have the service
                    assert error.code() is grpc.StatusCode.PERMISSION_DENIED, method.name
                    assert details["ErrorInfo"].reason == "OMS.0205"  # type: ignore[attr-defined]
                    refused += 1
    assert refused >= 17


async def test_a_caller_is_told_who_he_is(channel: aio.Channel) -> None:
    caller = await AuthServiceStub(channel).GetCaller(
        auth_pb2.GetCallerRequest(), metadata=await token(channel, "root", "root password")
    )
    assert (caller.user, caller.domain, caller.method) == ("root", "acme", "token")
    assert [(role.project_id, role.role) for role in caller.projects] == [("p1", "admin"), ("p2", "admin")]
    nobody = await token(channel, "nobody", "no password")
    caller = await AuthServiceStub(channel).GetCaller(auth_pb2.GetCallerRequest(), metadata=nobody)
    assert (caller.user, list(caller.projects)) == ("nobody", [])


async def test_a_wrong_password_is_refused_and_guessing_answered_busy(channel: aio.Channel) -> None:
    stub = AuthServiceStub(channel)
    wrong = auth_pb2.CreateTokenRequest(user="maria", password="guess")
    for _ in range(10):
        assert await reason(stub.CreateToken(wrong)) == (grpc.StatusCode.UNAUTHENTICATED, "OMS.0068")
    assert await reason(stub.CreateToken(wrong)) == (grpc.StatusCode.UNAVAILABLE, "OMS.2004")
    error, details = await failure(stub.CreateToken(auth_pb2.CreateTokenRequest(password="x")))
    assert (error.code(), "BadRequest" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_each_change_has_one_line_in_the_audit_log_and_secrets_have_none(
    channel: aio.Channel, stub: MigrationTaskServiceStub, stream: io.StringIO
) -> None:
    metadata = await token(channel)
    calling = (*metadata, ("x-request-id", "r1"))
    made = await stub.CreateTask(creation("p1"), metadata=calling)
    await stub.ListTasks(listing("p1"), metadata=metadata)
    await stub.StopTask(task_pb2.StopTaskRequest(project_id="p1", task_id=made.id), metadata=metadata)
    await reason(stub.StopTask(task_pb2.StopTaskRequest(project_id="p1", task_id=77), metadata=metadata))
    await reason(stub.CreateTask(creation("p2"), metadata=metadata))
    await reason(stub.CreateTask(creation("p1")))
    batch = task_pb2.BatchUpdateTasksRequest(project_id="p1", ids=[made.id])
    await stub.BatchUpdateTasks(batch, metadata=metadata)
    await reason(
        AuthServiceStub(channel).CreateToken(auth_pb2.CreateTokenRequest(user="maria", password="HUSH"))
    )
    created, stopped, unknown, forbidden, unproven, several = audited(stream)
    for line in (created, stopped, unknown, forbidden, unproven, several):
        assert (line["logger"], line["address"]) == ("omsd.audit", "127.0.0.1")
        assert line["request_id"]
    who = {"user": "maria", "domain": "acme", "method": "token", "project_id": "p1"}
    assert (
        created.items()
        >= {
            **who,
            "operation": "CreateTask",
            "task_id": str(made.id),
            "outcome": "ok",
            "request_id": "r1",
        }.items()
    )
    assert (
        stopped.items() >= {**who, "operation": "StopTask", "task_id": str(made.id), "outcome": "ok"}.items()
    )
    assert unknown.items() >= {**who, "operation": "StopTask", "task_id": "77", "outcome": "OMS.0054"}.items()
    assert forbidden.items() >= {**who, "project_id": "p2", "outcome": "OMS.0205"}.items()
    assert unproven.items() >= {"user": "", "method": "", "outcome": "OMS.0068"}.items()
    assert several.items() >= {**who, "task_ids": str(made.id), "outcome": "ok"}.items()
    shown = stream.getvalue()
    assert "HUSH" not in shown
    assert metadata[0][1] not in shown
    assert PASSWORD not in shown


async def test_changes_of_groups_are_audited_with_the_group(
    channel: aio.Channel, stream: io.StringIO
) -> None:
    metadata = await token(channel)
    stub = TaskGroupServiceStub(channel)
    await stub.CreateTaskGroup(group_pb2.CreateTaskGroupRequest(project_id="p1"), metadata=metadata)
    ids = {"project_id": "p1", "group_id": GROUP_ID}
    await stub.GetTaskGroup(group_pb2.GetTaskGroupRequest(**ids), metadata=metadata)
    await stub.StartTaskGroup(group_pb2.StartTaskGroupRequest(**ids), metadata=metadata)
    await stub.StopTaskGroup(group_pb2.StopTaskGroupRequest(**ids), metadata=metadata)
    await stub.RetryTaskGroup(group_pb2.RetryTaskGroupRequest(**ids, src_sk="HUSH"), metadata=metadata)
    await stub.UpdateTaskGroup(group_pb2.UpdateTaskGroupRequest(**ids), metadata=metadata)
    await stub.DeleteTaskGroup(group_pb2.DeleteTaskGroupRequest(**ids), metadata=metadata)
    lines = audited(stream)
    assert [line["operation"] for line in lines] == [
        f"{verb}TaskGroup" for verb in ("Create", "Start", "Stop", "Retry", "Update", "Delete")
    ]
    assert {(line["user"], line["group_id"], line["outcome"]) for line in lines} == {
        ("maria", GROUP_ID, "ok")
    }
    assert "HUSH" not in stream.getvalue()


async def test_where_nobody_is_asked_changes_are_audited_all_the_same(
    tasks: FakeTaskService, stream: io.StringIO
) -> None:
    server = GrpcServer(tasks, listen="127.0.0.1:0")
    async with aio.insecure_channel(await server.start()) as channel:
        await MigrationTaskServiceStub(channel).CreateTask(creation("anything"))
        caller = await AuthServiceStub(channel).GetCaller(auth_pb2.GetCallerRequest())
    await server.stop(grace_s=0)
    (line,) = audited(stream)
    assert (line["user"], line["method"], line["project_id"], line["outcome"]) == (
        "",
        "none",
        "anything",
        "ok",
    )
    assert (caller.user, caller.method, list(caller.projects)) == ("", "none", [])


async def test_a_client_certificate_is_a_user(
    tmp_path: Path, tasks: FakeTaskService, syncs: FakeSyncService
) -> None:
    authority = make_certificate(tmp_path / "ca.pem", "authority", names=[], issuer=None)
    stranger = make_certificate(tmp_path / "stranger.pem", "stranger", names=[], issuer=None)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    email = x509.RFC822Name("maria@acme.example")
    for name, names, issuer in (
        ("server", [address], authority),
        ("laptop", [email], authority),
        ("unknown", [], authority),
        ("maria@acme.example", [], stranger),
    ):
        make_certificate(tmp_path / name, name, names=list(names), issuer=issuer)
    ca = (tmp_path / "ca.pem").read_bytes()
    own = (tmp_path / "server").read_bytes()
    server = guarded_server(tasks, syncs, Certificate(own, own, ca))
    target = await server.start()

    def channel_of(name: str | None) -> aio.Channel:
        pem = (tmp_path / name).read_bytes() if name else None
        return aio.secure_channel(target, grpc.ssl_channel_credentials(ca, pem, pem))

    async with channel_of("laptop") as channel:
        caller = await AuthServiceStub(channel).GetCaller(auth_pb2.GetCallerRequest())
        assert (caller.user, caller.method) == ("maria", "certificate")
        await MigrationTaskServiceStub(channel).CreateTask(creation("p1"))
        # Who sends a token is the token's user.
        metadata = await token(channel, "root", "root password")
        caller = await AuthServiceStub(channel).GetCaller(auth_pb2.GetCallerRequest(), metadata=metadata)
        assert caller.user == "root"
    async with channel_of("unknown") as channel:
        call = MigrationTaskServiceStub(channel).ListTasks(listing("p1"))
        assert await reason(call) == (grpc.StatusCode.UNAUTHENTICATED, "OMS.1005")
    for name in ("maria@acme.example", None):
        async with channel_of(name) as channel:
            with pytest.raises(aio.AioRpcError) as caught:
                await MigrationTaskServiceStub(channel).ListTasks(listing("p1"), timeout=10)
            assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    await server.stop(grace_s=0)
