"""The gRPC client behind `omsctl group`. Errors come as CallError, ready to be shown."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from omsd.cli.client import Client, ServerAddress, follow
from omsd.pb.v1 import group_pb2, group_pb2_grpc, types_pb2

if TYPE_CHECKING:
    from omsd.pb.v1.group_pb2_grpc import TaskGroupServiceAsyncStub


class GroupClient(Client):
    """Calls about task groups. Every call raises CallError."""

    def __init__(self, server: ServerAddress, project_id: str, *, timeout_s: float = 30.0) -> None:
        super().__init__(server, project_id, timeout_s=timeout_s)
        self._stub: TaskGroupServiceAsyncStub = group_pb2_grpc.TaskGroupServiceStub(self._channel)

    async def create(self, request: group_pb2.CreateTaskGroupRequest) -> str:
        """The id of a new group, which is being split; the project of the client is filled in."""
        request.project_id = self._project_id
        return (await self._call(self._stub.CreateTaskGroup, request)).group_id

    async def list(self, request: group_pb2.ListTaskGroupsRequest) -> group_pb2.ListTaskGroupsResponse:
        """A page of groups, newest first."""
        request.project_id = self._project_id
        return await self._call(self._stub.ListTaskGroups, request)

    async def get(self, group_id: str) -> group_pb2.TaskGroup:
        """The group now."""
        request = group_pb2.GetTaskGroupRequest(project_id=self._project_id, group_id=group_id)
        return await self._call(self._stub.GetTaskGroup, request)

    async def start(self, request: group_pb2.StartTaskGroupRequest) -> None:
        """Start a paused group."""
        request.project_id = self._project_id
        await self._call(self._stub.StartTaskGroup, request)

    async def retry(self, request: group_pb2.RetryTaskGroupRequest) -> None:
        """Start a failed group again."""
        request.project_id = self._project_id
        await self._call(self._stub.RetryTaskGroup, request)

    async def stop(self, group_id: str) -> None:
        """Pause a group."""
        request = group_pb2.StopTaskGroupRequest(project_id=self._project_id, group_id=group_id)
        await self._call(self._stub.StopTaskGroup, request)

    async def delete(self, group_id: str) -> None:
        """Delete a group and its tasks."""
        request = group_pb2.DeleteTaskGroupRequest(project_id=self._project_id, group_id=group_id)
        await self._call(self._stub.DeleteTaskGroup, request)

    async def limit(self, group_id: str, windows: Sequence[types_pb2.BandwidthPolicy]) -> None:
        """Replace the bandwidth windows of a group; none = no limit."""
        request = group_pb2.UpdateTaskGroupRequest(
            project_id=self._project_id, group_id=group_id, bandwidth_policy=windows
        )
        await self._call(self._stub.UpdateTaskGroup, request)

    async def watch(self, group_id: str) -> AsyncIterator[group_pb2.WatchTaskGroupResponse]:
        """The group and its running tasks now and after each change, until it has ended or is deleted; as follow() does."""
        request = group_pb2.WatchTaskGroupRequest(project_id=self._project_id, group_id=group_id)
        answers = follow(lambda: self._stub.WatchTaskGroup(request), self._target, self._timeout_s)
        async with contextlib.aclosing(answers):
            async for answer in answers:
                yield answer
