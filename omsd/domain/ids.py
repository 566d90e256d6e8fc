"""Task ids and task names; the clock comes in as an argument."""

from __future__ import annotations

from datetime import datetime

from omsd.domain.model import TaskId


def next_task_id(last: int, now_ms: int) -> TaskId:
    """A task id above the last one: 15 digits until the year 2286, so that callers with 53-bit numbers keep it.

    last: the highest id given so far, 0 if none. A clock set back does not repeat an id.
    """
    return TaskId(max(now_ms * 100, last + 1))


def task_name(src_bucket: str, dst_bucket: str, local: datetime, n: int) -> str:
    """The task's name: <src bucket>-<dst bucket>-<yyyyMMddHHmmssSSS>_<n>.

    local: creation in the configured zone. n: number among the tasks of that millisecond.
    """
    stamp = local.strftime("%Y%m%d%H%M%S")
    return f"{src_bucket}-{dst_bucket}-{stamp}{local.microsecond // 1000:03d}_{n}"
