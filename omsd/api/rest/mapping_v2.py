"""V2 bodies to requests, views to V2 answers. No rule lives here: names, units, and null for what is absent."""

from __future__ import annotations

from collections.abc import Iterable

from omsd.api.rest import answers, bodies
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.manifest import is_folder
from omsd.domain.model import BandwidthWindow, ListFileRef, TaskId, TaskSpec, TaskState
from omsd.domain.notices import SmnInfo
from omsd.domain.windows import format_minute
from omsd.service import requests
from omsd.service.views import TaskPage, TaskView

OBS_SYSTEM = "BUCKET"
NORMAL_TASK, GROUP_TASK = "NORMAL_TASK", "GROUP_TASK"


def task_id_of(text: str) -> TaskId:
    """The task a path names. Raises RequestError; what is no id names no task."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise RequestError(
            "OMS.0054", "task_id: the project has no such migration task", refusal=Refusal.NOT_FOUND
        )
    return TaskId(int(text))


def create_of(body: bodies.CreateTask) -> requests.CreateTask:
    """The call as written; the names of V1 for the same things are taken where those of V2 are absent."""
    src, dst = body.src_node, body.dst_node
    refuse_kms_of_nodes(body)
    return requests.CreateTask(
        src_node=src_node_of(src) if src else None,
        dst_node=dst_node_of(dst) if dst else None,
        task_type=body.task_type,
        description=body.description,
        enable_kms=_either(body.enable_kms, body.enable_kms_v1),
        migrate_since=body.migrate_since,
        bandwidth_policy=rules_of(body.bandwidth_policy),
        source_cdn=cdn_of(body.source_cdn),
        smn_config=smn_of(body.smn_config or body.smn_info),
        enable_metadata_migration=body.enable_metadata_migration,
        enable_restore=_either(body.enable_restore, body.auto_restore),
        enable_failed_object_recording=body.enable_failed_object_recording,
        object_overwrite_mode=body.object_overwrite_mode,
        dst_storage_policy=body.dst_storage_policy,
        consistency_check=body.consistency_check,
        enable_requester_pays=body.enable_requester_pays,
        task_priority=body.task_priority,
    )


def src_node_of(node: bodies.SrcNode) -> requests.SrcNode:
    """The source as written."""
    return requests.SrcNode(
        cloud_type=node.cloud_type,
        region=node.region,
        ak=node.ak,
        sk=node.sk,
        json_auth_file=node.json_auth_file,
        security_token=node.security_token,
        app_id=node.app_id,
        bucket=node.bucket,
        object_key=node.object_key,
        list_file=list_file_of(node.list_file),
    )


def dst_node_of(node: bodies.DstNode) -> requests.DstNode:
    """The destination as written."""
    return requests.DstNode(
        ak=node.ak,
        sk=node.sk,
        security_token=node.security_token,
        bucket=node.bucket,
        region=node.region,
        save_prefix=node.save_prefix,
    )


def list_file_of(file: bodies.ListFile | None) -> requests.ListFile | None:
    """The list file as written; the number of files is text or a number."""
    if file is None:
        return None
    return requests.ListFile(
        list_file_key=file.list_file_key or "",
        obs_bucket=file.obs_bucket or "",
        list_file_num=None if file.list_file_num is None else str(file.list_file_num),
    )


def start_of(body: bodies.StartTask) -> requests.StartTask:
    """The call as written."""
    refuse_kms_of_keys(body)
    return requests.StartTask(
        dst_ak=body.dst_ak,
        dst_sk=body.dst_sk,
        src_ak=body.src_ak,
        src_sk=body.src_sk,
        src_security_token=body.src_security_token,
        dst_security_token=body.dst_security_token,
        json_auth_file=body.json_auth_file,
        source_cdn_authentication_key=body.source_cdn_authentication_key,
        migrate_failed_object=body.migrate_failed_object,
    )


def list_of(query: bodies.ListTasksQuery) -> requests.ListTasks:
    """The call as written."""
    return requests.ListTasks(
        limit=query.limit,
        offset=query.offset,
        status=query.status,
        group_id=query.group_id,
        task_name=query.task_name,
    )


def batch_of(body: bodies.BatchUpdate) -> requests.BatchUpdateTasks:
    """The call as written."""
    return requests.BatchUpdateTasks(
        group_id=body.group_id,
        ids=body.ids,
        bandwidth_policy=rules_of(body.bandwidth_policy),
        task_priority=body.task_priority,
    )


def rules_of(
    rules: Iterable[bodies.BandwidthPolicy] | None,
) -> tuple[requests.BandwidthRule, ...] | None:
    """The rules as written; none at all is something else than an empty array."""
    if rules is None:
        return None
    return tuple(
        requests.BandwidthRule(start=rule.start, end=rule.end, max_bandwidth=rule.max_bandwidth)
        for rule in rules
    )


def cdn_of(cdn: bodies.SourceCdn | None) -> requests.SourceCdn | None:
    """The CDN as written."""
    if cdn is None:
        return None
    return requests.SourceCdn(
        authentication_type=cdn.authentication_type,
        domain=cdn.domain,
        protocol=cdn.protocol,
        authentication_key=cdn.authentication_key,
    )


def smn_of(smn: bodies.SmnConfig | bodies.SmnInfoV1 | None) -> requests.SmnConfig | None:
    """The notification as written; V1 says FAIL where V2 says FAILURE, and both are taken."""
    if smn is None:
        return None
    conditions = tuple(
        "FAILURE" if condition.upper() == "FAIL" else condition for condition in smn.trigger_conditions or ()
    )
    template = smn.message_template_name if isinstance(smn, bodies.SmnConfig) else None
    return requests.SmnConfig(
        topic_urn=smn.topic_urn,
        trigger_conditions=conditions,
        language=smn.language,
        message_template_name=template,
    )


def refuse_kms_of_nodes(body: bodies.CreateTask | bodies.CreateGroup) -> None:
    """No key of a creation may be encrypted. Raises RequestError."""
    src, dst = body.src_node, body.dst_node
    refuse_kms(
        ("src_node.crypto_type", src.crypto_type if src else None),
        ("dst_node.crypto_type", dst.crypto_type if dst else None),
        ("source_cdn.crypto_type", body.source_cdn.crypto_type if body.source_cdn else None),
    )


def refuse_kms_of_keys(body: bodies.StartTask | bodies.StartGroup | bodies.StartSyncTask) -> None:
    """No key that something is started with may be encrypted. Raises RequestError."""
    refuse_kms(
        ("src_crypto_type", body.src_crypto_type),
        ("dst_crypto_type", body.dst_crypto_type),
        ("source_cdn_crypto_type", body.source_cdn_crypto_type),
    )


def refuse_kms(*given: tuple[str, str | None]) -> None:
    """Keys of callers are taken as they are: there is no field for encrypted ones. Raises RequestError."""
    for field, value in given:
        kind = (value or "DEFAULT").upper()
        if kind == "KMS":
            right = "KMS is not supported by this server; send the keys as they are, with DEFAULT"
            raise RequestError.of_field("OMS.0064", field, right)
        if kind != "DEFAULT":
            raise RequestError.of_field("OMS.1003", field, "must be DEFAULT")


def page_answer(page: TaskPage) -> answers.Tasks:
    """A page of tasks."""
    return answers.Tasks(tasks=tuple(map(task_answer, page.tasks)), count=page.count)


def task_answer(view: TaskView) -> answers.Task:
    """The task as callers see it; no secret is in it."""
    task, spec, counters = view.task, view.task.spec, view.counters
    return answers.Task(
        id=task.task_id,
        name=task.name,
        status=int(task.state),
        error_reason=(
            answers.ErrorReason(error_code=task.error_code, error_msg=task.error_message)
            if task.state is TaskState.FAILED
            else None
        ),
        task_type=spec.task_type,
        group_type=GROUP_TASK if task.group_id else NORMAL_TASK,
        group_id=task.group_id,
        description=spec.description,
        src_node=src_answer(spec, spec.source.cloud_type),
        dst_node=dst_answer(spec),
        enable_kms=spec.encrypt_kms,
        enable_metadata_migration=spec.migrate_metadata,
        enable_restore=spec.restore_archived,
        enable_failed_object_recording=spec.record_failed_objects,
        enable_requester_pays=spec.source.requester_pays,
        object_overwrite_mode=spec.overwrite_mode,
        dst_storage_policy=spec.storage_policy,
        consistency_check=spec.consistency_check,
        task_priority=task.priority,
        migrate_since=spec.migrate_since_s * 1000,
        bandwidth_policy=windows_answer(task.windows),
        source_cdn=None,
        smn_info=smn_answer(view.smn),
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
        failed_object_record=failed_record(task.lists.failed_key, task.lists.failed_error),
        success_record_error_reason=task.lists.success_error,
        skip_record_error_reason=task.lists.skipped_error,
        obs_system=OBS_SYSTEM,
    )


def smn_answer(info: SmnInfo | None) -> answers.SmnInfo | None:
    """What became of a notice."""
    if info is None:
        return None
    return answers.SmnInfo(
        notify_result=info.sent, notify_error_message=info.error_code, topic_name=info.topic_name
    )


def windows_answer(windows: Iterable[BandwidthWindow]) -> tuple[answers.BandwidthPolicy, ...]:
    """The rules of a task."""
    return tuple(
        answers.BandwidthPolicy(
            start=format_minute(window.start_minute),
            end=format_minute(window.end_minute),
            max_bandwidth=window.limit_bytes_per_s,
        )
        for window in windows
    )


def list_file_answer(file: ListFileRef | None) -> answers.ListFile | None:
    """The number of files is only known where one is named."""
    if file is None:
        return None
    number = None if is_folder(file.key) else "1"
    return answers.ListFile(list_file_key=file.key, obs_bucket=file.bucket, list_file_num=number)


def _either(flag: bool | None, other: bool | None) -> bool | None:
    return other if flag is None else flag


def src_answer(spec: TaskSpec, cloud_type: str) -> answers.SrcNode:
    """The source; tasks and groups spell clouds differently."""
    return answers.SrcNode(
        bucket=spec.source.bucket,
        cloud_type=cloud_type,
        region=spec.source.region,
        app_id=spec.source.app_id,
        object_key=spec.object_keys,
        list_file=list_file_answer(spec.list_file),
    )


def dst_answer(spec: TaskSpec) -> answers.DstNode:
    """The destination."""
    return answers.DstNode(
        bucket=spec.destination.bucket, region=spec.destination.region, save_prefix=spec.save_prefix
    )


def failed_record(key: str, error: str) -> answers.FailedObjectRecord:
    """Where the list of failed objects is; a list of which a part is missing is no record."""
    if error:
        return answers.FailedObjectRecord(result=False, list_file_key=None, error_code=error)
    if key:
        return answers.FailedObjectRecord(result=True, list_file_key=key, error_code=None)
    return answers.FailedObjectRecord(result=None, list_file_key=None, error_code=None)
