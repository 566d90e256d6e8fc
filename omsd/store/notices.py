"""Notices in the file of a task store."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from omsd.domain.notices import Notice, NoticeId, NoticeOwner, SmnInfo
from omsd.ports.taskstore import CorruptRowError
from omsd.store.noticerows import GIVEN_UP, SENT, info_from_row, notice_from_row, owner_row
from omsd.store.rows import Row
from omsd.store.sqlite import SqliteTaskStore
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)
_DAMAGED = "OMS.0159"


class SqliteNoticeStore:
    """NoticeStore on the connections of a task store."""

    def __init__(self, store: SqliteTaskStore) -> None:
        self._store = store

    async def due_notices(self, after: NoticeId, limit: int) -> tuple[Notice, ...]:
        """Those that are neither sent nor given up, oldest first, behind one. One that cannot be read is given up."""
        found: list[Notice] = []
        while not found:
            rows = await self._store.read("due_notices", {"after": after, "limit": limit})
            if not rows:
                break
            for row in rows:
                after = NoticeId(row["notice_id"])
                try:
                    found.append(notice_from_row(row))
                except CorruptRowError as error:
                    _log.error("notice_damaged", notice_id=after, error=error.message)
                    await self.settle_notice(after, error_code=_DAMAGED, detail=error.message)
        return tuple(found)

    async def settle_notice(self, notice_id: NoticeId, *, error_code: str = "", detail: str = "") -> None:
        """It is sent, or given up with this code. Durable when this returns."""
        row: Row = {
            "notice_id": notice_id,
            "state": GIVEN_UP if error_code else SENT,
            "error_code": error_code,
            "detail": detail,
        }
        await self._store.write(
            (("settle_notice", [row]), ("drop_hidden_notice", [{"notice_id": notice_id}]))
        )

    async def smn_infos(self, owners: Collection[NoticeOwner]) -> Mapping[NoticeOwner, SmnInfo]:
        """What became of the latest notice of each owner that has one."""
        found: dict[NoticeOwner, SmnInfo] = {}
        for owner in owners:
            for row in await self._store.read("latest_notice", owner_row(owner)):
                found[owner] = info_from_row(row)
        return found
