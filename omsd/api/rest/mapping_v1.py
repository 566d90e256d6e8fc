"""V1 bodies to requests, views to V1 answers. No rule lives here but the forms that only V1 has."""

from __future__ import annotations

import msgspec

from omsd.api.rest import answers, bodies_v1
from omsd.api.rest.mapping_v2 import cdn_of, list_file_of, rules_of, smn_of, windows_answer
from omsd.domain.errors import RequestError
from omsd.domain.model import CloudType, ListRecords, Location, TaskSpec, TaskState
from omsd.domain.notices import SmnInfo
from omsd.service import requests
from omsd.service.catalog import ApiVersion
from omsd.service.findings import Findings
from omsd.service.limits import V1_LIST_LIMITS
from omsd.service.needs import V1_LIST_NEEDS
from omsd.service.views import TaskView

START, STOP, CHANGE_BANDWIDTH = "start", "stop", "change_bandwidthpolicy"
_ROOT = "/"
_DESTINATION_CLOUD = "HEC"


def create_of(body: bodies_v1.CreateTask) -> requests.CreateTask:
    """The call as written, in V2's names. Raises RequestError if the path of object_key is not the root.

    An object task that names no object, or "/" alone, means the whole bucket, as in chapter 4 of the reference; so does a prefix task
    with "/".
    """
    src, dst = body.src_node, body.dst_node
    keys, task_type = _keys_of(src), body.task_type
    kind = (task_type or "object").lower()
    if kind in ("object", "prefix") and keys is not None and all(key == _ROOT for key in keys):
        keys, task_type = ("",), "prefix"
    return requests.CreateTask(
        src_node=requests.SrcNode(
            cloud_type=src.cloud_type,
            region=src.region,
            ak=src.ak,
            sk=src.sk,
            app_id=src.app_id,
            bucket=src.bucket,
            object_key=keys,
            list_file=list_file_of(src.list_file),
        ),
        dst_node=requests.DstNode(
            ak=dst.ak, sk=dst.sk, bucket=dst.bucket, region=dst.region, save_prefix=_folder(dst.object_key)
        ),
        task_type=task_type,
        description=body.description,
        enable_kms=body.enable_kms_v2 if body.enable_kms is None else body.enable_kms,
        migrate_since=body.migrate_since,
        bandwidth_policy=rules_of(body.bandwidth_policy),
        source_cdn=cdn_of(body.source_cdn),
        smn_config=smn_of(body.smn_info or body.smn_config),
        enable_restore=body.enable_restore if body.auto_restore is None else body.auto_restore,
        enable_failed_object_recording=body.enable_failed_object_recording,
        thread_num=body.thread_num,
        dialect=requests.Dialect.V1,
    )


def start_of(body: bodies_v1.TaskOperation) -> requests.StartTask:
    """The call as written, in V2's names."""
    return requests.StartTask(
        src_ak=body.source_ak,
        src_sk=body.source_sk,
        dst_ak=body.target_ak,
        dst_sk=body.target_sk,
        source_cdn_authentication_key=body.source_cdn_authentication_key,
        migrate_failed_object=body.migration_failed_object,
    )


def list_of(query: bodies_v1.ListQuery) -> requests.ListTasks:
    """The call as written. Raises RequestError if start or limit is missing, or a number is out of range."""
    findings = Findings()
    findings.need(V1_LIST_NEEDS, query)
    findings.raise_if_any()
    return requests.ListTasks(limit=query.limit, offset=query.start, status=state_of(query))


def state_of(query: bodies_v1.ListQuery) -> int | None:
    """The state to look for in V2's numbers; 0, which no task is ever in, becomes the one that V2 never uses. Raises RequestError."""
    findings = Findings()
    findings.check(V1_LIST_LIMITS, query)
    findings.raise_if_any()
    return None if query.state is None else query.state or 6


def _smn_answer(info: SmnInfo | None) -> bodies_v1.SmnAnswer | msgspec.UnsetType:
    """What became of a notice; left out while there is nothing to tell."""
    if info is None:
        return msgspec.UNSET
    return bodies_v1.SmnAnswer(
        notify_result=info.sent, notify_error_message=info.error_code, topic_name=info.topic_name
    )


def task_answer(view: TaskView) -> bodies_v1.Task:
    """The task as V1 callers see it; a task that is pausing is still shown as migrating."""
    task, spec, counters = view.task, view.task.spec, view.counters
    failed = task.state is TaskState.FAILED
    return bodies_v1.Task(
        id=task.task_id,
        name=task.name,
        src_node=_src_answer(spec),
        dst_node=_dst_answer(spec.destination, spec.save_prefix),
        thread_num=spec.thread_num,
        smn_info=_smn_answer(view.smn),
        is_query_over=view.listing_over,
        status=int(TaskState.MIGRATING if task.state is TaskState.PAUSING else task.state),
        progress=view.progress,
        total_num=counters.listed_num,
        success_num=counters.successful_num,
        fail_num=counters.failed_num,
        skip_num=counters.skipped_num,
        description=spec.description,
        enable_kms=spec.encrypt_kms,
        error_reason=(
            answers.ErrorReason(error_code=task.error_code, error_msg=task.error_message) if failed else ""
        ),
        total_size=counters.listed_size_bytes,
        real_size=view.real_size_bytes,
        complete_size=view.complete_size_bytes,
        migrate_speed=view.speed_bytes_per_s,
        start_time=task.started_ms,
        left_time=view.left_ms,
        total_time=view.total_ms,
        migrate_since=spec.migrate_since_s,
        task_type=spec.task_type,
        auto_restore=spec.restore_archived,
        enable_failed_object_recording=spec.record_failed_objects,
        failed_object_record=_failed_record(task.lists),
        bandwidth_policy=windows_answer(task.windows),
    )


def version_answer(version: ApiVersion, base_url: str) -> bodies_v1.Version:
    """A version under V1's name of it, v1.0 for v1."""
    return bodies_v1.Version(
        id=f"{version.version_id}.0",
        links=(answers.Link(href=base_url + version.path, rel="self"),),
        version="",
        status=version.status,
        updated=version.updated,
        min_version="",
    )


def _keys_of(src: bodies_v1.SrcNode) -> tuple[str, ...] | None:
    given = src.object_key
    if given is None:
        return None
    if isinstance(given, str):
        return (given,)
    if given.path:
        raise RequestError.of_field("OMS.0057", "src_node.object_key.path", 'must be ""')
    return given.keys or ()


def _folder(target_path: str | None) -> str:
    """A prefix of keys for a path below the root."""
    path = (target_path or "").lstrip(_ROOT)
    return path if not path or path.endswith(_ROOT) else path + _ROOT


def _src_answer(spec: TaskSpec) -> bodies_v1.SrcAnswer:
    file = spec.list_file
    return bodies_v1.SrcAnswer(
        region=spec.source.region,
        bucket=spec.source.bucket,
        object_key=spec.object_keys,
        cloud_type=spec.source.cloud_type,
        list_file=(
            bodies_v1.ListFileAnswer(obs_bucket=file.bucket, list_file_key=file.key)
            if file
            else msgspec.UNSET
        ),
    )


def _dst_answer(destination: Location, save_prefix: str) -> bodies_v1.DstAnswer:
    cloud = destination.cloud_type
    return bodies_v1.DstAnswer(
        region=destination.region,
        bucket=destination.bucket,
        object_key=save_prefix or _ROOT,
        cloud_type=_DESTINATION_CLOUD if cloud is CloudType.HUAWEI else cloud,
    )


def _failed_record(lists: ListRecords) -> str:
    can_retry = bool(lists.failed_key) and not lists.failed_error
    record = bodies_v1.FailedRecord(
        result=can_retry, list_file_key=lists.failed_key if can_retry else "", error_code=lists.failed_error
    )
    return msgspec.json.encode(record).decode()
