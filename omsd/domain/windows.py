"""Bandwidth windows: what the limit is at a local time of day, and when it may change.

Only the local hh:mm counts, so a day of 23 or 25 hours needs no rule of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from omsd.domain.model import BandwidthWindow

MINUTES_PER_DAY = 1440
_LAST_MINUTE = MINUTES_PER_DAY - 1
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def parse_minute(text: str) -> int:
    """The minute of the day of an "hh:mm" from 00:00 to 23:59. Raises ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("a time as hh:mm from 00:00 to 23:59 was expected")
    return int(match[1]) * 60 + int(match[2])


def format_minute(minute: int) -> str:
    """The "hh:mm" of a minute of the day."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def limit_at(windows: Sequence[BandwidthWindow], minute_of_day: int) -> int | None:
    """The limit in bytes per second in this minute of the local day, None if no window covers it."""
    for window in windows:
        if any(minute_of_day in span for span in _spans(window)):
            return window.limit_bytes_per_s
    return None


def next_change(windows: Sequence[BandwidthWindow], minute_of_day: int) -> int | None:
    """Minutes (1..1440) until the limit may change, None if it never does."""
    edges = [edge for window in windows for span in _spans(window) for edge in (span.start, span.stop)]
    if not edges:
        return None
    return min((edge - minute_of_day - 1) % MINUTES_PER_DAY + 1 for edge in edges)


def limit_at_time(windows: Sequence[BandwidthWindow], local: datetime) -> int | None:
    """The limit at a moment, given as an aware datetime in the zone the windows are meant in."""
    return limit_at(windows, _minute_of(local))


def seconds_to_change(windows: Sequence[BandwidthWindow], local: datetime) -> float | None:
    """Seconds after which the limit must be looked up again, None if it never changes.

    Never beyond the next full hour: clocks are set at full hours, and then the time of day jumps.
    """
    minutes = next_change(windows, _minute_of(local))
    if minutes is None:
        return None
    minutes = min(minutes, 60 - local.minute)
    return minutes * 60 - local.second - local.microsecond / 1e6


def overlaps(windows: Sequence[BandwidthWindow]) -> tuple[int, int] | None:
    """The positions of the first two windows that share a minute, None if there are none."""
    for later, window in enumerate(windows):
        for earlier in range(later):
            if _share_a_minute(windows[earlier], window):
                return earlier, later
    return None


def _minute_of(local: datetime) -> int:
    if local.tzinfo is None:
        raise ValueError("an aware datetime in the zone of the windows was expected")
    return local.hour * 60 + local.minute


def _spans(window: BandwidthWindow) -> Iterator[range]:
    end = MINUTES_PER_DAY if window.end_minute == _LAST_MINUTE else window.end_minute
    if window.start_minute < end:
        yield range(window.start_minute, end)
        return
    yield range(window.start_minute, MINUTES_PER_DAY)
    if end:
        yield range(end)


def _share_a_minute(one: BandwidthWindow, other: BandwidthWindow) -> bool:
    return any(a.start < b.stop and b.start < a.stop for a in _spans(one) for b in _spans(other))
