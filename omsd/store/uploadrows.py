"""Uploads, their parts, intents and sweeps as rows, and back."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict

from omsd.domain.model import CloudType, Credentials, Location, TaskCredentials
from omsd.domain.shards import OpenUpload, SentPart, UploadIntent, UploadPlan
from omsd.ports.taskchanges import (
    DropIntent,
    DropPlans,
    DropSweep,
    DropUpload,
    DueSweep,
    EndSweep,
    PutIntent,
    PutParts,
    PutSweep,
    PutUpload,
    RekeySweep,
)
from omsd.store.rows import Row
from omsd.store.seal import Sealer

UploadChange = PutUpload | DropUpload | DropPlans | PutParts | PutIntent | DropIntent
SweepChange = PutSweep | RekeySweep | DueSweep | DropSweep | EndSweep
Writes = tuple[tuple[str, tuple[Row, ...]], ...]

_NO_KEYS = Credentials("", "")


def upload_writes(change: UploadChange) -> Writes:
    """Queries and their rows."""
    match change:
        case PutUpload():
            row = _upload_row(change.task_id, change.upload)
            plan = json.dumps(asdict(change.plan)) if change.plan is not None else ""
            return (("put_upload", (row | {"shard_id": change.shard_id, "plan": plan},)),)
        case DropUpload():
            row = _upload_row(change.task_id, change.upload)
            return (("drop_upload", (row,)), ("drop_parts", (row,)))
        case DropPlans():
            task: Row = {"task_id": change.task_id}
            return (("drop_plans", (task,)), ("drop_task_parts", (task,)))
        case PutParts():
            row = _upload_row(change.task_id, change.upload)
            return (("put_part", tuple({**row, **_part_row(part)} for part in change.parts)),)
        case PutIntent():
            intent = change.intent
            return (
                (
                    "put_intent",
                    (
                        {
                            "task_id": change.task_id,
                            "shard_id": change.shard_id,
                            **intent_row(intent),
                        },
                    ),
                ),
            )
        case DropIntent():
            return (("drop_intent", ({"task_id": change.task_id, "key": change.key},)),)


def sweep_writes(change: SweepChange, sealer: Sealer) -> Writes:
    """Queries and their rows; the keys are sealed like those of a task that works, but for the source's, which are left out."""
    row: dict[str, str | int | bytes] = {"task_id": change.task_id}
    match change:
        case PutSweep():
            sealed = _sealed(change, sealer)
            row |= {"destination": json.dumps(asdict(change.destination)), "sealed": sealed}
            return (("put_sweep", (row | {"due": int(change.due)},)),)
        case RekeySweep():
            return (("rekey_sweep", (row | {"sealed": _sealed(change, sealer)},)),)
        case DueSweep():
            return (("due_sweep", (row,)),)
        case DropSweep():
            return (("drop_sweep", (row,)),)
        case EndSweep():
            return (("end_sweep", (row,)),)


def destination_from_row(row: sqlite3.Row) -> Location:
    """The location of a sweep."""
    raw = json.loads(row["destination"])
    return Location(CloudType(raw.pop("cloud_type")), **raw)


def plan_from_text(text: str) -> UploadPlan:
    """The plan of an upload, of its JSON."""
    return UploadPlan(**json.loads(text))


def part_from_row(row: sqlite3.Row) -> SentPart:
    """A part as it was stored."""
    return SentPart(
        row["part_number"],
        row["size_bytes"],
        row["etag"],
        _crc64_from(row["crc64_xz"]),
        _crc64_from(row["crc64_nvme"]),
    )


def intent_row(intent: UploadIntent) -> Row:
    """An intent as it is stored, without its task."""
    return {
        "key": intent.key,
        "at_s": intent.at_s,
        "known": json.dumps(intent.known),
        "attempts": intent.attempts,
    }


def intent_from_row(row: sqlite3.Row, recorded: tuple[str, ...]) -> UploadIntent:
    """recorded: ids of uploads of the key that the store knows, of any task."""
    known = tuple(dict.fromkeys((*json.loads(row["known"]), *recorded)))
    return UploadIntent(row["key"], row["at_s"], known, row["attempts"])


def _sealed(change: PutSweep | RekeySweep, sealer: Sealer) -> bytes:
    return sealer.seal(change.task_id, TaskCredentials(_NO_KEYS, change.credentials))


def _upload_row(task_id: int, upload: OpenUpload) -> dict[str, str | int]:
    return {"task_id": task_id, "key": upload.key, "upload_id": upload.upload_id}


def _part_row(part: SentPart) -> dict[str, str | int | None]:
    return {
        "part_number": part.part_number,
        "size_bytes": part.size_bytes,
        "etag": part.etag,
        "crc64_xz": _crc64_text(part.crc64_xz),
        "crc64_nvme": _crc64_text(part.crc64_nvme),
    }


def _crc64_text(value: int | None) -> str | None:
    # SQLite's integers are signed: half of all values would not fit.
    return None if value is None else f"{value:016x}"


def _crc64_from(text: str | None) -> int | None:
    return None if text is None else int(text, 16)
