from __future__ import annotations

import pytest

from omsd.domain.consistency import verdict
from omsd.domain.model import ConsistencyCheck, Verdict
from omsd.ports.objectstore import Checksums, ListedObject

METHODS = [ConsistencyCheck.SIZE_LAST_MODIFIED, ConsistencyCheck.CRC64, ConsistencyCheck.NO_CHECK]


def listed(size: int, at: float) -> ListedObject:
    return ListedObject("key", size, at, "etag")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ((10, 101.0), Verdict.MATCH),
        ((10, 100.0), Verdict.MATCH),  # equal times agree
        ((10, 99.0), Verdict.MISMATCH),
        ((11, 101.0), Verdict.MISMATCH),
        (None, Verdict.MISMATCH),
    ],
)
def test_without_crc64_every_method_goes_by_size_and_time(
    method: ConsistencyCheck, target: tuple[int, float] | None, expected: Verdict
) -> None:
    there = listed(*target) if target else None
    found = verdict(method, listed(10, 100.9), there, source_crc64=Checksums(), target_crc64=Checksums())
    assert found is expected
    assert verdict(method, listed(10, 100.9), there) is expected


@pytest.mark.parametrize(
    ("source_crc", "target_crc", "expected"),
    [
        (Checksums(crc64_xz=1), Checksums(crc64_xz=1), Verdict.MATCH),
        (Checksums(crc64_xz=1), Checksums(crc64_xz=2), Verdict.MISMATCH),
        (Checksums(crc64_xz=1, crc64_nvme=3), Checksums(crc64_nvme=3), Verdict.MATCH),
        (
            Checksums(crc64_xz=1),
            Checksums(crc64_nvme=1),
            Verdict.MISMATCH,
        ),  # size and time: the target is older
    ],
)
def test_crc64_compares_values_of_one_kind_whatever_the_times(
    source_crc: Checksums, target_crc: Checksums, expected: Verdict
) -> None:
    found = verdict(
        ConsistencyCheck.CRC64,
        listed(10, 100.0),
        listed(10, 1.0),
        source_crc64=source_crc,
        target_crc64=target_crc,
    )
    assert found is expected


def test_equal_crc64_of_different_sizes_is_a_mismatch() -> None:
    crc = Checksums(crc64_xz=1)
    found = verdict(
        ConsistencyCheck.CRC64, listed(10, 1.0), listed(11, 2.0), source_crc64=crc, target_crc64=crc
    )
    assert found is Verdict.MISMATCH


def test_size_last_modified_ignores_crc64() -> None:
    found = verdict(
        ConsistencyCheck.SIZE_LAST_MODIFIED,
        listed(10, 1.0),
        listed(10, 2.0),
        source_crc64=Checksums(crc64_xz=1),
        target_crc64=Checksums(crc64_xz=2),
    )
    assert found is Verdict.MATCH


def test_no_check_of_a_source_without_a_size_is_unknown() -> None:
    assert verdict(ConsistencyCheck.NO_CHECK, listed(-1, 1.0), listed(10, 2.0)) is Verdict.UNKNOWN
