"""Calls of synchronization tasks as a caller wrote them: raw values under the documented names, None where a field was absent."""

from __future__ import annotations

from dataclasses import dataclass, field

from omsd.service.requests import KeyFields, SourceCdn


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSyncTask:
    """src_endpoint, dst_cloud_type, dst_endpoint, the tokens and enable_delete are ours."""

    src_cloud_type: str | None = None
    src_region: str | None = None
    src_bucket: str | None = None
    src_ak: str | None = field(default=None, repr=False)
    src_sk: str | None = field(default=None, repr=False)
    src_security_token: str | None = field(default=None, repr=False)
    src_endpoint: str | None = None
    dst_cloud_type: str | None = None
    dst_region: str | None = None
    dst_bucket: str | None = None
    dst_ak: str | None = field(default=None, repr=False)
    dst_sk: str | None = field(default=None, repr=False)
    dst_security_token: str | None = field(default=None, repr=False)
    dst_endpoint: str | None = None
    app_id: str | None = None
    description: str | None = None
    enable_metadata_migration: bool | None = None
    enable_kms: bool | None = None
    enable_restore: bool | None = None
    enable_delete: bool | None = None
    dst_storage_policy: str | None = None
    consistency_check: str | None = None
    object_overwrite_mode: str | None = None
    source_cdn: SourceCdn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSyncTask(KeyFields):
    """The tokens are ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSyncTasks:
    """limit 1..100 (default 10), offset from 0, status SYNCHRONIZING or STOPPED."""

    limit: int | None = None
    offset: int | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatistics:
    """Times in Unix milliseconds."""

    data_type: tuple[str, ...] | None = None
    start_time: int | None = None
    end_time: int | None = None
