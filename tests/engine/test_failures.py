"""Every kind of refusal at either end, given for good: its documented code on the object, or on the task if all are concerned."""

from __future__ import annotations

import pytest

from omsd.domain.errors import DECISIVE_KINDS, Side, StoreError, StoreErrorKind
from omsd.domain.model import OutcomeKind
from omsd.engine.context import ShardFailedError
from omsd.ports.objectstore import ObjectStore
from tests.domain.test_errors import CODES
from tests.engine.harness import KIB, Report, fill, make_run, memory_store
from tests.fakes.stores import FaultyStore

# Copied whole, streamed and in parts.
OBJECTS = {"a": b"1" * KIB, "b": b"2" * 10 * KIB, "c": b"3" * 40 * KIB}
CALLS = {
    Side.SOURCE: frozenset({"read"}),
    Side.DESTINATION: frozenset({"put", "create_upload", "put_part", "complete_upload"}),
}


def refusing(inner: ObjectStore, kind: StoreErrorKind, calls: frozenset[str]) -> FaultyStore:
    """The store, but it refuses these calls, and its bucket too if that is what the refusal is about."""
    certain = {StoreErrorKind.NO_SPACE, StoreErrorKind.FORBIDDEN_ADDRESS, StoreErrorKind.BALANCE}
    met = False

    async def before(name: str, number: int) -> None:
        nonlocal met
        asked_after = met and name == "check" and kind in DECISIVE_KINDS - certain
        if name in calls or asked_after:
            met = True
            raise StoreError(kind, f"{name} refused", provider_code="SomeCode")

    return FaultyStore(inner, before)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("kind", list(StoreErrorKind))
async def test_what_is_refused_for_good_ends_in_its_code(kind: StoreErrorKind, side: Side) -> None:
    inner, report = {end: memory_store() for end in Side}, Report()
    await fill(inner[Side.SOURCE], OBJECTS)
    ends = inner | {side: refusing(inner[side], kind, CALLS[side])}
    code = CODES[kind][side is Side.DESTINATION]
    run = make_run(ends[Side.SOURCE], ends[Side.DESTINATION], report)
    if kind in DECISIVE_KINDS and (kind, side) != (StoreErrorKind.ENCRYPTION, Side.SOURCE):
        with pytest.raises(ShardFailedError) as failed:
            await run.run()
        assert (failed.value.failure.code, failed.value.decisive) == (code, True)
        assert failed.value.failure.message.startswith(f"{side} ")
        return
    assert await run.run()
    assert report.codes() == dict.fromkeys(OBJECTS, code)
    assert {outcome.kind for outcome in report.outcomes} == {OutcomeKind.FAILED}
    assert all("; " in outcome.reason for outcome in report.outcomes), "what to do follows what happened"
    assert report.counters.failed_num == report.counters.listed_num == len(OBJECTS)
    assert not report.open_uploads
