"""What each change means in SQL: the name of a query and the rows it is run with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from omsd.domain.quotas import DAY_MS
from omsd.ports.groupstore import (
    DropGroupCredentials,
    InsertGroup,
    PurgeGroups,
    PutGroupCredentials,
    UpdateGroup,
)
from omsd.ports.notices import AddNotice, DropNotices
from omsd.ports.taskchanges import (
    AddFailed,
    AddShards,
    AdvanceShard,
    Change,
    DeleteTask,
    DropCredentials,
    DropFailed,
    DropIntent,
    DropListPart,
    DropListParts,
    DropPlans,
    DropShards,
    DropSweep,
    DropUpload,
    DueSweep,
    EndSweep,
    FinishShard,
    InsertTask,
    LeaseShard,
    NarrowShard,
    NoteCreation,
    PutCredentials,
    PutIntent,
    PutListPart,
    PutParts,
    PutSweep,
    PutUpload,
    RekeySweep,
    TallyFailures,
    UpdateTask,
)
from omsd.store.grouprows import group_writes
from omsd.store.noticerows import notice_writes
from omsd.store.rows import Row, checkpoint_to_row, shard_to_row, task_to_row
from omsd.store.seal import Sealer
from omsd.store.uploadrows import sweep_writes, upload_writes

Write = tuple[str, list[Row]]


def plan_writes(changes: Sequence[Change], sealer: Sealer) -> Iterator[Write]:
    """Queries in the order of the changes; neighbours with the same query are joined."""
    name, rows = "", list[Row]()
    for change in changes:
        for next_name, next_rows in _writes_of(change, sealer):
            if next_name != name and rows:
                yield name, rows
                rows = []
            name = next_name
            rows.extend(next_rows)
    if rows:
        yield name, rows


def _writes_of(change: Change, sealer: Sealer) -> Sequence[tuple[str, Sequence[Row]]]:
    match change:
        case InsertTask():
            return (("insert_task", (task_to_row(change.task),)),)
        case UpdateTask():
            return (("update_task", (task_to_row(change.task),)),)
        case DeleteTask():
            row: Row = {"task_id": change.task_id}
            names = ("delete_task", "drop_unswept_uploads", "drop_unswept_intents", "drop_task_parts")
            return tuple((name, (row,)) for name in names)
        case PutCredentials():
            sealed = sealer.seal(change.task_id, change.credentials)
            return (("put_credentials", ({"task_id": change.task_id, "sealed": sealed},)),)
        case DropCredentials():
            return (("drop_credentials", ({"task_id": change.task_id},)),)
        case AddFailed() | DropFailed() | TallyFailures():
            return _failure_writes(change)
        case PutUpload() | DropUpload() | DropPlans() | PutParts() | PutIntent() | DropIntent():
            return upload_writes(change)
        case PutSweep() | RekeySweep() | DueSweep() | DropSweep() | EndSweep():
            return sweep_writes(change, sealer)
        case PutListPart() | DropListPart() | DropListParts():
            return (_list_write(change),)
        case AddNotice() | DropNotices() | NoteCreation():
            return _outside_writes(change)
        case InsertGroup() | UpdateGroup() | PurgeGroups() | PutGroupCredentials() | DropGroupCredentials():
            return (group_writes(change, sealer),)
        case _:
            return _shard_writes(change)


def _shard_writes(
    change: AddShards | LeaseShard | AdvanceShard | NarrowShard | FinishShard | DropShards,
) -> Sequence[tuple[str, Sequence[Row]]]:
    match change:
        case AddShards():
            return (
                (
                    "add_shard",
                    [
                        {**shard_to_row(shard), "already_listed": int(change.already_listed)}
                        for shard in change.shards
                    ],
                ),
            )
        case LeaseShard():
            return (("lease_shard", ({"shard_id": change.shard_id, "attempt": change.attempt},)),)
        case AdvanceShard():
            return (("advance_shard", (checkpoint_to_row(change.shard_id, change.checkpoint),)),)
        case NarrowShard():
            return (("narrow_shard", (shard_to_row(change.shard),)),)
        case FinishShard():
            return (("finish_shard", ({"shard_id": change.shard_id},)),)
        case DropShards():
            return (("drop_shards", ({"task_id": change.task_id},)),)


def _failure_writes(change: AddFailed | DropFailed | TallyFailures) -> Sequence[tuple[str, Sequence[Row]]]:
    task: Row = {"task_id": change.task_id}
    match change:
        case AddFailed():
            rows = [
                {
                    **task,
                    "run": change.run,
                    "key": failed.key,
                    "size_bytes": failed.size_bytes,
                    "code": failed.code,
                    "message": failed.message,
                }
                for failed in change.objects
            ]
            return (("add_failed", rows),)
        case DropFailed():
            return (("drop_failed", (task,)), ("drop_tally", (task,)))
        case TallyFailures():
            row = {**task, "code": change.code, "failed_num": change.failed_num, "message": change.message}
            return (("tally_failures", (row,)),)


def _outside_writes(change: AddNotice | DropNotices | NoteCreation) -> Sequence[tuple[str, Sequence[Row]]]:
    """Rows that outlive the task they were written for."""
    if not isinstance(change, NoteCreation):
        return notice_writes(change)
    row: Row = {
        "project_id": change.project_id,
        "kind": change.kind.value,
        "created_ms": change.created_ms,
    }
    before: Row = {"before_ms": change.created_ms - DAY_MS}
    return (("prune_creations", (before,)), ("add_creation", (row,)))


def _list_write(change: PutListPart | DropListPart | DropListParts) -> tuple[str, Sequence[Row]]:
    match change:
        case PutListPart():
            return "put_list_part", ({"task_id": change.task_id, **asdict(change.part)},)
        case DropListPart():
            row: Row = {"task_id": change.task_id, "kind": change.kind.value, "number": change.number}
            return "drop_list_part", (row,)
        case DropListParts():
            return "drop_list_parts", ({"task_id": change.task_id, "kind": change.kind or ""},)
