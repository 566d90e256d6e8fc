"""TaskGroupService: each rpc is one call of the group service, with its messages mapped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

from grpc import aio

from omsd.api.grpc import group_mapping
from omsd.api.grpc.mapping import rules_from_pb
from omsd.api.grpc.watches import Watches
from omsd.domain.group import TaskGroup
from omsd.pb.v1 import group_pb2, group_pb2_grpc
from omsd.service import group_requests
from omsd.service.group_views import GroupPage, GroupView, WatchedGroup
from omsd.service.identifiers import validate_project_id
from omsd.service.requests import BandwidthRule

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = aio.ServicerContext[Any, Any]


class GroupCalls(Protocol):
    """What is needed of service.groups.GroupService; every call raises RequestError if it is refused."""

    async def create(self, project_id: str, request: group_requests.CreateTaskGroup) -> TaskGroup: ...
    async def get(self, project_id: str, group_id: str) -> GroupView: ...
    async def list(self, project_id: str, request: group_requests.ListTaskGroups) -> GroupPage: ...
    async def start(self, project_id: str, group_id: str, request: group_requests.StartTaskGroup) -> None: ...
    async def retry(self, project_id: str, group_id: str, request: group_requests.RetryTaskGroup) -> None: ...
    async def stop(self, project_id: str, group_id: str) -> None: ...
    async def delete(self, project_id: str, group_id: str) -> None: ...
    async def update(self, project_id: str, group_id: str, rules: tuple[BandwidthRule, ...]) -> None: ...
    def watch(self, project_id: str, group_id: str) -> AsyncIterator[WatchedGroup]: ...


class GroupServicer(group_pb2_grpc.TaskGroupServiceServicer):
    """Errors leave as exceptions; the interceptor turns them into a status."""

    def __init__(self, groups: GroupCalls, watches: Watches) -> None:
        self._groups = groups
        self._watches = watches

    async def CreateTaskGroup(
        self, request: group_pb2.CreateTaskGroupRequest, context: Context
    ) -> group_pb2.CreateTaskGroupResponse:
        project_id = validate_project_id(request.project_id)
        group = await self._groups.create(project_id, group_mapping.create_from_pb(request))
        return group_pb2.CreateTaskGroupResponse(group_id=group.group_id)

    async def ListTaskGroups(
        self, request: group_pb2.ListTaskGroupsRequest, context: Context
    ) -> group_pb2.ListTaskGroupsResponse:
        project_id = validate_project_id(request.project_id)
        page = await self._groups.list(project_id, group_mapping.list_from_pb(request))
        return group_mapping.page_to_pb(page)

    async def GetTaskGroup(
        self, request: group_pb2.GetTaskGroupRequest, context: Context
    ) -> group_pb2.TaskGroup:
        project_id = validate_project_id(request.project_id)
        return group_mapping.group_to_pb(await self._groups.get(project_id, request.group_id))

    async def DeleteTaskGroup(
        self, request: group_pb2.DeleteTaskGroupRequest, context: Context
    ) -> group_pb2.DeleteTaskGroupResponse:
        await self._groups.delete(validate_project_id(request.project_id), request.group_id)
        return group_pb2.DeleteTaskGroupResponse()

    async def StopTaskGroup(
        self, request: group_pb2.StopTaskGroupRequest, context: Context
    ) -> group_pb2.StopTaskGroupResponse:
        await self._groups.stop(validate_project_id(request.project_id), request.group_id)
        return group_pb2.StopTaskGroupResponse()

    async def StartTaskGroup(
        self, request: group_pb2.StartTaskGroupRequest, context: Context
    ) -> group_pb2.StartTaskGroupResponse:
        project_id = validate_project_id(request.project_id)
        await self._groups.start(project_id, request.group_id, group_mapping.start_from_pb(request))
        return group_pb2.StartTaskGroupResponse()

    async def RetryTaskGroup(
        self, request: group_pb2.RetryTaskGroupRequest, context: Context
    ) -> group_pb2.RetryTaskGroupResponse:
        project_id = validate_project_id(request.project_id)
        await self._groups.retry(project_id, request.group_id, group_mapping.retry_from_pb(request))
        return group_pb2.RetryTaskGroupResponse()

    async def UpdateTaskGroup(
        self, request: group_pb2.UpdateTaskGroupRequest, context: Context
    ) -> group_pb2.UpdateTaskGroupResponse:
        project_id = validate_project_id(request.project_id)
        await self._groups.update(project_id, request.group_id, rules_from_pb(request.bandwidth_policy))
        return group_pb2.UpdateTaskGroupResponse()

    async def WatchTaskGroup(  # type: ignore[override]  # the stubs know generators only
        self, request: group_pb2.WatchTaskGroupRequest, context: Context
    ) -> None:
        project_id = validate_project_id(request.project_id)

        async def write(watched: WatchedGroup) -> None:
            await context.write(group_mapping.watched_to_pb(watched))

        await self._watches.relay(self._groups.watch(project_id, request.group_id), write)
