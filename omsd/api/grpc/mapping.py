"""Protobuf messages to requests, views to protobuf messages. No rule lives here but that of well-formed enumerations.

Enum values are named TYPE_NAME_VALUE; VALUE is the documented value in upper case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message

from omsd.domain.caveats import CAVEAT_TEXTS
from omsd.domain.errors import RequestError, Violation
from omsd.domain.manifest import is_folder
from omsd.domain.model import BandwidthWindow, ListFileRef, ListRecords, Location, TaskSpec, TaskState
from omsd.domain.notices import SmnInfo
from omsd.pb.v1 import group_pb2, task_pb2, types_pb2
from omsd.service import requests
from omsd.service.views import TaskPage, TaskView

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper as EnumWrapper

OBS_SYSTEM = "BUCKET"

Number = TypeVar("Number", bound=int)


def create_from_pb(message: task_pb2.CreateTaskRequest) -> requests.CreateTask:
    """The call as written. Raises RequestError naming every enumeration with an unknown number."""
    enums = EnumReader()
    request = requests.CreateTask(
        task_type=enums.lower(types_pb2.TaskType, message.task_type, "task_type"),
        task_priority=enums.upper(types_pb2.TaskPriority, message.task_priority, "task_priority"),
        **migration_from_pb(message, enums),
    )
    enums.raise_if_wrong()
    return request


def start_from_pb(message: task_pb2.StartTaskRequest) -> requests.StartTask:
    """The call as written."""
    return requests.StartTask(
        **keys_from_pb(message), migrate_failed_object=given(message, "migrate_failed_object")
    )


def list_from_pb(message: task_pb2.ListTasksRequest) -> requests.ListTasks:
    """The call as written. Raises RequestError if the status is not one."""
    enums = EnumReader()
    known = enums.upper(types_pb2.TaskStatus, message.status, "status") is not None
    enums.raise_if_wrong()
    return requests.ListTasks(
        limit=given(message, "limit"),
        offset=given(message, "offset"),
        status=int(message.status) if known else None,
        group_id=given(message, "group_id"),
        task_name=given(message, "task_name"),
    )


def batch_update_from_pb(message: task_pb2.BatchUpdateTasksRequest) -> requests.BatchUpdateTasks:
    """The call as written. Raises RequestError if the priority is not one."""
    enums = EnumReader()
    priority = enums.upper(types_pb2.TaskPriority, message.task_priority, "task_priority")
    enums.raise_if_wrong()
    return requests.BatchUpdateTasks(
        group_id=given(message, "group_id"),
        ids=tuple(message.ids) or None,
        bandwidth_policy=(
            rules_from_pb(message.bandwidth_policy.rules) if message.HasField("bandwidth_policy") else None
        ),
        task_priority=priority,
    )


def rules_from_pb(rules: Iterable[types_pb2.BandwidthPolicy]) -> tuple[requests.BandwidthRule, ...]:
    """The rules as written."""
    return tuple(
        requests.BandwidthRule(
            start=rule.start or None, end=rule.end or None, max_bandwidth=rule.max_bandwidth
        )
        for rule in rules
    )


def page_to_pb(page: TaskPage) -> task_pb2.ListTasksResponse:
    """A page of tasks."""
    return task_pb2.ListTasksResponse(tasks=[task_to_pb(view) for view in page.tasks], count=page.count)


def task_to_pb(view: TaskView) -> task_pb2.Task:
    """The task as callers see it; no secret is in it."""
    task, spec, counters = view.task, view.task.spec, view.counters
    message = task_pb2.Task(
        id=task.task_id,
        name=task.name,
        status=number_of(types_pb2.TaskStatus, task.state.name),
        task_type=number_of(types_pb2.TaskType, spec.task_type),
        group_type=types_pb2.GROUP_TYPE_GROUP_TASK if task.group_id else types_pb2.GROUP_TYPE_NORMAL_TASK,
        group_id=task.group_id,
        **migration_to_pb(spec),
        src_node=src_node_to_pb(spec),
        task_priority=number_of(types_pb2.TaskPriority, task.priority),
        bandwidth_policy=[window_to_pb(window) for window in task.windows],
        is_query_over=view.listing_over,
        total_num=counters.listed_num,
        total_size=counters.listed_size_bytes,
        successful_num=counters.successful_num,
        failed_num=counters.failed_num,
        skipped_num=counters.skipped_num,
        complete_size=view.complete_size_bytes,
        real_size=view.real_size_bytes,
        progress=view.progress,
        migrate_speed=view.speed_bytes_per_s,
        start_time=task.started_ms,
        total_time=view.total_ms,
        left_time=view.left_ms,
        failed_object_record=_failed_record_to_pb(task.lists),
        success_record_error_reason=task.lists.success_error,
        skip_record_error_reason=task.lists.skipped_error,
        obs_system=OBS_SYSTEM,
        project_id=task.project_id,
        caveats=[
            task_pb2.Caveat(name=caveat, count=num, meaning=CAVEAT_TEXTS[caveat])
            for caveat, num in task.caveats
        ],
    )
    if view.smn is not None:
        message.smn_info.CopyFrom(smn_info_to_pb(view.smn))
    if task.state is TaskState.FAILED:
        message.error_reason.error_code = task.error_code
        message.error_reason.error_msg = task.error_message
    return message


def _failed_record_to_pb(lists: ListRecords) -> types_pb2.FailedObjectRecord:
    """All three unset while there is nothing to tell; a list of which a part is missing is no record."""
    record = types_pb2.FailedObjectRecord()
    if lists.failed_error:
        record.result = False
        record.error_code = lists.failed_error
    elif lists.failed_key:
        record.result = True
        record.list_file_key = lists.failed_key
    return record


class EnumReader:
    """Reads the enumerations of one message and gathers those with a number that means nothing."""

    def __init__(self) -> None:
        self._violations: list[Violation] = []

    def upper(self, enum: EnumWrapper[Number], number: int, field: str) -> str | None:
        """The documented value in upper case; None if unspecified or unknown."""
        if number == 0:
            return None
        prefix = _prefix(enum)
        name = {int(known): name for name, known in enum.items()}.get(number)
        if name is None:
            wanted = ", ".join(known.removeprefix(prefix) for known in enum.keys()[1:])
            self._violations.append(Violation(field, f"{number} is not one of {wanted}"))
            return None
        return name.removeprefix(prefix)

    def lower(self, enum: EnumWrapper[Number], number: int, field: str) -> str | None:
        """The same in lower case."""
        value = self.upper(enum, number, field)
        return value.lower() if value is not None else None

    def raise_if_wrong(self) -> None:
        """Raise RequestError if any number was unknown."""
        if self._violations:
            said = "; ".join(f"{wrong.field}: {wrong.description}" for wrong in self._violations)
            raise RequestError("OMS.1003", said, violations=tuple(self._violations))


def given(message: Message, field: str) -> Any:
    """The value of an optional field; None if the caller did not set it."""
    return getattr(message, field) if message.HasField(field) else None


def _prefix(enum: EnumWrapper[Number]) -> str:
    return enum.keys()[0].removesuffix("UNSPECIFIED")


def number_of(enum: EnumWrapper[Number], value: str) -> Number:
    """The number of an enumeration's documented value, in any case."""
    return enum.Value(_prefix(enum) + value.upper())


def copying_from_pb(message: Any, enums: EnumReader) -> dict[str, Any]:
    """How objects are copied, under the names that the creations of tasks, groups and synchronization tasks share."""
    return {
        "description": given(message, "description"),
        "enable_kms": given(message, "enable_kms"),
        "enable_metadata_migration": given(message, "enable_metadata_migration"),
        "enable_restore": given(message, "enable_restore"),
        "object_overwrite_mode": enums.upper(
            types_pb2.ObjectOverwriteMode, message.object_overwrite_mode, "object_overwrite_mode"
        ),
        "dst_storage_policy": enums.upper(
            types_pb2.DstStoragePolicy, message.dst_storage_policy, "dst_storage_policy"
        ),
        "consistency_check": enums.lower(
            types_pb2.ConsistencyCheck, message.consistency_check, "consistency_check"
        ),
        "source_cdn": cdn_from_pb(message.source_cdn) if message.HasField("source_cdn") else None,
    }


def migration_from_pb(
    message: task_pb2.CreateTaskRequest | group_pb2.CreateTaskGroupRequest, enums: EnumReader
) -> dict[str, Any]:
    """The fields of requests.MigrationFields; without task_type, of which groups have other values."""
    return copying_from_pb(message, enums) | {
        "src_node": src_node_from_pb(message.src_node) if message.HasField("src_node") else None,
        "dst_node": dst_node_from_pb(message.dst_node) if message.HasField("dst_node") else None,
        "migrate_since": given(message, "migrate_since"),
        "bandwidth_policy": rules_from_pb(message.bandwidth_policy) or None,
        "smn_config": smn_from_pb(message.smn_config) if message.HasField("smn_config") else None,
        "enable_failed_object_recording": given(message, "enable_failed_object_recording"),
        "enable_requester_pays": given(message, "enable_requester_pays"),
        "request_id": message.request_id or None,
    }


def keys_from_pb(message: Message) -> dict[str, Any]:
    """The fields of requests.KeyFields, and json_auth_file if the message knows it."""
    names = [field.name for field in fields(requests.KeyFields)] + ["json_auth_file"]
    return {name: given(message, name) for name in names if name in message.DESCRIPTOR.fields_by_name}


def copying_to_pb(spec: TaskSpec) -> dict[str, Any]:
    """How objects are copied, under the names that tasks, groups and synchronization tasks share."""
    return {
        "description": spec.description,
        "enable_kms": spec.encrypt_kms,
        "enable_metadata_migration": spec.migrate_metadata,
        "enable_restore": spec.restore_archived,
        "object_overwrite_mode": number_of(types_pb2.ObjectOverwriteMode, spec.overwrite_mode),
        "dst_storage_policy": number_of(types_pb2.DstStoragePolicy, spec.storage_policy),
        "consistency_check": number_of(types_pb2.ConsistencyCheck, spec.consistency_check),
    }


def migration_to_pb(spec: TaskSpec) -> dict[str, Any]:
    """What tasks and groups were created with; without the source, of which groups say the cloud in other letters."""
    return copying_to_pb(spec) | {
        "dst_node": dst_node_to_pb(spec.destination, spec.save_prefix),
        "enable_failed_object_recording": spec.record_failed_objects,
        "enable_requester_pays": spec.source.requester_pays,
        "migrate_since": spec.migrate_since_s * 1000,
    }


def src_node_from_pb(node: task_pb2.SrcNodeReq) -> requests.SrcNode:
    """The source as written."""
    return requests.SrcNode(
        cloud_type=given(node, "cloud_type"),
        region=given(node, "region"),
        ak=given(node, "ak"),
        sk=given(node, "sk"),
        json_auth_file=given(node, "json_auth_file"),
        security_token=given(node, "security_token"),
        app_id=given(node, "app_id"),
        bucket=given(node, "bucket"),
        object_key=tuple(node.object_key) or None,
        list_file=(
            requests.ListFile(
                list_file_key=node.list_file.list_file_key,
                obs_bucket=node.list_file.obs_bucket,
                list_file_num=node.list_file.list_file_num or None,
            )
            if node.HasField("list_file")
            else None
        ),
        endpoint=given(node, "endpoint"),
    )


def dst_node_from_pb(node: task_pb2.DstNodeReq) -> requests.DstNode:
    """The destination as written."""
    return requests.DstNode(
        ak=given(node, "ak"),
        sk=given(node, "sk"),
        security_token=given(node, "security_token"),
        bucket=given(node, "bucket"),
        region=given(node, "region"),
        save_prefix=given(node, "save_prefix"),
        cloud_type=given(node, "cloud_type"),
        endpoint=given(node, "endpoint"),
    )


def cdn_from_pb(cdn: types_pb2.SourceCdnReq) -> requests.SourceCdn:
    """The CDN as written."""
    return requests.SourceCdn(
        authentication_type=cdn.authentication_type or None,
        domain=cdn.domain or None,
        protocol=cdn.protocol or None,
        authentication_key=cdn.authentication_key or None,
    )


def smn_from_pb(smn: types_pb2.SmnConfig) -> requests.SmnConfig:
    """The notification as written."""
    return requests.SmnConfig(
        topic_urn=smn.topic_urn or None,
        trigger_conditions=tuple(smn.trigger_conditions),
        language=smn.language or None,
        message_template_name=smn.message_template_name or None,
    )


def smn_info_to_pb(info: SmnInfo) -> types_pb2.SmnInfo:
    """What became of a notice."""
    return types_pb2.SmnInfo(
        notify_result=info.sent,
        notify_error_message=info.error_code,
        topic_name=info.topic_name,
        is_pending=info.pending,
        notify_error_detail=info.detail,
    )


def src_node_to_pb(spec: TaskSpec) -> task_pb2.SrcNodeResp:
    """The source as callers see it."""
    return task_pb2.SrcNodeResp(
        bucket=spec.source.bucket,
        cloud_type=spec.source.cloud_type,
        region=spec.source.region,
        app_id=spec.source.app_id,
        object_key=spec.object_keys,
        list_file=_list_file_to_pb(spec.list_file),
        endpoint=spec.source.endpoint_url,
        after_key=spec.after,
        until_key=spec.until,
    )


def _list_file_to_pb(file: ListFileRef | None) -> types_pb2.ListFile | None:
    """The number of files is only known where one is named."""
    if file is None:
        return None
    number = "" if is_folder(file.key) else "1"
    return types_pb2.ListFile(list_file_key=file.key, obs_bucket=file.bucket, list_file_num=number)


def dst_node_to_pb(destination: Location, save_prefix: str) -> task_pb2.DstNodeResp:
    """The destination as callers see it."""
    return task_pb2.DstNodeResp(
        bucket=destination.bucket,
        region=destination.region,
        save_prefix=save_prefix,
        cloud_type=destination.cloud_type,
        endpoint=destination.endpoint_url,
    )


def window_to_pb(window: BandwidthWindow) -> types_pb2.BandwidthPolicy:
    """A rule of a bandwidth policy."""
    return types_pb2.BandwidthPolicy(
        start=_hh_mm(window.start_minute),
        end=_hh_mm(window.end_minute),
        max_bandwidth=window.limit_bytes_per_s,
    )


def _hh_mm(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
