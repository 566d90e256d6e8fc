"""A task as the tests of the store write it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omsd.domain.model import (
    BandwidthWindow,
    CloudType,
    Credentials,
    Location,
    Priority,
    Task,
    TaskCredentials,
    TaskId,
    TaskSpec,
    TaskState,
    TaskType,
)
from omsd.store.sqlite import SqliteTaskStore

SPEC = TaskSpec(
    Location(CloudType.TENCENT, "ap-1", "from", app_id="42"),
    Location(CloudType.HUAWEI, "eu-de", "into", "https://obs.example.com"),
    TaskType.OBJECT,
    ("a/b", "ключ \N{GRINNING FACE}\n'\"", "x\x00y"),
    save_prefix="p/",
    migrate_since_s=7,
    record_failed_objects=False,
)
SECRET = "very-secret-key"
KEYS = TaskCredentials(Credentials("AKSRC", SECRET, "token"), Credentials("AKDST", SECRET))


def new_task(number: int = 1, **changes: object) -> Task:
    task = Task(
        TaskId(number),
        "project",
        f"from-into-{number}",
        SPEC,
        TaskState.WAITING,
        Priority.HIGH,
        (BandwidthWindow(0, 60, 1_048_576),),
        created_ms=number,
    )
    return replace(task, **changes)  # type: ignore[arg-type]


async def reopen(store: SqliteTaskStore, tmp_path: Path) -> SqliteTaskStore:
    await store.close()
    return await SqliteTaskStore.open(tmp_path)
