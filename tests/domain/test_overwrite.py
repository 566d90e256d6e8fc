from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.model import OverwriteMode
from omsd.domain.overwrite import Action, decide
from omsd.ports.objectstore import Checksums, ListedObject

SIZE_TIME = OverwriteMode.SIZE_LAST_MODIFIED
MODES = list(OverwriteMode)


def listed(size: int, at: float) -> ListedObject:
    return ListedObject("key", size, at, "etag")


def action(
    source: ListedObject,
    target: ListedObject | None,
    mode: OverwriteMode,
    *,
    since: int = 0,
    redo: float | None = None,
    crc: tuple[Checksums, Checksums] | None = None,
) -> Action:
    source_crc, target_crc = crc if crc is not None else (None, None)
    decision = decide(
        source,
        target,
        mode,
        migrate_since_s=since,
        redo_since_s=redo,
        source_crc64=source_crc,
        target_crc64=target_crc,
    )
    assert decision.reason
    return decision.action


@pytest.mark.parametrize(
    ("target", "by_mode"),
    [
        # target: size, time against a source of 10 bytes at 100.0; actions: size+time, no, crc64, full
        (None, "COPY COPY COPY COPY"),
        ((10, 100.0), "SKIP SKIP NEED_CRC64 COPY"),
        ((10, 101.0), "SKIP SKIP NEED_CRC64 COPY"),
        ((10, 99.0), "COPY SKIP NEED_CRC64 COPY"),
        ((11, 100.0), "COPY SKIP COPY COPY"),
        ((11, 101.0), "COPY SKIP COPY COPY"),
        ((-1, 101.0), "COPY SKIP COPY COPY"),
    ],
)
def test_each_mode_against_each_kind_of_target(target: tuple[int, float] | None, by_mode: str) -> None:
    there = listed(*target) if target else None
    found = [action(listed(10, 100.0), there, mode).name for mode in MODES]
    assert found == by_mode.split()


@pytest.mark.parametrize(
    ("source_at", "target_at", "expected"),
    [
        (100.9, 100.0, Action.SKIP),  # a listing tells milliseconds, the other end whole seconds
        (100.0, 100.9, Action.SKIP),
        (101.0, 100.9, Action.COPY),
        (100.9, 101.0, Action.SKIP),
    ],
)
def test_times_are_compared_at_whole_seconds(source_at: float, target_at: float, expected: Action) -> None:
    assert action(listed(1, source_at), listed(1, target_at), SIZE_TIME) is expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", [None, listed(10, 50.0), listed(9, 500.0)])
def test_objects_older_than_migrate_since_are_skipped_in_every_mode(
    mode: OverwriteMode, target: ListedObject | None
) -> None:
    assert action(listed(10, 99.9), target, mode, since=100, redo=0.0) is Action.SKIP
    assert action(listed(10, 100.0), None, mode, since=100) is Action.COPY


XZ, OTHER_XZ = Checksums(crc64_xz=1), Checksums(crc64_xz=2)
NVME, BOTH, NONE = Checksums(crc64_nvme=1), Checksums(crc64_xz=1, crc64_nvme=1), Checksums()


@pytest.mark.parametrize(
    ("source_crc", "target_crc", "target_at", "expected"),
    [
        (XZ, XZ, 1.0, Action.SKIP),  # equal contents, however old
        (XZ, OTHER_XZ, 999.0, Action.COPY),
        (XZ, BOTH, 1.0, Action.SKIP),
        (BOTH, Checksums(crc64_xz=1, crc64_nvme=2), 999.0, Action.COPY),
        (NVME, NVME, 1.0, Action.SKIP),
        (XZ, NVME, 999.0, Action.SKIP),  # no kind in common: size and time
        (XZ, NVME, 1.0, Action.COPY),
        (NONE, XZ, 999.0, Action.SKIP),
        (NONE, NONE, 1.0, Action.COPY),
        (Checksums(crc64_xz=0), Checksums(crc64_xz=0), 1.0, Action.SKIP),
    ],
)
def test_crc64_mode_compares_values_of_one_kind_else_size_and_time(
    source_crc: Checksums, target_crc: Checksums, target_at: float, expected: Action
) -> None:
    source, target = listed(10, 100.0), listed(10, target_at)
    assert action(source, target, OverwriteMode.CRC64, crc=(source_crc, target_crc)) is expected


@pytest.mark.parametrize(
    ("target", "redo", "done"),
    [
        ((10, 205.0), 200.0, True),
        ((10, 200.0), 200.9, True),
        ((10, 198.0), 200.0, True),
        ((10, 197.9), 200.0, False),  # was there before the run
        ((9, 205.0), 200.0, False),
        ((10, 205.0), None, False),  # first attempt: nobody of ours wrote it
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_what_an_earlier_attempt_of_the_run_wrote_counts_as_done(
    mode: OverwriteMode, target: tuple[int, float], redo: float | None, done: bool
) -> None:
    found = action(listed(10, 100.0), listed(*target), mode, redo=redo, crc=(NONE, NONE))
    assert (found is Action.DONE) is done


def test_a_source_that_changed_after_the_earlier_attempt_is_not_done() -> None:
    assert action(listed(10, 300.0), listed(10, 205.0), SIZE_TIME, redo=200.0) is Action.COPY


def test_a_wrong_crc64_is_never_done() -> None:
    source, target = listed(10, 100.0), listed(10, 205.0)
    assert action(source, target, OverwriteMode.CRC64, redo=200.0, crc=(XZ, OTHER_XZ)) is Action.COPY
    assert action(source, target, OverwriteMode.CRC64, redo=200.0, crc=(XZ, XZ)) is Action.DONE


OBJECTS = st.builds(listed, st.integers(min_value=0, max_value=2), st.floats(min_value=0, max_value=5))


@given(OBJECTS, st.none() | OBJECTS, st.sampled_from(MODES), st.none() | st.floats(min_value=0, max_value=9))
def test_only_crc64_mode_asks_for_crc64_and_never_twice(
    source: ListedObject, target: ListedObject | None, mode: OverwriteMode, redo: float | None
) -> None:
    if action(source, target, mode, redo=redo) is Action.NEED_CRC64:
        assert mode is OverwriteMode.CRC64
    assert action(source, target, mode, redo=redo, crc=(NONE, NONE)) is not Action.NEED_CRC64
