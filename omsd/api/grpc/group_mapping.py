"""Messages of task groups to requests, views to messages. No rule lives here but that of well-formed enumerations."""

from __future__ import annotations

from omsd.api.grpc import mapping
from omsd.api.grpc.mapping import EnumReader, given, number_of
from omsd.domain.group import GroupState
from omsd.pb.v1 import group_pb2, types_pb2
from omsd.service import group_requests
from omsd.service.group_views import GroupPage, GroupView, WatchedGroup

_FAILED = frozenset({GroupState.CREATION_FAILED, GroupState.MIGRATION_FAILED})


def create_from_pb(message: group_pb2.CreateTaskGroupRequest) -> group_requests.CreateTaskGroup:
    """The call as written. Raises RequestError naming every enumeration with an unknown number."""
    enums = EnumReader()
    request = group_requests.CreateTaskGroup(
        task_type=enums.upper(group_pb2.TaskGroupType, message.task_type, "task_type"),
        **mapping.migration_from_pb(message, enums),
    )
    enums.raise_if_wrong()
    return request


def start_from_pb(message: group_pb2.StartTaskGroupRequest) -> group_requests.StartTaskGroup:
    """The call as written."""
    return group_requests.StartTaskGroup(**mapping.keys_from_pb(message))


def retry_from_pb(message: group_pb2.RetryTaskGroupRequest) -> group_requests.RetryTaskGroup:
    """The call as written."""
    return group_requests.RetryTaskGroup(
        **mapping.keys_from_pb(message), migrate_failed_object=given(message, "migrate_failed_object")
    )


def list_from_pb(message: group_pb2.ListTaskGroupsRequest) -> group_requests.ListTaskGroups:
    """The call as written. Raises RequestError if the status is not one."""
    enums = EnumReader()
    name = enums.upper(group_pb2.TaskGroupStatus, message.status, "status")
    enums.raise_if_wrong()
    return group_requests.ListTaskGroups(
        limit=given(message, "limit"),
        offset=given(message, "offset"),
        status=int(GroupState[name]) if name is not None else None,
    )


def page_to_pb(page: GroupPage) -> group_pb2.ListTaskGroupsResponse:
    """A page of groups."""
    return group_pb2.ListTaskGroupsResponse(
        taskgroups=[group_to_pb(view) for view in page.groups], count=page.count
    )


def watched_to_pb(watched: WatchedGroup) -> group_pb2.WatchTaskGroupResponse:
    """A group and its running tasks."""
    return group_pb2.WatchTaskGroupResponse(
        task_group=group_to_pb(watched.view), running=[mapping.task_to_pb(view) for view in watched.running]
    )


def group_to_pb(view: GroupView) -> group_pb2.TaskGroup:
    """The group as callers see it; no secret is in it."""
    group, spec, tally, counters = view.group, view.group.spec, view.tally, view.counters
    source = mapping.src_node_to_pb(spec)
    source.cloud_type = source.cloud_type.upper()
    message = group_pb2.TaskGroup(
        group_id=group.group_id,
        status=number_of(group_pb2.TaskGroupStatus, group.state.name),
        **mapping.migration_to_pb(spec),
        src_node=source,
        task_type=number_of(group_pb2.TaskGroupType, spec.task_type),
        bandwidth_policy=[mapping.window_to_pb(window) for window in group.windows],
        migrate_speed=view.speed_bytes_per_s,
        total_time=view.total_ms,
        start_time=group.started_ms,
        total_task_num=view.total_task_num,
        create_task_num=tally.total,
        failed_task_num=tally.failed,
        complete_task_num=tally.succeeded,
        paused_task_num=tally.paused,
        executing_task_num=tally.at_work,
        waiting_task_num=tally.waiting,
        total_num=view.total_num,
        create_complete_num=view.created_num,
        success_num=counters.successful_num,
        fail_num=counters.failed_num,
        skip_num=counters.skipped_num,
        total_size=view.total_size_bytes,
        create_complete_size=view.created_size_bytes,
        complete_size=view.complete_size_bytes,
        failed_object_record=_failed_record_to_pb(view),
        project_id=group.project_id,
        is_create_over=group.position.over,
        progress=view.progress,
        real_size=view.real_size_bytes,
        create_time=group.created_ms,
    )
    if view.smn is not None:
        message.smn_config.CopyFrom(mapping.smn_info_to_pb(view.smn))
    if group.state in _FAILED:
        message.error_reason.error_code = group.error_code
        message.error_reason.error_msg = group.error_message
    return message


def _failed_record_to_pb(view: GroupView) -> types_pb2.FailedObjectRecord:
    """All three unset while there is nothing to tell. Lists that are stored are named beside an error of others."""
    record = types_pb2.FailedObjectRecord()
    if view.failed_record_key or view.failed_record_error:
        record.result = bool(view.failed_record_key)
    if view.failed_record_key:
        record.list_file_key = view.failed_record_key
    if view.failed_record_error:
        record.error_code = view.failed_record_error
    return record
