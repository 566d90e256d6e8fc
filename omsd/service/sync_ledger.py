"""The only writer of synchronization tasks: takes calls and results, one transaction for all that waits, then answers and copies."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from omsd.domain.errors import Refusal, RequestError
from omsd.domain.model import OutcomeKind, TaskCredentials, TaskId, TaskWork
from omsd.domain.sync import (
    EventId,
    SyncEvent,
    SyncNumber,
    SyncState,
    SyncTask,
    SyncTaskId,
    check_takes_events,
    step,
)
from omsd.domain.sync_figures import Figures
from omsd.domain.sync_queue import rest_after
from omsd.ports.clock import Clock
from omsd.ports.objectcopies import CopyResult, ObjectCopies
from omsd.ports.syncstore import (
    AddEvents,
    DeleteSync,
    DropSyncCredentials,
    InsertSync,
    PutRestore,
    PutSyncCredentials,
    PutSyncSecret,
    SyncStore,
    UpdateSync,
)
from omsd.ports.taskstore import CredentialsUnreadableError
from omsd.service.refusals import refusal_of_end, unknown_sync
from omsd.service.sync_copying import SyncCopier
from omsd.service.sync_hot import HotSync, SyncLimits, SyncStage
from omsd.service.sync_inbox import (
    AcceptEvents,
    ChangeSync,
    CopyEnded,
    CreateSync,
    ReplaceSecret,
    SyncInbox,
    SyncNews,
    UploadNoted,
    WaitingCall,
)
from omsd.service.sync_uploads import SyncUploadBook
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

# After a worker was lost, or while there is none.
_WORKER_REST_S = 1.0


class SyncLedger:
    """recover() once, then run(). Tasks are looked up here; they are as the last commit left them."""

    def __init__(
        self,
        store: SyncStore,
        copies: ObjectCopies,
        clock: Clock,
        limits: SyncLimits,
        random01: Callable[[], float],
        sweeps_due: Callable[[], None],
    ) -> None:
        self._store = store
        self._copies = copies
        self._clock = clock
        self._limits = limits
        self._random01 = random01
        self._uploads = SyncUploadBook(sweeps_due)
        self._inbox = SyncInbox()
        self._copier = SyncCopier(
            store, copies, clock, self._inbox, self._uploads, copies_num=limits.copies_num
        )
        self._hot: dict[SyncTaskId, HotSync] = {}
        self._by_number: dict[SyncNumber, HotSync] = {}
        self._committed: dict[SyncTaskId, SyncTask] = {}
        self._digests: dict[SyncNumber, bytes] = {}
        self._last_number = SyncNumber(0)
        self._last_event = EventId(0)

    @property
    def inbox(self) -> SyncInbox:
        """Where calls go in."""
        return self._inbox

    def tasks_of(self, project_id: str) -> tuple[SyncTask, ...]:
        """The tasks of a project, newest first."""
        found = [task for task in self._committed.values() if task.project_id == project_id]
        return tuple(sorted(found, key=lambda task: -task.number))

    def find(self, project_id: str, sync_task_id: SyncTaskId) -> SyncTask:
        """Raises RequestError if the project has no such task."""
        task = self._committed.get(sync_task_id)
        if task is None or task.project_id != project_id:
            raise unknown_sync(sync_task_id)
        return task

    def find_any(self, sync_task_id: str) -> SyncTask | None:
        """The task of any project, for callers that prove themselves by its secret."""
        return self._committed.get(SyncTaskId(sync_task_id))

    def secret_digest(self, task: SyncTask) -> bytes:
        """SHA-256 of the secret that is good for the task's notifications, b"" if there is none."""
        return self._digests.get(task.number, b"")

    def must_wait(self, task_id: TaskId) -> bool:
        """May the workers still tell of uploads of a task that is gone? Then it is too soon to sweep."""
        return self._copies.has_cut_copies(task_id) or self._uploads.are_coming(task_id)

    def queued_num(self, task: SyncTask) -> int:
        """Events accepted and not finished."""
        hot = self._hot.get(task.sync_task_id)
        return len(hot.queue) if hot is not None else 0

    async def recover(self) -> int:
        """What a process before this one accepted goes on; how many events that are. Before run()."""
        self._last_number, self._last_event = await self._store.last_ids()
        self._digests = dict(await self._store.secrets())
        found_num = 0
        for task in await self._store.tasks():
            hot = self._admit(task, await self._credentials(task))
            for event in await self._store.events(task.number):
                hot.queue.add(event, tried=True)
                hot.restores[event.event_id] = event.restore_since_s
            hot.uploads = {upload: event_id for event_id, upload in await self._store.uploads(task.number)}
            hot.intents = {
                intent.key: (intent, event_id) for event_id, intent in await self._store.intents(task.number)
            }
            self._committed[task.sync_task_id] = task
            found_num += len(hot.queue)
        return found_num

    async def run(self) -> None:
        """Works until close(). Raises TaskStoreError if a commit fails: nothing is acknowledged any more, the daemon must end."""
        try:
            async with asyncio.TaskGroup() as copying:
                self._copier.dispatch(self._hot.values(), copying)
                while not self._inbox.closed:
                    await self._apply(await self._next())
                    self._copier.dispatch(self._hot.values(), copying)
            await self._apply(self._inbox.take_now())
        except BaseException as error:
            self._inbox.fail(refusal_of_end(error))
            raise

    def hold(self) -> None:
        """Begin no more copies; those begun are finished (shutdown)."""
        self._copier.hold()

    def close(self) -> None:
        """Calls are refused; run() returns when the results of all copies are stored."""
        self._inbox.close()

    async def _next(self) -> list[SyncNews]:
        rest_until_s = self._copier.next_s(self._hot.values())
        if rest_until_s is None:
            return await self._inbox.take()
        async with asyncio.TaskGroup() as group:
            waker = group.create_task(self._wake_in(rest_until_s - self._clock.monotonic_s()))
            news = await self._inbox.take()
            waker.cancel()
        return news

    async def _wake_in(self, seconds: float) -> None:
        await self._clock.sleep(max(0.0, seconds))
        self._inbox.wake()

    async def _apply(self, bunch: list[SyncNews]) -> None:
        stage = SyncStage(self._now_ms())
        try:
            for news in bunch:
                self._apply_one(news, stage)
            if changes := stage.all_changes():
                await self._store.commit(changes)
        except BaseException as error:
            for news in bunch:
                if isinstance(news, WaitingCall):
                    news.refuse(refusal_of_end(error))
            raise
        for act in stage.after:
            act()
        for call, task in stage.answers:
            call.answer(task)

    def _apply_one(self, news: SyncNews, stage: SyncStage) -> None:
        match news:
            case WaitingCall():
                try:
                    stage.answers.append((news, self._grant(news, stage)))
                except RequestError as refusal:
                    news.refuse(refusal)
            case CopyEnded():
                hot = self._by_number.get(news.number)
                if hot is not None:
                    hot.copies.pop(news.event_id, None)
                    self._end_copy(hot, news, stage)
            case UploadNoted():
                self._uploads.apply(news, self._by_number.get(news.number), stage)

    def _grant(self, call: WaitingCall, stage: SyncStage) -> SyncTask:
        match call.wish:
            case CreateSync() as wish:
                return self._create(wish, stage)
            case ChangeSync() as wish:
                return self._change(wish, stage)
            case AcceptEvents() as wish:
                return self._accept(wish, stage)
            case ReplaceSecret() as wish:
                return self._replace_secret(wish, stage)

    def _create(self, wish: CreateSync, stage: SyncStage) -> SyncTask:
        theirs_num = sum(hot.task.project_id == wish.project_id for hot in self._hot.values())
        if theirs_num >= self._limits.tasks_num:
            raise RequestError(
                "OMS.0077",
                f"the project has {theirs_num} synchronization tasks and may have {self._limits.tasks_num} ([quotas] sync_tasks); "
                "there is room again when one of them is deleted",
                refusal=Refusal.QUOTA,
            )
        self._last_number = SyncNumber(self._last_number + 1)
        task = SyncTask(
            number=self._last_number,
            sync_task_id=SyncTaskId(str(uuid.uuid4())),
            project_id=wish.project_id,
            spec=wish.spec,
            state=SyncState.SYNCHRONIZING,
            created_ms=stage.now_ms,
            last_started_ms=stage.now_ms,
            deletes=wish.deletes,
        )
        self._admit(task, wish.credentials)
        stage.changes += [InsertSync(task), PutSyncCredentials(task, wish.credentials)]
        stage.after.append(lambda: self._publish(task))
        return task

    def _change(self, wish: ChangeSync, stage: SyncStage) -> SyncTask:
        hot = self._find_hot(wish.project_id, wish.sync_task_id)
        task = step(hot.task, wish.call, stage.now_ms)
        if task is None:
            return self._delete(hot, stage)
        hot.task = task
        stage.changes.append(UpdateSync(task))
        if wish.credentials is not None:
            stage.changes.append(PutSyncCredentials(task, wish.credentials))
            hot.work = _work_of(task, wish.credentials)
        if task.state is SyncState.STOPPED:
            # One more attempt for what rests, and then it is over.
            hot.queue.hurry()
            self._settle(hot, stage)
        stage.after.append(lambda: self._publish(task))
        return task

    def _delete(self, hot: HotSync, stage: SyncStage) -> SyncTask:
        del self._hot[hot.task.sync_task_id]
        del self._by_number[hot.task.number]
        stage.figures.pop(hot.task.number, None)
        self._uploads.leave(hot, stage)
        stage.changes.append(DeleteSync(hot.task.number))

        def leave() -> None:
            del self._committed[hot.task.sync_task_id]
            self._digests.pop(hot.task.number, None)
            for copy in hot.copies.values():
                copy.cancel()
            self._copies.forget(hot.task.work_id)

        stage.after.append(leave)
        return hot.task

    def _replace_secret(self, wish: ReplaceSecret, stage: SyncStage) -> SyncTask:
        hot = self._find_hot(wish.project_id, wish.sync_task_id)
        number = hot.task.number
        stage.changes.append(PutSyncSecret(number, wish.digest))
        stage.after.append(lambda: self._digests.update({number: wish.digest}))
        return hot.task

    def _accept(self, wish: AcceptEvents, stage: SyncStage) -> SyncTask:
        hot = self._find_hot(wish.project_id, wish.sync_task_id)
        check_takes_events(hot.task)
        new = [names for names in dict.fromkeys(wish.names) if not hot.queue.holds(names)]
        if len(hot.queue) + len(new) > self._limits.queued_num:
            raise RequestError(
                "OMS.2004",
                f"{len(hot.queue)} events are queued, at most {self._limits.queued_num} may be; repeat the call later",
                refusal=Refusal.BUSY,
            )
        events = []
        for names in new:
            self._last_event = EventId(self._last_event + 1)
            event = SyncEvent(self._last_event, names, stage.now_ms)
            hot.queue.add(event)
            events.append(event)
        if events:
            stage.changes.append(AddEvents(hot.task.number, tuple(events)))
        asked_num = len(wish.names)
        stage.count(hot.task.number, Figures(request_num=asked_num, skip_num=asked_num - len(events)))
        return hot.task

    def _end_copy(self, hot: HotSync, ended: CopyEnded, stage: SyncStage) -> None:
        result, event_id = ended.result, ended.event_id
        now_s = self._clock.monotonic_s()
        if result is None and not ended.begun:
            hot.queue.rest(event_id, now_s + _WORKER_REST_S, failed=False)
            return
        if result is not None and result.outcome is None:
            hot.restores[event_id] = result.restore_since_s
            stage.changes.append(PutRestore(event_id, result.restore_since_s))
            if hot.task.state is SyncState.SYNCHRONIZING:
                hot.queue.rest(event_id, now_s + result.rest_s, failed=False)
                return
        failed = result is None or result.outcome is None or result.outcome.kind is OutcomeKind.FAILED
        if failed and (result is None or result.tries_again) and hot.task.state is SyncState.SYNCHRONIZING:
            rest_s = rest_after(hot.queue.get(event_id).tries + 1, self._random01())
            if rest_s is not None:
                hot.queue.rest(event_id, now_s + rest_s, failed=True)
                return
        self._finish(hot, event_id, result, stage)

    def _finish(self, hot: HotSync, event_id: EventId, result: CopyResult | None, stage: SyncStage) -> None:
        outcome = result.outcome if result is not None else None
        if outcome is not None and outcome.kind is OutcomeKind.SUCCESS:
            figures = Figures(success_num=1, size_bytes=outcome.size_bytes)
        elif outcome is not None and outcome.kind is OutcomeKind.SKIPPED:
            figures = Figures(skip_num=1)
        else:
            figures = Figures(failure_num=1)
            _log.warning(
                "sync_event_failed",
                sync_task_id=hot.task.sync_task_id,
                key=hot.queue.get(event_id).event.names.key,
                code=outcome.error_code if outcome is not None else "TRF.0001",
                reason=outcome.reason if outcome is not None else "no attempt came to an end",
            )
        stage.count(hot.task.number, figures)
        stage.ended.append(event_id)
        hot.queue.finish(event_id)
        hot.restores.pop(event_id, None)
        self._uploads.leave(hot, stage, event_id)
        self._settle(hot, stage)

    def _settle(self, hot: HotSync, stage: SyncStage) -> None:
        """A stopped task with nothing left needs its keys no more."""
        if hot.drained and hot.work is not None:
            hot.work = None
            stage.changes.append(DropSyncCredentials(hot.task.number))
            stage.after.append(lambda: self._copies.forget(hot.task.work_id))

    async def _credentials(self, task: SyncTask) -> TaskCredentials | None:
        try:
            return await self._store.credentials(task)
        except CredentialsUnreadableError as error:
            _log.error("sync_task_waits_for_keys", sync_task_id=task.sync_task_id, reason=error.message)
            return None

    def _admit(self, task: SyncTask, credentials: TaskCredentials | None) -> HotSync:
        work = _work_of(task, credentials) if credentials is not None else None
        hot = self._hot[task.sync_task_id] = self._by_number[task.number] = HotSync(task, work)
        return hot

    def _publish(self, task: SyncTask) -> None:
        self._committed[task.sync_task_id] = task

    def _find_hot(self, project_id: str, sync_task_id: SyncTaskId) -> HotSync:
        hot = self._hot.get(sync_task_id)
        if hot is None or hot.task.project_id != project_id:
            raise unknown_sync(sync_task_id)
        return hot

    def _now_ms(self) -> int:
        return int(self._clock.now_s() * 1000)


def _work_of(task: SyncTask, credentials: TaskCredentials) -> TaskWork:
    return TaskWork(task.work_id, task.spec, credentials, 1, task.last_started_ms / 1000)
