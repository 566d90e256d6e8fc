"""The documented limits of the fields of task groups, as data beside their names. Source: API reference, 5.4 and 3."""

from __future__ import annotations

from types import MappingProxyType

from omsd.service.limits import CREATE_LIMITS, START_LIMITS, Limits, Number, Text

# The same limits as those of a task, where a group has the field.
CREATE_GROUP_LIMITS: Limits = MappingProxyType(
    {path: limit for path, limit in CREATE_LIMITS.items() if path != "thread_num"}
)
START_GROUP_LIMITS = START_LIMITS

LIST_GROUP_LIMITS: Limits = MappingProxyType(
    {
        "limit": Number(1, 100, code="OMS.0051"),
        "offset": Number(0, 2_147_483_647, code="OMS.0051"),
        "status": Number(0, 9, code="OMS.0052"),
    }
)

GROUP_ID_LIMITS: Limits = MappingProxyType({"": Text(1024)})
