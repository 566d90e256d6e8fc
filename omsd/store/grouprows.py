"""Rows of task groups to domain values and back."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict

from omsd.domain.group import Goal, GroupNumber, GroupState, PlanPosition, TaskGroup
from omsd.domain.model import BandwidthWindow, GroupId, TaskId
from omsd.ports.groupstore import (
    DropGroupCredentials,
    GroupChange,
    InsertGroup,
    PurgeGroups,
    PutGroupCredentials,
    UpdateGroup,
)
from omsd.ports.taskstore import CorruptRowError
from omsd.store.rows import Row, spec_from_json, spec_to_json
from omsd.store.seal import Sealer

# Columns that have the name and the type of the field.
_PLAIN_NAMES = (
    "project_id",
    "created_ms",
    "request_id",
    "request_fingerprint",
    "started_ms",
    "ended_ms",
    "active_ms",
    "active_since_ms",
    "error_code",
    "error_message",
)


def group_writes(change: GroupChange, sealer: Sealer) -> tuple[str, list[Row]]:
    """The query that a change means, and its rows."""
    match change:
        case InsertGroup(group):
            return "insert_group", [group_to_row(group)]
        case UpdateGroup(group):
            return "update_group", [group_to_row(group)]
        case PurgeGroups(project_id, created_before_ms):
            return "purge_groups", [{"project_id": project_id, "created_before_ms": created_before_ms}]
        case PutGroupCredentials(group, credentials):
            sealed = sealer.seal(group.seal_id, credentials)
            return "put_group_credentials", [{"number": group.number, "sealed": sealed}]
        case DropGroupCredentials(number):
            return "drop_group_credentials", [{"number": number}]


def group_to_row(group: TaskGroup) -> Row:
    """All columns of task_groups."""
    return {name: getattr(group, name) for name in _PLAIN_NAMES} | {
        "number": group.number,
        "group_id": group.group_id,
        "spec": spec_to_json(group.spec),
        "state": int(group.state),
        "windows": json.dumps([[w.start_minute, w.end_minute, w.limit_bytes_per_s] for w in group.windows]),
        "position": json.dumps(asdict(group.position)),
        "goal": group.goal.value,
        "goal_after": group.goal_after,
    }


def group_from_row(row: sqlite3.Row) -> TaskGroup:
    """Raises CorruptRowError if the row cannot be read."""
    try:
        return TaskGroup(
            group_id=GroupId(row["group_id"]),
            number=GroupNumber(row["number"]),
            spec=spec_from_json(row["spec"]),
            state=GroupState(row["state"]),
            windows=tuple(BandwidthWindow(*window) for window in json.loads(row["windows"])),
            position=PlanPosition(**json.loads(row["position"])),
            goal=Goal(row["goal"]),
            goal_after=TaskId(row["goal_after"]),
            **{name: row[name] for name in _PLAIN_NAMES},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRowError(
            f"the stored row of task group {row['group_id']} is damaged: {error}"
        ) from error
