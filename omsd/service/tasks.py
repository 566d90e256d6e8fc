"""What callers may ask of migration tasks: validated here, decided by the ledger, answered after its commit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Hashable, Sequence
from dataclasses import asdict, replace

import xxhash

from omsd.domain import task_machine
from omsd.domain.model import (
    BandwidthWindow,
    GroupId,
    Priority,
    Task,
    TaskCredentials,
    TaskId,
    TaskSpec,
    TaskState,
)
from omsd.domain.notices import task_owner
from omsd.ports.clock import Clock
from omsd.ports.notices import NoticeStore
from omsd.ports.taskstore import TaskQuery, TaskStore
from omsd.service import requests
from omsd.service.calls import ChangeTask, ChangeTasks, CreateTask
from omsd.service.channel import EventChannel
from omsd.service.identifiers import validate_request_id
from omsd.service.live import LiveBoard
from omsd.service.probing import EndsProbe
from omsd.service.quotas import QuotaKeeper
from omsd.service.refusals import same_request, unknown_task
from omsd.service.validation import (
    ValidationPolicy,
    validate_bandwidth,
    validate_batch,
    validate_create,
    validate_list,
    validate_start,
)
from omsd.service.views import TaskPage, TaskView

WATCH_INTERVAL_S = 0.5
_WATCH_ENDS = frozenset({TaskState.SUCCEEDED, TaskState.FAILED})


class TaskService:
    """Migration tasks of all projects; a task is seen by its own project only. Every call raises RequestError if it is refused."""

    def __init__(
        self,
        store: TaskStore,
        channel: EventChannel,
        board: LiveBoard,
        ends: EndsProbe,
        clock: Clock,
        policy: ValidationPolicy,
        notices: NoticeStore,
        quotas: QuotaKeeper,
    ) -> None:
        self._store = store
        self._channel = channel
        self._board = board
        self._ends = ends
        self._clock = clock
        self._policy = policy
        self._notices = notices
        self._quotas = quotas

    async def create(self, project_id: str, request: requests.CreateTask) -> Task:
        """The task waits for its slot; a repeat with the same request_id returns the same task. Source: API reference 5.2.3."""
        request_id = validate_request_id(request.request_id)
        valid = validate_create(request, self._policy, project_id=project_id)
        fingerprint = fingerprint_of(valid.spec, valid.windows, valid.priority)
        if request_id:
            earlier = await self._store.find_request(project_id, request_id)
            if earlier is not None:
                return same_request(earlier, fingerprint)
        # The ledger decides; but who has no room left need not wait for two clouds to hear it, nor bother them.
        await self._quotas.check_task(project_id, int(self._clock.now_s() * 1000), request.dialect)
        await self._ends.check(valid.spec, valid.credentials)
        wish = CreateTask(
            project_id,
            valid.spec,
            valid.credentials,
            valid.priority,
            valid.windows,
            request_id,
            fingerprint,
            request.dialect,
        )
        task = await self._channel.call(wish)
        if not isinstance(task, Task):
            raise TypeError("a creation was answered without a task")
        return task

    @property
    def moment(self) -> Hashable:
        """In the same moment get() and list() answer the same, but for progress, and for what became of notices."""
        return self._board.moment

    async def get(self, project_id: str, task_id: int) -> TaskView:
        """The task with live counters. Raises OMS.0054 if the project has no such task."""
        view = await self._find(project_id, TaskId(task_id))
        if view is None:
            raise unknown_task(task_id)
        return view

    async def list(self, project_id: str, request: requests.ListTasks) -> TaskPage:
        """A page of the project's tasks, newest first."""
        valid = validate_list(request)
        state = None
        if valid.status is not None:
            state = next((each for each in TaskState if each == valid.status), None)
        # No task is in a state that does not exist.
        if valid.status is not None and state is None:
            return TaskPage((), 0)
        group_id = GroupId(valid.group_id) if valid.group_id else None
        query = TaskQuery(project_id, valid.offset, valid.limit, state, valid.name_part, group_id)
        tasks, count = await self._store.list_tasks(query)
        return TaskPage(await self._views(tasks), count)

    async def start(self, project_id: str, task_id: int, request: requests.StartTask) -> None:
        """A paused or failed task waits for its slot again, with these keys. Source: API reference 5.2.5."""
        spec = (await self.get(project_id, task_id)).task.spec
        valid = validate_start(request, spec)
        await self._change(project_id, task_id, task_machine.Start(valid.failed_only), valid.credentials)

    async def stop(self, project_id: str, task_id: int) -> None:
        """The task is paused, or pausing until what is under way has ended."""
        await self._change(project_id, task_id, task_machine.Stop())

    async def delete(self, project_id: str, task_id: int) -> None:
        """The task is gone; what it migrated stays."""
        await self._change(project_id, task_id, task_machine.Delete())

    async def update_bandwidth(
        self,
        project_id: str,
        task_id: int,
        rules: tuple[requests.BandwidthRule, ...] | None,
        dialect: requests.Dialect = requests.Dialect.V2,
    ) -> None:
        """These rules replace all others, at once; None is a missing mandatory field."""
        windows = validate_bandwidth(rules, dialect=dialect)
        await self._change(project_id, task_id, task_machine.UpdateBandwidth(windows))

    async def batch_update(self, project_id: str, request: requests.BatchUpdateTasks) -> None:
        """All tasks have the new bandwidth and priority, or none has. Source: API reference 5.2.8."""
        valid = validate_batch(request)
        group_id = GroupId(valid.group_id) if valid.group_id else None
        await self._channel.call(
            ChangeTasks(project_id, valid.task_ids, valid.windows, valid.priority, group_id)
        )

    async def watch(self, project_id: str, task_id: int) -> AsyncIterator[TaskView]:
        """The task now, then after changes, every WATCH_INTERVAL_S at most but at once when its state changes.

        Ends when it has succeeded, failed or been deleted.
        """
        with self._board.subscribe(TaskId(task_id)) as watcher:
            view: TaskView | None = await self.get(project_id, task_id)
            while view is not None:
                yield view
                if view.task.state in _WATCH_ENDS:
                    return
                await rest_of_watch(self._clock, watcher.turned)
                await watcher.changed.wait()
                watcher.clear()
                view = await self._find(project_id, TaskId(task_id))

    async def _find(self, project_id: str, task_id: TaskId) -> TaskView | None:
        task = self._board.task(task_id) or await self._store.get_task(task_id)
        if task is None or task.project_id != project_id:
            return None
        return (await self._views((task,)))[0]

    async def _views(self, tasks: Sequence[Task]) -> tuple[TaskView, ...]:
        """The tasks with what is under way, and with what became of their notices."""
        views = [self._board.view(task) for task in tasks]
        owners = [
            task_owner(view.task.task_id)
            for view in views
            if view.task.spec.smn is not None and view.task.state in _WATCH_ENDS
        ]
        if not owners:
            return tuple(views)
        found = await self._notices.smn_infos(owners)
        return tuple(replace(view, smn=found.get(task_owner(view.task.task_id))) for view in views)

    async def _change(
        self,
        project_id: str,
        task_id: int,
        event: task_machine.Call,
        credentials: TaskCredentials | None = None,
    ) -> None:
        await self._channel.call(ChangeTask(project_id, TaskId(task_id), event, credentials))


async def rest_of_watch(clock: Clock, turned: asyncio.Event) -> None:
    """WATCH_INTERVAL_S, or less: a watch shows no more, unless the state changes."""
    async with asyncio.TaskGroup() as group:
        resting = group.create_task(clock.sleep(WATCH_INTERVAL_S), name="rest of a watch")
        ending = group.create_task(turned.wait(), name="end of a watch's rest")
        _, late = await asyncio.wait((resting, ending), return_when=asyncio.FIRST_COMPLETED)
        for task in late:
            task.cancel()


def fingerprint_of(
    spec: TaskSpec, windows: tuple[BandwidthWindow, ...], priority: Priority | None = None
) -> str:
    """Equal for requests that ask for the same thing, however it was written; secrets and request_id play no part."""
    wanted = {"spec": asdict(spec), "priority": priority, "windows": [asdict(w) for w in windows]}
    return xxhash.xxh3_128_hexdigest(json.dumps(wanted, sort_keys=True).encode())
