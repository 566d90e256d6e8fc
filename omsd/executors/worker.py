"""The worker's side: takes messages, runs shards on the engine, sends back what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from omsd.domain.errors import Failure, Side, StoreError, failure_of
from omsd.domain.events import LeaseEvent, ShardDone, ShardFailed, ShardReleased
from omsd.domain.model import Credentials, LeaseId, Location, TaskId, TaskSpec, TaskWork
from omsd.domain.shards import ShardKind
from omsd.engine.buffers import BufferBudget
from omsd.engine.context import ShardContext, ShardFailedError, TaskNotes, UploadLog
from omsd.engine.copyprobe import ServerCopying
from omsd.engine.large import PartsRun
from omsd.engine.lists import ListsRun
from omsd.engine.pacer import Pacer, PacerPair
from omsd.engine.preflight import check_destination
from omsd.engine.settings import EngineSettings
from omsd.engine.shard import ShardRun
from omsd.engine.single import settings_for_events
from omsd.engine.sweep import sweep_uploads
from omsd.engine.throttle import Throttle
from omsd.executors import protocol
from omsd.executors.channel import Channel
from omsd.executors.copies import CopyRunner
from omsd.executors.demand import DemandReporter
from omsd.executors.listprobe import find_lists, list_location, patiently
from omsd.executors.uploadlog import LeaseUploads
from omsd.ports.objectstore import ObjectStore
from omsd.telemetry.logging import get_logger

OpenStore = Callable[[Location, Credentials], ObjectStore]
AnswerAsk = Callable[[protocol.Ask], Awaitable[protocol.Answered]]
Run = ShardRun | ListsRun | PartsRun
_RUNS: dict[ShardKind, type[Run]] = {ShardKind.REPORT: ListsRun, ShardKind.PARTS: PartsRun}

_log = get_logger(__name__)


class _OpenTask:
    """A task this worker may get shards of; its stores are opened with the first one."""

    def __init__(self, work: TaskWork, throttle: Throttle) -> None:
        self.work = work
        self.throttle = throttle
        self.shards = 0
        self.forgotten = False
        self.learned: set[Side] = set()
        self._copying: ServerCopying | None = None
        self.notes = TaskNotes()
        self._stores: tuple[ObjectStore, ObjectStore] | None = None
        self._lists: ObjectStore | None = None

    def stores(self, open_store: OpenStore) -> tuple[ObjectStore, ObjectStore]:
        """Source and destination. Raises StoreError if there is no driver for one of them."""
        if self._stores is None:
            spec, credentials = self.work.spec, self.work.credentials
            self._stores = (
                open_store(spec.source, credentials.source),
                open_store(spec.destination, credentials.destination),
            )
        return self._stores

    def lists(self, open_store: OpenStore) -> ObjectStore | None:
        """The bucket of the object list files, if the task has any. Raises StoreError if there is no driver."""
        location = list_location(self.work.spec)
        if self._lists is None and location is not None:
            self._lists = open_store(location, self.work.credentials.destination)
        return self._lists

    def server_copying(self, open_store: OpenStore) -> ServerCopying:
        """What is known of copies inside the service. Raises StoreError if there is no driver."""
        if self._copying is None:
            reader = open_store(self.work.spec.source, self.work.credentials.destination)
            self._copying = ServerCopying(reader, self._note_refusal)
        return self._copying

    def _note_refusal(self, error: StoreError) -> None:
        _log.info(
            "server_side_copy_refused",
            task_id=self.work.task_id,
            reason=error.message,
            note="the objects are streamed instead",
        )

    async def release(self) -> None:
        """One of its shards or copies has ended."""
        self.shards -= 1
        if self.shards == 0 and self.forgotten:
            await self.close()

    async def close(self) -> None:
        """The stores are closed."""
        stores, self._stores = self._stores, None
        lists, self._lists = self._lists, None
        copying, self._copying = self._copying, None
        for store in (*(stores or ()), *([lists] if lists is not None else ())):
            await store.close()
        if copying is not None:
            await copying.reader.close()


class Worker:
    """Runs shards until its channel ends.

    open_store: the store factory handed in by the composition root. answer: answers questions about clouds.
    """

    def __init__(
        self,
        channel: Channel[protocol.ToWorker],
        settings: EngineSettings,
        open_store: OpenStore,
        answer: AnswerAsk,
    ) -> None:
        self._channel = channel
        self._settings = settings
        self._open_store = open_store
        self._answer = answer
        self._budget = BufferBudget(settings.buffer_budget_bytes)
        self._pacers: dict[tuple[str, str, str], Pacer] = {}
        self._tasks: dict[TaskId, _OpenTask] = {}
        self._demand = DemandReporter()
        self._runs: dict[LeaseId, Run] = {}
        self._uploads: dict[LeaseId, LeaseUploads] = {}
        self._copies = CopyRunner(channel.send)

    async def run(self, abandon: Callable[[], None]) -> None:
        """Serve until the control process closes the channel.

        abandon: called if it went away while shards run: nobody takes their results any more, and the next control process deals
        with what they left.
        """
        async with asyncio.TaskGroup() as group:
            self._channel.send_now(protocol.Ready())
            reporting = group.create_task(self._demand.report(self._channel.send), name="demand")
            while (message := await self._channel.receive()) is not None:
                await self._take(message, group)
            reporting.cancel()
            if self._runs or self._copies:
                abandon()
        for task in self._tasks.values():
            await task.close()

    async def _take(self, message: protocol.ToWorker, group: asyncio.TaskGroup) -> None:
        match message:
            case protocol.OpenTask(work):
                await self._open(work)
            case protocol.ForgetTask(task_id):
                await self._forget(task_id)
            case protocol.RunShard():
                await self._begin(message, group)
            case protocol.CopyObject():
                self._begin_copy(message, group)
            case protocol.CutCopy() | protocol.CopyIntentNoted():
                self._copies.take(message)
            case protocol.SetBudget(task_id, limit_bytes_per_s):
                self._demand.set_limit(task_id, limit_bytes_per_s)
            case protocol.IntentNoted() | protocol.UploadFound():
                self._answer_uploads(message)
            case protocol.DrainShard() | protocol.CutShard() | protocol.SplitShard():
                self._tell(message)
            case protocol.Probe() | protocol.SweepUploads() | protocol.Ask():
                self._reply_to(message, group)

    def _reply_to(
        self, message: protocol.Probe | protocol.SweepUploads | protocol.Ask, group: asyncio.TaskGroup
    ) -> None:
        match message:
            case protocol.Probe(probe_id, _):
                group.create_task(self._probe(message), name=f"probe {probe_id}")
            case protocol.SweepUploads(sweep_id, _):
                group.create_task(self._sweep(message), name=f"sweep {sweep_id}")
            case protocol.Ask(ask_id):
                group.create_task(self._answer_ask(message), name=f"question {ask_id}")

    def _answer_uploads(self, message: protocol.IntentNoted | protocol.UploadFound) -> None:
        uploads = self._uploads.get(message.lease_id)
        if uploads is None:
            return
        match message:
            case protocol.IntentNoted(_, key):
                uploads.noted(key)
            case protocol.UploadFound(_, key, kept):
                uploads.found(key, kept)

    def _tell(self, message: protocol.DrainShard | protocol.CutShard | protocol.SplitShard) -> None:
        run = self._runs.get(message.lease_id)
        if run is None:
            return
        match message:
            case protocol.DrainShard():
                run.drain()
            case protocol.CutShard():
                run.cut()
            case protocol.SplitShard():
                run.split()

    async def _open(self, work: TaskWork) -> None:
        known = self._tasks.get(work.task_id)
        if known is not None:
            if known.work == work:
                return
            known.forgotten = True
            if known.shards == 0:
                await known.close()
        self._tasks[work.task_id] = _OpenTask(work, self._demand.throttle(work.task_id))

    async def _forget(self, task_id: TaskId) -> None:
        self._demand.forget(task_id)
        task = self._tasks.pop(task_id, None)
        if task is not None:
            task.forgotten = True
            if task.shards == 0:
                await task.close()

    def _pacer(self, location: Location) -> Pacer:
        """One limit for each service that is talked to, over all tasks."""
        service = (location.cloud_type.value, location.region, location.endpoint_url)
        if service not in self._pacers:
            self._pacers[service] = Pacer(self._settings.max_requests_per_endpoint)
        return self._pacers[service]

    async def _begin(self, message: protocol.RunShard, group: asyncio.TaskGroup) -> None:
        """The shard is known before the next message is taken, which may already stop it."""
        lease_id, shard = message.lease_id, message.shard
        task = self._tasks[shard.task_id]
        uploads = LeaseUploads(lease_id, self._emit)
        try:
            context = self._context(
                task,
                uploads,
                redo_since_s=task.work.started_s if shard.attempt > 1 else None,
                restore_since_s=shard.restore_since_s,
            )
        except StoreError as error:
            failure = failure_of(error, error.side or Side.SOURCE)
            await self._emit(ShardFailed(lease_id, failure, decisive=True))
            return
        run = _RUNS.get(shard.kind, ShardRun)(lease_id, shard, context, message.stale_uploads, uploads.emit)
        self._runs[lease_id] = run
        self._uploads[lease_id] = uploads
        task.shards += 1
        group.create_task(
            self._run_shard(task, run, lease_id), name=f"lease {lease_id} of shard {shard.shard_id}"
        )

    async def _run_shard(self, task: _OpenTask, run: Run, lease_id: LeaseId) -> None:
        try:
            ended = await self._end_of(run, lease_id)
            await self._uploads[lease_id].emit(ended)
        finally:
            del self._runs[lease_id], self._uploads[lease_id]
            await task.release()

    async def _end_of(self, run: Run, lease_id: LeaseId) -> protocol.EndingEvent:
        """Run the shard; how its lease ended."""
        try:
            finished = await run.run()
        except ShardFailedError as error:
            return ShardFailed(lease_id, error.failure, error.decisive)
        except Exception as error:
            # A fault of ours must show, but it must not take the worker's other shards down.
            _log.exception("shard_crashed", lease_id=lease_id)
            return ShardFailed(
                lease_id,
                Failure(
                    "TRF.0001",
                    f"internal error: {type(error).__name__}; see the log, then start the task again",
                ),
                decisive=False,
            )
        return ShardDone(lease_id) if finished else ShardReleased(lease_id)

    def _begin_copy(self, message: protocol.CopyObject, group: asyncio.TaskGroup) -> None:
        task = self._tasks[message.task_id]
        order = message.order

        def make_context(uploads: UploadLog) -> ShardContext:
            context = self._context(
                task,
                uploads,
                redo_since_s=order.redo_since_s or None,
                restore_since_s=order.restore_since_s,
            )
            return replace(context, settings=settings_for_events(self._settings), keeps_uploads=False)

        task.shards += 1
        self._copies.begin(group, message, make_context, task.release)

    def _context(
        self, task: _OpenTask, uploads: UploadLog, *, redo_since_s: float | None, restore_since_s: float
    ) -> ShardContext:
        spec = task.work.spec
        source, destination = task.stores(self._open_store)
        return ShardContext(
            source=source,
            destination=destination,
            spec=spec,
            settings=self._settings,
            throttle=task.throttle,
            budget=self._budget,
            pacers=PacerPair(self._pacer(spec.source), self._pacer(spec.destination)),
            uploads=uploads,
            redo_since_s=redo_since_s,
            learned=task.learned,
            server_copying=task.server_copying(self._open_store) if self._may_copy(spec) else None,
            lists=task.lists(self._open_store),
            notes=task.notes,
            restore_since_s=restore_since_s,
        )

    def _may_copy(self, spec: TaskSpec) -> bool:
        # The destination's bucket does not say who pays for the source's.
        return (
            self._settings.copies_in_service
            and spec.source.cloud_type is spec.destination.cloud_type
            and not spec.source.requester_pays
        )

    async def _emit(self, event: LeaseEvent) -> None:
        await self._channel.send(protocol.wrap(event))

    async def _answer_ask(self, message: protocol.Ask) -> None:
        try:
            answered = await self._answer(message)
        except Exception:
            # A fault of ours must show, but it must not take the worker's shards down.
            _log.exception("question_crashed", kind=message.kind)
            answered = protocol.Answered(message.ask_id, b"", None)
        await self._channel.send(answered)

    async def _probe(self, message: protocol.Probe) -> None:
        spec, credentials = message.work.spec, message.work.credentials
        for side, location, keys in (
            (Side.SOURCE, spec.source, credentials.source),
            (Side.DESTINATION, spec.destination, credentials.destination),
        ):
            try:
                await self._check(side, location, keys, spec)
            except StoreError as error:
                result = protocol.Probed(message.probe_id, side, failure_of(error, side))
                break
        else:
            lists = await find_lists(self._open_store, spec, credentials.destination)
            result = protocol.Probed(message.probe_id, None, None, lists)
        await self._channel.send(result)

    async def _check(self, side: Side, location: Location, keys: Credentials, spec: TaskSpec) -> None:
        store = self._open_store(location, keys)
        try:
            await patiently(store.check if side is Side.SOURCE else partial(check_destination, store, spec))
        finally:
            await store.close()

    async def _sweep(self, message: protocol.SweepUploads) -> None:
        sweep = message.sweep
        try:
            store = self._open_store(sweep.destination, sweep.credentials)
        except StoreError as error:
            await self._channel.send(protocol.Swept(message.sweep_id, (), (), error.message))
            return
        try:
            done = await sweep_uploads(store, sweep)
        finally:
            await store.close()
        await self._channel.send(protocol.Swept(message.sweep_id, done.uploads, done.intents, done.failure))
