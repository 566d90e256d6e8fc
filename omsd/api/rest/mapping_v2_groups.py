"""V2 bodies of task groups to requests, and their views to answers. No rule lives here."""

from __future__ import annotations

from omsd.api.rest import answers, bodies
from omsd.api.rest.mapping_v2 import (
    OBS_SYSTEM,
    cdn_of,
    dst_answer,
    dst_node_of,
    refuse_kms_of_keys,
    refuse_kms_of_nodes,
    rules_of,
    smn_answer,
    smn_of,
    src_answer,
    src_node_of,
    windows_answer,
)
from omsd.domain.group import GroupState
from omsd.service import group_requests
from omsd.service.group_views import GroupPage, GroupView

_FAILED = (GroupState.CREATION_FAILED, GroupState.MIGRATION_FAILED)


def create_group_of(body: bodies.CreateGroup) -> group_requests.CreateTaskGroup:
    """The call as written; the destination's cloud has many names and is always the same one."""
    src, dst = body.src_node, body.dst_node
    refuse_kms_of_nodes(body)
    return group_requests.CreateTaskGroup(
        src_node=src_node_of(src) if src else None,
        dst_node=dst_node_of(dst) if dst else None,
        task_type=body.task_type,
        description=body.description,
        enable_kms=body.enable_kms,
        migrate_since=body.migrate_since,
        bandwidth_policy=rules_of(body.bandwidth_policy),
        source_cdn=cdn_of(body.source_cdn),
        smn_config=smn_of(body.smn_config),
        enable_metadata_migration=body.enable_metadata_migration,
        enable_restore=body.enable_restore,
        enable_failed_object_recording=body.enable_failed_object_recording,
        object_overwrite_mode=body.object_overwrite_mode,
        dst_storage_policy=body.dst_storage_policy,
        consistency_check=body.consistency_check,
        enable_requester_pays=body.enable_requester_pays,
    )


def start_group_of(body: bodies.StartGroup) -> group_requests.StartTaskGroup:
    """The call as written."""
    refuse_kms_of_keys(body)
    return group_requests.StartTaskGroup(
        dst_ak=body.dst_ak,
        dst_sk=body.dst_sk,
        src_ak=body.src_ak,
        src_sk=body.src_sk,
        src_security_token=body.src_security_token,
        dst_security_token=body.dst_security_token,
        json_auth_file=body.json_auth_file,
        source_cdn_authentication_key=body.source_cdn_authentication_key,
    )


def retry_group_of(body: bodies.RetryGroup) -> group_requests.RetryTaskGroup:
    """The call as written; an empty key is none, as the reference allows both."""
    refuse_kms_of_keys(body)
    return group_requests.RetryTaskGroup(
        dst_ak=body.dst_ak or None,
        dst_sk=body.dst_sk or None,
        src_ak=body.src_ak or None,
        src_sk=body.src_sk or None,
        src_security_token=body.src_security_token or None,
        dst_security_token=body.dst_security_token or None,
        json_auth_file=body.json_auth_file or None,
        source_cdn_authentication_key=body.source_cdn_authentication_key or None,
        migrate_failed_object=body.migrate_failed_object,
    )


def list_groups_of(query: bodies.ListGroupsQuery) -> group_requests.ListTaskGroups:
    """The call as written."""
    return group_requests.ListTaskGroups(limit=query.limit, offset=query.offset, status=query.status)


def group_page_answer(page: GroupPage) -> answers.Groups:
    """A page of groups."""
    return answers.Groups(count=page.count, taskgroups=tuple(map(group_answer, page.groups)))


def group_answer(view: GroupView) -> answers.Group:
    """The group as callers see it, clouds and types in upper case; no secret is in it."""
    group, spec, tally, counters = view.group, view.group.spec, view.tally, view.counters
    return answers.Group(
        group_id=group.group_id,
        status=int(group.state),
        error_reason=(
            answers.ErrorReason(error_code=group.error_code, error_msg=group.error_message)
            if group.state in _FAILED
            else None
        ),
        src_node=src_answer(spec, spec.source.cloud_type.upper()),
        description=spec.description,
        dst_node=dst_answer(spec),
        enable_metadata_migration=spec.migrate_metadata,
        enable_failed_object_recording=spec.record_failed_objects,
        enable_restore=spec.restore_archived,
        enable_kms=spec.encrypt_kms,
        task_type=spec.task_type.upper(),
        bandwidth_policy=windows_answer(group.windows),
        smn_config=smn_answer(view.smn),
        source_cdn=None,
        migrate_since=spec.migrate_since_s * 1000,
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
        failed_object_record=_failed_record(view),
        object_overwrite_mode=spec.overwrite_mode,
        dst_storage_policy=spec.storage_policy,
        consistency_check=spec.consistency_check,
        enable_requester_pays=spec.source.requester_pays,
        obs_system=OBS_SYSTEM,
    )


def _failed_record(view: GroupView) -> answers.FailedObjectRecord:
    """All three null while there is nothing to tell. Lists that are stored are named beside an error of others."""
    key, error = view.failed_record_key or None, view.failed_record_error or None
    return answers.FailedObjectRecord(
        result=not error if key or error else None, list_file_key=key, error_code=error
    )
