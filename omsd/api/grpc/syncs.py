"""SyncTaskService: each rpc is one call of the sync service, with its messages mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from grpc import aio

from omsd.api.grpc import sync_mapping
from omsd.domain.sync import SyncTask
from omsd.pb.v1 import sync_pb2, sync_pb2_grpc
from omsd.service import sync_requests
from omsd.service.identifiers import validate_project_id, validate_sync_task_id
from omsd.service.syncs import EventSecret, StatisticsView, SyncPage, SyncView

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = aio.ServicerContext[Any, Any]


class SyncCalls(Protocol):
    """What is needed of service.syncs.SyncService; every call raises RequestError if it is refused."""

    async def create(self, project_id: str, request: sync_requests.CreateSyncTask) -> SyncTask: ...
    async def get(self, project_id: str, sync_task_id: str, query_time: int | None) -> SyncView: ...
    async def list(self, project_id: str, request: sync_requests.ListSyncTasks) -> SyncPage: ...
    async def statistics(
        self, project_id: str, sync_task_id: str, request: sync_requests.SyncStatistics
    ) -> StatisticsView: ...
    async def create_events(
        self, project_id: str, sync_task_id: str, object_keys: tuple[str, ...]
    ) -> None: ...
    async def start(
        self, project_id: str, sync_task_id: str, request: sync_requests.StartSyncTask
    ) -> None: ...
    async def stop(self, project_id: str, sync_task_id: str) -> None: ...
    async def delete(self, project_id: str, sync_task_id: str) -> None: ...
    async def rotate_secret(self, project_id: str, sync_task_id: str) -> EventSecret: ...


class SyncServicer(sync_pb2_grpc.SyncTaskServiceServicer):
    """Errors leave as exceptions; the interceptor turns them into a status."""

    def __init__(self, syncs: SyncCalls) -> None:
        self._syncs = syncs

    async def CreateSyncTask(
        self, request: sync_pb2.CreateSyncTaskRequest, context: Context
    ) -> sync_pb2.CreateSyncTaskResponse:
        project_id = validate_project_id(request.project_id)
        task = await self._syncs.create(project_id, sync_mapping.create_from_pb(request))
        return sync_pb2.CreateSyncTaskResponse(sync_task_id=task.sync_task_id)

    async def ListSyncTasks(
        self, request: sync_pb2.ListSyncTasksRequest, context: Context
    ) -> sync_pb2.ListSyncTasksResponse:
        project_id = validate_project_id(request.project_id)
        page = await self._syncs.list(project_id, sync_mapping.list_from_pb(request))
        return sync_mapping.page_to_pb(page)

    async def GetSyncTask(self, request: sync_pb2.GetSyncTaskRequest, context: Context) -> sync_pb2.SyncTask:
        project_id, sync_task_id = _task_of(request)
        query_time = request.query_time if request.HasField("query_time") else None
        return sync_mapping.task_to_pb(await self._syncs.get(project_id, sync_task_id, query_time))

    async def GetSyncTaskStatistics(
        self, request: sync_pb2.GetSyncTaskStatisticsRequest, context: Context
    ) -> sync_pb2.SyncTaskStatistics:
        project_id, sync_task_id = _task_of(request)
        wanted = sync_mapping.statistics_from_pb(request)
        return sync_mapping.statistics_to_pb(await self._syncs.statistics(project_id, sync_task_id, wanted))

    async def CreateSyncEvents(
        self, request: sync_pb2.CreateSyncEventsRequest, context: Context
    ) -> sync_pb2.CreateSyncEventsResponse:
        project_id, sync_task_id = _task_of(request)
        await self._syncs.create_events(project_id, sync_task_id, tuple(request.object_keys))
        return sync_pb2.CreateSyncEventsResponse()

    async def StartSyncTask(
        self, request: sync_pb2.StartSyncTaskRequest, context: Context
    ) -> sync_pb2.StartSyncTaskResponse:
        project_id, sync_task_id = _task_of(request)
        await self._syncs.start(project_id, sync_task_id, sync_mapping.start_from_pb(request))
        return sync_pb2.StartSyncTaskResponse()

    async def StopSyncTask(
        self, request: sync_pb2.StopSyncTaskRequest, context: Context
    ) -> sync_pb2.StopSyncTaskResponse:
        await self._syncs.stop(*_task_of(request))
        return sync_pb2.StopSyncTaskResponse()

    async def DeleteSyncTask(
        self, request: sync_pb2.DeleteSyncTaskRequest, context: Context
    ) -> sync_pb2.DeleteSyncTaskResponse:
        await self._syncs.delete(*_task_of(request))
        return sync_pb2.DeleteSyncTaskResponse()

    async def RotateSyncEventSecret(
        self, request: sync_pb2.RotateSyncEventSecretRequest, context: Context
    ) -> sync_pb2.RotateSyncEventSecretResponse:
        made = await self._syncs.rotate_secret(*_task_of(request))
        return sync_pb2.RotateSyncEventSecretResponse(secret=made.secret, path=made.path, listen=made.listen)


def _task_of(
    request: sync_pb2.GetSyncTaskRequest
    | sync_pb2.GetSyncTaskStatisticsRequest
    | sync_pb2.CreateSyncEventsRequest
    | sync_pb2.StartSyncTaskRequest
    | sync_pb2.StopSyncTaskRequest
    | sync_pb2.DeleteSyncTaskRequest
    | sync_pb2.RotateSyncEventSecretRequest,
) -> tuple[str, str]:
    return validate_project_id(request.project_id), validate_sync_task_id(request.sync_task_id)
