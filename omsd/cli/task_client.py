"""The gRPC client behind `omsctl task`; also used by the demo. Errors come as CallError, ready to be shown."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from omsd.cli.client import Client, ServerAddress, follow
from omsd.pb.v1 import service_pb2_grpc, task_pb2, types_pb2

if TYPE_CHECKING:
    from omsd.pb.v1.service_pb2_grpc import MigrationTaskServiceAsyncStub


class TaskClient(Client):
    """Calls about migration tasks. Every call raises CallError."""

    def __init__(self, server: ServerAddress, project_id: str, *, timeout_s: float = 30.0) -> None:
        super().__init__(server, project_id, timeout_s=timeout_s)
        self._stub: MigrationTaskServiceAsyncStub = service_pb2_grpc.MigrationTaskServiceStub(self._channel)

    async def create(self, request: task_pb2.CreateTaskRequest) -> task_pb2.CreateTaskResponse:
        """Create and start a task; the project of the client is filled in."""
        request.project_id = self._project_id
        return await self._call(self._stub.CreateTask, request)

    async def get(self, task_id: int) -> task_pb2.Task:
        """The task now."""
        request = task_pb2.GetTaskRequest(project_id=self._project_id, task_id=task_id)
        return await self._call(self._stub.GetTask, request)

    async def list(self, request: task_pb2.ListTasksRequest) -> task_pb2.ListTasksResponse:
        """A page of tasks, newest first."""
        request.project_id = self._project_id
        return await self._call(self._stub.ListTasks, request)

    async def start(self, request: task_pb2.StartTaskRequest) -> None:
        """Start a paused or failed task."""
        request.project_id = self._project_id
        await self._call(self._stub.StartTask, request)

    async def stop(self, task_id: int) -> None:
        """Pause a task."""
        request = task_pb2.StopTaskRequest(project_id=self._project_id, task_id=task_id)
        await self._call(self._stub.StopTask, request)

    async def delete(self, task_id: int) -> None:
        """Delete a task that does not run."""
        request = task_pb2.DeleteTaskRequest(project_id=self._project_id, task_id=task_id)
        await self._call(self._stub.DeleteTask, request)

    async def limit(self, task_id: int, windows: Sequence[types_pb2.BandwidthPolicy]) -> None:
        """Replace the bandwidth windows of a task; none = no limit."""
        request = task_pb2.UpdateBandwidthPolicyRequest(
            project_id=self._project_id, task_id=task_id, bandwidth_policy=windows
        )
        await self._call(self._stub.UpdateBandwidthPolicy, request)

    async def set_priority(self, task_ids: Sequence[int], priority: types_pb2.TaskPriority.ValueType) -> None:
        """Change the priority of tasks, all or none."""
        request = task_pb2.BatchUpdateTasksRequest(
            project_id=self._project_id, ids=task_ids, task_priority=priority
        )
        await self._call(self._stub.BatchUpdateTasks, request)

    async def watch(self, task_id: int) -> AsyncIterator[task_pb2.Task]:
        """The task now and after each change, until it has ended or is deleted; as follow() does."""
        request = task_pb2.WatchTaskRequest(project_id=self._project_id, task_id=task_id)
        answers = follow(lambda: self._stub.WatchTask(request), self._target, self._timeout_s)
        async with contextlib.aclosing(answers):
            async for answer in answers:
                yield answer.task
