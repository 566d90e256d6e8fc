"""A real gRPC server in this loop, in front of the fake task service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from grpc import aio

from omsd.api.grpc.server import GrpcServer, group_service, sync_service
from omsd.pb.v1.service_pb2_grpc import MigrationTaskServiceStub
from tests.fakes.group_service import FakeGroupService
from tests.fakes.sync_service import FakeSyncService
from tests.fakes.task_service import FakeTaskService


@pytest.fixture
def tasks() -> FakeTaskService:
    return FakeTaskService()


@pytest.fixture
def syncs() -> FakeSyncService:
    return FakeSyncService()


@pytest.fixture
def groups() -> FakeGroupService:
    return FakeGroupService()


@pytest.fixture
async def server(
    tasks: FakeTaskService, syncs: FakeSyncService, groups: FakeGroupService
) -> AsyncIterator[GrpcServer]:
    server = GrpcServer(tasks, sync_service(syncs), group_service(groups), listen="127.0.0.1:0")
    yield server
    await server.stop(grace_s=0)


@pytest.fixture
async def address(server: GrpcServer) -> str:
    return await server.start()


@pytest.fixture
async def channel(address: str) -> AsyncIterator[aio.Channel]:
    async with aio.insecure_channel(address) as channel:
        yield channel


@pytest.fixture
def stub(channel: aio.Channel) -> MigrationTaskServiceStub:
    return MigrationTaskServiceStub(channel)
