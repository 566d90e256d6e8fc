"""What a notice is in SQL: its rows, and the writes that changes of it mean."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, fields

from omsd.domain.notices import Notice, NoticeFacts, NoticeId, NoticeKind, NoticeOwner, SmnInfo, parse_topic
from omsd.ports.notices import AddNotice, DropNotices
from omsd.ports.taskstore import CorruptRowError
from omsd.store.rows import Row, smn_from_json

_FACTS = frozenset(field.name for field in fields(NoticeFacts))
DUE, SENT, GIVEN_UP = "due", "sent", "failed"


def notice_writes(change: AddNotice | DropNotices) -> Sequence[tuple[str, Sequence[Row]]]:
    """In each case nothing older of the owner is shown any more."""
    owner = owner_row(change.owner)
    writes: list[tuple[str, Sequence[Row]]] = [
        ("drop_settled_notices", (owner,)),
        ("hide_due_notices", (owner,)),
    ]
    if isinstance(change, AddNotice):
        row: Row = {
            **owner,
            "config": json.dumps(asdict(change.config)),
            "facts": json.dumps(asdict(change.facts)),
        }
        writes.append(("add_notice", (row,)))
    return writes


def owner_row(owner: NoticeOwner) -> Row:
    """Whose notices a query is about."""
    return {"owner_kind": owner.kind.value, "owner_id": owner.owner_id}


def notice_from_row(row: sqlite3.Row) -> Notice:
    """Facts that another version of this program knew are left out. Raises CorruptRowError if the row cannot be read."""
    try:
        facts = {name: value for name, value in json.loads(row["facts"]).items() if name in _FACTS}
        return Notice(
            NoticeId(row["notice_id"]),
            NoticeOwner(NoticeKind(row["owner_kind"]), row["owner_id"]),
            smn_from_json(json.loads(row["config"])),
            NoticeFacts(**facts),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRowError(f"the stored row of notice {row['notice_id']} is damaged: {error}") from error


def info_from_row(row: sqlite3.Row) -> SmnInfo:
    """Raises CorruptRowError if the row cannot be read."""
    try:
        topic = parse_topic(json.loads(row["config"])["topic_urn"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRowError(f"the stored row of notice {row['notice_id']} is damaged: {error}") from error
    sent = row["state"] == SENT
    return SmnInfo(
        sent=sent,
        pending=row["state"] == DUE,
        error_code=row["error_code"],
        topic_name="" if sent else topic.name,
        detail=row["detail"],
    )
