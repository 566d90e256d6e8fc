"""The local executor with real worker processes on stores in memory."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from omsd.clock import SystemClock
from omsd.domain.bandwidth import BandwidthLimits, TaskLimit
from omsd.domain.errors import Side
from omsd.domain.events import (
    PartsSent,
    ShardBatch,
    ShardDone,
    ShardEvent,
    ShardFailed,
    ShardReleased,
    SpanSplit,
    UploadIntended,
    UploadOpened,
    WorkerLost,
)
from omsd.domain.manifest import ListsFound, plan_manifests
from omsd.domain.model import (
    CloudType,
    Counters,
    Credentials,
    LeaseId,
    ListFileRef,
    Location,
    ShardId,
    TaskCredentials,
    TaskId,
    TaskSpec,
    TaskType,
    TaskWork,
)
from omsd.domain.shards import LargeObject, OpenUpload, Shard, ShardKind, UploadIntent
from omsd.domain.splitting import split_shard
from omsd.executors.local import LocalExecutor
from omsd.ports.executor import Sweep
from tests.fakes.memory_worker import HUGE_BYTES
from tests.waiting import PATIENCE_S

SECRET = "the-secret-key-of-this-test"
ENDING = (ShardDone, ShardReleased, ShardFailed, WorkerLost)


class Sink:
    """Keeps events; wakes who waits for one."""

    def __init__(self) -> None:
        self.events: list[ShardEvent] = []
        self._more = asyncio.Condition()

    async def emit(self, event: ShardEvent) -> None:
        async with self._more:
            self.events.append(event)
            self._more.notify_all()

    def kept(self, kind: type | tuple[type, ...]) -> list[ShardEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    async def wait_for(self, kind: type | tuple[type, ...], number: int = 1) -> ShardEvent:
        async with asyncio.timeout(PATIENCE_S), self._more:
            await self._more.wait_for(lambda: len(self.kept(kind)) >= number)
        return self.kept(kind)[number - 1]

    def counters(self) -> Counters:
        total = Counters()
        for event in self.events:
            if isinstance(event, ShardBatch):
                total = total.plus(event.counters)
        return total


def work(source: str = "full", destination: str = "empty", task_id: int = 1) -> TaskWork:
    keys = Credentials("ak", SECRET)
    task = TaskSpec(
        Location(CloudType.AWS, "r", source),
        Location(CloudType.AWS, "r", destination),
        TaskType.PREFIX,
        ("",),
    )
    return TaskWork(TaskId(task_id), task, TaskCredentials(keys, keys), 1, 0.0)


def shard(number: int = 1, task_id: int = 1) -> Shard:
    return Shard(ShardId(number), TaskId(task_id), 1, ShardKind.RANGE, attempt=1)


@asynccontextmanager
async def running(*, workers: int = 1, objects: int = 100) -> AsyncIterator[tuple[LocalExecutor, Sink]]:
    executor = LocalExecutor(
        command=[sys.executable, "-m", "tests.fakes.memory_worker"],
        settings=str(objects).encode(),
        workers=workers,
        slots_per_worker=2,
        clock=SystemClock(),
    )
    sink = Sink()
    async with asyncio.TaskGroup() as group:
        group.create_task(executor.serve(sink))
        async with asyncio.timeout(PATIENCE_S):
            await executor.wait_ready()
        yield executor, sink
        await executor.stop(grace_s=PATIENCE_S)


async def test_a_shard_runs_and_reports_every_object_once() -> None:
    async with running() as (executor, sink):
        assert executor.free_slots() == 2
        executor.run(LeaseId(7), work(), shard(), ())
        assert executor.free_slots() == 1
        assert await sink.wait_for(ENDING) == ShardDone(LeaseId(7))
        assert sink.counters().successful_num == 100
        assert executor.free_slots() == 2


# Objects of 100 bytes: at this limit the shards of these tests would take many seconds, however quick the machine.
SLOW = BandwidthLimits(tasks={TaskId(1): TaskLimit(50_000)})


async def test_a_killed_worker_is_reported_after_its_batches_and_replaced() -> None:
    async with running(objects=5_000) as (executor, sink):
        executor.set_limits(SLOW)
        (pid,) = executor.worker_pids()
        executor.run(LeaseId(1), work(), shard(), ())
        await sink.wait_for(ShardBatch)
        os.kill(pid, signal.SIGKILL)
        assert await sink.wait_for(ENDING) == WorkerLost(1, (LeaseId(1),))
        assert isinstance(sink.events[-1], WorkerLost)
        async with asyncio.timeout(PATIENCE_S):
            await executor.wait_ready()
        assert executor.worker_pids() != (pid,)
        executor.run(LeaseId(2), work(), shard(), ())
        executor.cut(LeaseId(2))
        assert await sink.wait_for(ENDING, 2) == ShardReleased(LeaseId(2))


async def test_drain_releases_and_the_budget_reaches_the_worker() -> None:
    async with running(objects=5_000) as (executor, sink):
        executor.set_limits(SLOW)
        executor.run(LeaseId(1), work(), shard(), ())
        await sink.wait_for(ShardBatch)
        executor.drain(LeaseId(1))
        assert await sink.wait_for(ENDING) == ShardReleased(LeaseId(1))
        # 500,000 bytes at 50,000 bytes per second take ten seconds: it was stopped long before its end.
        assert 0 < sink.counters().successful_num < 5_000


async def test_stop_releases_what_runs() -> None:
    async with running(objects=5_000) as (executor, sink):
        executor.set_limits(SLOW)
        executor.run(LeaseId(1), work(), shard(), ())
        await sink.wait_for(ShardBatch)
    assert [event for event in sink.events if isinstance(event, ENDING)] == [ShardReleased(LeaseId(1))]


async def test_probe_names_the_side_that_is_wrong() -> None:
    async with running() as (executor, _):
        assert (await executor.probe(work(), deadline_s=PATIENCE_S)).side is None
        bad_source = await executor.probe(work(source="bad-source"), deadline_s=PATIENCE_S)
        assert (bad_source.side, bad_source.failure and bad_source.failure.code) == (Side.SOURCE, "TRF.0155")
        bad_target = await executor.probe(work(destination="bad-target"), deadline_s=PATIENCE_S)
        assert (bad_target.side, bad_target.failure and bad_target.failure.code) == (
            Side.DESTINATION,
            "TRF.0058",
        )


def list_work(key: str, bucket: str = "lists") -> TaskWork:
    """A task from the list file, or those of the folder."""
    task = replace(work().spec, task_type=TaskType.LIST, object_keys=(), list_file=ListFileRef(bucket, key))
    return replace(work(), spec=task)


async def found_by(executor: LocalExecutor, wanted: TaskWork) -> ListsFound:
    result = await executor.probe(wanted, deadline_s=PATIENCE_S)
    assert (result.side, result.failure) == (None, None)
    return result.lists


async def test_probe_finds_the_list_files_of_a_task() -> None:
    async with running() as (executor, _):
        assert await found_by(executor, work()) == ListsFound()
        single = await found_by(executor, list_work("all.txt"))
        assert [(file.key, file.size_bytes) for file in single.files] == [("all.txt", 699)]
        folder = await found_by(executor, list_work("half/"))
        assert [(file.key, file.size_bytes) for file in folder.files] == [
            ("half/1.txt", 349),
            ("half/2.txt", 349),
        ]


BAD_LISTS = {
    ("none.txt", "lists"): ("TRF.0013", False),
    ("half/notes.md", "lists"): ("TRF.0014", False),
    ("page.txt", "lists"): ("TRF.0019", False),
    ("empty/", "lists"): ("TRF.0013", False),
    ("nothing/", "lists"): ("TRF.0013", False),
    ("all.txt", "bad-lists"): ("TRF.0013", True),
    ("half/", "bad-lists"): ("TRF.0013", True),
}


async def test_probe_says_what_is_wrong_with_the_list_files() -> None:
    said = {}
    async with running() as (executor, _):
        for key, bucket in BAD_LISTS:
            found = await found_by(executor, list_work(key, bucket))
            assert found.files == ()
            assert found.failure is not None
            said[key, bucket] = (found.failure.code, found.bucket_fault)
    assert said == BAD_LISTS


async def test_a_span_runs_in_a_worker_and_gives_its_rest_away() -> None:
    async with running(objects=10_000) as (executor, sink):
        wanted = list_work("all.txt")
        (draft,) = plan_manifests(await found_by(executor, wanted))
        first = replace(shard(), kind=ShardKind.MANIFEST, manifest=draft.manifest)
        executor.run(LeaseId(1), wanted, first, ())
        executor.split(LeaseId(1))
        split = await sink.wait_for(SpanSplit)
        assert isinstance(split, SpanSplit)
        assert await sink.wait_for(ENDING) == ShardDone(LeaseId(1))
        kept_num = sink.counters().successful_num
        assert 0 < kept_num < 10_000
        _, (rest,) = split_shard(first, split)
        executor.run(
            LeaseId(2), wanted, replace(shard(2), kind=ShardKind.MANIFEST, manifest=rest.manifest), ()
        )
        assert await sink.wait_for(ENDING, 2) == ShardDone(LeaseId(2))
        assert sink.counters().successful_num == sink.counters().listed_num == 10_000


async def test_secrets_are_neither_in_argv_nor_in_the_environment_of_a_worker() -> None:
    async with running() as (executor, sink):
        executor.run(LeaseId(1), work(), shard(), ())
        await sink.wait_for(ShardDone)
        (pid,) = executor.worker_pids()
        told = await asyncio.to_thread(
            lambda: [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
        )
        assert all(told)
        assert not any(SECRET.encode() in text for text in told)


async def test_a_lease_given_while_no_worker_lives_ends_as_lost() -> None:
    async with running() as (executor, sink):
        (pid,) = executor.worker_pids()
        os.kill(pid, signal.SIGKILL)
        await sink.wait_for(WorkerLost)
        executor.run(LeaseId(5), work(), shard(), ())
        lost = await sink.wait_for(WorkerLost, 2)
        assert lost == WorkerLost(0, (LeaseId(5),))


@pytest.mark.parametrize("bucket", ["bad-target"])
async def test_a_bucket_that_is_not_there_fails_the_shard_decisively(bucket: str) -> None:
    async with running() as (executor, sink):
        executor.run(LeaseId(1), work(destination=bucket), shard(), ())
        failed = await sink.wait_for(ENDING)
        assert isinstance(failed, ShardFailed)
        assert (failed.decisive, failed.failure.code) == (True, "TRF.0058")


# Objects of 100 bytes: what any machine does while it does other things.
LIMIT = 50_000


async def seconds_for(size_bytes: int, sink: Sink) -> float:
    """How long it took until so many more bytes of objects were reported."""
    began_s, before = time.monotonic(), sink.counters().successful_size_bytes
    async with asyncio.timeout(PATIENCE_S):
        while sink.counters().successful_size_bytes < before + size_bytes:
            await sink.wait_for(ShardBatch, len(sink.kept(ShardBatch)) + 1)
    return time.monotonic() - began_s


async def until_one_worker_has_the_limit(sink: Sink) -> None:
    """Divided evenly by worker it would be half of the limit for ever. A busy machine may make it less for some time."""
    while await seconds_for(LIMIT, sink) > 1.4:
        continue


async def test_a_limit_holds_over_all_workers_and_what_one_leaves_the_other_gets() -> None:
    async with running(workers=2, objects=20_000) as (executor, sink):
        executor.set_limits(BandwidthLimits(LIMIT))
        began_s = time.monotonic()
        for number in (1, 2):
            executor.run(LeaseId(number), work(), shard(number), ())

        def assert_kept() -> None:
            # A busy machine makes it slower and reports come late: neither makes it more than it may be.
            most = 1.2 * LIMIT * (time.monotonic() - began_s)
            assert sink.counters().successful_size_bytes <= most

        await seconds_for(2 * LIMIT, sink)
        assert_kept()
        executor.cut(LeaseId(2))
        await sink.wait_for(ShardReleased)
        await until_one_worker_has_the_limit(sink)
        await seconds_for(2 * LIMIT, sink)
        assert_kept()
        executor.cut(LeaseId(1))
        await sink.wait_for(ShardReleased, 2)


async def test_the_grant_of_a_worker_that_was_killed_returns() -> None:
    async with running(workers=2, objects=20_000) as (executor, sink):
        executor.set_limits(BandwidthLimits(LIMIT))
        for number in (1, 2):
            executor.run(LeaseId(number), work(), shard(number), ())
        await sink.wait_for(ShardBatch, 4)
        os.kill(executor.worker_pids()[1], signal.SIGKILL)
        await sink.wait_for(WorkerLost)
        await until_one_worker_has_the_limit(sink)
        executor.cut(LeaseId(1))


async def test_a_large_object_is_handed_over_and_its_upload_waits_for_the_stored_intent() -> None:
    async with running() as (executor, sink):
        executor.run(LeaseId(1), work(source="huge"), shard(), ())
        batch = await sink.wait_for(ShardBatch)
        large = LargeObject("huge", HUGE_BYTES)
        assert isinstance(batch, ShardBatch)
        assert (batch.handed, batch.outcomes, batch.counters.listed_num) == ((large,), (), 1)
        assert await sink.wait_for(ENDING) == ShardDone(LeaseId(1))
        parts = Shard(ShardId(2), TaskId(1), 1, ShardKind.PARTS, attempt=1, large=large)
        executor.run(LeaseId(2), work(source="huge"), parts, ())
        intended = await sink.wait_for(UploadIntended)
        assert isinstance(intended, UploadIntended)
        assert intended.intent.key == "huge"
        # The worker answers other things meanwhile, but creates nothing.
        await executor.probe(work(), deadline_s=PATIENCE_S)
        assert not any(isinstance(event, UploadOpened) for event in sink.events)
        executor.intent_noted(LeaseId(2), "huge")
        assert await sink.wait_for(ENDING, 2) == ShardDone(LeaseId(2))
        assert sink.counters().successful_num == 1
        sent = [event for event in sink.events if isinstance(event, PartsSent)]
        assert sum(part.size_bytes for event in sent for part in event.parts) == HUGE_BYTES
        last = sink.events[-2]
        assert isinstance(last, ShardBatch)
        assert last.closed == sent[0].upload


async def test_a_sweep_says_what_is_gone_and_why_the_rest_is_not() -> None:
    async with running() as (executor, _):
        uploads, intents = (OpenUpload("k", "u"),), (UploadIntent("k", 1.0),)
        keys = Credentials("ak", SECRET)
        here = Sweep(Location(CloudType.AWS, "r", "empty"), keys, uploads, intents)
        done = await executor.sweep(here, deadline_s=PATIENCE_S)
        assert (done.uploads, done.intents, done.failure) == (uploads, intents, "")
        # A bucket that is gone has taken its uploads along.
        gone = Sweep(Location(CloudType.AWS, "r", "bad-bucket"), keys, uploads, intents)
        assert (await executor.sweep(gone, deadline_s=PATIENCE_S)).uploads == uploads
