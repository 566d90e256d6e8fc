"""MigrationTaskService: each rpc is one call of the task service, with its messages mapped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

from grpc import aio

from omsd.api.grpc import mapping
from omsd.api.grpc.watches import Watches
from omsd.domain.model import Task, TaskId
from omsd.pb.v1 import service_pb2_grpc, task_pb2
from omsd.service import requests
from omsd.service.identifiers import validate_project_id, validate_task_id
from omsd.service.views import TaskPage, TaskView

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = aio.ServicerContext[Any, Any]


class TaskCalls(Protocol):
    """What is needed of service.tasks.TaskService; every call raises RequestError if it is refused."""

    async def create(self, project_id: str, request: requests.CreateTask) -> Task: ...
    async def get(self, project_id: str, task_id: TaskId) -> TaskView: ...
    async def list(self, project_id: str, request: requests.ListTasks) -> TaskPage: ...
    async def start(self, project_id: str, task_id: TaskId, request: requests.StartTask) -> None: ...
    async def stop(self, project_id: str, task_id: TaskId) -> None: ...
    async def delete(self, project_id: str, task_id: TaskId) -> None: ...
    async def update_bandwidth(
        self, project_id: str, task_id: TaskId, rules: tuple[requests.BandwidthRule, ...]
    ) -> None: ...
    async def batch_update(self, project_id: str, request: requests.BatchUpdateTasks) -> None: ...
    def watch(self, project_id: str, task_id: TaskId) -> AsyncIterator[TaskView]: ...


class TaskServicer(service_pb2_grpc.MigrationTaskServiceServicer):
    """Errors leave as exceptions; the interceptor turns them into a status."""

    def __init__(self, tasks: TaskCalls, watches: Watches) -> None:
        self._tasks = tasks
        self._watches = watches

    async def CreateTask(
        self, request: task_pb2.CreateTaskRequest, context: Context
    ) -> task_pb2.CreateTaskResponse:
        project_id = validate_project_id(request.project_id)
        task = await self._tasks.create(project_id, mapping.create_from_pb(request))
        return task_pb2.CreateTaskResponse(id=task.task_id, task_name=task.name)

    async def GetTask(self, request: task_pb2.GetTaskRequest, context: Context) -> task_pb2.Task:
        project_id = validate_project_id(request.project_id)
        view = await self._tasks.get(project_id, validate_task_id(request.task_id))
        return mapping.task_to_pb(view)

    async def ListTasks(
        self, request: task_pb2.ListTasksRequest, context: Context
    ) -> task_pb2.ListTasksResponse:
        project_id = validate_project_id(request.project_id)
        return mapping.page_to_pb(await self._tasks.list(project_id, mapping.list_from_pb(request)))

    async def StartTask(
        self, request: task_pb2.StartTaskRequest, context: Context
    ) -> task_pb2.StartTaskResponse:
        project_id = validate_project_id(request.project_id)
        task_id = validate_task_id(request.task_id)
        await self._tasks.start(project_id, task_id, mapping.start_from_pb(request))
        return task_pb2.StartTaskResponse()

    async def StopTask(
        self, request: task_pb2.StopTaskRequest, context: Context
    ) -> task_pb2.StopTaskResponse:
        project_id = validate_project_id(request.project_id)
        await self._tasks.stop(project_id, validate_task_id(request.task_id))
        return task_pb2.StopTaskResponse()

    async def DeleteTask(
        self, request: task_pb2.DeleteTaskRequest, context: Context
    ) -> task_pb2.DeleteTaskResponse:
        project_id = validate_project_id(request.project_id)
        await self._tasks.delete(project_id, validate_task_id(request.task_id))
        return task_pb2.DeleteTaskResponse()

    async def UpdateBandwidthPolicy(
        self, request: task_pb2.UpdateBandwidthPolicyRequest, context: Context
    ) -> task_pb2.UpdateBandwidthPolicyResponse:
        project_id = validate_project_id(request.project_id)
        task_id = validate_task_id(request.task_id)
        rules = mapping.rules_from_pb(request.bandwidth_policy)
        await self._tasks.update_bandwidth(project_id, task_id, rules)
        return task_pb2.UpdateBandwidthPolicyResponse()

    async def BatchUpdateTasks(
        self, request: task_pb2.BatchUpdateTasksRequest, context: Context
    ) -> task_pb2.BatchUpdateTasksResponse:
        project_id = validate_project_id(request.project_id)
        await self._tasks.batch_update(project_id, mapping.batch_update_from_pb(request))
        return task_pb2.BatchUpdateTasksResponse()

    async def WatchTask(  # type: ignore[override]  # the stubs know generators only
        self, request: task_pb2.WatchTaskRequest, context: Context
    ) -> None:
        project_id = validate_project_id(request.project_id)
        task_id = validate_task_id(request.task_id)

        async def write(view: TaskView) -> None:
            await context.write(task_pb2.WatchTaskResponse(task=mapping.task_to_pb(view)))

        await self._watches.relay(self._tasks.watch(project_id, task_id), write)
