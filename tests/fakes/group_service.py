"""A group service that records its calls and answers with what a test put in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from omsd.domain.group import GroupNumber, GroupState, MemberTally, PlanPosition, TaskGroup
from omsd.domain.model import BandwidthWindow, CloudType, Counters, GroupId, Location, TaskSpec, TaskType
from omsd.service import group_requests
from omsd.service.group_views import GroupPage, GroupView, WatchedGroup
from omsd.service.requests import BandwidthRule
from omsd.service.views import TaskView

GROUP_ID = GroupId("157ece42-3270-4824-a3d2-f0187a03ca01")


def group_view(state: GroupState = GroupState.MONITORING, **changes: object) -> GroupView:
    """A group in the middle of its work."""
    spec = TaskSpec(
        Location(CloudType.KINGSOFT, "r1", "from", "https://src.example.com", requester_pays=True),
        Location(CloudType.HUAWEI, "r2", "into", "https://h"),
        TaskType.PREFIX,
        ("a/", "b/"),
        save_prefix="to/",
        description="all of it",
        migrate_since_s=1_700_000_000,
        migrate_metadata=True,
        restore_archived=True,
        encrypt_kms=True,
    )
    failed = state in (GroupState.CREATION_FAILED, GroupState.MIGRATION_FAILED)
    group = TaskGroup(
        group_id=GROUP_ID,
        number=GroupNumber(7),
        project_id="default",
        spec=spec,
        state=state,
        windows=(BandwidthWindow(60, 1439, 5_000_000),),
        created_ms=1_700_000_000_000,
        started_ms=1_700_000_001_000,
        error_code="TRF.0152" if failed else "",
        error_message="1 of 5 tasks failed" if failed else "",
        position=PlanPosition(2, over=True),
    )
    view = GroupView(
        group=group,
        tally=MemberTally(waiting=1, migrating=1, paused=1, failed=1, succeeded=2, pausing=1),
        total_task_num=8,
        counters=Counters(90, 900, 60, 5, 3, 600, 50, 30),
        total_num=100,
        total_size_bytes=1000,
        created_num=95,
        created_size_bytes=950,
        complete_size_bytes=680,
        real_size_bytes=600,
        progress=0.68,
        speed_bytes_per_s=2048,
        total_ms=61_000,
        failed_record_key=f"oms/task_group/{GROUP_ID}/failed_object_lists/",
    )
    return replace(view, **changes)  # type: ignore[arg-type]


class FakeGroupService:
    """Records every call in `calls`; `raises` makes every next call raise; watches show `watched`."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.raises: Exception | None = None
        self.view = group_view()
        self.running: tuple[TaskView, ...] = ()
        self.watched: list[GroupView] = []
        self.gate: asyncio.Event | None = None  # while set and not open, stop() waits

    async def create(self, project_id: str, request: group_requests.CreateTaskGroup) -> TaskGroup:
        self._called("create", project_id, request)
        return self.view.group

    async def get(self, project_id: str, group_id: str) -> GroupView:
        self._called("get", project_id, group_id)
        return self.view

    async def list(self, project_id: str, request: group_requests.ListTaskGroups) -> GroupPage:
        self._called("list", project_id, request)
        return GroupPage((self.view,), 3)

    async def start(self, project_id: str, group_id: str, request: group_requests.StartTaskGroup) -> None:
        self._called("start", project_id, group_id, request)

    async def retry(self, project_id: str, group_id: str, request: group_requests.RetryTaskGroup) -> None:
        self._called("retry", project_id, group_id, request)

    async def stop(self, project_id: str, group_id: str) -> None:
        self._called("stop", project_id, group_id)
        if self.gate is not None:
            await self.gate.wait()

    async def delete(self, project_id: str, group_id: str) -> None:
        self._called("delete", project_id, group_id)

    async def update(self, project_id: str, group_id: str, rules: tuple[BandwidthRule, ...]) -> None:
        self._called("update", project_id, group_id, rules)

    async def watch(self, project_id: str, group_id: str) -> AsyncIterator[WatchedGroup]:
        self._called("watch", project_id, group_id)
        for view in self.watched:
            yield WatchedGroup(view, self.running)

    def _called(self, *call: object) -> None:
        self.calls.append(call)
        if self.raises is not None:
            raise self.raises
