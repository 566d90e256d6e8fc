"""What calls and groups do with tasks alike: make one, find one, and what a start needs. For the ledger alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial

from omsd.domain import ids, task_machine
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
from omsd.domain.plan import ShardDraft, plan_retry
from omsd.domain.task_machine import Start
from omsd.ports.clock import Clock
from omsd.ports.taskchanges import InsertTask, PutCredentials
from omsd.ports.taskstore import CredentialsUnreadableError, TaskStore
from omsd.scheduler.scheduler import Scheduler
from omsd.service.accounts import Accounts
from omsd.service.hot import HotState, HotTask, Stage
from omsd.service.moves import Mover, Retry, Supplies, retryable_num
from omsd.service.refusals import unknown_task

_FAILED_PAGE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What a task begins with; fields as in Task."""

    project_id: str
    spec: TaskSpec
    credentials: TaskCredentials
    priority: Priority = Priority.MEDIUM
    windows: tuple[BandwidthWindow, ...] = ()
    request_id: str = ""
    request_fingerprint: str = ""
    group_id: GroupId | None = None
    expected_num: int = 0
    expected_size_bytes: int = 0


class TaskDesk:
    """Reads the store, so everything before must be in it."""

    def __init__(
        self,
        store: TaskStore,
        state: HotState,
        mover: Mover,
        accounts: Accounts,
        scheduler: Scheduler,
        clock: Clock,
        zone: tzinfo,
    ) -> None:
        self._store = store
        self._state = state
        self._mover = mover
        self._accounts = accounts
        self._scheduler = scheduler
        self._clock = clock
        self._zone = zone

    def make(self, new: NewTask, stage: Stage) -> Task:
        """The task exists and waits for its slot."""
        now_s = self._clock.now_s()
        now_ms = int(now_s * 1000)
        task_id = ids.next_task_id(self._state.last_task_id, now_ms)
        self._state.last_task_id = task_id
        name = ids.task_name(
            new.spec.source.bucket,
            new.spec.destination.bucket,
            datetime.fromtimestamp(now_s, self._zone),
            max(1, task_id - now_ms * 100 + 1),
        )
        task = Task(
            task_id=task_id,
            project_id=new.project_id,
            name=name,
            spec=new.spec,
            state=TaskState.WAITING,
            priority=new.priority,
            windows=new.windows,
            created_ms=now_ms,
            request_id=new.request_id,
            request_fingerprint=new.request_fingerprint,
            group_id=new.group_id or GroupId(""),
            expected_num=new.expected_num,
            expected_size_bytes=new.expected_size_bytes,
        )
        stage.changes += [InsertTask(task), PutCredentials(task_id, new.credentials)]
        hot = self._state.tasks[task_id] = HotTask(task)
        if task.group_id:
            self._state.groups[task.group_id].count(None, task.state)
            stage.moved_groups.add(task.group_id)
        stage.touch(hot)
        stage.after.append(
            partial(self._scheduler.enqueue, task_id, task.priority, project_id=task.project_id)
        )
        return task

    async def find(self, project_id: str, task_id: TaskId) -> HotTask:
        """The project's task. Raises RequestError OMS.0054."""
        hot = self._state.tasks.get(task_id)
        if hot is None:
            task = await self._store.get_task(task_id)
            hot = HotTask(task) if task is not None else None
        if hot is None or hot.task.project_id != project_id:
            raise unknown_task(task_id)
        return hot

    def hot_of(self, task: Task) -> HotTask:
        """The task that was just read, as the ledger holds it."""
        return self._state.tasks.get(task.task_id) or HotTask(task)

    async def change(
        self,
        hot: HotTask,
        event: task_machine.Call,
        stage: Stage,
        credentials: TaskCredentials | None = None,
    ) -> None:
        """The task has taken the call, if it does not refuse it: RequestError."""
        task_machine.step(hot.task.state, event, retryable_num=retryable_num(hot))
        retry = await self._retry_of(hot, event)
        self._mover.move(hot, event, stage, Supplies(credentials, retry))
        self._accounts.finish_if_over(hot, stage)

    async def credentials(self, task_id: TaskId) -> TaskCredentials | None:
        """The stored keys; None if there are none, or this daemon cannot open them."""
        try:
            return await self._store.credentials(task_id)
        except CredentialsUnreadableError:
            return None

    async def _retry_of(self, hot: HotTask, event: task_machine.Call) -> Retry:
        """The recorded failed objects, if a start asks for them."""
        if not (isinstance(event, Start) and event.failed_only and retryable_num(hot)):
            return Retry()
        drafts: list[ShardDraft] = []
        number = size_bytes = row_id = 0
        while page := await self._store.failed_page(hot.task.task_id, row_id, _FAILED_PAGE):
            drafts += plan_retry(failed.key for failed in page)
            number += len(page)
            size_bytes += sum(failed.size_bytes for failed in page)
            row_id = page[-1].row_id
        return Retry(tuple(drafts), number, size_bytes)
