"""The documented limits of the fields of synchronization tasks, as data beside their names. Source: API reference 5.3 and 3."""

from __future__ import annotations

from types import MappingProxyType

from omsd.service.limits import DESCRIPTION_LIMITS, LONG_MAX, Count, Limits, Number, Text
from omsd.service.requests import Dialect

MAX_EVENTS = 100
# Until 9999-11-30: the month that follows is still in the calendar, in every zone.
_LAST_MS = 253_399_535_999_999

# The ends are checked as those of a migration task; the description has the characters of V1.
CREATE_SYNC_LIMITS: Limits = DESCRIPTION_LIMITS[Dialect.V1]
LIST_SYNC_LIMITS: Limits = MappingProxyType(
    {
        "limit": Number(1, 100, code="OMS.0051"),
        "offset": Number(0, 2_147_483_647, code="OMS.0051"),
    }
)
MONTH_LIMITS: Limits = MappingProxyType({"": Number(0, _LAST_MS)})
STATISTICS_LIMITS: Limits = MappingProxyType(
    {"start_time": Number(0, LONG_MAX), "end_time": Number(0, LONG_MAX)}
)
EVENT_LIMITS: Limits = MappingProxyType({"": Count(MAX_EVENTS), "[]": Text(16_384, minimum=1)})
