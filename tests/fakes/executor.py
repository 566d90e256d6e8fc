"""An executor in memory: a source of objects, and shards that go on when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from omsd.domain.bandwidth import BandwidthLimits
from omsd.domain.errors import Failure
from omsd.domain.events import (
    ListSettled,
    PartsSent,
    ShardBatch,
    ShardDone,
    ShardFailed,
    ShardReleased,
    ShardSplit,
    SpanSplit,
    UploadClosed,
    UploadIntended,
    UploadOpened,
    UploadSought,
    WorkerLost,
)
from omsd.domain.group_plan import Lists, ListsWanted, Stretch, StretchWanted
from omsd.domain.manifest import Line, LineCutter, ListsFound, key_of
from omsd.domain.model import Counters, LeaseId, ListFile, Outcome, OutcomeKind, TaskId, TaskWork
from omsd.domain.object_lists import NOT_RECORDED
from omsd.domain.questions import FindListFiles, MeasureStretch, Question
from omsd.domain.shards import (
    Checkpoint,
    KeptUpload,
    LargeObject,
    OpenUpload,
    SentPart,
    Shard,
    ShardKind,
    UploadIntent,
    UploadPlan,
)
from omsd.engine.spoolread import SpoolDamagedError, SpooledList
from omsd.ports.eventsink import EventSink
from omsd.ports.executor import ProbeResult, Reply, Sweep, SweepResult


@dataclass(slots=True)
class World:
    """What outlives a daemon: objects at the source, objects written to the destination, uploads open there."""

    sizes: dict[str, int]
    broken: dict[str, str] = field(default_factory=dict)  # key -> TRF code
    skipped: set[str] = field(default_factory=set)
    written: dict[str, int] = field(default_factory=dict)  # key -> how often
    uploads: set[OpenUpload] = field(default_factory=set)
    lists: dict[str, str] = field(default_factory=dict)  # key of an object list -> its text
    manifests: dict[str, bytes] = field(default_factory=dict)  # key of an object list file -> its text
    list_errors: dict[OutcomeKind, str] = field(
        default_factory=dict
    )  # lists the destination does not take -> OMS code


@dataclass(slots=True)
class RunningShard:
    lease_id: LeaseId
    work: TaskWork
    shard: Shard
    left: list[str]
    checkpoint: Checkpoint
    told: str = ""  # "drain" or "cut"


class FakeExecutor:
    """Nothing happens by itself: the test drives each lease, but those of lists if serve_reports() runs."""

    def __init__(self, world: World, *, slots: int = 2, reports: bool = True) -> None:
        self.reports = reports
        self.reporting: asyncio.Queue[tuple[LeaseId, Shard]] = asyncio.Queue()
        self.world = world
        self.slots = slots
        self.running: dict[LeaseId, RunningShard] = {}
        self.run_log: list[tuple[TaskId, Shard]] = []
        self.stale_log: list[tuple[OpenUpload, ...]] = []
        self.limits = BandwidthLimits()
        self.split_log: list[LeaseId] = []
        self.idle_num = 0
        self.forgotten: list[TaskId] = []
        self.probes: list[TaskWork] = []
        self.probe_answers: list[ProbeResult | Exception] = []
        self.probe_answer = ProbeResult()
        self.noted: list[tuple[LeaseId, str]] = []
        self.found: list[tuple[LeaseId, str, KeptUpload | None]] = []
        self.sweeps: list[Sweep] = []
        self.sweep_failures: list[str] = []
        self.last_batch: ShardBatch | None = None
        self.questions: list[Question] = []
        self.answering = (
            asyncio.Event()
        )  # cleared by tests that want to see a group before it is split any further
        self.answering.set()
        self.hold_after = 0  # the answer that clears it
        self.ask_errors: list[Exception] = []
        self.most_measured = 1000  # objects of one answer
        self._sink: EventSink | None = None

    @property
    def sink(self) -> EventSink:
        assert self._sink is not None
        return self._sink

    async def start(self, sink: EventSink) -> None:
        self._sink = sink

    async def stop(self, *, grace_s: float) -> None:
        for lease_id in list(self.running):
            await self.release(lease_id)

    def free_slots(self) -> int:
        return self.slots - len(self.running)

    def idle_workers(self) -> int:
        return self.idle_num

    def worker_count(self) -> int:
        return 1

    def run(
        self, lease_id: LeaseId, work: TaskWork, shard: Shard, stale_uploads: Sequence[OpenUpload]
    ) -> None:
        assert lease_id not in self.running
        assert self.free_slots() > 0
        twins = [other.shard.shard_id for other in self.running.values()]
        assert shard.shard_id not in twins, "one shard runs twice at the same time"
        if shard.kind is ShardKind.REPORT and self.reports:
            self.reporting.put_nowait((lease_id, shard))
            return
        self.running[lease_id] = RunningShard(lease_id, work, shard, self._left(shard), shard.checkpoint)
        self.run_log.append((work.task_id, shard))
        self.stale_log.append(tuple(stale_uploads))

    def drain(self, lease_id: LeaseId) -> None:
        if lease_id in self.running:
            self.running[lease_id].told = self.running[lease_id].told or "drain"

    def cut(self, lease_id: LeaseId) -> None:
        if lease_id in self.running:
            self.running[lease_id].told = "cut"

    def split(self, lease_id: LeaseId) -> None:
        self.split_log.append(lease_id)

    def forget(self, task_id: TaskId) -> None:
        assert all(run.work.task_id != task_id for run in self.running.values())
        self.forgotten.append(task_id)

    def set_limits(self, limits: BandwidthLimits) -> None:
        self.limits = limits

    @property
    def budgets(self) -> dict[TaskId, int | None]:
        """The limit of each task that was named."""
        return {task_id: task.limit_bytes_per_s for task_id, task in self.limits.tasks.items()}

    async def probe(self, work: TaskWork, *, deadline_s: float) -> ProbeResult:
        self.probes.append(work)
        answer = self.probe_answers.pop(0) if self.probe_answers else self.probe_answer
        file = work.spec.list_file
        if file is not None and file.key in self.world.manifests and answer == ProbeResult():
            text = self.world.manifests[file.key]
            answer = ProbeResult(lists=ListsFound((ListFile(file.key, len(text), etag_of(text)),)))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask(self, question: Question, answer_type: type[Reply], *, deadline_s: float) -> Reply:
        self.questions.append(question)
        await self.answering.wait()
        self.hold_after -= 1
        if self.hold_after == 0:
            self.answering.clear()
        if self.ask_errors:
            raise self.ask_errors.pop(0)
        match question:
            case MeasureStretch(_, _, wanted):
                answer: object = self._measure(wanted)
            case FindListFiles(_, _, lists):
                answer = self._find_lists(lists)
            case _:
                raise AssertionError(f"nobody answers {question}")
        assert isinstance(answer, answer_type)
        return answer

    def _measure(self, wanted: StretchWanted) -> Stretch:
        keys = [
            key
            for key in sorted(self.world.sizes)
            if key.startswith(wanted.prefix) and (not wanted.after or key > wanted.after)
        ]
        taken = 0
        size = 0
        limit = min(wanted.objects_num, self.most_measured)
        while taken < len(keys) and taken < limit and size < wanted.size_bytes:
            size += self.world.sizes[keys[taken]]
            taken += 1
        return Stretch(keys[taken - 1] if taken else wanted.after, taken, size, over=taken == len(keys))

    def _find_lists(self, wanted: ListsWanted) -> Lists:
        keys = [
            key
            for key in sorted(self.world.manifests)
            if key.startswith(wanted.folder) and key > wanted.after and key.endswith(".txt")
        ]
        page = keys[: min(wanted.limit, self.most_measured)]
        return Lists(tuple(page), page[-1] if page else wanted.after, over=len(page) == len(keys))

    def leases_of(self, task_id: TaskId) -> list[LeaseId]:
        return [lease for lease, run in self.running.items() if run.work.task_id == task_id]

    async def work(self, lease_id: LeaseId, objects_num: int = 1, *, report: bool = True) -> None:
        """The next objects are migrated, and reported in one batch (or not: then the report is lost with the worker)."""
        run = self.running[lease_id]
        keys, rest = run.left[:objects_num], run.left[objects_num:]
        outcomes = tuple(self._outcome(key) for key in keys)
        if not report:
            return
        run.left = rest
        if not keys:
            return
        if run.shard.kind is ShardKind.MANIFEST:
            lines = self._lines(replace(run.shard, checkpoint=run.checkpoint))
            run.checkpoint = Checkpoint(position=lines[len(keys) - 1].next_offset)
        else:
            run.checkpoint = replace(run.checkpoint, after=keys[-1])
        if run.shard.kind is ShardKind.KEYS:
            run.checkpoint = Checkpoint(position=len(run.shard.keys) - len(rest))
        self.last_batch = ShardBatch(lease_id, outcomes, _sum(outcomes), run.checkpoint)
        await self.sink.emit(self.last_batch)

    async def give_away(self, lease_id: LeaseId, *boundaries: str) -> None:
        """The shard keeps what is up to the first boundary."""
        run = self.running[lease_id]
        run.left = [key for key in run.left if key <= boundaries[0]]
        await self.sink.emit(ShardSplit(lease_id, boundaries))

    async def give_lines_away(self, lease_id: LeaseId, at: int) -> None:
        """The shard keeps the lines that begin before this byte."""
        run = self.running[lease_id]
        given = {key_of(line.text) for line in self._lines(run.shard) if line.offset >= at}
        run.left = [key for key in run.left if key not in given]
        await self.sink.emit(SpanSplit(lease_id, at))

    async def serve_reports(self) -> None:
        """Object lists are stored as soon as they are asked for."""
        while True:
            lease_id, shard = await self.reporting.get()
            await self.store_lists(lease_id, shard)
            await self.sink.emit(ShardDone(lease_id))

    async def store_lists(self, lease_id: LeaseId, shard: Shard, number: int | None = None) -> None:
        """The first so many lists of the shard are at the destination, or refused there."""
        for upload in shard.lists[:number]:
            code = self.world.list_errors.get(upload.part.kind, "")
            try:
                spooled = await SpooledList.open(upload.path, upload.part)
            except SpoolDamagedError:
                code = NOT_RECORDED
            else:
                if not code:
                    self.world.lists[upload.key] = spooled.read(0, spooled.size_bytes).decode()
                spooled.close()
            await self.sink.emit(ListSettled(lease_id, upload.part, upload.key, code))

    async def finish(self, lease_id: LeaseId) -> None:
        if self.running[lease_id].shard.kind is ShardKind.REPORT:
            await self.store_lists(lease_id, self.running[lease_id].shard)
        await self.work(lease_id, len(self.running[lease_id].left))
        del self.running[lease_id]
        await self.sink.emit(ShardDone(lease_id))

    async def release(self, lease_id: LeaseId) -> None:
        del self.running[lease_id]
        await self.sink.emit(ShardReleased(lease_id))

    async def fail(self, lease_id: LeaseId, failure: Failure, *, decisive: bool) -> None:
        del self.running[lease_id]
        await self.sink.emit(ShardFailed(lease_id, failure, decisive))

    async def lose(self, *lease_ids: LeaseId) -> None:
        for lease_id in lease_ids:
            del self.running[lease_id]
        await self.sink.emit(WorkerLost(1, lease_ids))

    def intent_noted(self, lease_id: LeaseId, key: str) -> None:
        self.noted.append((lease_id, key))

    def upload_found(self, lease_id: LeaseId, key: str, kept: KeptUpload | None) -> None:
        self.found.append((lease_id, key, kept))

    async def seek(self, lease_id: LeaseId, key: str) -> None:
        await self.sink.emit(UploadSought(lease_id, key))

    async def sweep(self, sweep: Sweep, *, deadline_s: float) -> SweepResult:
        self.sweeps.append(sweep)
        if self.sweep_failures:
            return SweepResult(failure=self.sweep_failures.pop(0))
        self.world.uploads -= set(sweep.uploads)
        return SweepResult(sweep.uploads, sweep.intents)

    async def intend(self, lease_id: LeaseId, intent: UploadIntent) -> None:
        await self.sink.emit(UploadIntended(lease_id, intent))

    async def hand_over(self, lease_id: LeaseId, key: str) -> None:
        """The next object of the shard gets a shard of its own."""
        running = self.running[lease_id]
        assert running.left.pop(0) == key
        size = self.world.sizes[key]
        running.checkpoint = Checkpoint(running.checkpoint.position + 1, key)
        counters = Counters(listed_num=1, listed_size_bytes=size)
        large = LargeObject(key, size)
        self.last_batch = ShardBatch(lease_id, (), counters, running.checkpoint, handed=(large,))
        await self.sink.emit(self.last_batch)

    async def send_parts(self, lease_id: LeaseId, upload: OpenUpload, *numbers: int, size: int) -> None:
        parts = tuple(SentPart(number, size, f"e{number}", 2**64 - number, None) for number in numbers)
        await self.sink.emit(PartsSent(lease_id, upload, parts))

    async def finish_large(
        self, lease_id: LeaseId, upload: OpenUpload | None = None, *, size: int | None = None
    ) -> None:
        """The object of a PARTS shard that leads is there; size: if it is another one than was listed."""
        large = self.running[lease_id].shard.large
        assert large is not None
        outcome = Outcome(large.key, large.size_bytes if size is None else size, OutcomeKind.SUCCESS)
        counters = replace(_sum([outcome]), listed_size_bytes=outcome.size_bytes - large.size_bytes)
        if upload is not None:
            self.world.uploads.discard(upload)
        await self.sink.emit(ShardBatch(lease_id, (outcome,), counters, Checkpoint(1), closed=upload))
        await self.end(lease_id)

    async def end(self, lease_id: LeaseId) -> None:
        """The shard is done, with nothing more to tell."""
        del self.running[lease_id]
        await self.sink.emit(ShardDone(lease_id))

    async def open_upload(
        self, lease_id: LeaseId, upload: OpenUpload, plan: UploadPlan | None = None
    ) -> None:
        self.world.uploads.add(upload)
        await self.sink.emit(UploadOpened(lease_id, upload, plan))

    async def close_upload(self, lease_id: LeaseId, upload: OpenUpload) -> None:
        self.world.uploads.discard(upload)
        await self.sink.emit(UploadClosed(lease_id, upload))

    def _left(self, shard: Shard) -> list[str]:
        if shard.kind in (ShardKind.REPORT, ShardKind.PARTS):
            return []
        if shard.kind is ShardKind.KEYS:
            return list(shard.keys[shard.checkpoint.position :])
        if shard.kind is ShardKind.MANIFEST:
            return [key_of(line.text) for line in self._lines(shard)]
        after = max(shard.after, shard.checkpoint.after)
        return [
            key
            for key in sorted(self.world.sizes)
            if key.startswith(shard.prefix) and key > after and (not shard.until or key <= shard.until)
        ]

    def _lines(self, shard: Shard) -> list[Line]:
        """What is left of a span of a list, which must be the one that was planned."""
        span = shard.manifest
        assert span is not None
        text = self.world.manifests[span.key]
        assert (len(text), etag_of(text)) == (span.size_bytes, span.etag)
        cutter = LineCutter(max(span.start, shard.checkpoint.position), span.end, span.size_bytes)
        return list(cutter.feed(text[cutter.read_offset :])) if not cutter.over else []

    def _outcome(self, key: str) -> Outcome:
        size = self.world.sizes[key]
        if key in self.world.broken:
            code = self.world.broken[key]
            return Outcome(key, size, OutcomeKind.FAILED, error_code=code, reason="no permission")
        if key in self.world.skipped:
            return Outcome(key, size, OutcomeKind.SKIPPED, reason="is there")
        self.world.written[key] = self.world.written.get(key, 0) + 1
        return Outcome(key, size, OutcomeKind.SUCCESS)


def etag_of(text: bytes) -> str:
    return f"etag-{hash(text)}"


def _sum(outcomes: Sequence[Outcome]) -> Counters:
    total = Counters()
    for outcome in outcomes:
        size = outcome.size_bytes
        total = total.plus(
            Counters(
                listed_num=1,
                listed_size_bytes=size,
                successful_num=int(outcome.kind is OutcomeKind.SUCCESS),
                skipped_num=int(outcome.kind is OutcomeKind.SKIPPED),
                failed_num=int(outcome.kind is OutcomeKind.FAILED),
                successful_size_bytes=size * (outcome.kind is OutcomeKind.SUCCESS),
                skipped_size_bytes=size * (outcome.kind is OutcomeKind.SKIPPED),
                failed_size_bytes=size * (outcome.kind is OutcomeKind.FAILED),
            )
        )
    return total
