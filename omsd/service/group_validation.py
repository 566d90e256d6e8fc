"""Calls of task groups become domain types here, or are refused with the documented code and all wrong fields.

What holds for migration tasks holds here: both go through the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.catalogue import parse_cloud_type
from omsd.domain.errors import RequestError
from omsd.domain.group import GroupState
from omsd.domain.model import BandwidthWindow, CloudType, Credentials, TaskCredentials, TaskSpec, TaskType
from omsd.service.barred import GROUP_TYPE_BARRED, START_BARRED
from omsd.service.choices import GROUP_TYPES
from omsd.service.findings import Findings
from omsd.service.group_limits import LIST_GROUP_LIMITS, START_GROUP_LIMITS
from omsd.service.group_requests import CreateTaskGroup, ListTaskGroups, RetryTaskGroup, StartTaskGroup
from omsd.service.limits import DEFAULT_PAGE
from omsd.service.locations import ValidationPolicy
from omsd.service.needs import RETRY_GROUP_NEEDS
from omsd.service.requests import CreateTask, SrcNode, StartTask
from omsd.service.validation import validate_create, validate_start


@dataclass(frozen=True, slots=True)
class ValidatedGroup:
    """A group that may be created. spec: what its tasks are asked to do together."""

    spec: TaskSpec
    credentials: TaskCredentials
    windows: tuple[BandwidthWindow, ...]


@dataclass(frozen=True, slots=True)
class ValidatedRetry:
    """source, destination None: the stored keys are taken."""

    source: Credentials | None
    destination: Credentials | None
    failed_only: bool


@dataclass(frozen=True, slots=True)
class ValidatedGroupList:
    """A page of groups. state None: any."""

    offset: int
    limit: int
    state: GroupState | None


def validate_create_group(
    request: CreateTaskGroup, policy: ValidationPolicy, *, project_id: str = ""
) -> ValidatedGroup:
    """The group a caller asks for. Raises RequestError with every wrong field."""
    findings = Findings()
    task_type = findings.choose("task_type", request.task_type, GROUP_TYPES, TaskType.PREFIX)
    if task_type is TaskType.URL_LIST:
        cloud = parse_cloud_type((request.src_node or SrcNode()).cloud_type or CloudType.URL_SOURCE)
        if cloud is not CloudType.URL_SOURCE:
            findings.add("OMS.0057", "src_node.cloud_type", "must be URLSource for groups of type URL_LIST")
        findings.bar(GROUP_TYPE_BARRED, request)
        findings.raise_if_any()
    wanted = CreateTask(
        src_node=request.src_node,
        dst_node=request.dst_node,
        task_type=task_type,
        description=request.description,
        enable_kms=request.enable_kms,
        migrate_since=request.migrate_since,
        bandwidth_policy=request.bandwidth_policy,
        source_cdn=request.source_cdn,
        smn_config=request.smn_config,
        enable_metadata_migration=request.enable_metadata_migration,
        enable_restore=request.enable_restore,
        enable_failed_object_recording=request.enable_failed_object_recording,
        object_overwrite_mode=request.object_overwrite_mode,
        dst_storage_policy=request.dst_storage_policy,
        consistency_check=request.consistency_check,
        enable_requester_pays=request.enable_requester_pays,
        request_id=request.request_id,
    )
    try:
        valid = validate_create(wanted, policy, project_id=project_id)
    except RequestError as error:
        for violation in error.violations:
            findings.add(error.code, violation.field, violation.description)
        findings.raise_if_any()
        raise
    findings.raise_if_any()
    return ValidatedGroup(valid.spec, valid.credentials, valid.windows)


def validate_start_group(request: StartTaskGroup, spec: TaskSpec) -> TaskCredentials:
    """The keys a group goes on with. Raises RequestError with every wrong field."""
    wanted = StartTask(
        dst_ak=request.dst_ak,
        dst_sk=request.dst_sk,
        src_ak=request.src_ak,
        src_sk=request.src_sk,
        src_security_token=request.src_security_token,
        dst_security_token=request.dst_security_token,
        json_auth_file=request.json_auth_file,
        source_cdn_authentication_key=request.source_cdn_authentication_key,
    )
    return validate_start(wanted, spec).credentials


def validate_retry_group(request: RetryTaskGroup) -> ValidatedRetry:
    """The keys given with a retry: both of an end, or none. Raises RequestError with every wrong field."""
    findings = Findings()
    findings.check(START_GROUP_LIMITS, request)
    findings.bar(START_BARRED, request)
    findings.need(RETRY_GROUP_NEEDS, request)
    findings.raise_if_any()
    source = _keys(request.src_ak, request.src_sk, request.src_security_token)
    destination = _keys(request.dst_ak, request.dst_sk, request.dst_security_token)
    return ValidatedRetry(source, destination, bool(request.migrate_failed_object))


def validate_list_groups(request: ListTaskGroups) -> ValidatedGroupList:
    """The page a caller asks for, with the documented defaults. Raises RequestError."""
    findings = Findings()
    findings.check(LIST_GROUP_LIMITS, request)
    findings.raise_if_any()
    return ValidatedGroupList(
        offset=request.offset or 0,
        limit=DEFAULT_PAGE if request.limit is None else request.limit,
        state=None if request.status is None else GroupState(request.status),
    )


def _keys(access_key: str | None, secret_key: str | None, token: str | None) -> Credentials | None:
    return Credentials(access_key, secret_key, token or "") if access_key and secret_key else None
