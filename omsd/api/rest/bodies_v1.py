"""Bodies, queries and answers of the V1 API, which has names, units and mandatory fields of its own. Source: API reference, chapter 6."""

from __future__ import annotations

import msgspec

from omsd.api.rest.answers import BandwidthPolicy as BandwidthAnswer
from omsd.api.rest.answers import ErrorReason, Link, SourceCdn
from omsd.api.rest.bodies import BandwidthPolicy, Flag, ListFile, Number, SmnConfig, SmnInfoV1, Text, Texts
from omsd.api.rest.bodies import SourceCdn as SourceCdnBody


class ObjectKeys(msgspec.Struct, frozen=True, kw_only=True):
    """path: "" or absent."""

    keys: Texts = None
    path: Text = None


class SrcNode(msgspec.Struct, frozen=True, kw_only=True):
    """object_key: one key, or several in an object."""

    region: Text = None
    ak: Text = None
    sk: Text = None
    bucket: Text = None
    list_file: ListFile | None = None
    object_key: str | ObjectKeys | None = None
    app_id: Text = None
    cloud_type: Text = None


class DstNode(msgspec.Struct, frozen=True, kw_only=True):
    """object_key: the target path, "/" is the root. cloud_type: one and the same cloud under many names."""

    region: Text = None
    ak: Text = None
    sk: Text = None
    bucket: Text = None
    object_key: Text
    cloud_type: Text = None


class CreateTask(msgspec.Struct, frozen=True, kw_only=True):
    """enable_kms, enable_restore, smn_config: names that V2 has for the same."""

    src_node: SrcNode
    dst_node: DstNode
    enable_kms: Flag = msgspec.field(name="enableKMS", default=None)
    thread_num: Number = None
    description: Text = None
    smn_info: SmnInfoV1 | None = msgspec.field(name="smnInfo", default=None)
    migrate_since: Number = None
    source_cdn: SourceCdnBody | None = None
    auto_restore: Flag = None
    bandwidth_policy: tuple[BandwidthPolicy, ...] | None = None
    task_type: Text = None
    enable_failed_object_recording: Flag = None
    enable_kms_v2: Flag = msgspec.field(name="enable_kms", default=None)
    enable_restore: Flag = None
    smn_config: SmnConfig | None = None


class TaskOperation(msgspec.Struct, frozen=True, kw_only=True):
    """operation: start, stop or change_bandwidthpolicy; the other fields are of the one or the other."""

    operation: str
    source_ak: Text = None
    source_sk: Text = None
    target_ak: Text = None
    target_sk: Text = None
    source_cdn_authentication_key: Text = None
    migration_failed_object: Flag = None
    bandwidth_policy: tuple[BandwidthPolicy, ...] | None = None


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """totalcount=true: only the number is wanted, and then start and limit are not needed."""

    start: Number = None
    limit: Number = None
    state: Number = None
    totalcount: Text = None


class VersionQuery(msgspec.Struct, frozen=True, kw_only=True):
    version: Text = None


class Version(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    links: tuple[Link, ...]
    version: str
    status: str
    updated: str
    min_version: str


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    versions: tuple[Version, ...]


class ListFileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    obs_bucket: str
    list_file_key: str


class SrcAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """list_file: left out for tasks without one."""

    region: str
    bucket: str
    object_key: tuple[str, ...]
    cloud_type: str
    list_file: ListFileAnswer | msgspec.UnsetType = msgspec.UNSET


class DstAnswer(msgspec.Struct, frozen=True, kw_only=True):
    region: str
    bucket: str
    object_key: str
    cloud_type: str


class SmnAnswer(msgspec.Struct, frozen=True, kw_only=True):
    notify_result: bool = msgspec.field(name="notifyResult")
    notify_error_message: str = msgspec.field(name="notifyErrorMessage")
    topic_name: str = msgspec.field(name="topicName")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """error_reason: "" unless the task failed. failed_object_record: JSON in a string. migrate_since: seconds.

    smnInfo, source_cdn: left out where there is none.
    """

    id: int
    name: str
    src_node: SrcAnswer
    dst_node: DstAnswer
    thread_num: int
    is_query_over: bool
    status: int
    progress: float
    total_num: int
    success_num: int
    fail_num: int
    skip_num: int
    description: str
    enable_kms: bool = msgspec.field(name="enableKMS")
    error_reason: ErrorReason | str
    total_size: int
    real_size: int
    complete_size: int
    migrate_speed: int
    start_time: int
    left_time: int
    total_time: int
    migrate_since: int
    task_type: str
    auto_restore: bool
    enable_failed_object_recording: bool
    failed_object_record: str
    bandwidth_policy: tuple[BandwidthAnswer, ...]
    smn_info: SmnAnswer | msgspec.UnsetType = msgspec.field(name="smnInfo", default=msgspec.UNSET)
    source_cdn: SourceCdn | msgspec.UnsetType = msgspec.UNSET


class TaskCount(msgspec.Struct, frozen=True, kw_only=True):
    taskcount: int


class FailedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the string."""

    result: bool
    list_file_key: str
    error_code: str = msgspec.field(name="errorCode")


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    quota: int


class QuotaResource(msgspec.Struct, frozen=True, kw_only=True):
    resource: Quota


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    quotas: QuotaResource
