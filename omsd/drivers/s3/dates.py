"""The two ways S3 writes times, read cheaply: ISO 8601 in bodies, HTTP dates in headers."""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime
from functools import lru_cache

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}


# Objects written one after another share their second: a look-up costs 0.1 us, reading a date 2.6 us.
@lru_cache(maxsize=256)
def iso_to_unix_s(text: str) -> float:
    """Unix seconds of `2009-10-12T17:50:30.000Z`; no zone means UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


@lru_cache(maxsize=256)
def http_date_to_unix_s(text: str) -> float:
    """Unix seconds of `Mon, 12 Oct 2009 17:50:30 GMT`. Raises ValueError."""
    try:
        day, month, year = int(text[5:7]), _MONTHS[text[8:11]], int(text[12:16])
        hour, minute, second = int(text[17:19]), int(text[20:22]), int(text[23:25])
    except (KeyError, ValueError) as error:
        raise ValueError(f"not an HTTP date: {text!r}") from error
    return float(timegm((year, month, day, hour, minute, second)))
