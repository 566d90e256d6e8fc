"""What becomes of task groups: calls, planning steps and the moves of their tasks, each one transaction. A room of the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from omsd.domain import task_machine
from omsd.domain.errors import Failure, Refusal, RequestError, Violation
from omsd.domain.group import Goal, GroupState, TaskGroup
from omsd.domain.group_machine import (
    MEMBERS_REST,
    MEMBERS_STAY,
    RESTING,
    Advanced,
    Created,
    GoalAdvanced,
    MembersMoved,
    PlanFailed,
    Recovered,
    Retry,
    Start,
    TurnCame,
    group_failure,
    is_settled,
)
from omsd.domain.group_plan import (
    Lists,
    ListsWanted,
    Measured,
    TaskTarget,
    advance,
    list_bucket,
    next_wanted,
    nothing_found,
)
from omsd.domain.model import GroupId, Task, TaskCredentials, TaskId, TaskState
from omsd.domain.questions import FindListFiles, MeasureStretch
from omsd.domain.quotas import DAY_MS, CreationKind
from omsd.ports.clock import Clock
from omsd.ports.groupstore import GroupStore, InsertGroup, PurgeGroups, PutGroupCredentials
from omsd.ports.taskchanges import NoteCreation
from omsd.ports.taskstore import CredentialsUnreadableError
from omsd.scheduler.scheduler import Scheduler
from omsd.service.calls import ChangeGroup, CreateGroup
from omsd.service.desk import NewTask, TaskDesk
from omsd.service.group_moves import GroupMover
from omsd.service.group_orders import GroupOrder, LookAtGroup, PlanAnswer, PlanTrouble, PlanTurn
from omsd.service.group_planner import GroupPlanner, PlanQuestion
from omsd.service.hot import HotGroup, HotState, HotTask, Stage
from omsd.service.live import LiveBoard
from omsd.service.moves import retryable_num
from omsd.service.quotas import QuotaKeeper
from omsd.service.refusals import same_request, unknown_group
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

# Active time that a crash may lose.
_COUNT_TIME_S = 30.0

_MOVED_BY = {
    Goal.PAUSE: (TaskState.WAITING, TaskState.MIGRATING),
    Goal.RESUME: (TaskState.PAUSED,),
    Goal.RETRY: (TaskState.FAILED,),
    Goal.RETRY_FAILED: (TaskState.FAILED,),
    Goal.DELETE: tuple(state for state in TaskState if state is not TaskState.PAUSING),
}
_CHANGEABLE = tuple(state for state in TaskState if state is not TaskState.SUCCEEDED)
_NO_KEYS = Failure("TRF.0001", "the stored credentials cannot be read; retry the group with its AK/SK")


@dataclass(frozen=True, slots=True)
class Planning:
    """How groups are planned.

    members_per_step: tasks of a group that are moved in one transaction; others wait meanwhile.
    """

    store: GroupStore
    planner: GroupPlanner
    target: TaskTarget
    members_per_step: int = 100


class GroupBook:
    """Groups that do something are in memory, with the number of their tasks in each state; the others are left to the store."""

    def __init__(
        self,
        state: HotState,
        desk: TaskDesk,
        scheduler: Scheduler,
        board: LiveBoard,
        clock: Clock,
        planning: Planning,
        post: Callable[[GroupOrder], None],
        quotas: QuotaKeeper,
        wake_notifier: Callable[[], None],
    ) -> None:
        self._state = state
        self._desk = desk
        self._scheduler = scheduler
        self._board = board
        self._clock = clock
        self._store = planning.store
        self._planning = planning
        self._post = post
        self._quotas = quotas
        self._mover = GroupMover(state, scheduler, clock, planning.planner, wake_notifier)
        # Read from the store for a call or a task; they go again if nothing came of it.
        self._loaded: set[GroupId] = set()

    async def create(self, wish: CreateGroup, stage: Stage) -> TaskGroup:
        """The group exists and waits to be split. Raises RequestError OMS.1037 if the project made too many."""
        if wish.request_id:
            earlier = await self._store.find_group_request(wish.project_id, wish.request_id)
            if earlier is not None:
                return same_request(earlier, wish.request_fingerprint)
        now_ms = int(self._clock.now_s() * 1000)
        await self._quotas.check_group(wish.project_id, now_ms)
        if not self._state.last_group_number:
            self._state.last_group_number = await self._store.last_group_number()
        group = TaskGroup(
            group_id=GroupId(str(uuid.uuid4())),
            number=self._state.next_group_number(),
            project_id=wish.project_id,
            spec=wish.spec,
            state=GroupState.WAITING,
            windows=wish.windows,
            created_ms=now_ms,
            request_id=wish.request_id,
            request_fingerprint=wish.request_fingerprint,
        )
        stage.changes += [
            PurgeGroups(wish.project_id, now_ms - DAY_MS),
            InsertGroup(group),
            NoteCreation(wish.project_id, CreationKind.GROUP, now_ms),
        ]
        stage.changes.append(PutGroupCredentials(group, wish.credentials))
        hot = self._state.groups[group.group_id] = HotGroup(group, {}, keys=wish.credentials)
        stage.after.append(partial(self._scheduler.set_group_windows, group.group_id, group.windows))
        self._mover.move(hot, Created(), stage)
        return group

    async def change(self, wish: ChangeGroup, stage: Stage) -> None:
        """The group has taken the call. Raises RequestError if it does not fit its state, or keys are missing."""
        hot = await self.find(wish.project_id, wish.group_id)
        self._mover.check(hot, wish.event)
        keys = await self._given(hot, wish) if isinstance(wish.event, Start | Retry) else None
        self._mover.move(hot, wish.event, stage, keys)

    async def _given(self, hot: HotGroup, wish: ChangeGroup) -> TaskCredentials:
        """The keys of the call, completed by those that are stored."""
        if wish.source is not None and wish.destination is not None:
            return TaskCredentials(wish.source, wish.destination)
        stored = await self._keys(hot)
        if stored is None:
            raise _keys_needed(wish)
        return TaskCredentials(wish.source or stored.source, wish.destination or stored.destination)

    async def find(self, project_id: str, group_id: GroupId) -> HotGroup:
        """The project's group. Raises RequestError OMS.1009."""
        hot = self._state.groups.get(group_id)
        group = hot.group if hot is not None else await self._store.get_group(group_id)
        if group is None or group.project_id != project_id or group.state is GroupState.DELETED:
            raise unknown_group(group_id)
        return await self.know(group_id)

    async def know(self, group_id: GroupId) -> HotGroup:
        """The group of a task is in memory, and its limit in force."""
        hot = self._state.groups.get(group_id)
        if hot is None:
            group = await self._store.get_group(group_id)
            if group is None:
                raise unknown_group(group_id)
            hot = HotGroup(group, dict(await self._store.member_numbers(group_id)))
            self._state.groups[group_id] = hot
            self._loaded.add(group_id)
            self._scheduler.set_group_windows(group_id, group.windows)
        return hot

    async def adopt(self, group: TaskGroup, stage: Stage) -> None:
        """A group found at the start goes on by itself."""
        self._mover.move(await self.know(group.group_id), Recovered(), stage)

    async def check_member(self, task: Task, event: task_machine.Call) -> None:
        """Raises RequestError if the state of its group forbids what is asked of a task."""
        if not task.group_id:
            return
        state = (await self.know(task.group_id)).group.state
        if isinstance(event, task_machine.Delete) and state in MEMBERS_STAY:
            raise RequestError(
                "OMS.0063",
                f"the task belongs to task group {task.group_id}, which is at work; pause the group before deleting a task of it",
                refusal=Refusal.STATE,
            )
        if isinstance(event, task_machine.Start) and state in MEMBERS_REST:
            raise RequestError(
                "OMS.1036",
                f"the task belongs to task group {task.group_id}, which is being paused or deleted; start it afterwards",
                refusal=Refusal.STATE,
            )

    async def changeable(self, project_id: str, group_id: GroupId, *, with_limits: bool) -> list[HotTask]:
        """All tasks of a group but those that have succeeded. Raises RequestError OMS.0086 if limits are meant and no other is left."""
        hot = await self.find(project_id, group_id)
        found: list[HotTask] = []
        after = TaskId(0)
        while page := await self._store.members(
            group_id, _CHANGEABLE, after, self._planning.members_per_step
        ):
            found += map(self._desk.hot_of, page)
            after = page[-1].task_id
        if with_limits and not found and hot.tally.succeeded:
            raise RequestError(
                "OMS.0086",
                "all tasks of the group have succeeded; their bandwidth policy can no longer be changed",
                refusal=Refusal.STATE,
            )
        return found

    async def apply(self, order: GroupOrder, stage: Stage) -> None:
        """A planning step, or a look at the tasks, is part of the stage; one that comes too late changes nothing."""
        hot = self._state.groups.get(order.group_id)
        if hot is None:
            return
        if isinstance(order, LookAtGroup):
            hot.looking = False
            await self._look(hot, stage)
        elif order.stint == hot.stint:
            await self._plan(hot, order, stage)

    def count_time(self, stage: Stage) -> None:
        """Time at work is stored now and then, beside what is stored of tasks anyway."""
        for hot_task in stage.touched.values():
            hot = self._state.groups.get(hot_task.task.group_id)
            if hot is None or hot.active_from_s is None:
                continue
            if self._clock.monotonic_s() - hot.active_from_s >= _COUNT_TIME_S:
                self._mover.count_active(hot)
                stage.groups[hot.group.group_id] = hot

    def committed(self, stage: Stage) -> None:
        """What follows from the stage: looks at groups that need one, and groups at rest are left to the store."""
        for group_id in stage.groups:
            self._board.publish_group(group_id)
        for group_id in stage.look_at | stage.moved_groups:
            hot = self._state.groups.get(group_id)
            if hot is None:
                continue
            wanted = group_id in stage.look_at or is_settled(hot.group, hot.tally)
            if wanted and not hot.looking:
                hot.looking = True
                self._post(LookAtGroup(group_id))
        for group_id in stage.groups.keys() | stage.moved_groups | self._loaded:
            self._rest(group_id)
        self._loaded.clear()

    def _rest(self, group_id: GroupId) -> None:
        hot = self._state.groups.get(group_id)
        if hot is None or hot.looking or hot.tally.unrested or hot.group.goal is not Goal.NONE:
            return
        if hot.group.state in RESTING:
            del self._state.groups[group_id]
            self._scheduler.set_group_windows(group_id, ())

    async def _plan(self, hot: HotGroup, order: PlanTurn | PlanAnswer | PlanTrouble, stage: Stage) -> None:
        hot.promised = (0, 0)
        match order:
            case PlanTrouble():
                await self._end(hot, PlanFailed(order.failure), stage)
            case PlanTurn():
                self._mover.move(hot, TurnCame(), stage)
                await self._go_on(hot, stage)
            case PlanAnswer():
                await self._take(hot, order.answer, stage)

    async def _take(self, hot: HotGroup, answer: Measured, stage: Stage) -> None:
        """One transaction: the tasks that the answer makes, and how far the source is split."""
        keys = await self._keys(hot)
        if keys is None:
            await self._end(hot, PlanFailed(_NO_KEYS), stage)
            return
        group = hot.group
        position, drafts = advance(group.spec, group.position, answer, self._planning.target)
        if position.over and not drafts and not hot.tally.total:
            await self._end(hot, PlanFailed(nothing_found(group.spec), restart=True), stage)
            return
        for draft in drafts:
            new = NewTask(
                project_id=group.project_id,
                spec=draft.spec,
                credentials=keys,
                group_id=group.group_id,
                expected_num=draft.expected_num,
                expected_size_bytes=draft.expected_size_bytes,
            )
            self._desk.make(new, stage)
        self._mover.move(hot, Advanced(position), stage)
        if not position.over:
            await self._go_on(hot, stage, made_num=len(drafts))

    def promised_num(self, project_id: str) -> int:
        """How many tasks of the project the questions that are out may make: their places are taken."""
        return sum(
            hot.promised_num for hot in self._state.groups.values() if hot.group.project_id == project_id
        )

    async def _go_on(self, hot: HotGroup, stage: Stage, *, made_num: int = 0) -> None:
        """Once this stage is committed the next question is asked; or later, if no more tasks may wait. made_num: in this stage."""
        project_id = hot.group.project_id
        room = await self._quotas.waiting_room(project_id) - self.promised_num(project_id) - made_num
        if room <= 0:
            stage.after.append(partial(self._planning.planner.postpone, hot.group.group_id, hot.stint))
            return
        keys = await self._keys(hot)
        if keys is None:
            await self._end(hot, PlanFailed(_NO_KEYS), stage)
            return
        wanted = next_wanted(hot.group.spec, hot.group.position, self._planning.target)
        if isinstance(wanted, Lists):
            await self._take(hot, wanted, stage)
            return
        question: PlanQuestion
        if isinstance(wanted, ListsWanted):
            wanted = replace(wanted, limit=min(wanted.limit, room))
            question = FindListFiles(list_bucket(hot.group.spec), keys.destination, wanted)
            hot.promised = hot.stint, wanted.limit
        else:
            question = MeasureStretch(hot.group.spec.source, keys.source, wanted)
            hot.promised = hot.stint, 1
        stage.after.append(partial(self._planning.planner.ask, hot.group.group_id, hot.stint, question))

    async def _look(self, hot: HotGroup, stage: Stage) -> None:
        """Some more tasks are brought to the goal; without one the group may have come to its end."""
        if hot.group.goal is not Goal.NONE:
            await self._pursue(hot, stage)
        if hot.group.goal is not Goal.NONE and hot.group.state is not GroupState.DELETING:
            return
        tally, failure = hot.tally, None
        if hot.group.state is GroupState.MONITORING and tally.failed and is_settled(hot.group, tally):
            failure = group_failure(tally, *await self._store.member_failures(hot.group.group_id))
        await self._end(hot, MembersMoved(tally, failure), stage)

    async def _end(self, hot: HotGroup, event: PlanFailed | MembersMoved, stage: Stage) -> None:
        """The group has taken an event that may be its end. All that its tasks did before is in the store."""
        tells = hot.group.spec.smn is not None
        sums = await self._store.group_sums(hot.group.group_id) if tells else None
        self._mover.move(hot, event, stage, sums=sums)

    async def _pursue(self, hot: HotGroup, stage: Stage) -> None:
        group = hot.group
        page = await self._store.members(
            group.group_id, _MOVED_BY[group.goal], group.goal_after, self._planning.members_per_step
        )
        keys = await self._keys(hot) if group.goal in (Goal.RESUME, Goal.RETRY, Goal.RETRY_FAILED) else None
        for task in page:
            event = _wanted_of(task, group.goal, self._desk.hot_of(task))
            if isinstance(event, task_machine.Start) and keys is None:
                _log.warning("group_without_keys", group_id=group.group_id, task_id=task.task_id)
                continue
            await self._desk.change(self._desk.hot_of(task), event, stage, keys)
        up_to = page[-1].task_id if page else group.goal_after
        self._mover.move(hot, GoalAdvanced(up_to, over=len(page) < self._planning.members_per_step), stage)

    async def _keys(self, hot: HotGroup) -> TaskCredentials | None:
        if hot.keys is None:
            try:
                hot.keys = await self._store.group_credentials(hot.group)
            except CredentialsUnreadableError:
                return None
        return hot.keys


def _wanted_of(task: Task, goal: Goal, hot: HotTask) -> task_machine.Call:
    match goal:
        case Goal.RESUME | Goal.RETRY:
            return task_machine.Start()
        case Goal.RETRY_FAILED:
            # What failed as a whole has no failed objects.
            return task_machine.Start(failed_only=retryable_num(hot) > 0)
        case Goal.DELETE if task.state is not TaskState.MIGRATING:
            return task_machine.Delete()
        case _:
            return task_machine.Stop()


def _keys_needed(wish: ChangeGroup) -> RequestError:
    right = "is mandatory: no keys of this group are stored any more"
    ends = [end for end, keys in (("src", wish.source), ("dst", wish.destination)) if keys is None]
    violations = tuple(Violation(f"{end}_{kind}", right) for end in ends for kind in ("ak", "sk"))
    return RequestError("OMS.1004", f"{violations[0].field}: {right}", violations=violations)
