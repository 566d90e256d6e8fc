"""Is what is at the destination now what the source held? Rules: API reference, consistency_check."""

from __future__ import annotations

from omsd.domain.model import ConsistencyCheck, Verdict
from omsd.domain.overwrite import ObjectFacts, PublishedCrc64, equal_crc64, is_newer


def verdict(
    method: ConsistencyCheck,
    source: ObjectFacts,
    target: ObjectFacts | None,
    *,
    source_crc64: PublishedCrc64 | None = None,
    target_crc64: PublishedCrc64 | None = None,
) -> Verdict:
    """The result of the check after a copy or for an object that was already there.

    target: None = not there. SIZE_LAST_MODIFIED: same size, and the destination not older than the source
    (equal seconds agree). CRC64: the values if both ends have one of one kind, else as above; a value
    computed from the streamed bytes is as good as a published one. NO_CHECK: as above, but UNKNOWN if the
    source does not tell its size, which callers count as success.
    """
    if target is None:
        return Verdict.MISMATCH
    if method is ConsistencyCheck.NO_CHECK and source.size_bytes < 0:
        return Verdict.UNKNOWN
    if source.size_bytes != target.size_bytes:
        return Verdict.MISMATCH
    if method is ConsistencyCheck.CRC64 and source_crc64 is not None and target_crc64 is not None:
        equal = equal_crc64(source_crc64, target_crc64)
        if equal is not None:
            return Verdict.MATCH if equal else Verdict.MISMATCH
    return Verdict.MISMATCH if is_newer(source, target) else Verdict.MATCH
