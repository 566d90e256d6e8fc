"""Calls as a caller wrote them: raw values under the documented names, None where a field was absent.

Enumerations are still strings here (any case); validation.py turns these into domain types or says which field is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Dialect(StrEnum):
    """Whose limits hold for a call: those of the API's present version, or those of the one before it."""

    V2 = "v2"
    V1 = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFile:
    """list_file_num: how many files; checked, and not used."""

    list_file_key: str = ""
    obs_bucket: str = ""
    list_file_num: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SrcNode:
    """endpoint is ours: a URL instead of the region's catalogued endpoint."""

    cloud_type: str | None = None
    region: str | None = None
    ak: str | None = field(default=None, repr=False)
    sk: str | None = field(default=None, repr=False)
    json_auth_file: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    app_id: str | None = None
    bucket: str | None = None
    object_key: tuple[str, ...] | None = None
    list_file: ListFile | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DstNode:
    """cloud_type and endpoint are ours."""

    ak: str | None = field(default=None, repr=False)
    sk: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    bucket: str | None = None
    region: str | None = None
    save_prefix: str | None = None
    cloud_type: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthRule:
    """start, end: hh:mm. max_bandwidth: bytes per second."""

    start: str | None = None
    end: str | None = None
    max_bandwidth: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCdn:
    """authentication_key: with which URLs are signed, as authentication_type says."""

    authentication_type: str | None = None
    domain: str | None = None
    protocol: str | None = None
    authentication_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmnConfig:
    """trigger_conditions: SUCCESS, FAILURE (FAIL)."""

    topic_urn: str | None = None
    trigger_conditions: tuple[str, ...] = ()
    language: str | None = None
    message_template_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationFields:
    """What tasks and task groups are created with.

    migrate_since: seconds, or milliseconds from 100000000000 on. request_id is ours: a repeat returns what the first call made.
    """

    src_node: SrcNode | None = None
    dst_node: DstNode | None = None
    task_type: str | None = None
    description: str | None = None
    enable_kms: bool | None = None
    migrate_since: int | None = None
    bandwidth_policy: tuple[BandwidthRule, ...] | None = None
    source_cdn: SourceCdn | None = None
    smn_config: SmnConfig | None = None
    enable_metadata_migration: bool | None = None
    enable_restore: bool | None = None
    enable_failed_object_recording: bool | None = None
    object_overwrite_mode: str | None = None
    dst_storage_policy: str | None = None
    consistency_check: str | None = None
    enable_requester_pays: bool | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTask(MigrationFields):
    """thread_num: of V1, where it is mandatory; kept and shown, not obeyed: how many requests are used finds itself."""

    task_priority: str | None = None
    thread_num: int | None = None
    dialect: Dialect = Dialect.V2


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFields:
    """The keys of both ends, as whatever is started wants them again."""

    dst_ak: str | None = field(default=None, repr=False)
    dst_sk: str | None = field(default=None, repr=False)
    src_ak: str | None = field(default=None, repr=False)
    src_sk: str | None = field(default=None, repr=False)
    src_security_token: str | None = field(default=None, repr=False)
    dst_security_token: str | None = field(default=None, repr=False)
    source_cdn_authentication_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTask(KeyFields):
    """migrate_failed_object: only what failed."""

    json_auth_file: str | None = field(default=None, repr=False)
    migrate_failed_object: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTasks:
    """limit 1..100 (default 10), offset from 0, status 1..7, task_name: substring."""

    limit: int | None = None
    offset: int | None = None
    status: int | None = None
    group_id: str | None = None
    task_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchUpdateTasks:
    """Exactly one of group_id and ids; all or nothing."""

    group_id: str | None = None
    ids: tuple[int, ...] | None = None
    bandwidth_policy: tuple[BandwidthRule, ...] | None = None
    task_priority: str | None = None
