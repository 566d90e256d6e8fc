"""Calls of task groups as a caller wrote them: raw values under the documented names, None where a field was absent."""

from __future__ import annotations

from dataclasses import dataclass, field

from omsd.service.requests import BandwidthRule, DstNode, SmnConfig, SourceCdn, SrcNode


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTaskGroup:
    """migrate_since: seconds, or milliseconds from 100000000000 on. request_id is ours: a repeat returns the same group."""

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
class StartTaskGroup:
    """The tokens are ours."""

    dst_ak: str | None = field(default=None, repr=False)
    dst_sk: str | None = field(default=None, repr=False)
    src_ak: str | None = field(default=None, repr=False)
    src_sk: str | None = field(default=None, repr=False)
    src_security_token: str | None = field(default=None, repr=False)
    dst_security_token: str | None = field(default=None, repr=False)
    json_auth_file: str | None = field(default=None, repr=False)
    source_cdn_authentication_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTaskGroup:
    """Both keys of an end, or none of it: then the stored ones are taken. The tokens are ours."""

    dst_ak: str | None = field(default=None, repr=False)
    dst_sk: str | None = field(default=None, repr=False)
    src_ak: str | None = field(default=None, repr=False)
    src_sk: str | None = field(default=None, repr=False)
    src_security_token: str | None = field(default=None, repr=False)
    dst_security_token: str | None = field(default=None, repr=False)
    json_auth_file: str | None = field(default=None, repr=False)
    source_cdn_authentication_key: str | None = field(default=None, repr=False)
    migrate_failed_object: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTaskGroups:
    """limit 1..100 (default 10), offset from 0, status 0..9."""

    limit: int | None = None
    offset: int | None = None
    status: int | None = None
