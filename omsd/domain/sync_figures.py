"""Figures of synchronization tasks: kept in intervals of five minutes, shown by interval or by month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum

FIVE_MINUTES_MS = 5 * 60 * 1000
ONE_HOUR_MS = 60 * 60 * 1000
# Spans up to a day are shown in five minutes, longer ones in hours; more than 1,000 intervals are not shown.
FINE_SPAN_MS = 24 * ONE_HOUR_MS
LONGEST_SPAN_MS = 1000 * ONE_HOUR_MS


class DataType(StrEnum):
    """What can be asked for."""

    REQUEST = "REQUEST"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    SKIP = "SKIP"
    SIZE = "SIZE"


class Interval(StrEnum):
    """What figures are summed up over."""

    FIVE_MINUTES = "FIVE_MINUTES"
    ONE_HOUR = "ONE_HOUR"

    @property
    def length_ms(self) -> int:
        """Its length."""
        return FIVE_MINUTES_MS if self is Interval.FIVE_MINUTES else ONE_HOUR_MS


@dataclass(frozen=True, slots=True)
class Figures:
    """Objects asked for, and what became of them; a repeat of a queued event counts as skipped. size_bytes: of the successful."""

    request_num: int = 0
    success_num: int = 0
    failure_num: int = 0
    skip_num: int = 0
    size_bytes: int = 0

    def plus(self, other: Figures) -> Figures:
        """The sum, field by field."""
        return Figures(
            self.request_num + other.request_num,
            self.success_num + other.success_num,
            self.failure_num + other.failure_num,
            self.skip_num + other.skip_num,
            self.size_bytes + other.size_bytes,
        )

    def of(self, kind: DataType) -> int:
        """The figure of one type."""
        match kind:
            case DataType.REQUEST:
                return self.request_num
            case DataType.SUCCESS:
                return self.success_num
            case DataType.FAILURE:
                return self.failure_num
            case DataType.SKIP:
                return self.skip_num
            case DataType.SIZE:
                return self.size_bytes


@dataclass(frozen=True, slots=True)
class TimedFigures:
    """The figures of the interval that begins at start_ms."""

    start_ms: int
    figures: Figures


def interval_start(at_ms: int, length_ms: int) -> int:
    """The start of the interval a moment is in."""
    return at_ms // length_ms * length_ms


def interval_for(start_ms: int, end_ms: int) -> Interval:
    """In which intervals a span is shown."""
    return Interval.FIVE_MINUTES if end_ms - start_ms <= FINE_SPAN_MS else Interval.ONE_HOUR


def gather(fine: Iterable[TimedFigures], interval: Interval) -> tuple[TimedFigures, ...]:
    """Figures summed up by interval, oldest first."""
    sums: dict[int, Figures] = {}
    for timed in fine:
        start_ms = interval_start(timed.start_ms, interval.length_ms)
        sums[start_ms] = sums.get(start_ms, Figures()).plus(timed.figures)
    return tuple(TimedFigures(start_ms, sums[start_ms]) for start_ms in sorted(sums))


def month_span(at_ms: int, zone: tzinfo) -> tuple[int, int]:
    """Start and end of the month a moment is in, on the clocks of the zone. Raises ValueError, OverflowError far from now."""
    moment = datetime.fromtimestamp(at_ms / 1000, zone)
    start = datetime(moment.year, moment.month, 1, tzinfo=zone)
    years, month = divmod(moment.month, 12)
    end = datetime(moment.year + years, month + 1, 1, tzinfo=zone)
    return _to_ms(start), _to_ms(end)


def _to_ms(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp()) * 1000
