"""V2 bodies of synchronization tasks, buckets and the catalogue to requests, and their answers. No rule lives here."""

from __future__ import annotations

from typing import Any

from omsd.api.rest import answers, bodies
from omsd.api.rest.mapping_v2 import cdn_of, refuse_kms, refuse_kms_of_keys
from omsd.domain.questions import size_text
from omsd.service import bucket_requests, sync_requests
from omsd.service.buckets import CdnInfo, ObjectPage
from omsd.service.catalog import ApiVersion, CloudRegions
from omsd.service.requests import ListFile
from omsd.service.syncs import StatisticsView, SyncPage, SyncView

_CREATE_FIELDS = (
    "src_cloud_type",
    "src_region",
    "src_bucket",
    "src_ak",
    "src_sk",
    "src_security_token",
    "dst_region",
    "dst_bucket",
    "dst_ak",
    "dst_sk",
    "dst_security_token",
    "app_id",
    "description",
    "enable_metadata_migration",
    "enable_kms",
    "enable_restore",
    "dst_storage_policy",
    "consistency_check",
    "object_overwrite_mode",
)
_START_FIELDS = (
    "src_ak",
    "src_sk",
    "src_security_token",
    "dst_ak",
    "dst_sk",
    "dst_security_token",
    "source_cdn_authentication_key",
)
_ACCOUNT_FIELDS = ("cloud_type", "ak", "sk", "json_auth_file", "app_id")


def create_sync_of(body: bodies.CreateSyncTask) -> sync_requests.CreateSyncTask:
    """The call as written."""
    refuse_kms(
        ("src_crypto_type", body.src_crypto_type),
        ("dst_crypto_type", body.dst_crypto_type),
        ("source_cdn.crypto_type", body.source_cdn.crypto_type if body.source_cdn else None),
    )
    return sync_requests.CreateSyncTask(**_given(body, *_CREATE_FIELDS), source_cdn=cdn_of(body.source_cdn))


def start_sync_of(body: bodies.StartSyncTask) -> sync_requests.StartSyncTask:
    """The call as written."""
    refuse_kms_of_keys(body)
    return sync_requests.StartSyncTask(**_given(body, *_START_FIELDS))


def list_sync_of(query: bodies.ListSyncTasksQuery) -> sync_requests.ListSyncTasks:
    """The call as written."""
    return sync_requests.ListSyncTasks(limit=query.limit, offset=query.offset, status=query.status)


def statistics_of(query: bodies.StatisticsQuery) -> sync_requests.SyncStatistics:
    """The call as written; types are separated by commas."""
    kinds = None
    if query.data_type is not None:
        kinds = tuple(kind.strip() for kind in query.data_type.split(",") if kind.strip())
    return sync_requests.SyncStatistics(data_type=kinds, start_time=query.start_time, end_time=query.end_time)


def sync_answer(view: SyncView) -> answers.SyncTask:
    """The task as callers see it in a list; no secret is in it."""
    return answers.SyncTask(**_sync_fields(view))


def sync_month_answer(view: SyncView) -> answers.SyncTaskMonth:
    """The task with the figures of a month."""
    month = view.month
    return answers.SyncTaskMonth(
        **_sync_fields(view),
        monthly_acceptance_request=month.request_num,
        monthly_success_object=month.success_num,
        monthly_failed_object=month.failure_num,
        monthly_failure_object=month.failure_num,
        monthly_skip_object=month.skip_num,
        monthly_size=month.size_bytes,
    )


def sync_page_answer(page: SyncPage) -> answers.SyncTasks:
    """A page of tasks."""
    return answers.SyncTasks(tasks=tuple(map(sync_answer, page.tasks)), count=page.count)


def statistics_answer(view: StatisticsView) -> answers.SyncStatistics:
    """One entry for each type asked for; intervals in which it is 0 are left out."""
    return answers.SyncStatistics(
        sync_task_id=view.sync_task_id,
        statistic_time_type=view.interval,
        statistic_datas=tuple(
            answers.Statistics(
                data_type=kind,
                data=tuple(
                    answers.Statistic(time_stamp=timed.start_ms, statistic_num=figure)
                    for timed in view.timed
                    if (figure := timed.figures.of(kind))
                ),
            )
            for kind in view.kinds
        ),
    )


def list_buckets_of(body: bodies.ListBuckets) -> bucket_requests.ListBuckets:
    """The call as written."""
    return bucket_requests.ListBuckets(**_given(body, *_ACCOUNT_FIELDS))


def list_objects_of(body: bodies.ShowBucketObjects) -> bucket_requests.ListBucketObjects:
    """The call as written."""
    names = ("bucket_name", "data_center", "file_path", "page_size", "behind_filename")
    return bucket_requests.ListBucketObjects(**_given(body, *_ACCOUNT_FIELDS, *names))


def bucket_region_of(body: bodies.ShowBucketRegion) -> bucket_requests.GetBucketRegion:
    """The call as written."""
    return bucket_requests.GetBucketRegion(**_given(body, *_ACCOUNT_FIELDS, "bucket_name"))


def check_prefix_of(body: bodies.CheckPrefix) -> bucket_requests.CheckPrefix:
    """The call as written."""
    names = ("bucket_name", "file_name", "data_center", "security_token")
    return bucket_requests.CheckPrefix(**_given(body, *_ACCOUNT_FIELDS, *names))


def cdn_info_of(body: bodies.ShowCdnInfo) -> bucket_requests.GetCdnInfo:
    """The call as written."""
    refuse_kms(("source_cdn.crypto_type", body.source_cdn.crypto_type if body.source_cdn else None))
    keys = body.prefix.keys if body.prefix else None
    return bucket_requests.GetCdnInfo(
        **_given(body, *_ACCOUNT_FIELDS, "region", "bucket"),
        source_cdn=cdn_of(body.source_cdn),
        prefix=None if keys is None else bucket_requests.PrefixKeyInfo(keys=keys),
    )


def check_url_list_of(body: bodies.CheckUrlListFile) -> bucket_requests.CheckUrlList:
    """The call as written; no URL is asked for: only the file is checked."""
    file = ListFile(list_file_key=body.list_file_key or "", obs_bucket=body.obs_bucket or "")
    return bucket_requests.CheckUrlList(
        ak=body.ak, sk=body.sk, region=body.region, list_file=file, check_num=0
    )


def objects_answer(page: ObjectPage) -> answers.BucketObjects:
    """One level of a bucket."""
    return answers.BucketObjects(
        next_page=page.next_marker is not None,
        next_marker=page.next_marker,
        records=tuple(
            answers.BucketRecord(name=entry.name, size=size_text(entry.size_bytes)) for entry in page.entries
        ),
    )


def cdn_answer(info: CdnInfo) -> answers.CdnInfo:
    """How a CDN did."""
    return answers.CdnInfo(
        is_same_cloud_type=info.is_same_cloud,
        is_download_available=info.is_download_available,
        checked_keys=tuple(
            answers.CheckedKey(key=key.key, is_etag_matching=key.is_same, is_object_existing=key.is_found)
            for key in info.checked.keys
        ),
    )


def regions_answer(found: CloudRegions) -> answers.CloudRegions:
    """The regions of one cloud."""
    return answers.CloudRegions(
        service_name=found.cloud,
        region_list=tuple(
            answers.Region(cloud_type=found.cloud, value=region.region_id, description=region.description)
            for region in found.regions
        ),
    )


def version_answer(version: ApiVersion, base_url: str) -> answers.ApiVersion:
    """A version with a link to this server."""
    return answers.ApiVersion(
        id=version.version_id,
        links=(answers.Link(href=base_url + version.path, rel="self"),),
        status=version.status,
        updated=version.updated,
    )


def _given(body: object, *names: str) -> dict[str, Any]:
    """The values of these fields."""
    return {name: getattr(body, name) for name in names}


def _sync_fields(view: SyncView) -> dict[str, Any]:
    task, spec = view.task, view.task.spec
    return {
        "sync_task_id": task.sync_task_id,
        "src_cloud_type": spec.source.cloud_type,
        "src_region": spec.source.region,
        "src_bucket": spec.source.bucket,
        "dst_region": spec.destination.region,
        "dst_bucket": spec.destination.bucket,
        "create_time": task.created_ms,
        "last_start_time": task.last_started_ms,
        "description": spec.description,
        "status": task.state,
        "enable_kms": spec.encrypt_kms,
        "enable_metadata_migration": spec.migrate_metadata,
        "enable_restore": spec.restore_archived,
        "app_id": spec.source.app_id or None,
        "source_cdn": None,
        "object_overwrite_mode": spec.overwrite_mode,
        "dst_storage_policy": spec.storage_policy,
        "consistency_check": spec.consistency_check,
    }
