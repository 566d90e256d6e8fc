"""One named object: which name is meant, what is gone, and changes that size and time do not show."""

from __future__ import annotations

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import Outcome, OutcomeKind, OverwriteMode
from omsd.domain.shards import OpenUpload
from omsd.drivers.memory import MemoryStore
from omsd.engine.single import SingleCopy, settings_for_events
from omsd.ports.objectstore import ObjectHead, PutOptions
from tests.engine.harness import SETTINGS, Report, bodies, fill, make_context, memory_store, spec


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


def quiet_store(clock: Clock) -> MemoryStore:
    """Publishes no CRC64, so that size and time are all there is."""
    return MemoryStore(now=clock, publishes_checksums=False)


async def copy(
    source: MemoryStore, destination: MemoryStore, *names: str, deletes: bool = False, **context: object
) -> Outcome:
    ctx = make_context(source, destination, Report(), settings=settings_for_events(SETTINGS), **context)  # type: ignore[arg-type]
    outcome = await SingleCopy(ctx, names, (), deletes=deletes).run()
    assert isinstance(outcome, Outcome)
    return outcome


async def test_the_first_name_that_exists_is_copied() -> None:
    source, destination = memory_store(), memory_store()
    await fill(source, {"a+b": b"plus", "x y": b"space", "x+y": b"plus"})
    assert (await copy(source, destination, "a b", "a+b")).key == "a+b"
    assert (await copy(source, destination, "x y", "x+y")).key == "x y"
    assert bodies(destination) == {"a+b": b"plus", "x y": b"space"}


@pytest.mark.parametrize("deletes", [False, True])
async def test_an_object_gone_at_the_source_is_skipped_or_deleted(deletes: bool) -> None:
    source, destination = memory_store(), memory_store()
    await fill(destination, {"gone": b"old", "other": b"stays"})
    outcome = await copy(source, destination, "gone", deletes=deletes)
    assert outcome.kind is (OutcomeKind.SUCCESS if deletes else OutcomeKind.SKIPPED)
    assert ("gone" in bodies(destination)) is not deletes
    assert (await copy(source, destination, "never", deletes=deletes)).kind is OutcomeKind.SKIPPED
    assert "other" in bodies(destination)


class Headless(MemoryStore):
    """An answer without a body cannot say that it is the bucket that is not there."""

    async def head(self, key: str) -> ObjectHead:
        try:
            return await super().head(key)
        except StoreError as error:
            raise StoreError(StoreErrorKind.NO_SUCH_KEY, error.message, status=404) from error


async def test_a_bucket_that_is_gone_deletes_nothing() -> None:
    source, destination = Headless(), memory_store()
    await fill(destination, {"a": b"1"})
    ctx = make_context(source, destination, Report(), settings=settings_for_events(SETTINGS))
    await ctx.learn()
    source.drop_bucket()
    outcome = await SingleCopy(ctx, ["a"], (), deletes=True).run()
    assert isinstance(outcome, Outcome)
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.FAILED, "TRF.0155")
    assert bodies(destination) == {"a": b"1"}


@pytest.mark.parametrize("redo_since_s", [None, 1_000_000.0])
async def test_a_change_within_the_second_of_the_copy_is_not_passed_over(redo_since_s: float | None) -> None:
    clock = Clock()
    source, destination = quiet_store(clock), quiet_store(clock)
    await fill(source, {"k": b"one"})
    assert (await copy(source, destination, "k")).kind is OutcomeKind.SUCCESS
    clock.now_s += 0.5
    await fill(source, {"k": b"two"})
    assert (await copy(source, destination, "k", redo_since_s=redo_since_s)).kind is OutcomeKind.SUCCESS
    assert bodies(destination) == {"k": b"two"}


async def test_what_is_proven_the_same_is_skipped() -> None:
    clock = Clock()
    source, destination = quiet_store(clock), quiet_store(clock)
    await fill(source, {"k": b"one"})
    await copy(source, destination, "k")
    again = await copy(source, destination, "k")
    assert again.kind is OutcomeKind.SKIPPED, "both give the same ETag"
    crc_source, crc_destination = memory_store(), memory_store()
    await fill(crc_source, {"k": b"one"})
    await copy(crc_source, crc_destination, "k")
    assert (await copy(crc_source, crc_destination, "k")).kind is OutcomeKind.SKIPPED


async def test_an_earlier_attempt_that_wrote_it_counts_as_success_once_it_is_proven() -> None:
    clock = Clock()
    source, destination = quiet_store(clock), quiet_store(clock)
    await fill(source, {"k": b"one"})
    await copy(source, destination, "k")
    outcome = await copy(source, destination, "k", redo_since_s=clock.now_s)
    assert outcome.kind is OutcomeKind.SUCCESS
    assert outcome.reason


async def test_what_must_not_be_overwritten_is_not() -> None:
    clock = Clock()
    source, destination = quiet_store(clock), quiet_store(clock)
    await fill(source, {"k": b"one"})
    await fill(destination, {"k": b"two"})
    task = spec(overwrite_mode=OverwriteMode.NO_OVERWRITE)
    assert (await copy(source, destination, "k", task=task)).kind is OutcomeKind.SKIPPED
    assert bodies(destination) == {"k": b"two"}


async def test_stale_uploads_are_aborted_first() -> None:
    source, destination = memory_store(), memory_store()
    await fill(source, {"k": b"1"})
    upload_id = await destination.create_upload("k", PutOptions())
    ctx = make_context(source, destination, Report())
    await SingleCopy(ctx, ["k"], [OpenUpload("k", upload_id)], deletes=False).run()
    assert not await destination.list_uploads()


async def test_a_missing_bucket_and_a_key_too_long_are_records_not_exceptions() -> None:
    source, destination = memory_store(), memory_store(max_key_bytes=5)
    await fill(source, {"too long": b"1"})
    assert (await copy(source, destination, "too long")).error_code == "TRF.0060"
    destination.drop_bucket()
    assert (await copy(source, destination, "k")).error_code == "TRF.0058"
