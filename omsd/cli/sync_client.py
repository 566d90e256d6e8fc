"""The gRPC client behind `omsctl sync`. Errors come as CallError, ready to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from omsd.cli.client import ServerAddress, open_channel, translated
from omsd.pb.v1 import sync_pb2, sync_pb2_grpc

if TYPE_CHECKING:
    from omsd.pb.v1.sync_pb2_grpc import SyncTaskServiceAsyncStub


class SyncClient:
    """Calls of one project on one server, to be used in `async with`. Every call raises CallError."""

    def __init__(self, server: ServerAddress, project_id: str, *, timeout_s: float = 30.0) -> None:
        self._target = server.target
        self._project_id = project_id
        self._timeout_s = timeout_s
        self._channel = open_channel(server)
        self._stub: SyncTaskServiceAsyncStub = sync_pb2_grpc.SyncTaskServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close(None)

    async def create(self, request: sync_pb2.CreateSyncTaskRequest) -> str:
        """The id of a new task, which runs; the project of the client is filled in."""
        request.project_id = self._project_id
        call = self._stub.CreateSyncTask(request, timeout=self._timeout_s)
        return (await translated(call, self._target)).sync_task_id

    async def list(self, request: sync_pb2.ListSyncTasksRequest) -> sync_pb2.ListSyncTasksResponse:
        """A page of tasks, newest first."""
        request.project_id = self._project_id
        return await translated(self._stub.ListSyncTasks(request, timeout=self._timeout_s), self._target)

    async def get(self, sync_task_id: str, query_time: int | None = None) -> sync_pb2.SyncTask:
        """The task with the figures of a month, by default this one."""
        request = sync_pb2.GetSyncTaskRequest(
            project_id=self._project_id, sync_task_id=sync_task_id, query_time=query_time
        )
        return await translated(self._stub.GetSyncTask(request, timeout=self._timeout_s), self._target)

    async def statistics(self, request: sync_pb2.GetSyncTaskStatisticsRequest) -> sync_pb2.SyncTaskStatistics:
        """Figures over time."""
        request.project_id = self._project_id
        call = self._stub.GetSyncTaskStatistics(request, timeout=self._timeout_s)
        return await translated(call, self._target)

    async def events(self, sync_task_id: str, object_keys: Sequence[str]) -> None:
        """These objects, URL-encoded, are synchronized; returned when that is stored."""
        request = sync_pb2.CreateSyncEventsRequest(
            project_id=self._project_id, sync_task_id=sync_task_id, object_keys=object_keys
        )
        await translated(self._stub.CreateSyncEvents(request, timeout=self._timeout_s), self._target)

    async def start(self, request: sync_pb2.StartSyncTaskRequest) -> None:
        """Start a stopped task."""
        request.project_id = self._project_id
        await translated(self._stub.StartSyncTask(request, timeout=self._timeout_s), self._target)

    async def stop(self, sync_task_id: str) -> None:
        """Take no more events."""
        request = sync_pb2.StopSyncTaskRequest(project_id=self._project_id, sync_task_id=sync_task_id)
        await translated(self._stub.StopSyncTask(request, timeout=self._timeout_s), self._target)

    async def delete(self, sync_task_id: str) -> None:
        """Delete a stopped task."""
        request = sync_pb2.DeleteSyncTaskRequest(project_id=self._project_id, sync_task_id=sync_task_id)
        await translated(self._stub.DeleteSyncTask(request, timeout=self._timeout_s), self._target)

    async def rotate_secret(self, sync_task_id: str) -> sync_pb2.RotateSyncEventSecretResponse:
        """A new secret for the task's notifications; the one before it is not good any more."""
        request = sync_pb2.RotateSyncEventSecretRequest(
            project_id=self._project_id, sync_task_id=sync_task_id
        )
        call = self._stub.RotateSyncEventSecret(request, timeout=self._timeout_s)
        return await translated(call, self._target)
