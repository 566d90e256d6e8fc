"""Fixtures: a real gRPC server in the loop of the test, in front of fake services. A conftest takes them by name."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from omsd.api.grpc.server import GrpcServer, group_service, sync_service
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
