"""Bodies of V2 answers: exactly the documented fields, every one always there, with the types that clients' models expect.

Integers are numbers, absent objects and numbers null, never "".
"""

from __future__ import annotations

import msgspec


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What every refusal has."""

    error_code: str
    error_msg: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    href: str
    rel: str


class ApiVersion(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    links: tuple[Link, ...]
    status: str
    updated: str


class ApiVersions(msgspec.Struct, frozen=True, kw_only=True):
    versions: tuple[ApiVersion, ...]


class BandwidthPolicy(msgspec.Struct, frozen=True, kw_only=True):
    start: str
    end: str
    max_bandwidth: int


class SourceCdn(msgspec.Struct, frozen=True, kw_only=True):
    domain: str
    protocol: str
    authentication_type: str


class SmnInfo(msgspec.Struct, frozen=True, kw_only=True):
    notify_result: bool
    notify_error_message: str
    topic_name: str


class ErrorReason(msgspec.Struct, frozen=True, kw_only=True):
    error_code: str
    error_msg: str


class FailedObjectRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All three null while there is nothing to tell."""

    result: bool | None
    list_file_key: str | None
    error_code: str | None


class ListFile(msgspec.Struct, frozen=True, kw_only=True):
    list_file_key: str
    obs_bucket: str
    list_file_num: str | None


class SrcNode(msgspec.Struct, frozen=True, kw_only=True):
    bucket: str
    cloud_type: str
    region: str
    app_id: str
    object_key: tuple[str, ...]
    list_file: ListFile | None


class DstNode(msgspec.Struct, frozen=True, kw_only=True):
    bucket: str
    region: str
    save_prefix: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """migrate_since, start_time: Unix milliseconds; total_time, left_time: milliseconds. group_id "" outside groups."""

    id: int
    name: str
    status: int
    error_reason: ErrorReason | None
    task_type: str
    group_type: str
    group_id: str
    description: str
    src_node: SrcNode
    dst_node: DstNode
    enable_kms: bool
    enable_metadata_migration: bool
    enable_restore: bool
    enable_failed_object_recording: bool
    enable_requester_pays: bool
    object_overwrite_mode: str
    dst_storage_policy: str
    consistency_check: str
    task_priority: str
    migrate_since: int
    bandwidth_policy: tuple[BandwidthPolicy, ...]
    source_cdn: SourceCdn | None
    smn_info: SmnInfo | None
    is_query_over: bool
    total_num: int
    total_size: int
    successful_num: int
    failed_num: int
    skipped_num: int
    complete_size: int
    real_size: int
    progress: float
    migrate_speed: int
    start_time: int
    total_time: int
    left_time: int
    failed_object_record: FailedObjectRecord
    success_record_error_reason: str
    skip_record_error_reason: str
    obs_system: str


class Tasks(msgspec.Struct, frozen=True, kw_only=True):
    """count: of all matches."""

    tasks: tuple[Task, ...]
    count: int


class TaskCreated(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    task_name: str


class SyncTask(msgspec.Struct, frozen=True, kw_only=True):
    sync_task_id: str
    src_cloud_type: str
    src_region: str
    src_bucket: str
    dst_region: str
    dst_bucket: str
    create_time: int
    last_start_time: int
    description: str
    status: str
    enable_kms: bool
    enable_metadata_migration: bool
    enable_restore: bool
    app_id: str | None
    source_cdn: SourceCdn | None
    object_overwrite_mode: str
    dst_storage_policy: str
    consistency_check: str


class SyncTaskMonth(SyncTask, frozen=True, kw_only=True):
    """monthly_failed_object and monthly_failure_object: the same number under the names of the table and of clients."""

    monthly_acceptance_request: int
    monthly_success_object: int
    monthly_failed_object: int
    monthly_failure_object: int
    monthly_skip_object: int
    monthly_size: int


class SyncTasks(msgspec.Struct, frozen=True, kw_only=True):
    tasks: tuple[SyncTask, ...]
    count: int


class SyncTaskCreated(msgspec.Struct, frozen=True, kw_only=True):
    sync_task_id: str


class Statistic(msgspec.Struct, frozen=True, kw_only=True):
    time_stamp: int
    statistic_num: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    data_type: str
    data: tuple[Statistic, ...]


class SyncStatistics(msgspec.Struct, frozen=True, kw_only=True):
    sync_task_id: str
    statistic_time_type: str
    statistic_datas: tuple[Statistics, ...]


class BucketRecord(msgspec.Struct, frozen=True, kw_only=True):
    """size: for people, "--" for folders."""

    name: str
    size: str


class BucketObjects(msgspec.Struct, frozen=True, kw_only=True):
    next_page: bool
    next_marker: str | None
    records: tuple[BucketRecord, ...]


class CheckedKey(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    is_etag_matching: bool
    is_object_existing: bool


class CdnInfo(msgspec.Struct, frozen=True, kw_only=True):
    is_same_cloud_type: bool
    is_download_available: bool
    checked_keys: tuple[CheckedKey, ...]


class BucketRegion(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    support: bool


class PrefixFound(msgspec.Struct, frozen=True, kw_only=True):
    exist: bool


class Region(msgspec.Struct, frozen=True, kw_only=True):
    cloud_type: str
    value: str
    description: str


class CloudRegions(msgspec.Struct, frozen=True, kw_only=True):
    service_name: str
    region_list: tuple[Region, ...]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """smn_config: what became of the notification, as the reference types it. migrate_since, start_time: Unix milliseconds."""

    group_id: str
    status: int
    error_reason: ErrorReason | None
    src_node: SrcNode
    description: str
    dst_node: DstNode
    enable_metadata_migration: bool
    enable_failed_object_recording: bool
    enable_restore: bool
    enable_kms: bool
    task_type: str
    bandwidth_policy: tuple[BandwidthPolicy, ...]
    smn_config: SmnInfo | None
    source_cdn: SourceCdn | None
    migrate_since: int
    migrate_speed: int
    total_time: int
    start_time: int
    total_task_num: int
    create_task_num: int
    failed_task_num: int
    complete_task_num: int
    paused_task_num: int
    executing_task_num: int
    waiting_task_num: int
    total_num: int
    create_complete_num: int
    success_num: int
    fail_num: int
    skip_num: int
    total_size: int
    create_complete_size: int
    complete_size: int
    failed_object_record: FailedObjectRecord
    object_overwrite_mode: str
    dst_storage_policy: str
    consistency_check: str
    enable_requester_pays: bool
    obs_system: str


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    taskgroups: tuple[Group, ...]


class GroupCreated(msgspec.Struct, frozen=True, kw_only=True):
    group_id: str
