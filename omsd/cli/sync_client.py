"""The gRPC client behind `omsctl sync`. Errors come as CallError, ready to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omsd.cli.client import Client, ServerAddress
from omsd.pb.v1 import sync_pb2, sync_pb2_grpc

if TYPE_CHECKING:
    from omsd.pb.v1.sync_pb2_grpc import SyncTaskServiceAsyncStub


class SyncClient(Client):
    """Calls about synchronization tasks. Every call raises CallError."""

    def __init__(self, server: ServerAddress, project_id: str, *, timeout_s: float = 30.0) -> None:
        super().__init__(server, project_id, timeout_s=timeout_s)
        self._stub: SyncTaskServiceAsyncStub = sync_pb2_grpc.SyncTaskServiceStub(self._channel)

    async def create(self, request: sync_pb2.CreateSyncTaskRequest) -> str:
        """The id of a new task, which runs; the project of the client is filled in."""
        request.project_id = self._project_id
        return (await self._call(self._stub.CreateSyncTask, request)).sync_task_id

    async def list(self, request: sync_pb2.ListSyncTasksRequest) -> sync_pb2.ListSyncTasksResponse:
        """A page of tasks, newest first."""
        request.project_id = self._project_id
        return await self._call(self._stub.ListSyncTasks, request)

    async def get(self, sync_task_id: str, query_time: int | None = None) -> sync_pb2.SyncTask:
        """The task with the figures of a month, by default this one."""
        request = sync_pb2.GetSyncTaskRequest(
            project_id=self._project_id, sync_task_id=sync_task_id, query_time=query_time
        )
        return await self._call(self._stub.GetSyncTask, request)

    async def statistics(self, request: sync_pb2.GetSyncTaskStatisticsRequest) -> sync_pb2.SyncTaskStatistics:
        """Figures over time."""
        request.project_id = self._project_id
        return await self._call(self._stub.GetSyncTaskStatistics, request)

    async def events(self, sync_task_id: str, object_keys: Sequence[str]) -> None:
        """These objects, URL-encoded, are synchronized; returned when that is stored."""
        request = sync_pb2.CreateSyncEventsRequest(
            project_id=self._project_id, sync_task_id=sync_task_id, object_keys=object_keys
        )
        await self._call(self._stub.CreateSyncEvents, request)

    async def start(self, request: sync_pb2.StartSyncTaskRequest) -> None:
        """Start a stopped task."""
        request.project_id = self._project_id
        await self._call(self._stub.StartSyncTask, request)

    async def stop(self, sync_task_id: str) -> None:
        """Take no more events."""
        request = sync_pb2.StopSyncTaskRequest(project_id=self._project_id, sync_task_id=sync_task_id)
        await self._call(self._stub.StopSyncTask, request)

    async def delete(self, sync_task_id: str) -> None:
        """Delete a stopped task."""
        request = sync_pb2.DeleteSyncTaskRequest(project_id=self._project_id, sync_task_id=sync_task_id)
        await self._call(self._stub.DeleteSyncTask, request)

    async def rotate_secret(self, sync_task_id: str) -> sync_pb2.RotateSyncEventSecretResponse:
        """A new secret for the task's notifications; the one before it is not good any more."""
        request = sync_pb2.RotateSyncEventSecretRequest(
            project_id=self._project_id, sync_task_id=sync_task_id
        )
        return await self._call(self._stub.RotateSyncEventSecret, request)
