"""What a task asks for beside the bytes: encryption, storage classes, tags, restores of archived objects."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from omsd.domain.caveats import Caveat
from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import OutcomeKind, StoragePolicy
from omsd.engine.context import ShardFailedError
from omsd.engine.restore import next_rest_s
from omsd.ports.objectstore import PutReceipt, Reading
from tests.engine.harness import (
    KIB,
    SETTINGS,
    Report,
    bodies,
    fill,
    keys_shard,
    make_context,
    make_run,
    memory_store,
    spec,
)
from tests.fakes.stores import FaultyStore, failing

SIZES = {"whole": KIB, "streamed": 10 * KIB, "parts": 40 * KIB}
OBJECTS = {name: name.encode() * (size // len(name) + 1) for name, size in SIZES.items()}
METADATA = spec(migrate_metadata=True)


def caveats(report: Report) -> dict[str, set[Caveat]]:
    return {outcome.key: set(outcome.caveats) for outcome in report.outcomes if outcome.caveats}


async def test_kms_and_a_storage_class_reach_objects_of_every_size() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, OBJECTS)
    task = spec(encrypt_kms=True, storage_policy=StoragePolicy.IA)
    assert await make_run(source, destination, report, task=task).run()
    assert {outcome.kind for outcome in report.outcomes} == {OutcomeKind.SUCCESS}
    for key in OBJECTS:
        head = await destination.head(key)
        assert (head.encrypted_kms, head.storage_class) == (True, "IA")


async def test_an_object_that_is_not_encrypted_after_all_fails_and_is_removed() -> None:
    source, destination, report = memory_store(), memory_store(encrypts_kms=False), Report()
    await fill(source, OBJECTS)
    assert await make_run(source, destination, report, task=spec(encrypt_kms=True)).run()
    assert report.codes() == dict.fromkeys(OBJECTS, "TRF.0158")
    assert "without enable_kms" in report.outcomes[0].reason
    assert not destination.objects


async def test_an_answer_that_does_not_show_the_encryption_is_settled_by_looking() -> None:
    class Silent(FaultyStore):
        async def put(self, *args: object) -> PutReceipt:  # type: ignore[override]
            return replace(await super().put(*args), encrypted_kms=False)  # type: ignore[arg-type]

    source, inner, report = memory_store(), memory_store(), Report()
    await fill(source, {"k": b"data"})
    destination = Silent(inner)
    assert await make_run(source, destination, report, task=spec(encrypt_kms=True)).run()
    assert report.kinds() == {"k": OutcomeKind.SUCCESS}
    assert destination.calls["head"] == 1


@pytest.mark.parametrize("call", ["put", "create_upload"])
async def test_a_bucket_that_refuses_kms_ends_the_task(call: str) -> None:
    source, report = memory_store(), Report()
    await fill(source, OBJECTS)
    refusal = failing(call, 1, lambda: StoreError(StoreErrorKind.ENCRYPTION, "KMS is disabled"), times=99)
    destination = FaultyStore(memory_store(), refusal)
    with pytest.raises(ShardFailedError) as failed:
        await make_run(source, destination, report, task=spec(encrypt_kms=True)).run()
    assert (failed.value.failure.code, failed.value.decisive) == ("TRF.0158", True)
    assert "KMS is disabled" in failed.value.failure.message


async def test_a_source_object_whose_key_may_not_be_used_fails_alone() -> None:
    inner, destination, report = memory_store(), memory_store(), Report()
    await fill(inner, {"a": b"1", "b": b"2", "c": b"3"})

    class Locked(FaultyStore):
        async def read(self, key: str, **options: object) -> Reading:  # type: ignore[override]
            if key == "b":
                raise StoreError(StoreErrorKind.ENCRYPTION, "kms:Decrypt is denied")
            return await super().read(key, **options)  # type: ignore[arg-type]

    assert await make_run(Locked(inner), destination, report).run()
    assert report.codes() == {"b": "TRF.0152"}
    assert set(destination.objects) == {"a", "c"}


async def test_after_a_crash_nobody_takes_an_unseen_encryption_for_granted() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {"k": b"data"})
    await fill(destination, {"k": b"data"})
    run = make_run(source, destination, report, task=spec(encrypt_kms=True), redo_since_s=0.0)
    assert await run.run()
    assert (await destination.head("k")).encrypted_kms
    assert report.kinds() == {"k": OutcomeKind.SUCCESS}


async def test_source_classes_are_mapped_and_strange_ones_are_said() -> None:
    offered = frozenset({StoragePolicy.STANDARD, StoragePolicy.IA})
    source, destination, report = memory_store(), memory_store(storage_policies=offered), Report()
    classes = {
        "hot": "",
        "warm": "STANDARD_IA",
        "instant": "GLACIER_IR",
        "odd": "LUKEWARM",
        "cold": "GLACIER",
    }
    for key, name in classes.items():
        await fill(source, {key: b"data"}, storage_class=name)
    task = spec(storage_policy=StoragePolicy.SRC_STORAGE_MAPPING)
    assert await make_run(source, destination, report, task=task).run()
    stored = {key: (await destination.head(key)).storage_class for key in classes}
    assert stored == {"hot": "STANDARD", "warm": "IA", "instant": "IA", "odd": "STANDARD", "cold": "IA"}
    assert caveats(report) == {
        "odd": {Caveat.STORAGE_CLASS_UNKNOWN},
        "cold": {Caveat.STORAGE_CLASS_REPLACED},
    }


async def test_tags_travel_with_metadata_and_only_then() -> None:
    source = memory_store()
    await fill(source, OBJECTS, tags={"team": "a b", "x": ""})
    await fill(source, {"bare": b"1"})
    for task, expected in ((METADATA, {"team": "a b", "x": ""}), (spec(), {})):
        watched, destination, report = FaultyStore(source), memory_store(), Report()
        assert await make_run(watched, destination, report, task=task).run()
        assert {key: dict(await destination.tags(key)) for key in OBJECTS} == dict.fromkeys(OBJECTS, expected)
        assert watched.calls["tags"] == (len(OBJECTS) if expected else 0)
        assert not caveats(report)


@pytest.mark.parametrize(
    "kind", [StoreErrorKind.UNSUPPORTED, StoreErrorKind.UNAVAILABLE, StoreErrorKind.PERMISSION]
)
async def test_a_source_whose_tags_cannot_be_read_costs_no_object(kind: StoreErrorKind) -> None:
    inner, destination, report = memory_store(), memory_store(), Report()
    await fill(inner, {f"k{n}": b"data" for n in range(20)}, tags={"a": "b"})
    source = FaultyStore(inner, failing("tags", 1, lambda: StoreError(kind, "no"), times=999))
    assert await make_run(
        source, destination, report, task=METADATA, settings=replace(SETTINGS, copiers=1)
    ).run()
    assert caveats(report) == {f"k{n}": {Caveat.TAGS_NOT_READ} for n in range(20)}
    assert bodies(destination) == bodies(inner)
    # What the service lacks is asked for no more; a permission may be missing for one object alone, and trouble passes.
    each = SETTINGS.busy_attempts if kind is StoreErrorKind.UNAVAILABLE else 1
    assert source.calls["tags"] == (1 if kind is StoreErrorKind.UNSUPPORTED else 20 * each)


async def test_throttled_tags_are_waited_for_not_dropped() -> None:
    inner, destination, report = memory_store(), memory_store(), Report()
    await fill(inner, {"k": b"data"}, tags={"a": "b"})
    source = FaultyStore(
        inner, failing("tags", 1, lambda: StoreError(StoreErrorKind.THROTTLED, "slow down"), times=5)
    )
    assert await make_run(source, destination, report, task=METADATA).run()
    assert dict(await destination.tags("k")) == {"a": "b"}
    assert not caveats(report)


@pytest.mark.parametrize("size", SIZES)
async def test_a_destination_without_tags_takes_the_objects_without(size: str) -> None:
    @dataclass
    class NoTags:
        refused: int = 0

        async def __call__(self, name: str, number: int) -> None:
            if name in ("put", "create_upload") and self.options_had_tags():
                self.refused += 1
                raise StoreError(StoreErrorKind.UNSUPPORTED, "tagging is not implemented")

        def options_had_tags(self) -> bool:
            return self.refused == 0

    source, inner, report = memory_store(), memory_store(), Report()
    await fill(source, {"a": OBJECTS[size], "b": OBJECTS[size]}, tags={"a": "b"})
    destination = FaultyStore(inner, NoTags())
    assert await make_run(
        source, destination, report, task=METADATA, settings=replace(SETTINGS, copiers=1)
    ).run()
    assert bodies(inner) == bodies(source)
    assert caveats(report) == {key: {Caveat.TAGS_NOT_WRITTEN} for key in ("a", "b")}
    assert not await inner.tags("b")


async def test_a_destination_that_forgets_tags_is_found_out_with_the_first_object() -> None:
    class Forgetful(FaultyStore):
        async def put(self, key, body, size_bytes, options):  # type: ignore[no-untyped-def,override]
            return await super().put(key, body, size_bytes, replace(options, tags={}))

    source, inner, report = memory_store(), memory_store(), Report()
    await fill(source, {f"k{n}": b"data" for n in range(5)}, tags={"a": "b"})
    destination = Forgetful(inner)
    run = make_run(source, destination, report, task=METADATA, settings=replace(SETTINGS, copiers=1))
    assert await run.run()
    assert destination.calls["tags"] == 1
    assert caveats(report) == {f"k{n}": {Caveat.TAGS_NOT_WRITTEN} for n in range(5)}


async def test_metadata_that_is_changed_on_the_way_is_said() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {"odd": b"1"}, user_metadata={"plain": "ok", "not a token": "x"})
    await fill(source, {"foreign": b"1"}, user_metadata={"name": "Grüße"})
    assert await make_run(source, destination, report, task=METADATA).run()
    assert caveats(report) == {"odd": {Caveat.METADATA_DROPPED}, "foreign": {Caveat.METADATA_ENCODED}}


async def test_metadata_that_a_source_could_not_tell_is_said() -> None:
    class Mute(FaultyStore):
        async def read(self, key: str, **options: object) -> Reading:  # type: ignore[override]
            reading = await super().read(key, **options)  # type: ignore[arg-type]
            reading.head = replace(reading.head, untold_metadata_num=2)
            return reading

    inner = memory_store()
    await fill(inner, {"k": b"1"})
    for task, expected in ((METADATA, {"k": {Caveat.METADATA_DROPPED}}), (spec(), {})):
        report = Report()
        assert await make_run(Mute(inner), memory_store(), report, task=task).run()
        assert caveats(report) == expected


RESTORING = spec(restore_archived=True)


async def test_archived_objects_fail_unless_they_may_be_restored() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, OBJECTS)
    for key in OBJECTS:
        source.archive(key)
    watched, written = FaultyStore(source), FaultyStore(destination)
    assert await make_run(watched, written, report).run()
    assert report.codes() == dict.fromkeys(OBJECTS, "TRF.0160")
    assert "restore" in report.outcomes[0].reason
    assert (watched.calls["restore"], written.calls["create_upload"]) == (0, 0)


async def test_archived_objects_are_put_off_while_the_others_are_copied() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, OBJECTS | {f"k{n:02}": b"data" for n in range(30)})
    for key in OBJECTS:
        source.archive(key)
    assert await make_run(source, destination, report, task=RESTORING).run()
    assert sorted(report.deferred) == sorted(OBJECTS)
    assert (report.counters.listed_num, report.counters.successful_num) == (33, 30)
    again, later = Report(), keys_shard(report.deferred, restore_since_s=report.restore_since_s)
    watched = FaultyStore(source)
    assert await make_run(watched, destination, again, task=RESTORING, shard=later).run()
    assert (sorted(again.deferred), again.outcomes) == (sorted(OBJECTS), [])
    assert again.restore_since_s == report.restore_since_s
    assert (watched.calls["head"], watched.calls["read"], watched.calls["restore"]) == (3, 0, 0)
    source.finish_restores()
    last = Report()
    later = keys_shard(again.deferred, restore_since_s=again.restore_since_s)
    assert await make_run(source, destination, last, task=RESTORING, shard=later).run()
    assert bodies(destination) == bodies(source)
    assert (last.counters.successful_num, last.deferred) == (3, [])


async def test_deferred_keys_leave_in_few_large_batches() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    objects = {f"k{n:03}": b"data" for n in range(100)}
    await fill(source, objects)
    for key in objects:
        source.archive(key)
    settings = replace(SETTINGS, batch_objects=50, copiers=2)
    assert await make_run(source, destination, report, task=RESTORING, settings=settings).run()
    assert report.batch_sizes == [50, 50]


async def test_a_restore_that_lasts_too_long_and_one_that_is_refused_have_their_own_codes() -> None:
    source, destination = memory_store(), memory_store()
    await fill(source, {"late": b"1"})
    source.archive("late")
    await source.restore("late", days=1)
    late = Report()
    shard = keys_shard(["late"], restore_since_s=1.0)
    assert await make_run(source, destination, late, task=RESTORING, shard=shard).run()
    assert late.codes() == {"late": "TRF.0202"}
    assert (late.outcomes[0].size_bytes, late.counters.failed_size_bytes) == (1, 1)
    assert "restore_deadline_h" in late.outcomes[0].reason
    await fill(source, {"never": b"1"})
    source.archive("never")
    refused = Report()
    faulty = FaultyStore(
        source, failing("restore", 1, lambda: StoreError(StoreErrorKind.UNSUPPORTED, "no such call"), times=9)
    )
    shard = keys_shard(["never"])
    assert await make_run(faulty, destination, refused, task=RESTORING, shard=shard).run()
    assert refused.codes() == {"never": "TRF.0201"}


@pytest.mark.parametrize("call", ["head", "restore"])
async def test_trouble_while_a_restore_is_asked_for_is_sat_out(call: str) -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    await fill(source, {"k": b"1"})
    source.archive("k")
    faulty = FaultyStore(
        source, failing(call, 1, lambda: StoreError(StoreErrorKind.THROTTLED, "slow down"), times=3)
    )
    assert await make_run(faulty, destination, report, task=RESTORING).run()
    assert report.deferred == ["k"]
    assert faulty.calls["restore"] >= 1


async def test_a_drain_keeps_what_was_put_off() -> None:
    source, destination, report = memory_store(), memory_store(), Report()
    objects = {f"k{n:03}": b"data" for n in range(60)}
    await fill(source, objects)
    for key in objects:
        source.archive(key)

    async def before(name: str, number: int) -> None:
        if (name, number) == ("restore", 10):
            run.drain()

    watched = FaultyStore(source, before)
    run = make_run(watched, destination, report, task=RESTORING, settings=replace(SETTINGS, copiers=1))
    assert not await run.run()
    assert len(report.deferred) == report.checkpoint.position == report.counters.listed_num
    assert report.deferred == list(objects)[: report.checkpoint.position]


@pytest.mark.parametrize(
    ("age_s", "rest_s"), [(None, 300.0), (60, 300.0), (2400, 600.0), (3000, 750.0), (100_000, 900.0)]
)
def test_the_longer_a_restore_takes_the_rarer_it_is_asked_after(age_s: float | None, rest_s: float) -> None:
    since_s = 0.0 if age_s is None else 5000.0
    settings = replace(SETTINGS, restore_poll_s=300.0)
    context = make_context(
        memory_store(), memory_store(), Report(), settings=settings, restore_since_s=since_s
    )
    context.now_s = lambda: since_s + (age_s or 0.0)
    assert next_rest_s(context) == pytest.approx(rest_s)
    context.random01 = lambda: 0.0
    assert next_rest_s(context) == pytest.approx(0.8 * rest_s), "shards spread"
