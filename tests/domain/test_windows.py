from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.model import BandwidthWindow
from omsd.domain.windows import (
    format_minute,
    limit_at,
    limit_at_time,
    next_change,
    overlaps,
    parse_minute,
    seconds_to_change,
)

MINUTES = st.integers(min_value=0, max_value=1439)
WINDOWS = st.lists(
    st.builds(BandwidthWindow, MINUTES, MINUTES, st.integers(min_value=1, max_value=9)).filter(
        lambda window: window.start_minute != window.end_minute
    ),
    max_size=5,
)


def parse_window(start: str, end: str, limit: int) -> BandwidthWindow:
    return BandwidthWindow(parse_minute(start), parse_minute(end), limit)


def minutes_of(window: BandwidthWindow) -> set[int]:
    """Walk from the start minute by minute until the end comes: the rule without its arithmetic."""
    minutes = set()
    minute = window.start_minute
    while minute != window.end_minute:
        minutes.add(minute)
        minute = (minute + 1) % 1440
    if window.end_minute == 1439:
        minutes.add(1439)
    return minutes


@given(WINDOWS)
def test_the_limit_of_every_minute_of_the_day_is_that_of_the_window_around_it(
    windows: list[BandwidthWindow],
) -> None:
    covered = [minutes_of(window) for window in windows]
    for minute in range(1440):
        around = [w.limit_bytes_per_s for w, span in zip(windows, covered, strict=True) if minute in span]
        assert limit_at(windows, minute) == (around[0] if around else None)


@given(WINDOWS, MINUTES)
def test_between_now_and_the_next_change_the_limit_is_constant(
    windows: list[BandwidthWindow], minute: int
) -> None:
    wait = next_change(windows, minute)
    if wait is None:
        assert windows == []
        return
    assert 1 <= wait <= 1440
    assert {limit_at(windows, (minute + step) % 1440) for step in range(wait)} == {limit_at(windows, minute)}


@given(WINDOWS)
def test_overlap_is_a_shared_minute(windows: list[BandwidthWindow]) -> None:
    covered = [minutes_of(window) for window in windows]
    pairs = [(i, j) for j in range(len(windows)) for i in range(j) if covered[i] & covered[j]]
    found = overlaps(windows)
    assert found == (pairs[0] if pairs else None)


@pytest.mark.parametrize(
    ("start", "end", "minute", "inside"),
    [
        ("00:00", "23:59", 0, True),
        ("00:00", "23:59", 1439, True),
        ("08:00", "23:59", 1439, True),
        ("08:00", "23:58", 1438, False),
        ("08:00", "09:00", 540, False),
        ("08:00", "09:00", 539, True),
        ("22:00", "06:00", 1439, True),
        ("22:00", "06:00", 0, True),
        ("22:00", "06:00", 359, True),
        ("22:00", "06:00", 360, False),
        ("22:00", "06:00", 1319, False),
        ("22:00", "00:00", 1439, True),
        ("22:00", "00:00", 0, False),
        ("23:59", "00:00", 1439, True),
        ("23:59", "00:01", 0, True),
    ],
)
def test_edges_around_midnight(start: str, end: str, minute: int, inside: bool) -> None:
    windows = [parse_window(start, end, 7)]
    assert limit_at(windows, minute) == (7 if inside else None)


@pytest.mark.parametrize(
    "text", ["", "8:00", "24:00", "12:60", "12.30", " 12:30", "12:30\n", "12:3", "-1:00", "\uff11\uff12:30"]
)
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hh:mm"):
        parse_minute(text)


@given(MINUTES)
def test_times_come_back_as_written(minute: int) -> None:
    assert parse_minute(format_minute(minute)) == minute


@pytest.mark.parametrize(
    "start_utc",
    [datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC)],
    ids=["clocks forward", "clocks back"],
)
def test_a_sleeper_by_seconds_to_change_misses_no_change_on_days_the_clock_is_set(
    start_utc: datetime,
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    windows = [parse_window("02:30", "03:30", 5), parse_window("22:00", "01:00", 9)]
    wake = start_utc
    for second in range(0, 12 * 3600, 20):
        now = start_utc + timedelta(seconds=second)
        while wake <= now:
            held = limit_at_time(windows, wake.astimezone(berlin))
            wait = seconds_to_change(windows, wake.astimezone(berlin))
            assert wait is not None
            assert wait > 0
            wake += timedelta(seconds=wait)
        assert held == limit_at_time(windows, now.astimezone(berlin))


def test_without_windows_nothing_ever_changes() -> None:
    assert seconds_to_change([], datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert limit_at_time([], datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        limit_at_time([], datetime(2026, 1, 1))
