"""A task service that keeps its tasks in a dictionary and moves them by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from omsd.domain.errors import Refusal, RequestError
from omsd.domain.model import (
    BandwidthWindow,
    CloudType,
    Counters,
    Location,
    Priority,
    Task,
    TaskId,
    TaskSpec,
    TaskState,
    TaskType,
)
from omsd.service import requests
from omsd.service.views import TaskPage, TaskView

RUNNING = (TaskState.WAITING, TaskState.MIGRATING, TaskState.PAUSING)
FINAL = (TaskState.SUCCEEDED, TaskState.FAILED)


def view_of(task: Task, counters: Counters | None = None) -> TaskView:
    """A view with nothing under way."""
    counters = counters or task.counters
    return TaskView(
        task=task,
        counters=counters,
        listing_over=task.listing_over,
        complete_size_bytes=counters.successful_size_bytes,
        real_size_bytes=counters.successful_size_bytes,
        progress=counters.accounted_num / counters.listed_num if counters.listed_num else 0.0,
        speed_bytes_per_s=1_000_000 if task.state is TaskState.MIGRATING else 0,
        total_ms=1000,
        left_ms=0,
    )


class FakeTaskService:
    """Records every call in `calls`; `raises` makes every next call raise."""

    def __init__(self) -> None:
        self.tasks: dict[TaskId, Task] = {}
        self.calls: list[tuple[object, ...]] = []
        self.raises: Exception | None = None
        self.gate: asyncio.Event | None = None  # while set and not open, get() waits
        self.moment = 0
        self._changed = asyncio.Condition()

    async def change(self, task_id: TaskId, **fields: object) -> None:
        """Move a task by hand; watchers see it."""
        async with self._changed:
            self.moment += 1
            self.tasks[task_id] = replace(self.tasks[task_id], **fields)  # type: ignore[arg-type]
            self._changed.notify_all()

    async def create(self, project_id: str, request: requests.CreateTask) -> Task:
        self._note("create", project_id, request)
        src, dst = request.src_node or requests.SrcNode(), request.dst_node or requests.DstNode()
        if not src.bucket:
            raise RequestError.of_field("OMS.1004", "src_node.bucket", "is required")
        task_id = TaskId(len(self.tasks) + 100_000_000_000_001)
        spec = TaskSpec(
            source=Location(
                CloudType(src.cloud_type or "Aliyun"), src.region or "", src.bucket, src.endpoint or ""
            ),
            destination=Location(
                CloudType(dst.cloud_type or "HuaweiCloud"),
                dst.region or "",
                dst.bucket or "",
                dst.endpoint or "",
            ),
            task_type=TaskType(request.task_type or "object"),
            object_keys=src.object_key or (),
            save_prefix=dst.save_prefix or "",
            description=request.description or "",
        )
        task = Task(
            task_id=task_id,
            project_id=project_id,
            name=f"{src.bucket}-{dst.bucket}",
            spec=spec,
            state=TaskState.WAITING,
            priority=Priority(request.task_priority or "MEDIUM"),
            windows=self._windows(request.bandwidth_policy or ()),
            created_ms=1_700_000_000_000,
        )
        self.moment += 1
        self.tasks[task_id] = task
        return task

    async def get(self, project_id: str, task_id: TaskId) -> TaskView:
        self._note("get", project_id, task_id)
        if self.gate is not None:
            await self.gate.wait()
        return view_of(self._task(project_id, task_id))

    async def list(self, project_id: str, request: requests.ListTasks) -> TaskPage:
        self._note("list", project_id, request)
        mine = [
            task
            for task in reversed(self.tasks.values())
            if task.project_id == project_id and request.status in (None, task.state)
        ]
        offset = request.offset or 0
        page = mine[offset : offset + (request.limit or 10)]
        return TaskPage(tuple(view_of(task) for task in page), len(mine))

    async def start(self, project_id: str, task_id: TaskId, request: requests.StartTask) -> None:
        self._note("start", project_id, task_id, request)
        task = self._task(project_id, task_id)
        if task.state in RUNNING:
            raise RequestError("OMS.0065", "the task is already started", refusal=Refusal.STATE)
        await self.change(task_id, state=TaskState.WAITING)

    async def stop(self, project_id: str, task_id: TaskId) -> None:
        self._note("stop", project_id, task_id)
        if self._task(project_id, task_id).state not in RUNNING:
            raise RequestError("OMS.0066", "the task does not run", refusal=Refusal.STATE)
        await self.change(task_id, state=TaskState.PAUSED)

    async def delete(self, project_id: str, task_id: TaskId) -> None:
        self._note("delete", project_id, task_id)
        if self._task(project_id, task_id).state in RUNNING:
            raise RequestError("OMS.0063", "the task is running; pause it first", refusal=Refusal.STATE)
        async with self._changed:
            self.moment += 1
            del self.tasks[task_id]
            self._changed.notify_all()

    async def update_bandwidth(
        self, project_id: str, task_id: TaskId, rules: tuple[requests.BandwidthRule, ...]
    ) -> None:
        self._note("update_bandwidth", project_id, task_id, rules)
        self._task(project_id, task_id)
        await self.change(task_id, windows=self._windows(rules))

    async def batch_update(self, project_id: str, request: requests.BatchUpdateTasks) -> None:
        self._note("batch_update", project_id, request)
        for task_id in request.ids or ():
            self._task(project_id, TaskId(task_id))
        for task_id in request.ids or ():
            if request.task_priority:
                await self.change(TaskId(task_id), priority=Priority(request.task_priority))

    async def watch(self, project_id: str, task_id: TaskId) -> AsyncIterator[TaskView]:
        self._note("watch", project_id, task_id)
        task = self._task(project_id, task_id)
        while True:
            yield view_of(task)
            if task.state in FINAL:
                return
            async with self._changed:
                last = task
                await self._changed.wait_for(lambda last=last: self.tasks.get(task_id) is not last)
                if task_id not in self.tasks:
                    return
                task = self.tasks[task_id]

    def _note(self, *call: object) -> None:
        self.calls.append(call)
        if self.raises is not None:
            raise self.raises

    def _task(self, project_id: str, task_id: TaskId) -> Task:
        task = self.tasks.get(task_id)
        if task is None or task.project_id != project_id:
            raise RequestError("OMS.0054", f"there is no task {task_id}", refusal=Refusal.NOT_FOUND)
        return task

    @staticmethod
    def _windows(rules: tuple[requests.BandwidthRule, ...]) -> tuple[BandwidthWindow, ...]:
        def minute(text: str | None) -> int:
            hours, _, minutes = (text or "0:0").partition(":")
            return int(hours) * 60 + int(minutes)

        return tuple(
            BandwidthWindow(minute(rule.start), minute(rule.end), rule.max_bandwidth or 0) for rule in rules
        )
