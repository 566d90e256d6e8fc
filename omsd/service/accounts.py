"""Accounts for what shards report: each object once, and only from leases that are current."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from omsd.domain.caveats import CAVEAT_TEXTS
from omsd.domain.errors import Failure
from omsd.domain.events import (
    IntentSettled,
    ListSettled,
    PartsSent,
    ShardBatch,
    ShardDone,
    ShardEvent,
    ShardFailed,
    ShardProgress,
    ShardReleased,
    ShardSplit,
    SpanSplit,
    UploadClosed,
    UploadIntended,
    UploadOpened,
    UploadsSwept,
    WorkerLost,
)
from omsd.domain.model import LeaseId, Outcome, OutcomeKind, ShardId, TaskState
from omsd.domain.object_lists import NOT_STORED
from omsd.domain.plan import ShardDraft, plan_restored
from omsd.domain.shards import ShardKind
from omsd.domain.splitting import has_split, split_shard
from omsd.domain.task_machine import AllShardsDone, Decisive, Drained, end_verdict
from omsd.ports.taskchanges import (
    AddFailed,
    AdvanceShard,
    FailedObject,
    FinishShard,
    NarrowShard,
    TallyFailures,
)
from omsd.scheduler.scheduler import Scheduler
from omsd.service.hot import HotState, HotTask, Lease, Stage
from omsd.service.live import LiveBoard
from omsd.service.moves import Mover
from omsd.service.recorder import ListRecorder
from omsd.service.uploads import UploadBook
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

# A shard that fails this often in a row, without one object done in between, fails its task.
MAX_FAILURES = 5
_FIRST_REST_S = 2.0


class Accounts:
    """Applies shard events to the hot state and the coming transaction; waits for nothing."""

    def __init__(
        self,
        state: HotState,
        mover: Mover,
        recorder: ListRecorder,
        uploads: UploadBook,
        scheduler: Scheduler,
        board: LiveBoard,
    ) -> None:
        self._state = state
        self._uploads = uploads
        self._mover = mover
        self._recorder = recorder
        self._scheduler = scheduler
        self._board = board

    def apply(self, event: ShardEvent, stage: Stage) -> None:
        """The event is part of the stage; one of an unknown or void lease changes no counter."""
        match event:
            case ShardProgress():
                stage.after.append(partial(self._board.report, event.lease_id, event.progress))
            case ShardBatch():
                self._batch(event, stage)
            case ShardSplit() | SpanSplit():
                self._split(event, stage)
            case ShardDone():
                self._done(event.lease_id, stage)
            case ShardReleased():
                self._released(event.lease_id, stage)
            case ShardFailed():
                self._failed(event.lease_id, event.failure, event.decisive, stage)
            case WorkerLost():
                for lease_id in event.lease_ids:
                    self._failed(lease_id, _WORKER_LOST, False, stage)
            case UploadIntended() | UploadOpened() | IntentSettled() | PartsSent() | UploadClosed():
                self._uploads.apply(event, stage)
            case UploadsSwept():
                self._uploads.swept(event, stage)
            case ListSettled():
                self._list_settled(event, stage)

    def finish_if_over(self, hot: HotTask, stage: Stage) -> None:
        """A planned task without open shards has ended once its lists are up; a pausing one without leases is paused."""
        task = hot.task
        if task.state is TaskState.PAUSING and not hot.leases:
            self._mover.move(hot, Drained(), stage)
        elif task.state is TaskState.MIGRATING and (hot.doom or (task.planned and not hot.work_left())):
            self._end_run(hot, stage)

    def doom(self, hot: HotTask, failure: Failure, stage: Stage) -> None:
        """Nothing of the task can succeed any more: it fails, after its lists are up if there is anything in them."""
        if hot.task.state is not TaskState.MIGRATING or not hot.lists_pending:
            self._mover.move(hot, Decisive(failure), stage)
        elif hot.doom is None:
            hot.doom = failure
            stage.after.append(partial(self._scheduler.end_work, hot.task.task_id))
            self.finish_if_over(hot, stage)

    def _end_run(self, hot: HotTask, stage: Stage) -> None:
        if hot.lists_pending:
            # What a lease that is cut still reports belongs into the lists.
            if not hot.reporting and not hot.leases:
                self._report(hot, stage)
        elif hot.doom is not None:
            self._mover.move(hot, Decisive(hot.doom), stage)
        else:
            recorded = hot.task.spec.record_failed_objects
            verdict = end_verdict(hot.task.counters, hot.tally, recorded=recorded)
            self._mover.move(hot, AllShardsDone(verdict), stage)

    def _report(self, hot: HotTask, stage: Stage) -> None:
        """A shard that uploads the lists is pending; one of before a restart will do."""
        hot.reporting = True
        if hot.doom is None:
            hot.task = replace(hot.task, listing_over=True)
        if not any(shard.report for shard in hot.open_shards.values()):
            self._mover.add_shards(hot, [ShardDraft(ShardKind.REPORT)], stage)
        shard_ids = [shard_id for shard_id, shard in hot.open_shards.items() if shard.report]
        stage.after.append(partial(self._scheduler.add_shards, hot.task.task_id, shard_ids))
        stage.touch(hot)

    def _list_settled(self, event: ListSettled, stage: Stage) -> None:
        lease, hot = self._current(event.lease_id)
        if lease is not None and hot is not None:
            self._recorder.settle(hot, event.part, event.key, event.error_code, stage)

    def _batch(self, batch: ShardBatch, stage: Stage) -> None:
        lease, hot = self._current(batch.lease_id)
        if lease is None or hot is None:
            return
        told = batch.outcomes or batch.deferred or batch.handed
        if told and batch.checkpoint == lease.checkpoint:
            return  # came a second time: new objects always move the checkpoint
        lease.checkpoint = batch.checkpoint
        shard = hot.open_shards[lease.shard_id]
        shard.failures = 0
        counters = batch.counters
        if shard.already_listed:
            counters = replace(counters, listed_num=0)
        hot.task = replace(hot.task, counters=hot.task.counters.plus(counters))
        self._mover.count_active(hot)
        stage.changes.append(AdvanceShard(lease.shard_id, batch.checkpoint))
        self._record_failures(hot, batch.outcomes, stage)
        self._list_outcomes(hot, batch.outcomes, stage)
        self._count_caveats(hot, batch.outcomes, stage)
        if batch.deferred:
            self._defer(hot, lease, batch, stage)
        if batch.handed:
            self._uploads.hand_over(hot, lease, batch.handed, stage)
        if batch.closed is not None:
            self._uploads.close(hot.task.task_id, hot, batch.closed, stage)
        stage.touch(hot)
        if not shard.large_key:
            stage.after.append(partial(self._board.settle, batch.lease_id, batch.counters))

    def _split(self, split: ShardSplit | SpanSplit, stage: Stage) -> None:
        """One transaction narrows the shard and adds those for the rest: no key is in none of them, and none in two."""
        lease, hot = self._current(split.lease_id)
        if lease is None or hot is None or has_split(lease.shard, split):
            return  # the latter came a second time
        lease.shard, drafts = split_shard(lease.shard, split)
        stage.changes.append(NarrowShard(lease.shard))
        already_listed = hot.open_shards[lease.shard_id].already_listed
        new_ids = self._mover.add_shards(hot, drafts, stage, already_listed=already_listed)
        stage.touch(hot)
        if hot.task.state is TaskState.MIGRATING:
            stage.after.append(partial(self._scheduler.add_shards, hot.task.task_id, new_ids))
            stage.after.append(partial(self._scheduler.has_split, split.lease_id))

    def _record_failures(self, hot: HotTask, outcomes: Sequence[Outcome], stage: Stage) -> None:
        failed = [outcome for outcome in outcomes if outcome.kind is OutcomeKind.FAILED]
        task = hot.task
        for outcome in failed:
            number, message = hot.tally.get(outcome.error_code, (0, f"{outcome.key}: {outcome.reason}"))
            hot.tally[outcome.error_code] = (number + 1, message)
            stage.changes.append(TallyFailures(task.task_id, outcome.error_code, 1, message))
        if failed and task.spec.record_failed_objects:
            rows = tuple(
                FailedObject(outcome.key, outcome.size_bytes, outcome.error_code, outcome.reason)
                for outcome in failed
            )
            stage.changes.append(AddFailed(task.task_id, task.run, rows))

    def _list_outcomes(self, hot: HotTask, outcomes: Sequence[Outcome], stage: Stage) -> None:
        # A task that has failed gets no more lists; what its last leases report is counted, and done again with the next start.
        if hot.task.state not in (TaskState.MIGRATING, TaskState.PAUSING):
            return
        if not hot.task.spec.record_failed_objects:
            outcomes = [outcome for outcome in outcomes if outcome.kind is not OutcomeKind.FAILED]
        if outcomes:
            stage.outcomes.append((hot, outcomes))
            hot.lists_pending = True

    def _defer(self, hot: HotTask, lease: Lease, batch: ShardBatch, stage: Stage) -> None:
        """Objects whose restore is under way become shards that rest: listed, not final."""
        drafts = plan_restored(batch.deferred, batch.restore_since_s)
        shard_ids = self._mover.add_shards(hot, drafts, stage, already_listed=True)
        if hot.task.state is TaskState.MIGRATING:
            later = partial(self._scheduler.add_shards, hot.task.task_id, shard_ids, rest_s=batch.rest_s)
            stage.after.append(later)
        if not lease.shard.restore_since_s:
            told = partial(_log.info, "objects_wait_for_restore", task_id=hot.task.task_id)
            stage.after.append(partial(told, objects_num=len(batch.deferred)))

    def _count_caveats(self, hot: HotTask, outcomes: Sequence[Outcome], stage: Stage) -> None:
        """The first object of a run with a caveat is worth a line in the log; the others only count."""
        with_caveats = [outcome.caveats for outcome in outcomes if outcome.caveats]
        if not with_caveats:
            return
        found = Counter(caveat for caveats in with_caveats for caveat in caveats)
        known = dict(hot.task.caveats)
        for caveat in found:
            if caveat not in known:
                stage.after.append(
                    partial(
                        _log.warning,
                        "objects_migrated_with_caveat",
                        task_id=hot.task.task_id,
                        caveat=caveat.value,
                        meaning=CAVEAT_TEXTS[caveat],
                    )
                )
        hot.task = replace(hot.task, caveats=tuple(sorted((Counter(known) + found).items())))

    def _done(self, lease_id: LeaseId, stage: Stage) -> None:
        lease, hot = self._end(lease_id, stage)
        if lease is None or hot is None:
            return
        if lease.current:
            self._finish_shard(hot, lease.shard_id, stage)
        self.finish_if_over(hot, stage)

    def _finish_shard(self, hot: HotTask, shard_id: ShardId, stage: Stage) -> None:
        stage.changes.append(FinishShard(shard_id))
        shard = hot.open_shards.pop(shard_id, None)
        if shard is not None and shard.report:
            self._recorder.give_up(hot, NOT_STORED, stage)
        if shard is not None and shard.leads:
            self._uploads.lead_done(hot, stage)
        elif shard is not None and shard.large_key:
            self._uploads.helper_done(hot, shard.large_key, stage)

    def _released(self, lease_id: LeaseId, stage: Stage) -> None:
        lease, hot = self._end(lease_id, stage)
        if lease is None or hot is None:
            return
        may_go_on = lease.current and hot.task.state is TaskState.MIGRATING and hot.may_run(lease.shard_id)
        if may_go_on and not self._uploads.must_wait(hot, lease.shard_id):
            stage.after.append(partial(self._scheduler.add_shards, hot.task.task_id, [lease.shard_id]))
        self.finish_if_over(hot, stage)

    def _failed(self, lease_id: LeaseId, failure: Failure, decisive: bool, stage: Stage) -> None:
        lease, hot = self._end(lease_id, stage)
        if lease is None or hot is None:
            return
        if lease.current and hot.task.state is TaskState.MIGRATING:
            shard = hot.open_shards[lease.shard_id]
            shard.failures += 1
            hopeless = decisive or shard.failures >= MAX_FAILURES
            if shard.report and (hopeless or hot.doom is not None):
                self._finish_shard(hot, lease.shard_id, stage)
            elif hopeless:
                self.doom(hot, failure, stage)
            elif hot.may_run(lease.shard_id):
                rest_s = _FIRST_REST_S * 2 ** (shard.failures - 1)
                again = partial(self._scheduler.add_shards, hot.task.task_id, [lease.shard_id], rest_s=rest_s)
                stage.after.append(again)
        self.finish_if_over(hot, stage)

    def _current(self, lease_id: LeaseId) -> tuple[Lease, HotTask] | tuple[None, None]:
        lease = self._state.leases.get(lease_id)
        if lease is None or not lease.current:
            return None, None
        return lease, self._state.tasks[lease.task_id]

    def _end(self, lease_id: LeaseId, stage: Stage) -> tuple[Lease, HotTask] | tuple[None, None]:
        """The lease is no more; None if it was not out, or its task is deleted."""
        lease = self._state.leases.pop(lease_id, None)
        if lease is None:
            return None, None
        stage.after.append(partial(self._board.end_lease, lease_id))
        stage.after.append(partial(self._scheduler.lease_ended, lease_id))
        hot = self._state.tasks.get(lease.task_id)
        if hot is None:
            return None, None
        hot.leases.discard(lease_id)
        stage.touch(hot)
        return lease, hot


_WORKER_LOST = Failure(
    "TRF.0001",
    "the worker process that ran a part of the task ended unexpectedly; see the log, then start the task again",
)
