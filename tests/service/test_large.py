"""Large objects and open uploads as the ledger sees them: counted once, gone on with, shared, swept."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from omsd.domain.errors import Failure
from omsd.domain.events import ShardSplit
from omsd.domain.model import LeaseId, TaskState
from omsd.domain.shards import KeptUpload, OpenUpload, SentPart, Shard, ShardKind, UploadIntent, UploadPlan
from omsd.service.uploads import MOST_LARGE
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.harness import PROJECT, Control, control_process, create_request, start_request

UPLOAD = OpenUpload("big", "u1")
PLAN = UploadPlan("v1", 800, 100)
NOW = FakeClock().now_s()


def world() -> World:
    return World({"a": 10, "big": 800, "c": 20})


async def handed_over(control: Control, *, done_before: int = 1) -> tuple[int, LeaseId, LeaseId]:
    """A task whose range has handed `big` over: the task, the lease of the range and that of the object."""
    task_id = (await control.service.create(PROJECT, create_request())).task_id
    listing = await control.lease(task_id)
    if done_before:
        await control.executor.work(listing, done_before)
    await control.executor.hand_over(listing, "big")
    await control.lease(task_id, 2)
    return task_id, listing, lease_of(control)


def lease_of(control: Control, *, leads: bool = True) -> LeaseId:
    """The lease of a shard with parts."""
    return next(
        lease
        for lease, run in control.executor.running.items()
        if run.shard.kind is ShardKind.PARTS and run.shard.leads is leads
    )


def shard_of(control: Control, lease: LeaseId) -> Shard:
    return control.executor.running[lease].shard


async def test_an_object_that_is_handed_over_is_listed_at_once_and_counted_once(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id, listing, lead = await handed_over(control)
        view = await control.service.get(PROJECT, task_id)
        assert (view.counters.listed_num, view.counters.listed_size_bytes) == (2, 810)
        await control.executor.finish(listing)
        await control.settle()
        view = await control.service.get(PROJECT, task_id)
        assert view.listing_over
        assert (view.counters.listed_num, view.counters.successful_num) == (3, 2)
        # The object has grown since it was listed.
        await control.executor.finish_large(lead, size=900)
        view = await control.reach(task_id, TaskState.SUCCEEDED)
        assert (view.counters.listed_num, view.counters.listed_size_bytes) == (3, 930)
        assert (view.counters.successful_num, view.counters.successful_size_bytes) == (3, 930)


async def test_a_batch_with_a_large_object_that_comes_twice_makes_one_shard(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), slots=4) as control:
        task_id, _, _ = await handed_over(control)
        assert control.executor.last_batch is not None
        await control.executor.sink.emit(control.executor.last_batch)
        await control.settle()
        kinds = [shard.kind for _, shard in control.executor.run_log]
        assert kinds.count(ShardKind.PARTS) == 1
        assert (await control.service.get(PROJECT, task_id)).counters.listed_num == 2


async def test_parts_that_are_sent_show_in_the_progress_and_stay_when_the_task_is_paused(
    tmp_path: Path,
) -> None:
    here = world()
    async with control_process(tmp_path, here) as control:
        task_id, listing, lead = await handed_over(control)
        await control.executor.open_upload(lead, UPLOAD, PLAN)
        await control.executor.send_parts(lead, UPLOAD, 1, 2, 3, size=100)
        await control.executor.send_parts(lead, UPLOAD, 3, size=100)  # a part that was sent again
        await control.settle()
        view = await control.service.get(PROJECT, task_id)
        assert (view.complete_size_bytes, view.real_size_bytes) == (310, 10)
        await control.service.stop(PROJECT, task_id)
        for lease in (listing, lead):
            await control.executor.release(lease)
        assert (await control.reach(task_id, TaskState.PAUSED)).complete_size_bytes == 310
    async with control_process(tmp_path, here) as control:
        assert (await control.service.get(PROJECT, task_id)).complete_size_bytes == 310
        assert not control.executor.sweeps
        await control.service.start(PROJECT, task_id, start_request())
        sweep = await control.store.get_sweep(task_id)
        assert sweep is not None
        assert sweep[1].secret_key == "DSTSECRET2"
        await control.lease(task_id, 2)
        lead = lease_of(control)
        kept = shard_of(control, lead).kept
        assert kept is not None
        assert (kept.upload, kept.plan, [part.part_number for part in kept.parts]) == (
            UPLOAD,
            PLAN,
            [1, 2, 3],
        )
        assert kept.parts[0].crc64_xz == 2**64 - 1
        assert UPLOAD not in {upload for stale in control.executor.stale_log for upload in stale}
        await control.executor.finish_large(lead, UPLOAD)
        await control.settle()
        assert (await control.service.get(PROJECT, task_id)).complete_size_bytes == 810
        await control.run_out(task_id)
        view = await control.reach(task_id, TaskState.SUCCEEDED)
        assert view.complete_size_bytes == view.counters.listed_size_bytes == 830
        assert await control.store.due_sweeps() == ()


async def test_who_leads_waits_for_the_others_and_has_all_parts_afterwards(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), slots=4) as control:
        task_id, listing, lead = await handed_over(control)
        await control.executor.finish(listing)
        await control.executor.open_upload(lead, UPLOAD, PLAN)
        await control.executor.sink.emit(ShardSplit(lead, ("4",)))
        await control.until(lambda: len(control.executor.running) == 2)
        helper = lease_of(control, leads=False)
        assert (shard_of(control, helper).after, shard_of(control, helper).until) == ("4", "")
        assert shard_of(control, helper).kept is not None
        await control.executor.release(lead)
        await control.settle()
        assert list(control.executor.running) == [
            helper
        ]  # it is not leased again as long as another has parts
        await control.executor.end(helper)
        await control.until(lambda: len(control.executor.running) == 1)
        lead = lease_of(control)
        assert shard_of(control, lead).until == ""
        await control.executor.finish_large(lead, UPLOAD)
        view = await control.reach(task_id, TaskState.SUCCEEDED)
        assert (view.counters.listed_num, view.counters.successful_num) == (3, 3)


async def test_parts_that_are_sent_count_after_a_crash(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here) as control:
        task_id, _, lead = await handed_over(control)
        await control.executor.open_upload(lead, UPLOAD, PLAN)
        await control.executor.send_parts(lead, UPLOAD, 1, 2, 3, size=100)
        await control.settle()
    async with control_process(tmp_path, here) as control:
        assert (await control.service.get(PROJECT, task_id)).complete_size_bytes == 310
        await control.lease(task_id, 2)
        await control.executor.close_upload(lease_of(control), UPLOAD)
        await control.settle()
        assert (await control.service.get(PROJECT, task_id)).complete_size_bytes == 10


async def test_a_lease_that_asks_is_told_of_the_upload_before_it_and_one_that_is_void_of_none(
    tmp_path: Path,
) -> None:
    here = World({"a": 10, "c": 800})
    c_upload, parts = OpenUpload("c", "u2"), tuple(SentPart(n, 100, f"e{n}", 2**64 - n) for n in (1, 2))
    async with control_process(tmp_path, here) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        listing = await control.lease(task_id)
        await control.executor.seek(listing, "c")
        await control.executor.open_upload(listing, c_upload, PLAN)
        await control.executor.send_parts(listing, c_upload, 1, 2, size=100)
        await control.executor.seek(listing, "c")
        await control.executor.seek(listing, "a")
        await control.until(lambda: len(control.executor.found) == 3)
        kept = KeptUpload(c_upload, PLAN, parts)
        assert control.executor.found == [(listing, "c", None), (listing, "c", kept), (listing, "a", None)]
    async with control_process(tmp_path, here) as control:
        listing = await control.lease(task_id)
        # It is no leftover of the lease before: that is what this one goes on with.
        assert control.executor.stale_log == [()]
        await control.executor.seek(listing, "c")
        await control.until(lambda: control.executor.found)
        assert control.executor.found == [(listing, "c", kept)]
        await control.executor.give_away(listing, "a")
        await control.executor.finish(listing)
        # The key is another shard's now, and the one that opened the upload is done.
        behind = await control.lease(task_id)
        assert control.executor.stale_log[-1] == ()
        await control.executor.seek(behind, "c")
        await control.executor.seek(LeaseId(99), "c")
        await control.until(lambda: len(control.executor.found) == 3)
        assert control.executor.found[1:] == [(behind, "c", kept), (LeaseId(99), "c", None)]
        await control.executor.close_upload(behind, c_upload)
        await control.executor.finish(behind)
        await control.reach(task_id, TaskState.SUCCEEDED)
        assert not control.executor.sweeps


async def test_a_new_run_goes_on_with_no_upload_of_the_one_before(tmp_path: Path) -> None:
    here = World({"a": 10, "c": 800})
    c_upload = OpenUpload("c", "u2")
    async with control_process(tmp_path, here) as control:
        control.executor.sweep_failures = ["503"] * 100
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        listing = await control.lease(task_id)
        await control.executor.open_upload(listing, c_upload, PLAN)
        await control.executor.send_parts(listing, c_upload, 1, 2, size=100)
        await control.executor.fail(listing, Failure("TRF.0058", "gone"), decisive=True)
        await control.reach(task_id, TaskState.FAILED)
        await control.service.start(PROJECT, task_id, start_request())
        listing = await control.lease(task_id)
        assert control.executor.stale_log[-1] == (c_upload,)
        await control.executor.seek(listing, "c")
        await control.until(lambda: control.executor.found)
        assert control.executor.found == [(listing, "c", None)]
        assert (await control.service.get(PROJECT, task_id)).complete_size_bytes == 0


async def test_a_task_with_many_large_objects_lists_no_further_until_there_are_few(tmp_path: Path) -> None:
    """A bucket of a million of them is never in memory, nor in the scheduler."""
    here = World({f"big-{n:03}": 800 for n in range(MOST_LARGE + 2)} | {"c": 20})
    async with control_process(tmp_path, here, slots=1) as control:
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        listing = await control.lease(task_id)
        for key in sorted(here.sizes)[: MOST_LARGE + 1]:
            await control.executor.hand_over(listing, key)
        await control.executor.release(listing)
        await finish_leads(control, task_id, 1)
        await control.settle()
    async with control_process(tmp_path, here, slots=1) as control:
        # The same after a restart, which knows nothing of what was held back.
        await finish_leads(control, task_id, MOST_LARGE // 2)
        assert {shard.kind for _, shard in control.executor.run_log} == {ShardKind.PARTS}
        # One more, or two: the next lease may be asked for before the ledger has heard of an end.
        listing = await control.lease(task_id)
        while shard_of(control, listing).leads:
            await control.executor.finish_large(listing)
            listing = await control.lease(task_id)
        assert len(control.executor.run_log) <= MOST_LARGE // 2 + 3
        assert shard_of(control, listing).checkpoint.after == f"big-{MOST_LARGE:03}"
        await control.executor.hand_over(listing, f"big-{MOST_LARGE + 1:03}")
        await control.executor.finish(listing)
        while (await control.task(task_id)).state is TaskState.MIGRATING:
            for lease in control.executor.leases_of(task_id):
                await control.executor.finish_large(lease)
            await control.settle()
        view = await control.reach(task_id, TaskState.SUCCEEDED)
        assert view.counters.listed_num == view.counters.successful_num == MOST_LARGE + 3


async def finish_leads(control: Control, task_id: int, number: int) -> None:
    """So many objects are there; what runs meanwhile is nothing but their shards."""
    for _ in range(number):
        lease = await control.lease(task_id)
        assert shard_of(control, lease).leads
        await control.executor.finish_large(lease)


async def test_after_a_restart_both_halves_of_an_object_go_on(tmp_path: Path) -> None:
    here = world()
    async with control_process(tmp_path, here, slots=4) as control:
        task_id, listing, lead = await handed_over(control)
        await control.executor.finish(listing)
        await control.executor.open_upload(lead, UPLOAD, PLAN)
        await control.executor.sink.emit(ShardSplit(lead, ("4",)))
        await control.until(lambda: len(control.executor.running) == 2)
        await control.executor.release(lead)
        await control.settle()
    async with control_process(tmp_path, here, slots=4) as control:
        await control.lease(task_id, 2)
        lead, helper = lease_of(control), lease_of(control, leads=False)
        assert shard_of(control, lead).until == "4"
        await control.executor.release(lead)
        await control.executor.end(helper)
        await control.until(lambda: len(control.executor.running) == 1)
        await control.executor.finish_large(lease_of(control), UPLOAD)
        await control.reach(task_id, TaskState.SUCCEEDED)


async def test_deleting_a_paused_task_aborts_its_uploads_with_the_destination_s_keys_alone(
    tmp_path: Path,
) -> None:
    here = world()
    async with control_process(tmp_path, here) as control:
        task_id, listing, lead = await handed_over(control)
        await control.executor.intend(lead, UploadIntent("big", NOW))
        await control.executor.open_upload(lead, UPLOAD, PLAN)
        await control.executor.intend(listing, UploadIntent("c", NOW))
        await control.settle()
        await control.service.stop(PROJECT, task_id)
        for lease in (listing, lead):
            await control.executor.release(lease)
        await control.reach(task_id, TaskState.PAUSED)
        assert await control.store.credentials(task_id) is None
    async with control_process(tmp_path, here) as control:
        assert not control.executor.sweeps
        await control.service.delete(PROJECT, task_id)
        await control.until(lambda: control.executor.sweeps)
        (sweep,) = control.executor.sweeps
        assert sweep.uploads == (UPLOAD,)
        assert [intent.key for intent in sweep.intents] == ["c"]
        assert (sweep.destination.bucket, sweep.credentials.secret_key) == ("into", "DSTSECRET")
        await control.settle()
        assert not here.uploads
        assert await control.store.due_sweeps() == ()
        assert await control.store.get_sweep(task_id) is None
        assert not (await control.store.open_uploads(task_id)).uploads


async def test_a_failed_task_is_swept_when_its_last_lease_has_ended(tmp_path: Path) -> None:
    here = World({"big": 800, "c": 20})
    async with control_process(tmp_path, here) as control:
        task_id, listing, lead = await handed_over(control, done_before=0)
        await control.executor.open_upload(lead, UPLOAD, PLAN)
        await control.executor.send_parts(lead, UPLOAD, 1, size=100)
        await control.executor.fail(listing, Failure("TRF.0058", "gone"), decisive=True)
        await control.until(lambda: control.executor.running[lead].told == "cut")
        # It fails at once, there is nothing in its lists; but this lease may still open and close uploads.
        await control.reach(task_id, TaskState.FAILED)
        await control.until(control.clock.sleeping)
        assert not control.executor.sweeps
        await control.executor.release(lead)
        await control.until(control.clock.sleeping)
        await control.advance(2)
        await control.until(lambda: control.executor.sweeps)
        await control.settle()
        assert not here.uploads
        assert (await control.service.get(PROJECT, task_id)).complete_size_bytes == 0


async def swept_again(control: Control) -> None:
    """The pause behind the last try is over, and another try was made."""
    seen = len(control.executor.sweeps)
    await control.until(control.clock.sleeping)
    await control.advance(400)
    await control.until(lambda: len(control.executor.sweeps) > seen)


async def test_a_sweep_that_fails_is_tried_again_also_by_the_next_daemon(tmp_path: Path) -> None:
    here, clock = world(), FakeClock()
    async with control_process(tmp_path, here, clock=clock) as control:
        control.executor.sweep_failures = ["503"] * 3
        task_id, listing, lead = await handed_over(control)
        await control.executor.open_upload(lead, UPLOAD, PLAN)
        await control.settle()
        await control.service.stop(PROJECT, task_id)
        for lease in (listing, lead):
            await control.executor.release(lease)
        await control.reach(task_id, TaskState.PAUSED)
        await control.service.delete(PROJECT, task_id)
        await control.until(lambda: len(control.executor.sweeps) == 1)
        await swept_again(control)
        await control.settle()
        assert here.uploads == {UPLOAD}
    async with control_process(tmp_path, here, clock=clock) as control:
        await control.until(lambda: not here.uploads)
        await control.settle()
        assert await control.store.due_sweeps() == ()


async def test_a_sweep_that_never_succeeds_is_given_up_and_told(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        with capture_logs() as said:
            await _sweep_in_vain(control)
    (told,) = [line for line in said if line["event"] == "uploads_left_open"]
    assert "big u1" in str(told)
    assert "AccessDenied" in str(told)


async def _sweep_in_vain(control: Control) -> None:
    control.executor.sweep_failures = ["AccessDenied"] * 100
    task_id, listing, lead = await handed_over(control)
    await control.executor.open_upload(lead, UPLOAD, PLAN)
    await control.settle()
    await control.service.stop(PROJECT, task_id)
    for lease in (listing, lead):
        await control.executor.release(lease)
    await control.reach(task_id, TaskState.PAUSED)
    await control.service.delete(PROJECT, task_id)
    await control.until(lambda: control.executor.sweeps)
    for _ in range(15):
        assert await control.store.due_sweeps() == (task_id,)
        await swept_again(control)
    await control.settle()
    assert await control.store.due_sweeps() == ()
    assert not (await control.store.open_uploads(task_id)).uploads


async def test_an_intent_is_stored_before_the_worker_hears_that_it_is(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id, _, lead = await handed_over(control)
        await control.executor.intend(lead, UploadIntent("big", NOW, ("stranger",), 2))
        await control.until(lambda: control.executor.noted)
        assert control.executor.noted == [(lead, "big")]
        (intent,) = (await control.store.open_uploads(task_id)).intents
        assert intent == UploadIntent("big", NOW, ("stranger",), 2)


async def test_an_open_intent_goes_to_the_next_lease_and_one_that_was_answered_is_forgotten(
    tmp_path: Path,
) -> None:
    async with control_process(tmp_path, world()) as control:
        task_id, listing, lead = await handed_over(control)
        await control.executor.intend(lead, UploadIntent("big", NOW))
        await control.executor.open_upload(lead, UPLOAD, PLAN)
        await control.executor.intend(listing, UploadIntent("c", NOW))
        await control.settle()
        await control.executor.release(listing)
        await control.until(lambda: len(control.executor.run_log) == 3)
        again = control.executor.run_log[-1][1]
        assert again.kind is ShardKind.RANGE
        assert [intent.key for intent in again.intents] == ["c"]
        assert (await control.service.get(PROJECT, task_id)).task.state is TaskState.MIGRATING
