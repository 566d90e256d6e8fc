"""The options of a task on large objects that have a shard of their own, also when a later lease goes on with the upload."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from omsd.domain.caveats import Caveat
from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import OutcomeKind, StoragePolicy, TaskSpec
from omsd.domain.shards import KeptUpload, LargeObject, Shard
from omsd.drivers.memory import MemoryService, MemoryStore
from omsd.engine.copyprobe import ServerCopying
from omsd.engine.shard import ShardRun
from omsd.ports.objectstore import ObjectHead, ObjectStore, RestoreState
from tests.engine.harness import Report, bodies, fill, keys_shard, make_run, memory_store, range_shard, spec
from tests.engine.large_harness import LARGE_SETTINGS, data, lead_shard
from tests.fakes.stores import FaultyStore, failing

EVERYTHING = spec(migrate_metadata=True, encrypt_kms=True, storage_policy=StoragePolicy.SRC_STORAGE_MAPPING)
BODY = data(parts=6)


def run_of(
    source: ObjectStore,
    destination: ObjectStore,
    report: Report,
    task: TaskSpec,
    *,
    shard: Shard | None = None,
    copying: ServerCopying | None = None,
) -> ShardRun:
    shard = shard or lead_shard(BODY)
    return make_run(
        source, destination, report, shard=shard, task=task, settings=LARGE_SETTINGS, server_copying=copying
    )


def kept_by(report: Report) -> KeptUpload | None:
    """The upload that the next lease goes on with."""
    for upload, plan in report.plans.items():
        return KeptUpload(upload, plan, tuple(report.parts.get(upload, {}).values()))
    return None


async def fill_large(store: MemoryStore) -> None:
    await fill(
        store, {"big": BODY}, tags={"team": "a b"}, storage_class="STANDARD_IA", user_metadata={"a": "1"}
    )


async def has_everything(store: MemoryStore) -> bool:
    head = await store.head("big")
    told = (head.encrypted_kms, head.storage_class, dict(head.user_metadata), dict(await store.tags("big")))
    return told == (True, "IA", {"a": "1"}, {"team": "a b"})


@pytest.mark.parametrize("copied", [False, True])
async def test_a_large_object_is_written_with_every_option(copied: bool) -> None:
    service, report = MemoryService(), Report()
    source, destination = memory_store(service, "from"), memory_store(service, "to")
    await fill_large(source)
    copying = ServerCopying(source, lambda error: None) if copied else None
    watched = FaultyStore(destination)
    assert await run_of(source, watched, report, EVERYTHING, copying=copying).run()
    assert (watched.calls["put_part"] > 0) is not copied
    assert bodies(destination) == {"big": BODY}
    assert await has_everything(destination)
    assert [outcome.caveats for outcome in report.outcomes] == [()]


async def test_a_later_lease_goes_on_with_what_the_first_one_asked_for() -> None:
    source, destination, first, second = memory_store(), memory_store(), Report(), Report()
    await fill_large(source)

    async def before(name: str, number: int) -> None:
        if (name, number) == ("put_part", 3):
            run.cut()

    run = run_of(source, FaultyStore(destination, before), first, EVERYTHING)
    assert not await run.run()
    kept = kept_by(first)
    assert kept is not None
    watched = FaultyStore(destination)
    assert await run_of(
        source, watched, second, EVERYTHING, shard=lead_shard(BODY, attempt=2, kept=kept)
    ).run()
    assert watched.calls["create_upload"] == 0
    assert await has_everything(destination)
    assert second.kinds() == {"big": OutcomeKind.SUCCESS}


async def test_a_destination_without_tags_gets_the_large_object_without() -> None:
    source, inner, report = memory_store(), memory_store(), Report()
    await fill_large(source)
    refusal = failing("create_upload", 1, lambda: StoreError(StoreErrorKind.UNSUPPORTED, "no tags"))
    assert await run_of(source, FaultyStore(inner, refusal), report, spec(migrate_metadata=True)).run()
    assert bodies(inner) == {"big": BODY}
    assert not await inner.tags("big")
    assert [outcome.caveats for outcome in report.outcomes] == [(Caveat.TAGS_NOT_WRITTEN,)]
    assert not await inner.list_uploads()


async def test_a_large_object_that_is_not_encrypted_after_all_fails_and_is_removed() -> None:
    source, destination, report = memory_store(), memory_store(encrypts_kms=False), Report()
    await fill_large(source)
    assert await run_of(source, destination, report, spec(encrypt_kms=True)).run()
    assert report.codes() == {"big": "TRF.0158"}
    assert not destination.objects
    assert not await destination.list_uploads()


@pytest.mark.parametrize("told", [False, True], ids=["class not listed", "class listed"])
@pytest.mark.parametrize("restores", [False, True])
async def test_an_archived_large_object_leaves_no_upload(restores: bool, told: bool) -> None:
    source, destination, report = memory_store(), FaultyStore(memory_store()), Report()
    await fill_large(source)
    source.archive("big", "GLACIER" if told else "UNHEARD_OF")
    task = spec(restore_archived=restores)
    assert await run_of(source, destination, report, task, shard=range_shard()).run()
    if not told:
        assert report.handed == [LargeObject("big", len(BODY))]
        handed = Report()
        assert await run_of(source, destination, handed, task).run()
        # With its size it is listed again when it is asked after.
        assert report.counters.plus(handed.counters).listed_size_bytes == 0 or not restores
        report = handed
    assert report.deferred == (["big"] if restores else [])
    assert report.codes() == ({} if restores else {"big": "TRF.0160"})
    assert destination.calls["create_upload"] == (0 if told else 1)
    assert not await destination.list_uploads()


@pytest.mark.parametrize("passed", [False, True])
async def test_a_large_object_is_waited_for_no_longer_than_any_other(passed: bool) -> None:
    """Not every service tells in a head that a restore is under way."""

    class Mute(FaultyStore):
        async def head(self, key: str) -> ObjectHead:
            return replace(await super().head(key), restore=RestoreState.NONE)

    inner, report = memory_store(), Report()
    await fill_large(inner)
    inner.archive("big")
    await inner.restore("big", days=1)
    since_s = 1.0 if passed else time.time() - 60
    shard = keys_shard(["big"], restore_since_s=since_s)
    run = run_of(Mute(inner), memory_store(), report, spec(restore_archived=True), shard=shard)
    assert await run.run()
    assert report.codes() == ({"big": "TRF.0202"} if passed else {})
    assert report.deferred == ([] if passed else ["big"])
    assert not report.handed
    if not passed:
        assert report.restore_since_s == since_s
        inner.finish_restores()
        last = Report()
        assert await run_of(inner, memory_store(), last, spec(restore_archived=True), shard=shard).run()
        assert last.handed == [LargeObject("big", len(BODY))]
