"""A real gRPC server in this loop, in front of the fake task service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from grpc import aio

from omsd.pb.v1.service_pb2_grpc import MigrationTaskServiceStub
from tests.fakes import grpc_server

tasks, syncs, groups = grpc_server.tasks, grpc_server.syncs, grpc_server.groups
server, address = grpc_server.server, grpc_server.address


@pytest.fixture
async def channel(address: str) -> AsyncIterator[aio.Channel]:
    async with aio.insecure_channel(address) as channel:
        yield channel


@pytest.fixture
def stub(channel: aio.Channel) -> MigrationTaskServiceStub:
    return MigrationTaskServiceStub(channel)
