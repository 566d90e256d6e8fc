"""Shards in worker processes of this machine: spawned, replaced when they die, ended with the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from omsd.domain.bandwidth import BandwidthLimits
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.events import WorkerLost
from omsd.domain.model import LeaseId, TaskId, TaskWork
from omsd.domain.questions import Question
from omsd.domain.shards import KeptUpload, OpenUpload, Shard
from omsd.executors import protocol
from omsd.executors.asking import answer_of, ask_message
from omsd.executors.channel import ProtocolError
from omsd.executors.grants import GrantBook
from omsd.executors.workerprocess import WorkerProcess, open_worker
from omsd.ports.clock import Clock
from omsd.ports.eventsink import EventSink
from omsd.ports.executor import ProbeResult, Sweep, SweepResult
from omsd.ports.objectcopies import CopyOrder, CopyResult, NoteUpload, WorkerGoneError
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

# A worker that dies sooner than this is not started again at once: something is wrong that starting does not mend.
_SHORT_LIFE_S = 5.0
_RESTART_PAUSE_S = 1.0
# After a cut, what is in flight is dropped and reported within moments.
_CUT_DEADLINE_S = 10.0
# Questions of one worker at once: each holds a connection or two.
_MOST_ASKS = 32
# A shard copies about so many objects at once.
_COPIES_PER_LEASE = 32
# A worker keeps the deadline of a question itself; only one that hangs is given up here.
_ASK_GRACE_S = 5.0

Reply = TypeVar("Reply")


class LocalExecutor:
    """command: argv of a worker, the number of its socket is appended. settings: sent to each worker as its first message."""

    def __init__(
        self, *, command: Sequence[str], settings: bytes, workers: int, slots_per_worker: int, clock: Clock
    ) -> None:
        self._command = tuple(command)
        self._settings = settings
        self._count = workers
        self._slots_per_worker = slots_per_worker
        self._clock = clock
        self._workers: list[WorkerProcess] = []
        self._grants = GrantBook()
        self._last_number = 0
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._changed = asyncio.Condition()
        # Leases given while no worker lived; they end like those of a lost worker.
        self._homeless: list[LeaseId] = []
        self._homeless_came = asyncio.Event()

    async def serve(self, sink: EventSink) -> None:
        """Workers run and take work until stop()."""
        async with asyncio.TaskGroup() as group:
            returning = group.create_task(self._return_homeless(sink), name="homeless leases")
            async with asyncio.TaskGroup() as workers:
                for number in range(self._count):
                    workers.create_task(self._keep_worker(sink), name=f"worker {number}")
            returning.cancel()

    async def wait_ready(self) -> None:
        """Every worker takes work."""
        async with self._changed:
            await self._changed.wait_for(lambda: sum(worker.ready for worker in self._workers) == self._count)

    async def stop(self, *, grace_s: float) -> None:
        """Drain every lease for at most grace_s (or until hurry()), then cut; all workers are gone when serve() has returned."""
        self._stopping.set()
        for worker in self._workers:
            for lease_id in worker.leases:
                worker.channel.send_now(protocol.DrainShard(lease_id))
        if not await self._idle_within(grace_s, hurried=True):
            for worker in self._workers:
                for lease_id in worker.leases:
                    worker.channel.send_now(protocol.CutShard(lease_id))
            await self._idle_within(_CUT_DEADLINE_S, hurried=False)
        for worker in list(self._workers):
            await worker.channel.close()

    def hurry(self) -> None:
        """A stop() under way cuts now."""
        self._hurry.set()

    def free_slots(self) -> int:
        """How many more shards may run now."""
        if self._stopping.is_set():
            return 0
        return sum(
            max(0, self._slots_per_worker - len(worker.leases)) for worker in self._workers if worker.ready
        )

    def idle_workers(self) -> int:
        """How many workers have no shard at all."""
        if self._stopping.is_set():
            return 0
        return sum(worker.ready and not worker.leases for worker in self._workers)

    def worker_count(self) -> int:
        """How many workers there are, at least one."""
        return max(1, len(self._workers))

    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the live workers."""
        return tuple(worker.pid for worker in self._workers)

    def run(
        self, lease_id: LeaseId, work: TaskWork, shard: Shard, stale_uploads: Sequence[OpenUpload]
    ) -> None:
        """Start a shard on the least loaded worker; without any worker the lease ends in a WorkerLost."""
        ready = [worker for worker in self._workers if worker.ready]
        if not ready:
            self._homeless.append(lease_id)
            self._homeless_came.set()
            return
        worker = min(ready, key=lambda candidate: len(candidate.leases))
        worker.leases[lease_id] = work.task_id
        self._open(worker, work)
        worker.channel.send_now(protocol.RunShard(lease_id, shard, tuple(stale_uploads)))

    def _open(self, worker: WorkerProcess, work: TaskWork) -> None:
        if worker.opened.get(work.task_id) != work:
            worker.opened[work.task_id] = work
            worker.channel.send_now(protocol.OpenTask(work))
            self._grants.join(worker.worker_id, work.task_id)
            self._regrant()

    async def copy(self, work: TaskWork, order: CopyOrder, note: NoteUpload) -> CopyResult:
        """What became of one object, copied by the least loaded worker; a cancelled call drops it. Raises WorkerGoneError."""
        ready = [worker for worker in self._workers if worker.ready]
        if not ready or self._stopping.is_set():
            raise WorkerGoneError(begun=False)
        worker = min(ready, key=lambda one: _COPIES_PER_LEASE * len(one.leases) + len(one.copies))
        self._open(worker, work)
        return await worker.copies.copy(self._next_number(), work.task_id, order, note)

    def has_cut_copies(self, task_id: TaskId) -> bool:
        """Are copies of the task that were dropped not at their end yet?"""
        return any(worker.copies.has_cut(task_id) for worker in self._workers)

    def drain(self, lease_id: LeaseId) -> None:
        """Begin no more objects of this shard."""
        if worker := self._worker_of(lease_id):
            worker.channel.send_now(protocol.DrainShard(lease_id))

    def cut(self, lease_id: LeaseId) -> None:
        """Stop the shard at once."""
        if worker := self._worker_of(lease_id):
            worker.channel.send_now(protocol.CutShard(lease_id))

    def split(self, lease_id: LeaseId) -> None:
        """The shard may give a part of its range away."""
        if worker := self._worker_of(lease_id):
            worker.channel.send_now(protocol.SplitShard(lease_id))

    def intent_noted(self, lease_id: LeaseId, key: str) -> None:
        """The lease may create its upload."""
        if worker := self._worker_of(lease_id):
            worker.channel.send_now(protocol.IntentNoted(lease_id, key))

    def upload_found(self, lease_id: LeaseId, key: str, kept: KeptUpload | None) -> None:
        """The lease goes on with this upload."""
        if worker := self._worker_of(lease_id):
            worker.channel.send_now(protocol.UploadFound(lease_id, key, kept))

    def forget(self, task_id: TaskId) -> None:
        """The task needs no worker any more."""
        for worker in self._workers:
            if worker.opened.pop(task_id, None) is not None:
                worker.channel.send_now(protocol.ForgetTask(task_id))
                self._grants.leave(worker.worker_id, task_id)
        self._regrant()

    def set_limits(self, limits: BandwidthLimits) -> None:
        """These limits are divided among the workers, and again whenever they say that they want something else."""
        self._grants.set_limits(limits)
        self._regrant()

    async def probe(self, work: TaskWork, *, deadline_s: float) -> ProbeResult:
        """Check both ends of a task in a worker. Raises RequestError BUSY if no worker answers in time."""
        async with self._asking(deadline_s) as (worker, number):
            answer: protocol.Probed = await worker.reply_to(protocol.Probe(number, work), number)
        return ProbeResult(answer.side, answer.failure, answer.lists)

    async def sweep(self, sweep: Sweep, *, deadline_s: float) -> SweepResult:
        """Abort uploads in a worker. Raises RequestError BUSY if no worker answers in time."""
        async with self._asking(deadline_s) as (worker, number):
            answer: protocol.Swept = await worker.reply_to(protocol.SweepUploads(number, sweep), number)
        return SweepResult(answer.uploads, answer.intents, answer.failure)

    async def ask(self, question: Question, answer_type: type[Reply], *, deadline_s: float) -> Reply:
        """A worker's answer. Raises StoreError if the cloud refused or failed, RequestError BUSY if no worker answers in time."""
        async with self._asking(deadline_s + _ASK_GRACE_S) as (worker, number):
            if worker.cloud_questions_num >= _MOST_ASKS:
                raise _busy("too many questions about clouds at once")
            worker.cloud_questions_num += 1
            try:
                answer: protocol.Answered = await worker.reply_to(
                    ask_message(number, question, deadline_s), number
                )
            finally:
                worker.cloud_questions_num -= 1
        return answer_of(answer, answer_type)

    @asynccontextmanager
    async def _asking(self, deadline_s: float) -> AsyncIterator[tuple[WorkerProcess, int]]:
        """A worker that is asked few questions, and the number of this one; a question without an answer is BUSY."""
        try:
            async with asyncio.timeout(deadline_s):
                async with self._changed:
                    await self._changed.wait_for(lambda: any(worker.ready for worker in self._workers))
                ready = (worker for worker in self._workers if worker.ready)
                yield min(ready, key=lambda worker: worker.questions_num), self._next_number()
        except (TimeoutError, ConnectionError):
            raise _busy("no worker answered in time") from None

    def _regrant(self) -> None:
        channels = {worker.worker_id: worker.channel for worker in self._workers}
        for grant in self._grants.regrant():
            channels[grant.worker_id].send_now(protocol.SetBudget(grant.task_id, grant.limit_bytes_per_s))

    def _take_demand(self, worker: WorkerProcess, demand: protocol.Demand) -> None:
        for task in demand.tasks:
            self._grants.note(
                worker.worker_id,
                task.task_id,
                moved_bytes=task.moved_bytes,
                waiting_bytes=task.waiting_bytes,
                elapsed_s=demand.elapsed_s,
            )
        self._regrant()

    def _worker_of(self, lease_id: LeaseId) -> WorkerProcess | None:
        return next((worker for worker in self._workers if lease_id in worker.leases), None)

    async def _return_homeless(self, sink: EventSink) -> None:
        while True:
            await self._homeless_came.wait()
            self._homeless_came.clear()
            lost, self._homeless = tuple(self._homeless), []
            await sink.emit(WorkerLost(0, lost))

    async def _keep_worker(self, sink: EventSink) -> None:
        while not self._stopping.is_set():
            began_s = self._clock.monotonic_s()
            async with open_worker(self._command, self._next_number()) as worker:
                await self._serve_worker(worker, sink)
            if self._stopping.is_set():
                return
            _log.warning("worker_lost", pid=worker.pid, leases=len(worker.leases))
            if self._clock.monotonic_s() - began_s < _SHORT_LIFE_S:
                await self._clock.sleep(_RESTART_PAUSE_S)

    async def _serve_worker(self, worker: WorkerProcess, sink: EventSink) -> None:
        worker.channel.send_now(protocol.Configure(self._settings))
        self._workers.append(worker)
        try:
            while (message := await self._received(worker)) is not None:
                await self._take(worker, message, sink)
        finally:
            self._workers.remove(worker)
            self._grants.lose(worker.worker_id)
            self._regrant()
            worker.lose()
        if worker.leases or not self._stopping.is_set():
            await sink.emit(WorkerLost(worker.worker_id, tuple(worker.leases)))
        await self._notify()

    async def _received(self, worker: WorkerProcess) -> protocol.FromWorker | None:
        try:
            return await worker.channel.receive()
        except ProtocolError as error:
            _log.error("worker_protocol_error", pid=worker.pid, error=str(error))
            return None

    async def _take(self, worker: WorkerProcess, message: protocol.FromWorker, sink: EventSink) -> None:
        match message:
            case protocol.Ready():
                worker.ready = True
                await self._notify()
            case protocol.Demand():
                self._take_demand(worker, message)
            case protocol.Probed(number) | protocol.Swept(number) | protocol.Answered(number):
                worker.take_reply(message, number)
            case protocol.Copied() | protocol.CopyGone():
                worker.copies.take(message)
                await self._notify()
            case (
                protocol.CopyIntends() | protocol.CopySettles() | protocol.CopyOpens() | protocol.CopyCloses()
            ):
                worker.copies.take(message)
            case protocol.Done(event) | protocol.Released(event) | protocol.Failed(event):
                worker.leases.pop(event.lease_id, None)
                await sink.emit(event)
                await self._notify()
            case _:
                await sink.emit(message.event)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _idle_within(self, seconds: float, *, hurried: bool) -> bool:
        """True when no lease and no copy is left; False when the time is up, or somebody hurries."""

        async def idle() -> None:
            async with self._changed:
                await self._changed.wait_for(lambda: not any(worker.busy for worker in self._workers))

        async def until_hurried() -> None:
            await self._hurry.wait()
            raise TimeoutError

        idle_now = False
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                hurry = group.create_task(until_hurried(), name="hurry") if hurried else None
                await idle()
                idle_now = True
                if hurry is not None:
                    hurry.cancel()
        except* TimeoutError:
            pass
        return idle_now

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number


def _busy(why: str) -> RequestError:
    return RequestError("OMS.2004", f"{why}; try again later", refusal=Refusal.BUSY)
