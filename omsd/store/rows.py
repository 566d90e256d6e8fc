"""Rows to domain values and back, and the fingerprints that tell a damaged row from a good one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import xxhash

from omsd.domain.caveats import Caveat
from omsd.domain.model import (
    BandwidthWindow,
    CloudType,
    ConsistencyCheck,
    Counters,
    ListFileRef,
    ListRecords,
    Location,
    OverwriteMode,
    Priority,
    ShardId,
    StoragePolicy,
    Task,
    TaskId,
    TaskSpec,
    TaskState,
    TaskType,
)
from omsd.domain.notices import NoticeLanguage, SmnConfig, Trigger
from omsd.domain.shards import Checkpoint, LargeObject, ManifestSpan, Shard, ShardKind
from omsd.ports.taskstore import CorruptRowError

Value = str | int | float | bytes | None
Row = Mapping[str, Value]

_COUNTER_NAMES = tuple(field.name for field in fields(Counters))
# Columns that have the name and the type of the field.
_PLAIN_TASK_NAMES = (
    "project_id",
    "name",
    "created_ms",
    "request_id",
    "request_fingerprint",
    "run",
    "started_ms",
    "ended_ms",
    "active_ms",
    "active_since_ms",
    "error_code",
    "error_message",
    "parts_size_bytes",
    "group_id",
    "expected_num",
    "expected_size_bytes",
)


def task_to_row(task: Task) -> Row:
    """All columns of tasks."""
    row: dict[str, Value] = {name: getattr(task, name) for name in _PLAIN_TASK_NAMES}
    row |= {name: getattr(task.counters, name) for name in _COUNTER_NAMES}
    return row | {
        "task_id": task.task_id,
        "spec": spec_to_json(task.spec),
        "state": int(task.state),
        "priority": task.priority.value,
        "windows": json.dumps([[w.start_minute, w.end_minute, w.limit_bytes_per_s] for w in task.windows]),
        "listing_over": int(task.listing_over),
        "planned": int(task.planned),
        "lists": json.dumps(asdict(task.lists)),
        "caveats": json.dumps(dict(task.caveats)),
    }


def task_from_row(row: sqlite3.Row) -> Task:
    """Raises CorruptRowError if the row cannot be read."""
    try:
        return Task(
            task_id=TaskId(row["task_id"]),
            spec=spec_from_json(row["spec"]),
            state=TaskState(row["state"]),
            priority=Priority(row["priority"]),
            windows=tuple(BandwidthWindow(*window) for window in json.loads(row["windows"])),
            listing_over=bool(row["listing_over"]),
            planned=bool(row["planned"]),
            counters=Counters(*(row[name] for name in _COUNTER_NAMES)),
            lists=ListRecords(**json.loads(row["lists"])),
            caveats=tuple((Caveat(name), num) for name, num in json.loads(row["caveats"]).items()),
            **{name: row[name] for name in _PLAIN_TASK_NAMES},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRowError(f"the stored row of task {row['task_id']} is damaged: {error}") from error


def spec_to_json(spec: TaskSpec) -> str:
    """What spec_from_json() reads."""
    return json.dumps(asdict(spec))


def spec_from_json(text: str) -> TaskSpec:
    """Raises ValueError, KeyError or TypeError if it is damaged."""
    raw = json.loads(text)
    raw["source"] = _location(raw["source"])
    raw["destination"] = _location(raw["destination"])
    raw["task_type"] = TaskType(raw["task_type"])
    raw["object_keys"] = tuple(raw["object_keys"])
    raw["overwrite_mode"] = OverwriteMode(raw["overwrite_mode"])
    raw["consistency_check"] = ConsistencyCheck(raw["consistency_check"])
    raw["storage_policy"] = StoragePolicy(raw["storage_policy"])
    raw["list_file"] = ListFileRef(**raw["list_file"]) if raw["list_file"] else None
    # Tasks of before there were notices have no such entry.
    raw["smn"] = smn_from_json(raw["smn"]) if raw.get("smn") else None
    return TaskSpec(**raw)


def smn_from_json(raw: Mapping[str, Any]) -> SmnConfig:
    """From the form that asdict() gives. Raises ValueError, KeyError or TypeError if it is damaged."""
    return SmnConfig(
        raw["topic_urn"],
        tuple(map(Trigger, raw["triggers"])),
        NoticeLanguage(raw["language"]),
        raw["template_name"],
    )


def _location(raw: dict[str, Any]) -> Location:
    return Location(CloudType(raw.pop("cloud_type")), **raw)


def shard_to_row(shard: Shard) -> Row:
    """What a shard is, with both fingerprints."""
    keys = json.dumps(shard.keys)
    manifest = json.dumps(asdict(shard.manifest)) if shard.manifest is not None else ""
    return {
        "shard_id": shard.shard_id,
        "task_id": shard.task_id,
        "run": shard.run,
        "kind": shard.kind.value,
        "prefix": shard.prefix,
        "after_key": shard.after,
        "until_key": shard.until,
        "keys": keys,
        "manifest": manifest,
        "fingerprint": _content_fingerprint(shard, keys, manifest),
        "attempt": shard.attempt,
        "restore_since_s": shard.restore_since_s,
        "large_key": shard.large.key if shard.large is not None else "",
        "large_size_bytes": shard.large.size_bytes if shard.large is not None else 0,
        **checkpoint_to_row(shard.shard_id, shard.checkpoint),
    }


def checkpoint_to_row(shard_id: ShardId, checkpoint: Checkpoint) -> Row:
    """The columns that a checkpoint changes; its fingerprint is bound to the shard."""
    return {
        "shard_id": shard_id,
        "position": checkpoint.position,
        "checkpoint_after": checkpoint.after,
        "checkpoint_fingerprint": _fingerprint(shard_id, checkpoint.position, checkpoint.after),
    }


def shard_from_row(row: sqlite3.Row) -> Shard:
    """Raises CorruptRowError if content or checkpoint is not what was written."""
    shard_id = ShardId(row["shard_id"])
    try:
        shard = Shard(
            shard_id=shard_id,
            task_id=TaskId(row["task_id"]),
            run=row["run"],
            kind=ShardKind(row["kind"]),
            prefix=row["prefix"],
            after=row["after_key"],
            until=row["until_key"],
            keys=tuple(json.loads(row["keys"])),
            checkpoint=Checkpoint(row["position"], row["checkpoint_after"]),
            attempt=row["attempt"],
            fingerprint=row["fingerprint"],
            manifest=ManifestSpan(**json.loads(row["manifest"])) if row["manifest"] else None,
            restore_since_s=row["restore_since_s"],
            large=LargeObject(row["large_key"], row["large_size_bytes"]) if row["large_key"] else None,
        )
    except (ValueError, TypeError) as error:
        raise CorruptRowError(_damaged(row, "content"), code="TRF.0001") from error
    if _content_fingerprint(shard, row["keys"], row["manifest"]) != shard.fingerprint:
        raise CorruptRowError(_damaged(row, "content"), code="TRF.0001")
    stored = checkpoint_to_row(shard_id, shard.checkpoint)["checkpoint_fingerprint"]
    if stored != row["checkpoint_fingerprint"]:
        raise CorruptRowError(_damaged(row, "checkpoint"), code="TRF.0001")
    return shard


def _damaged(row: sqlite3.Row, part: str) -> str:
    return (
        f"shard {row['shard_id']} of task {row['task_id']}: the stored {part} does not agree with its fingerprint; "
        "check the disk and start the task again"
    )


def _content_fingerprint(shard: Shard, keys: str, manifest: str) -> str:
    return _fingerprint(
        shard.shard_id,
        shard.task_id,
        shard.run,
        shard.kind.value,
        shard.prefix,
        shard.after,
        shard.until,
        keys,
        manifest,
        shard.restore_since_s,
        *(() if shard.large is None else (shard.large.key, shard.large.size_bytes)),
    )


def _fingerprint(*parts: Value) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(parts).encode())
