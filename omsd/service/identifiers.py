"""What a call is about, and whose it is: ids as callers write them, or a refusal of a call that names none."""

from __future__ import annotations

from omsd.domain.model import GroupId, TaskId
from omsd.domain.sync import SyncTaskId
from omsd.service.findings import Findings
from omsd.service.group_limits import GROUP_ID_LIMITS
from omsd.service.limits import PROJECT_ID_LIMITS, REQUEST_ID_LIMITS, Limits
from omsd.service.needs import NAMED, Needs


def validate_project_id(project_id: str) -> str:
    """The project of a call. Raises RequestError if none is named, or its name is too long."""
    _check("project_id", project_id, PROJECT_ID_LIMITS, NAMED)
    return project_id


def validate_task_id(task_id: int | None) -> TaskId:
    """The task a call is about; 0 is none. Raises RequestError if none is named."""
    _check("task_id", task_id or None, {}, NAMED)
    return TaskId(task_id or 0)


def validate_sync_task_id(sync_task_id: str) -> SyncTaskId:
    """The synchronization task a call is about. Raises RequestError if none is named."""
    _check("sync_task_id", sync_task_id, {}, NAMED)
    return SyncTaskId(sync_task_id)


def validate_group_id(group_id: str) -> GroupId:
    """The group a call is about. Raises RequestError if none is named, or its name is too long."""
    _check("group_id", group_id, GROUP_ID_LIMITS, NAMED)
    return GroupId(group_id)


def validate_request_id(request_id: str | None) -> str:
    """The caller's id of a creation, "" if there is none. Raises RequestError."""
    _check("request_id", request_id, REQUEST_ID_LIMITS, ())
    return request_id or ""


def _check(field: str, value: object, limits: Limits, needs: Needs) -> None:
    findings = Findings()
    findings.need(needs, value, at=field)
    findings.check(limits, value, at=field)
    findings.raise_if_any()
