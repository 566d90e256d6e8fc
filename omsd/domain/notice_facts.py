"""What there is to tell of a migration task, or a task group, that has ended."""

from __future__ import annotations

from omsd.domain.group import GroupState, GroupSums, TaskGroup
from omsd.domain.model import OutcomeKind, Task, TaskState
from omsd.domain.notices import NoticeFacts
from omsd.domain.object_lists import group_folder, list_key


def facts_of(task: Task) -> NoticeFacts:
    """The facts of a task that is Succeeded or Failed, as it is committed with its end."""
    spec, counters = task.spec, task.counters
    list_file = spec.list_file
    return NoticeFacts(
        name=task.name,
        succeeded=task.state is TaskState.SUCCEEDED,
        started_ms=task.started_ms,
        ended_ms=task.ended_ms,
        active_ms=task.active_ms,
        listed_num=counters.listed_num,
        successful_num=counters.successful_num,
        skipped_num=counters.skipped_num,
        failed_num=counters.failed_num,
        moved_size_bytes=counters.successful_size_bytes,
        source_bucket=spec.source.bucket,
        destination_bucket=spec.destination.bucket,
        list_file_bucket=list_file.bucket if list_file is not None else "",
        list_file_key=list_file.key if list_file is not None else "",
        success_list=_list_of(task, OutcomeKind.SUCCESS),
        skip_list=_list_of(task, OutcomeKind.SKIPPED),
        failed_list=_list_of(task, OutcomeKind.FAILED),
        error_code=task.error_code,
        error_message=task.error_message,
    )


def group_facts_of(group: TaskGroup, sums: GroupSums) -> NoticeFacts:
    """The facts of a group that is completed or has failed, as it is committed with its end. sums: over its tasks, at that moment.

    A group has no name: it is told by its id. failed_list: the folder of the failed lists; lists of the other kinds are in none of its own.
    """
    spec, counters = group.spec, sums.counters
    list_file = spec.list_file
    return NoticeFacts(
        name=group.group_id,
        succeeded=group.state is GroupState.COMPLETED,
        started_ms=group.started_ms,
        ended_ms=group.ended_ms,
        active_ms=group.active_ms,
        listed_num=counters.listed_num,
        successful_num=counters.successful_num,
        skipped_num=counters.skipped_num,
        failed_num=counters.failed_num,
        moved_size_bytes=counters.successful_size_bytes,
        source_bucket=spec.source.bucket,
        destination_bucket=spec.destination.bucket,
        list_file_bucket=list_file.bucket if list_file is not None else "",
        list_file_key=list_file.key if list_file is not None else "",
        failed_list=group_folder(group.group_id) if sums.failed_lists_num else "",
        error_code=group.error_code,
        error_message=group.error_message,
    )


def _list_of(task: Task, kind: OutcomeKind) -> str:
    """The first file of a list that is stored."""
    lists = task.lists
    stored_num, error = {
        OutcomeKind.SUCCESS: (lists.success_parts, lists.success_error),
        OutcomeKind.SKIPPED: (lists.skipped_parts, lists.skipped_error),
        OutcomeKind.FAILED: (lists.failed_parts, lists.failed_error),
    }[kind]
    if error or not stored_num:
        return ""
    if kind is OutcomeKind.FAILED and lists.failed_key:
        return lists.failed_key
    return list_key(task.task_id, lists.round, kind, 1)
