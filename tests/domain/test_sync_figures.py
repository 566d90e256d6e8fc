"""Figures: by interval, by month on the clocks of a zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.sync_figures import (
    FINE_SPAN_MS,
    FIVE_MINUTES_MS,
    DataType,
    Figures,
    Interval,
    TimedFigures,
    gather,
    interval_for,
    interval_start,
    month_span,
)

HOUR_MS = 3_600_000


def ms(*moment: int, zone: object = UTC) -> int:
    return int(datetime(*moment, tzinfo=zone).timestamp() * 1000)  # type: ignore[misc, arg-type]


def test_a_day_is_shown_in_five_minutes_and_more_in_hours() -> None:
    assert interval_for(0, FINE_SPAN_MS) is Interval.FIVE_MINUTES
    assert interval_for(0, FINE_SPAN_MS + 1) is Interval.ONE_HOUR


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 9), st.integers(0, 9))),
    st.sampled_from(Interval),
)
def test_gathering_keeps_every_figure_in_the_interval_it_happened_in(
    happened: list[tuple[int, int, int]], interval: Interval
) -> None:
    fine = [
        TimedFigures(interval_start(at_ms, FIVE_MINUTES_MS), Figures(request_num=asked, size_bytes=size))
        for at_ms, asked, size in happened
    ]
    gathered = gather(fine, interval)
    starts = [timed.start_ms for timed in gathered]
    assert starts == sorted(set(starts))
    for timed in gathered:
        inside = [
            (asked, size)
            for at_ms, asked, size in happened
            if timed.start_ms <= at_ms < timed.start_ms + interval.length_ms
        ]
        assert timed.figures.of(DataType.REQUEST) == sum(asked for asked, _ in inside)
        assert timed.figures.of(DataType.SIZE) == sum(size for _, size in inside)
    assert sum(timed.figures.request_num for timed in gathered) == sum(asked for _, asked, _ in happened)


def test_each_type_is_its_own_figure() -> None:
    figures = Figures(1, 2, 3, 4, 5)
    assert [figures.of(kind) for kind in DataType] == [1, 2, 3, 4, 5]
    assert figures.plus(figures) == Figures(2, 4, 6, 8, 10)


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        ("UTC", (2026, 2, 28, 23, 59), (2026, 2, 1), (2026, 3, 1)),
        ("UTC", (2026, 12, 31), (2026, 12, 1), (2027, 1, 1)),
        ("Asia/Shanghai", (2026, 5, 1), (2026, 5, 1), (2026, 6, 1)),
        ("Europe/Berlin", (2026, 3, 31), (2026, 3, 1), (2026, 4, 1)),
        ("America/New_York", (2026, 11, 1), (2026, 11, 1), (2026, 12, 1)),
    ],
)
def test_a_month_begins_and_ends_on_the_clocks_of_the_zone(
    zone: str, at: tuple[int, ...], start: tuple[int, ...], end: tuple[int, ...]
) -> None:
    here = ZoneInfo(zone)
    assert month_span(ms(*at, zone=here), here) == (ms(*start, zone=here), ms(*end, zone=here))


def test_a_month_with_a_clock_change_is_an_hour_shorter() -> None:
    start, end = month_span(ms(2026, 3, 15), ZoneInfo("Europe/Berlin"))
    assert end - start == (31 * 24 - 1) * HOUR_MS
