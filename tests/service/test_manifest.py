"""Tasks from object list files: planned from what a worker found, exact after a death at any commit, refused as documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from omsd.domain.errors import Failure, RequestError
from omsd.domain.events import SpanSplit
from omsd.domain.manifest import ListsFound
from omsd.domain.model import Counters, LeaseId, ListFile, ListFileRef, TaskState
from omsd.domain.shards import ShardKind
from omsd.ports.executor import ProbeResult
from omsd.service import requests
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World, etag_of
from tests.service.deaths import dying, finish_all, until_leased
from tests.service.harness import PROJECT, Control, control_process, create_request, start_request

FIRST, SECOND = "hw/a.txt", "hw/b.txt"
SURE_COMMITS = 8
EXPECTED = Counters(20, 2000, 18, 1, 1, 1800, 100, 100)


def request_of(key: str = "hw/") -> requests.CreateTask:
    source = requests.SrcNode(
        cloud_type="AWS",
        region="us-east-1",
        ak="A",
        sk="S",
        bucket="from",
        list_file=requests.ListFile(list_file_key=key, obs_bucket="lists"),
    )
    return create_request(src_node=source, task_type="list", request_id="the-one")


def world() -> World:
    """Two lists: of the first ten objects, and of the others; each line has three bytes."""
    sizes = {f"{number:02}": 100 for number in range(20)}
    texts = ["".join(f"{number:02}\n" for number in half).encode() for half in (range(10), range(10, 20))]
    manifests = dict(zip((FIRST, SECOND), texts, strict=True))
    return World(sizes, broken={"13": "TRF.0152"}, skipped={"07"}, manifests=manifests)


def found(source: World) -> ProbeResult:
    files = tuple(ListFile(key, len(text), etag_of(text)) for key, text in source.manifests.items())
    return ProbeResult(lists=ListsFound(files))


async def created(control: Control, source: World) -> int:
    control.executor.probe_answer = found(source)
    return (await control.service.create(PROJECT, request_of())).task_id


async def story(control: Control, source: World) -> None:
    """Two lists; the shard of one becomes two, then three; everything may be cut short by a death."""
    task_id = await created(control, source)
    first, second = await until_leased(control, task_id, 2)
    await control.executor.work(LeaseId(first), 3)
    await control.executor.give_lines_away(LeaseId(first), 16)
    await control.executor.finish(LeaseId(second))
    leases = await until_leased(control, task_id, 2)
    await control.executor.give_lines_away(LeaseId(leases[1]), 24)
    await control.executor.work(LeaseId(leases[1]), 1)
    await finish_all(control, task_id)


@pytest.mark.parametrize("durable", [False, True], ids=["lost", "durable"])
@pytest.mark.parametrize("die_at", range(1, 13))
async def test_counters_are_exact_after_a_death_at_any_commit(
    tmp_path: Path, die_at: int, durable: bool
) -> None:
    source, clock = world(), FakeClock()
    with dying() as causes:
        async with control_process(tmp_path, source, clock=clock, die_at=die_at, durable=durable) as control:
            await story(control, source)
    assert causes or die_at > SURE_COMMITS
    async with control_process(tmp_path, source, clock=clock) as control:
        task_id = await created(control, source)
        await control.run_out(task_id)
        view = await control.service.get(PROJECT, task_id)
        assert view.counters == EXPECTED
        assert set(source.written) == set(source.sizes) - set(source.broken) - source.skipped
        assert max(source.written.values()) <= 2


async def test_after_a_restart_each_span_goes_on_where_it_was(tmp_path: Path) -> None:
    source = world()
    async with control_process(tmp_path, source) as control:
        task_id = await created(control, source)
        first, _ = await until_leased(control, task_id, 2)
        await control.executor.work(LeaseId(first), 3)
        await control.executor.give_lines_away(LeaseId(first), 16)
        await control.settle()
    async with control_process(tmp_path, source, slots=3) as control:
        control.executor.probe_answer = found(source)
        await until_leased(control, task_id, 3)
        shards = sorted((shard for _, shard in control.executor.run_log), key=lambda shard: shard.shard_id)
        spans = [
            (shard.manifest.key, shard.manifest.start, shard.manifest.end, shard.checkpoint.position)
            for shard in shards
            if shard.manifest is not None
        ]
        assert spans == [(FIRST, 0, 16, 9), (SECOND, 0, 30, 0), (FIRST, 16, 30, 0)]
        assert [shard.attempt for shard in shards] == [2, 2, 1]


async def test_a_split_told_twice_or_by_a_void_lease_changes_nothing(tmp_path: Path) -> None:
    source = world()
    async with control_process(tmp_path, source) as control:
        task_id = await created(control, source)
        first, _ = await until_leased(control, task_id, 2)
        await control.executor.give_lines_away(LeaseId(first), 16)
        await control.executor.sink.emit(SpanSplit(LeaseId(first), 16))
        await control.executor.sink.emit(SpanSplit(LeaseId(999), 5))
        await control.settle()
        assert len(await control.store.open_shards(task_id)) == 3  # type: ignore[arg-type]


async def test_a_span_is_asked_to_split_while_a_worker_has_nothing(tmp_path: Path) -> None:
    source = world()
    del source.manifests[SECOND]
    async with control_process(tmp_path, source) as control:
        task_id = await created(control, source)
        (first,) = await until_leased(control, task_id, 1)
        control.executor.idle_num = 1
        control.scheduler.set_priority(task_id, (await control.task(task_id)).priority)  # type: ignore[arg-type]
        await control.until(lambda: control.executor.split_log == [first])


@pytest.mark.parametrize("code", ["TRF.0013", "TRF.0014", "TRF.0301"])
async def test_a_list_that_cannot_be_used_ends_the_task_with_its_code(tmp_path: Path, code: str) -> None:
    async with control_process(tmp_path, world()) as control:
        control.executor.probe_answer = ProbeResult(lists=ListsFound(failure=Failure(code, "what to do")))
        task_id = (await control.service.create(PROJECT, request_of("hw/a.txt"))).task_id
        task = (await control.reach(task_id, TaskState.FAILED)).task
        assert (task.error_code, task.error_message) == (code, "what to do")
        assert task.spec.list_file == ListFileRef("lists", "hw/a.txt")
        assert control.executor.run_log == []


@pytest.mark.parametrize(
    ("lists", "code", "field"),
    [
        (
            ListsFound(failure=Failure("TRF.0019", "no text")),
            "TRF.0019",
            "src_node.list_file.list_file_key",
        ),
        (
            ListsFound(failure=Failure("TRF.0013", "gone"), bucket_fault=True),
            "OMS.0057",
            "src_node.list_file.obs_bucket",
        ),
    ],
)
async def test_what_can_be_said_of_the_lists_beforehand_refuses_the_creation(
    tmp_path: Path, lists: ListsFound, code: str, field: str
) -> None:
    async with control_process(tmp_path, world()) as control:
        control.executor.probe_answer = ProbeResult(lists=lists)
        with pytest.raises(RequestError) as caught:
            await control.service.create(PROJECT, request_of())
        assert (caught.value.code, caught.value.violations[0].field) == (code, field)
        assert (await control.service.list(PROJECT, requests.ListTasks())).count == 0


async def test_a_task_that_is_planned_no_longer_asks_how_its_lists_are(tmp_path: Path) -> None:
    source = world()
    async with control_process(tmp_path, source) as control:
        task_id = await created(control, source)
        await until_leased(control, task_id, 2)
    async with control_process(tmp_path, source) as control:
        control.executor.probe_answer = ProbeResult(lists=ListsFound(failure=Failure("TRF.0013", "gone")))
        await control.run_out(task_id)
        assert (await control.service.get(PROJECT, task_id)).counters == EXPECTED


async def test_trouble_with_the_lists_that_may_pass_is_sat_out(tmp_path: Path) -> None:
    source = world()
    async with control_process(tmp_path, source) as control:
        control.executor.probe_answer = found(source)
        busy = ProbeResult(lists=ListsFound(failure=Failure("TRF.0061", "busy")))
        control.executor.probe_answers = [found(source), busy]
        task_id = (await control.service.create(PROJECT, request_of())).task_id
        await control.until(lambda: len(control.executor.probes) == 2)
        await control.advance(3.0)
        await until_leased(control, task_id, 2)


async def test_lists_without_a_line_match_nothing(tmp_path: Path) -> None:
    async with control_process(tmp_path, World({}, manifests={FIRST: b"", SECOND: b"\n\r\n"})) as control:
        task_id = await created(control, control.executor.world)
        await control.run_out(task_id)
        task = await control.task(task_id)
        assert (task.state, task.error_code) == (TaskState.FAILED, "TRF.0012")


async def test_a_key_that_failed_on_two_lines_is_retried_for_both(tmp_path: Path) -> None:
    source = world()
    source.manifests = {FIRST: b"01\n13\n02\n13\n"}
    async with control_process(tmp_path, source) as control:
        task_id = await created(control, source)
        await control.run_out(task_id)
        assert (await control.service.get(PROJECT, task_id)).counters == Counters(
            4, 400, 2, 0, 2, 200, 0, 200
        )
        source.broken.clear()
        await control.service.start(PROJECT, task_id, start_request(failed_only=True))
        await control.run_out(task_id)
        view = await control.service.get(PROJECT, task_id)
        assert (view.task.state, view.counters) == (TaskState.SUCCEEDED, Counters(4, 400, 4, 0, 0, 400, 0, 0))


async def test_a_new_run_goes_by_the_lists_as_they_are_then_and_a_retry_by_what_failed(
    tmp_path: Path,
) -> None:
    source = world()
    async with control_process(tmp_path, source) as control:
        task_id = await created(control, source)
        await control.run_out(task_id)
        assert (await control.task(task_id)).error_code == "TRF.0152"
        await control.service.start(PROJECT, task_id, start_request(failed_only=True))
        await until_leased(control, task_id, 1)
        retry = control.executor.run_log[-1][1]
        assert (retry.kind, retry.keys) == (ShardKind.KEYS, ("13",))
        await control.run_out(task_id)
        assert (await control.service.get(PROJECT, task_id)).counters == EXPECTED
        del source.manifests[SECOND]
        source.manifests[FIRST] = b"05\n06"
        control.executor.probe_answer = found(source)
        await control.service.start(PROJECT, task_id, start_request())
        await control.run_out(task_id)
        view = await control.service.get(PROJECT, task_id)
        assert (view.task.state, view.counters.listed_num) == (TaskState.SUCCEEDED, 2)
