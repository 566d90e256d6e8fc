"""REPORT shards: spooled lists become objects, in parts if they are large; every failure is told by its code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.events import ListSettled, ShardEvent
from omsd.domain.model import ConsistencyCheck, ListPart, ListUpload, Outcome, OutcomeKind, TaskId, TaskSpec
from omsd.domain.object_lists import HEADER, lines_of
from omsd.domain.shards import OpenUpload, ShardKind
from omsd.engine.lists import ListsRun
from omsd.ports.listspool import Lines
from omsd.ports.objectstore import ObjectStore
from omsd.store.spool import FileSpool
from tests.engine.harness import LEASE, Report, make_context, memory_store, range_shard, spec
from tests.fakes.stores import FaultyStore, failing, hanging

TASK = TaskId(1)


class Settled(Report):
    """What became of each list, beside the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: dict[str, str] = {}

    async def take(self, event: ShardEvent) -> None:
        if isinstance(event, ListSettled):
            self.lists[event.key] = event.error_code
        await super().take(event)


async def spool_list(folder: Path, kind: OutcomeKind, lines_num: int) -> tuple[ListUpload, bytes]:
    """A list in blocks of 100 lines, and its text."""
    spool, part, text = FileSpool(folder), ListPart(kind, 1), HEADER
    for start in range(0, lines_num, 100):
        outcomes = [Outcome(f"key/{n}", n, kind) for n in range(start, min(start + 100, lines_num))]
        (part,) = await spool.append([Lines(TASK, 1, part, ConsistencyCheck.CRC64, outcomes)])
        text += lines_of(outcomes, ConsistencyCheck.CRC64)
    return ListUpload(part, spool.path_of(TASK, 1, part), f"oms/{kind}.txt"), text.encode()


def make_run(
    destination: ObjectStore,
    report: Settled,
    lists: Sequence[ListUpload],
    *,
    deadline_s: float = 0.0,
    stale_uploads: Sequence[OpenUpload] = (),
    task: TaskSpec | None = None,
) -> ListsRun:
    shard = range_shard(kind=ShardKind.REPORT, lists=tuple(lists), deadline_s=deadline_s)
    context = make_context(memory_store(), destination, report, task=task)
    return ListsRun(LEASE, shard, context, stale_uploads, report.take)


@pytest.mark.parametrize("lines_num", [1, 150, 1000])
async def test_a_list_arrives_whole_in_one_piece_or_in_parts(tmp_path: Path, lines_num: int) -> None:
    upload, text = await spool_list(tmp_path, OutcomeKind.SUCCESS, lines_num)
    destination, report = memory_store(), Settled()
    assert await make_run(destination, report, [upload]).run()
    stored = destination.objects[upload.key]
    assert (stored.body, stored.options.content_type) == (text, "text/plain")
    assert report.lists == {upload.key: ""}
    assert not report.open_uploads
    assert report.opened_num == (1 if len(text) > 16 * 1024 else 0)
    assert not report.outcomes


@pytest.mark.parametrize("lines_num", [3, 1000])
async def test_the_lists_of_a_task_with_kms_are_encrypted_too(tmp_path: Path, lines_num: int) -> None:
    upload, _ = await spool_list(tmp_path, OutcomeKind.SUCCESS, lines_num)
    for wanted in (False, True):
        destination, report = memory_store(), Settled()
        assert await make_run(destination, report, [upload], task=spec(encrypt_kms=wanted)).run()
        assert (await destination.head(upload.key)).encrypted_kms is wanted


async def test_troubles_are_sat_out(tmp_path: Path) -> None:
    upload, text = await spool_list(tmp_path, OutcomeKind.FAILED, 3)
    busy = lambda: StoreError(StoreErrorKind.UNAVAILABLE, "busy")  # noqa: E731
    inner, report = memory_store(), Settled()
    assert await make_run(FaultyStore(inner, failing("put", 1, busy, times=3)), report, [upload]).run()
    assert inner.objects[upload.key].body == text


@pytest.mark.parametrize(
    ("kind", "code"), [(StoreErrorKind.PERMISSION, "OMS.0307"), (StoreErrorKind.UNAVAILABLE, "OMS.0304")]
)
@pytest.mark.parametrize(("call", "lines_num"), [("put", 3), ("put_part", 1000), ("create_upload", 1000)])
async def test_a_list_that_cannot_be_stored_has_a_code_and_the_next_one_is_tried(
    tmp_path: Path, kind: StoreErrorKind, code: str, call: str, lines_num: int
) -> None:
    first, _ = await spool_list(tmp_path, OutcomeKind.FAILED, lines_num)
    second, _ = await spool_list(tmp_path, OutcomeKind.SUCCESS, lines_num)
    report = Settled()
    always = failing(call, 1, lambda: StoreError(kind, "no"), times=10_000)
    assert await make_run(FaultyStore(memory_store(), always), report, [first, second]).run()
    assert report.lists == {first.key: code, second.key: code}
    assert not report.open_uploads


async def test_a_damaged_list_is_not_uploaded(tmp_path: Path) -> None:
    bad, _ = await spool_list(tmp_path, OutcomeKind.FAILED, 3)
    good, text = await spool_list(tmp_path, OutcomeKind.SUCCESS, 3)
    data = bytearray(await asyncio.to_thread(Path(bad.path).read_bytes))
    data[-2] ^= 1
    await asyncio.to_thread(Path(bad.path).write_bytes, data)
    destination, report = memory_store(), Settled()
    assert await make_run(destination, report, [bad, good]).run()
    assert report.lists == {bad.key: "OMS.0303", good.key: ""}
    assert {key: stored.body for key, stored in destination.objects.items()} == {good.key: text}


async def test_a_deadline_gives_up_what_is_left(tmp_path: Path) -> None:
    first, _ = await spool_list(tmp_path, OutcomeKind.FAILED, 1)
    second, _ = await spool_list(tmp_path, OutcomeKind.SUCCESS, 1)
    report = Settled()
    destination = FaultyStore(memory_store(), hanging("put", 2, asyncio.Event()))
    # Long enough for the first.
    assert await make_run(destination, report, [first, second], deadline_s=1.5).run()
    assert report.lists == {first.key: "", second.key: "OMS.0304"}


@pytest.mark.parametrize(("call", "lines_num"), [("put", 3), ("put_part", 1000)])
async def test_a_cut_leaves_the_list_for_the_next_lease(tmp_path: Path, call: str, lines_num: int) -> None:
    upload, text = await spool_list(tmp_path, OutcomeKind.FAILED, lines_num)
    inner, report, reached = memory_store(), Settled(), asyncio.Event()
    run = make_run(FaultyStore(inner, hanging(call, 1, reached)), report, [upload])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run.run())
        await reached.wait()
        run.cut()
    assert not running.result()
    assert not report.lists
    assert not report.open_uploads
    assert await make_run(inner, report, [upload]).run()
    assert inner.objects[upload.key].body == text


async def test_a_drain_finishes_the_list_under_way_only(tmp_path: Path) -> None:
    first, _ = await spool_list(tmp_path, OutcomeKind.FAILED, 1)
    second, _ = await spool_list(tmp_path, OutcomeKind.SUCCESS, 1)
    report = Settled()

    async def drain(name: str, number: int) -> None:
        if name == "put":
            run.drain()

    run = make_run(FaultyStore(memory_store(), drain), report, [first, second])
    assert not await run.run()
    assert report.lists == {first.key: ""}


async def test_uploads_of_an_earlier_lease_are_aborted_first(tmp_path: Path) -> None:
    upload, _ = await spool_list(tmp_path, OutcomeKind.FAILED, 1)
    destination, report = memory_store(), Settled()
    stale = OpenUpload(upload.key, "of-a-lost-worker")
    report.open_uploads.add(stale)
    assert await make_run(destination, report, [upload], stale_uploads=[stale]).run()
    assert not report.open_uploads
