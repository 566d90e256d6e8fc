"""The only writer of task state: event -> machine -> one transaction -> effects, answers, watchers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import tzinfo
from functools import partial

from omsd.domain import task_machine
from omsd.domain.errors import Failure, OmsdError, RequestError
from omsd.domain.events import UploadSought
from omsd.domain.group import TaskGroup
from omsd.domain.manifest import ListsFound, plan_manifests
from omsd.domain.model import ShardId, Task, TaskId, TaskState, TaskType
from omsd.domain.object_lists import NOT_STORED
from omsd.domain.plan import plan_shards
from omsd.domain.quotas import CreationKind, Quotas
from omsd.domain.shards import Shard, ShardKind
from omsd.domain.task_machine import Decisive, Planned, Recovered, SlotGranted
from omsd.ports.clock import Clock
from omsd.ports.listspool import ListSpool
from omsd.ports.taskchanges import LeaseShard, NoteCreation
from omsd.ports.taskstore import CorruptRowError, TaskStore
from omsd.scheduler.orders import GrantSlot, LeaseShards, Order, PreflightFailed, PreflightPassed
from omsd.scheduler.scheduler import Scheduler
from omsd.service.accounts import Accounts
from omsd.service.calls import Call, ChangeGroup, ChangeTask, ChangeTasks, CreateGroup, CreateTask, Made
from omsd.service.channel import EventChannel, LedgerEvent
from omsd.service.desk import NewTask, TaskDesk
from omsd.service.group_ledger import GroupBook, Planning
from omsd.service.group_orders import GroupOrder
from omsd.service.hot import HotShard, HotState, HotTask, Lease, Stage
from omsd.service.live import LiveBoard
from omsd.service.moves import Mover, Supplies
from omsd.service.quotas import QuotaKeeper
from omsd.service.recorder import ListRecorder
from omsd.service.refusals import refusal_of_end, same_request
from omsd.service.uploads import UploadBook

# Events of one transaction: enough to share an fsync, few enough that a call does not wait for long.
_BUNCH = 256
# A task that has failed for good tries to store its lists for no longer than this.
_DOOMED_LISTS_S = 30.0
_RESTING = frozenset({TaskState.PAUSED, TaskState.FAILED, TaskState.SUCCEEDED})


class Ledger:
    """Takes events from the channel, one after another; never puts one in."""

    def __init__(
        self,
        store: TaskStore,
        channel: EventChannel,
        scheduler: Scheduler,
        board: LiveBoard,
        clock: Clock,
        spool: ListSpool,
        planning: Planning,
        *,
        zone: tzinfo,
        last_ids: tuple[TaskId, ShardId],
        quotas: QuotaKeeper | None = None,
    ) -> None:
        self._store = store
        self._channel = channel
        self._scheduler = scheduler
        self._board = board
        self._clock = clock
        self._quotas = quotas or QuotaKeeper(store, Quotas(), zone)
        self._state = HotState(*last_ids)
        self.sweeps_due = asyncio.Event()
        self.notices_due = asyncio.Event()
        self._mover = Mover(self._state, scheduler, board, clock, self.sweeps_due.set, self.notices_due.set)
        self._recorder = ListRecorder(spool)
        self._uploads = UploadBook(self._state, self._mover, scheduler)
        self._accounts = Accounts(self._state, self._mover, self._recorder, self._uploads, scheduler, board)
        self._desk = TaskDesk(store, self._state, self._mover, self._accounts, scheduler, clock, zone)
        self._groups = GroupBook(
            self._state,
            self._desk,
            scheduler,
            board,
            clock,
            planning,
            channel.order,
            self._quotas,
            self.notices_due.set,
        )

    async def run(self) -> None:
        """Works until the channel is closed and drained.

        Raises TaskStoreError if a commit fails: nothing is taken or acknowledged any more, and the daemon must end.
        """
        try:
            while bunch := await self._channel.take(_BUNCH):
                await self._apply(bunch)
        except BaseException as error:
            await self._channel.fail(refusal_of_end(error))
            raise

    async def adopt(self, task: Task) -> None:
        """A task found in the store at the start goes on, waits or is paused. Not beside run()."""
        if task.group_id:
            await self._groups.know(task.group_id)
        hot = HotTask(task)
        stage = Stage()
        if task.state is TaskState.MIGRATING:
            await self._begin(hot, Recovered(), stage)
        else:
            if task.state is TaskState.PAUSING:
                hot.take_uploads(await self._store.open_uploads(task.task_id))
                hot.keys = await self._desk.credentials(task.task_id)
            self._mover.move(hot, Recovered(), stage)
        await self._commit(stage)

    async def adopt_group(self, group: TaskGroup) -> None:
        """A group found in the store at the start goes on. After its tasks, not beside run()."""
        stage = Stage()
        await self._groups.adopt(group, stage)
        await self._commit(stage)

    def has_leases(self, task_id: TaskId) -> bool:
        """Does a worker still do something for the task, even if it is deleted?"""
        return any(lease.task_id == task_id for lease in self._state.leases.values())

    async def _apply(self, bunch: list[LedgerEvent]) -> None:
        try:
            await self._apply_in_order(bunch)
        except BaseException as error:
            for event in bunch:
                if isinstance(event, Call):
                    event.refuse(refusal_of_end(error))
            raise

    async def _apply_in_order(self, bunch: list[LedgerEvent]) -> None:
        stage = Stage()
        for event in bunch:
            if isinstance(event, Call | Order | GroupOrder):
                # These read the store, so all before them must be in it.
                await self._commit(stage)
                stage = Stage()
                await self._apply_urgent(event, stage)
                await self._commit(stage)
                stage = Stage()
            elif isinstance(event, UploadSought):
                await self._commit(stage)
                stage = Stage()
                await self._uploads.answer(event, self._store)
            else:
                self._accounts.apply(event, stage)
        await self._commit(stage)

    async def _apply_urgent(self, event: Call | Order | GroupOrder, stage: Stage) -> None:
        if isinstance(event, GroupOrder):
            await self._groups.apply(event, stage)
            return
        if not isinstance(event, Call):
            await self._apply_order(event, stage)
            return
        try:
            made = await self._grant_wish(event, stage)
        except RequestError as refusal:
            event.refuse(refusal)
        else:
            stage.answers.append((event, made))

    async def _commit(self, stage: Stage) -> None:
        """The stage is durable, then what follows from it is done."""
        if stage.outcomes:
            await self._recorder.record(stage)
        self._groups.count_time(stage)
        changes = stage.all_changes()
        if changes:
            await self._store.commit(changes)
        for hot in (stage.shown | stage.touched).values():
            self._board.publish(hot.task, active_from_s=hot.active_from_s, unlisted_num=hot.unlisted_num())
        for act in stage.after:
            act()
        for hot in stage.touched.values():
            self._rest(hot)
        self._groups.committed(stage)
        if stage.answers:
            self._board.new_moment()
        for call, made in stage.answers:
            call.answer(made)
        if stage.stored_lists or stage.discards:
            await self._recorder.tidy(stage)

    def _rest(self, hot: HotTask) -> None:
        """A task with nothing under way is left to the store."""
        task_id = hot.task.task_id
        if hot.task.state in _RESTING and not hot.leases and self._state.tasks.get(task_id) is hot:
            del self._state.tasks[task_id]
            self._board.retire(task_id)

    async def _grant_wish(self, call: Call, stage: Stage) -> Made:
        wish = call.wish
        match wish:
            case CreateTask():
                return await self._create(wish, stage)
            case ChangeTask():
                hot = await self._desk.find(wish.project_id, wish.task_id)
                await self._groups.check_member(hot.task, wish.event)
                await self._desk.change(hot, wish.event, stage, wish.credentials)
            case ChangeTasks():
                await self._change_all(wish, stage)
            case CreateGroup():
                return await self._groups.create(wish, stage)
            case ChangeGroup():
                await self._groups.change(wish, stage)
        return None

    async def _create(self, wish: CreateTask, stage: Stage) -> Task:
        earlier = (
            await self._store.find_request(wish.project_id, wish.request_id) if wish.request_id else None
        )
        if earlier is not None:
            return same_request(earlier, wish.request_fingerprint)
        now_ms = int(self._clock.now_s() * 1000)
        # All before is committed, and nobody else creates: of two calls that race the second finds the first.
        promised_num = self._groups.promised_num(wish.project_id)
        await self._quotas.check_task(wish.project_id, now_ms, wish.dialect, promised_num=promised_num)
        stage.changes.append(NoteCreation(wish.project_id, CreationKind.TASK, now_ms))
        new = NewTask(
            project_id=wish.project_id,
            spec=wish.spec,
            credentials=wish.credentials,
            priority=wish.priority,
            windows=wish.windows,
            request_id=wish.request_id,
            request_fingerprint=wish.request_fingerprint,
        )
        return self._desk.make(new, stage)

    async def _change_all(self, wish: ChangeTasks, stage: Stage) -> None:
        events: list[task_machine.Call] = []
        if wish.windows is not None:
            events.append(task_machine.UpdateBandwidth(wish.windows))
        if wish.priority is not None:
            events.append(task_machine.UpdatePriority(wish.priority))
        if wish.group_id is not None:
            found = await self._groups.changeable(
                wish.project_id, wish.group_id, with_limits=wish.windows is not None
            )
        else:
            found = [
                await self._desk.find(wish.project_id, task_id) for task_id in dict.fromkeys(wish.task_ids)
            ]
        for hot in found:
            for event in events:
                task_machine.step(hot.task.state, event)  # refused before anything is changed
        for hot in found:
            for event in events:
                self._mover.move(hot, event, stage)

    async def _apply_order(self, order: Order, stage: Stage) -> None:
        hot = self._state.tasks.get(order.task_id)
        if isinstance(order, GrantSlot):
            if hot is not None and hot.task.state is TaskState.WAITING:
                await self._begin(hot, SlotGranted(), stage)
            return
        if hot is None or hot.stint != order.stint or hot.task.state is not TaskState.MIGRATING:
            if isinstance(order, LeaseShards):
                stage.after.append(partial(self._scheduler.refused, order.task_id, order.shard_ids))
            return
        match order:
            case PreflightPassed():
                self._plan(hot, order.lists, stage)
            case PreflightFailed():
                self._accounts.doom(hot, order.failure, stage)
            case LeaseShards():
                await self._lease(hot, order.shard_ids, stage)

    async def _begin(self, hot: HotTask, event: SlotGranted | Recovered, stage: Stage) -> None:
        task_id = hot.task.task_id
        found = await self._store.open_shards(task_id)
        hot.held = set()
        hot.open_shards = {
            shard.shard_id: HotShard(
                shard.already_listed,
                report=shard.kind is ShardKind.REPORT,
                large_key=shard.large_key,
                leads=shard.leads,
            )
            for shard in found
        }
        hot.take_uploads(await self._store.open_uploads(task_id))
        parts = await self._store.list_parts(task_id)
        hot.list_parts = {(part.kind, part.number): part for part in parts}
        hot.lists_pending = bool(parts)
        hot.tally = dict(await self._store.failure_tally(task_id))
        credentials = await self._desk.credentials(task_id)
        self._mover.move(hot, event, stage, Supplies(credentials))
        if credentials is None:
            failure = Failure(
                "TRF.0001", "the stored credentials cannot be read; start the task again with its AK/SK"
            )
            self._recorder.give_up(hot, NOT_STORED, stage)
            self._mover.move(hot, Decisive(failure), stage)

    def _plan(self, hot: HotTask, lists: ListsFound, stage: Stage) -> None:
        if not hot.task.planned:
            spec = hot.task.spec
            try:
                drafts = plan_manifests(lists) if spec.task_type is TaskType.LIST else plan_shards(spec)
            except OmsdError as error:
                self._mover.move(hot, Decisive(Failure(error.code, error.message)), stage)
                return
            self._mover.add_shards(hot, drafts, stage)
            self._mover.move(hot, Planned(), stage)
        pending = [shard_id for shard_id, shard in hot.open_shards.items() if not shard.report]
        stage.after.append(partial(self._scheduler.add_shards, hot.task.task_id, pending))
        self._accounts.finish_if_over(hot, stage)

    async def _lease(self, hot: HotTask, shard_ids: tuple[ShardId, ...], stage: Stage) -> None:
        refused = tuple(
            shard_id
            for shard_id in shard_ids
            if not hot.may_run(shard_id) or self._uploads.must_hold(hot, shard_id)
        )
        if refused:
            stage.after.append(partial(self._scheduler.refused, hot.task.task_id, refused))
        try:
            shards = [
                await self._store.get_shard(shard_id) for shard_id in shard_ids if shard_id not in refused
            ]
        except CorruptRowError as error:
            self._accounts.doom(hot, Failure("TRF.0001", error.message), stage)
            return
        for shard in shards:
            await self._lease_one(hot, replace(shard, attempt=shard.attempt + 1), stage)
        stage.touch(hot)

    async def _lease_one(self, hot: HotTask, shard: Shard, stage: Stage) -> None:
        stale = await self._store.stale_uploads(hot.task.task_id, shard.shard_id)
        shard = await self._uploads.prepare(hot, shard, self._store, stage)
        if shard.kind is ShardKind.REPORT:
            deadline_s = _DOOMED_LISTS_S if hot.doom is not None else 0.0
            shard = replace(shard, lists=self._recorder.uploads_of(hot), deadline_s=deadline_s)
        lease_id = self._state.next_lease_id()
        self._state.leases[lease_id] = Lease(hot.task.task_id, shard, shard.checkpoint)
        hot.leases.add(lease_id)
        already_listed = hot.open_shards[shard.shard_id].already_listed
        begin = partial(self._board.begin_lease, lease_id, hot.task.task_id, already_listed=already_listed)
        stage.changes.append(LeaseShard(shard.shard_id, shard.attempt))
        stage.after.append(begin)
        stage.after.append(partial(self._scheduler.leased, lease_id, shard, stale))
