"""Carries out what the task machine decides: as changes of the coming transaction, and as orders for after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from omsd.domain.model import Counters, OutcomeKind, ShardId, TaskCredentials, TaskState, TaskWork
from omsd.domain.notice_facts import facts_of
from omsd.domain.notices import task_owner
from omsd.domain.plan import ShardDraft
from omsd.domain.shards import Shard, ShardKind
from omsd.domain.task_machine import (
    Act,
    Effect,
    RecordError,
    SetPriority,
    SetWindows,
    TaskEvent,
    add_active,
    evolve,
    step,
)
from omsd.ports.clock import Clock
from omsd.ports.notices import AddNotice, DropNotices
from omsd.ports.taskchanges import (
    AddShards,
    DeleteTask,
    DropCredentials,
    DropFailed,
    DropListParts,
    DropPlans,
    DropShards,
    DropSweep,
    DueSweep,
    PutCredentials,
    PutSweep,
    RekeySweep,
)
from omsd.scheduler.scheduler import Scheduler
from omsd.service.hot import HotShard, HotState, HotTask, Stage
from omsd.service.live import LiveBoard


@dataclass(frozen=True, slots=True)
class Retry:
    """Recorded failed objects on their way back into shards."""

    drafts: tuple[ShardDraft, ...] = ()
    failed_num: int = 0
    failed_size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Supplies:
    """What an effect needs from outside the machine: read from the store, or come with the call."""

    credentials: TaskCredentials | None = None
    retry: Retry = Retry()


class Mover:
    """No waiting and no reading in here: state and stage change together."""

    def __init__(
        self,
        state: HotState,
        scheduler: Scheduler,
        board: LiveBoard,
        clock: Clock,
        wake_sweeper: Callable[[], None],
        wake_notifier: Callable[[], None],
    ) -> None:
        self._state = state
        self._scheduler = scheduler
        self._board = board
        self._clock = clock
        self._wake_sweeper = wake_sweeper
        self._wake_notifier = wake_notifier

    def move(self, hot: HotTask, event: TaskEvent, stage: Stage, supplies: Supplies | None = None) -> None:
        """The task has taken the event. Raises RequestError if it is refused; then nothing has changed."""
        transition = step(hot.task.state, event, retryable_num=retryable_num(hot))
        if transition.state is hot.task.state and not transition.effects:
            return
        self.count_active(hot)
        if hot.task.group_id and transition.state is not hot.task.state:
            self._state.groups[hot.task.group_id].count(hot.task.state, transition.state)
            stage.moved_groups.add(hot.task.group_id)
        hot.task = evolve(hot.task, transition, now_ms=self._now_ms())
        for effect in transition.effects:
            self._carry_out(hot, effect, stage, supplies or Supplies())
        if transition.state is None:
            stage.touched.pop(hot.task.task_id, None)
            stage.shown.pop(hot.task.task_id, None)
        else:
            self._state.tasks[hot.task.task_id] = hot
            stage.touch(hot)

    def count_active(self, hot: HotTask) -> None:
        """The time of work up to now is in active_ms."""
        if hot.active_from_s is not None:
            elapsed_ms = int((self._clock.monotonic_s() - hot.active_from_s) * 1000)
            hot.active_from_s += elapsed_ms / 1000
            hot.task = add_active(hot.task, elapsed_ms, now_ms=self._now_ms())

    def add_shards(
        self, hot: HotTask, drafts: Sequence[ShardDraft], stage: Stage, *, already_listed: bool = False
    ) -> tuple[ShardId, ...]:
        """The drafts are open shards of the task's run, with these ids."""
        shards = tuple(
            Shard(
                shard_id=self._state.next_shard_id(),
                task_id=hot.task.task_id,
                run=hot.task.run,
                kind=draft.kind,
                prefix=draft.prefix,
                after=draft.after,
                until=draft.until,
                keys=draft.keys,
                attempt=draft.attempt,
                manifest=draft.manifest,
                restore_since_s=draft.restore_since_s,
                large=draft.large,
            )
            for draft in drafts
        )
        if shards:
            stage.changes.append(AddShards(shards, already_listed))
        for shard in shards:
            report = shard.kind is ShardKind.REPORT
            hot.open_shards[shard.shard_id] = HotShard(
                already_listed,
                report=report,
                large_key=shard.large.key if shard.large is not None else "",
                leads=shard.leads,
            )
        return tuple(shard.shard_id for shard in shards)

    def _carry_out(self, hot: HotTask, effect: Effect, stage: Stage, supplies: Supplies) -> None:
        task_id = hot.task.task_id
        match effect:
            case SetWindows():
                stage.after.append(partial(self._scheduler.set_windows, task_id, effect.windows))
            case SetPriority():
                stage.after.append(partial(self._scheduler.set_priority, task_id, effect.priority))
            case Act.KEEP_CREDENTIALS:
                if supplies.credentials is None:
                    raise ValueError("a start without credentials")
                stage.changes.append(PutCredentials(task_id, supplies.credentials))
                stage.changes.append(RekeySweep(task_id, supplies.credentials.destination))
            case Act.DROP_CREDENTIALS:
                stage.changes.append(DropCredentials(task_id))
                self._keep_for_sweep(hot, stage)
            case Act.NEW_RUN:
                stage.changes += [DropShards(task_id), DropFailed(task_id), DropPlans(task_id)]
                hot.open_shards, hot.tally, hot.parts, hot.held = {}, {}, {}, set()
            case Act.NEW_LISTS:
                stage.changes.append(DropListParts(task_id))
                stage.discards.append(task_id)
                hot.list_parts, hot.lists_pending = {}, False
            case Act.RETRY_FAILED:
                self._retry_failed(hot, supplies.retry, stage)
            case Act.REMOVE:
                stage.changes += [DueSweep(task_id), DropNotices(task_owner(task_id)), DeleteTask(task_id)]
                stage.after.append(self._wake_sweeper)
                stage.discards.append(task_id)
                self._state.tasks.pop(task_id, None)
                stage.after.append(partial(self._board.retire, task_id))
            case RecordError():
                pass  # evolve() has written it
            case _:
                self._carry_out_work(hot, effect, stage, supplies)

    def _carry_out_work(self, hot: HotTask, effect: Act, stage: Stage, supplies: Supplies) -> None:
        task_id = hot.task.task_id
        match effect:
            case Act.ENQUEUE:
                stage.after.append(
                    partial(
                        self._scheduler.enqueue, task_id, hot.task.priority, project_id=hot.task.project_id
                    )
                )
            case Act.WITHDRAW:
                stage.after.append(partial(self._scheduler.withdraw, task_id))
            case Act.BEGIN_WORK:
                self._begin_work(hot, stage, supplies)
            case Act.END_WORK:
                hot.active_from_s, hot.stint = None, 0
                if hot.task.state is TaskState.SUCCEEDED:
                    stage.discards.append(task_id)
            case Act.VOID_LEASES:
                for lease_id in hot.leases:
                    self._state.leases[lease_id].current = False
                    stage.after.append(partial(self._board.end_lease, lease_id))
            case Act.DRAIN_LEASES:
                stage.after.append(partial(self._scheduler.drain, task_id))
            case Act.CUT_LEASES:
                stage.after.append(partial(self._scheduler.cut, task_id))
            case Act.NOTIFY:
                self._notify(hot, stage)

    def _begin_work(self, hot: HotTask, stage: Stage, supplies: Supplies) -> None:
        hot.stint = self._state.next_stint()
        hot.active_from_s = self._clock.monotonic_s()
        hot.reporting, hot.doom = False, None
        hot.keys = supplies.credentials
        if supplies.credentials is None:
            return  # the caller fails the task
        task = hot.task
        work = TaskWork(task.task_id, task.spec, supplies.credentials, task.run, task.started_ms / 1000)
        begin = partial(self._scheduler.begin, work, hot.stint, task.priority, task.windows)
        stage.after.append(partial(begin, project_id=task.project_id, group_id=task.group_id or None))

    def _keep_for_sweep(self, hot: HotTask, stage: Stage) -> None:
        """Uploads can only be aborted with the destination's keys: these stay, sealed, as long as any may be open."""
        keys, hot.keys = hot.keys, None
        if keys is None:
            return  # it has not worked since the last time
        task = hot.task
        due = task.state is not TaskState.PAUSED
        if hot.uploads or hot.intents or hot.leases:
            destination = task.spec.destination
            stage.changes.append(PutSweep(task.task_id, destination, keys.destination, due))
        else:
            stage.changes.append(DropSweep(task.task_id))
        if due:
            stage.after.append(self._wake_sweeper)

    def _notify(self, hot: HotTask, stage: Stage) -> None:
        """A notice is due in the transaction that ends the task; what is told of an earlier end is shown no more."""
        config, owner = hot.task.spec.smn, task_owner(hot.task.task_id)
        if config is None:
            return
        if config.wants(succeeded=hot.task.state is TaskState.SUCCEEDED):
            stage.changes.append(AddNotice(owner, config, facts_of(hot.task)))
            stage.after.append(self._wake_notifier)
        else:
            stage.changes.append(DropNotices(owner))

    def _retry_failed(self, hot: HotTask, retry: Retry, stage: Stage) -> None:
        """The failed objects are unaccounted for again; they stay listed, their sizes are found anew."""
        self.add_shards(hot, retry.drafts, stage, already_listed=True)
        failed_list = DropListParts(hot.task.task_id, OutcomeKind.FAILED)
        stage.changes += [DropFailed(hot.task.task_id), failed_list]
        hot.tally = {}
        taken_back = Counters(
            failed_num=-retry.failed_num,
            failed_size_bytes=-retry.failed_size_bytes,
            listed_size_bytes=-retry.failed_size_bytes,
        )
        hot.task = replace(hot.task, counters=hot.task.counters.plus(taken_back))

    def _now_ms(self) -> int:
        return int(self._clock.now_s() * 1000)


def retryable_num(hot: HotTask) -> int:
    """Failed objects that are recorded: all of them or none, as the task asked."""
    return hot.task.counters.failed_num if hot.task.spec.record_failed_objects else 0
