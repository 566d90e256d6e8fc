"""The final records of objects, as batches and object lists have them."""

from __future__ import annotations

from functools import partial

from omsd.domain.caveats import Caveat
from omsd.domain.errors import Failure
from omsd.domain.model import CrcOrigin, Outcome, OutcomeKind, Verdict
from omsd.domain.overwrite import Action
from omsd.ports.objectstore import Checksums, ListedObject, ObjectHead

# As plain numbers: arithmetic of flags costs a microsecond per object.
_PUBLISHED, _STREAMED, _STORED = map(int, (CrcOrigin.SOURCE, CrcOrigin.STREAM, CrcOrigin.DESTINATION))
_SUCCEEDED, _SKIPPED, _SKIP, _DONE = OutcomeKind.SUCCESS, OutcomeKind.SKIPPED, Action.SKIP, Action.DONE
_MATCH, _UNKNOWN = Verdict.MATCH, Verdict.UNKNOWN
_make_outcome = partial(tuple.__new__, Outcome)


def record_of(listed: ListedObject, action: Action, reason: str, *, encrypts: bool = False) -> Outcome | None:
    """The record of an object that is not copied; None if it is to be copied.

    encrypts: what an earlier attempt wrote is written again, nobody has seen whether it is encrypted.
    """
    if action is _SKIP:
        return skipped_of(listed, reason)
    if action is _DONE and not encrypts:
        return Outcome(
            listed.key,
            listed.size_bytes,
            _SUCCEEDED,
            listed.last_modified_s,
            _MATCH,
            reason=reason,
        )
    return None


def skipped_of(listed: ListedObject, reason: str) -> Outcome:
    """The record of an object that is skipped. Made as the tuple it is: 0.2 us less, and a no-change pass makes nothing else."""
    return _make_outcome((listed[0], listed[1], _SKIPPED, listed[2], _UNKNOWN, -1, -1, "", reason, 0, 0, ()))


def success_of(
    listed: ListedObject, size_bytes: int, head: ObjectHead, sums: Checksums, stored: Checksums
) -> Outcome:
    """The record of an object that is proven to be there. sums: of the bytes that went through us; stored: what the destination says."""
    xz, xz_from = _told(sums.crc64_xz, head.checksums.crc64_xz, stored.crc64_xz)
    nvme, nvme_from = _told(sums.crc64_nvme, head.checksums.crc64_nvme, stored.crc64_nvme)
    return Outcome(
        listed.key,
        size_bytes,
        _SUCCEEDED,
        head.last_modified_s,
        _MATCH,
        xz,
        nvme,
        crc64_xz_from=xz_from,
        crc64_nvme_from=nvme_from,
    )


def _told(streamed: int | None, published: int | None, stored: int | None) -> tuple[int, int]:
    """The CRC64 and who told it; only values that agree come this far."""
    value, origins = -1, 0
    for told, origin in ((stored, _STORED), (published, _PUBLISHED), (streamed, _STREAMED)):
        if told is not None:
            value, origins = told, origins | origin
    return value, origins


def with_caveats(outcome: Outcome, caveats: tuple[Caveat, ...]) -> Outcome:
    """The record of a migrated object says what was not taken along; any other stays as it is."""
    if outcome.kind is not _SUCCEEDED:
        return outcome
    return outcome._replace(caveats=tuple(sorted(set(caveats))))


def failed_of(key: str, listed: ListedObject | None, failure: Failure) -> Outcome:
    """The record of an object that is not at the destination. listed: None if nothing but its key is known."""
    return Outcome(
        key,
        listed.size_bytes if listed is not None else 0,
        OutcomeKind.FAILED,
        listed.last_modified_s if listed is not None else 0.0,
        error_code=failure.code,
        reason=failure.message,
    )


def changing(restarts: int) -> Failure:
    """Why an object is given up that changes under way."""
    return Failure(
        "TRF.0157",
        f"the source object changed {restarts} times while it was copied; retry when it is at rest",
    )
