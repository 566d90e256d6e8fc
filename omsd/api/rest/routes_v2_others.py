"""The routes of synchronization tasks and of questions about buckets. Source: API reference, 5.3 and 5.5; the last is of newer clients."""

from __future__ import annotations

from typing import Any

from omsd.api.rest import answers, bodies, mapping_v2_others
from omsd.api.rest.routes_v2 import changing, reading
from omsd.api.rest.services import Services
from omsd.api.rest.table import Access, Call, Handler, Route
from omsd.domain.errors import RequestError

_SYNCS = "/v2/{project_id}/sync-tasks"
_SYNC = _SYNCS + "/{sync_task_id}"
_BUCKETS = "/v2/{project_id}/objectstorage/buckets"


async def _create_sync(services: Services, call: Call) -> answers.SyncTaskCreated:
    task = await services.syncs.create(call.project_id, mapping_v2_others.create_sync_of(call.body))
    return answers.SyncTaskCreated(sync_task_id=task.sync_task_id)


async def _list_syncs(services: Services, call: Call) -> answers.SyncTasks:
    page = await services.syncs.list(call.project_id, mapping_v2_others.list_sync_of(call.query))
    return mapping_v2_others.sync_page_answer(page)


async def _show_sync(services: Services, call: Call) -> answers.SyncTaskMonth:
    return mapping_v2_others.sync_month_answer(await services.syncs.get(*_sync(call), call.query.query_time))


async def _sync_statistics(services: Services, call: Call) -> answers.SyncStatistics:
    wanted = mapping_v2_others.statistics_of(call.query)
    return mapping_v2_others.statistics_answer(await services.syncs.statistics(*_sync(call), wanted))


async def _sync_events(services: Services, call: Call) -> None:
    await services.syncs.create_events(*_sync(call), call.body.object_keys or ())


async def _start_sync(services: Services, call: Call) -> None:
    await services.syncs.start(*_sync(call), mapping_v2_others.start_sync_of(call.body))


async def _stop_sync(services: Services, call: Call) -> None:
    await services.syncs.stop(*_sync(call))


async def _delete_sync(services: Services, call: Call) -> None:
    await services.syncs.delete(*_sync(call))


async def _list_buckets(services: Services, call: Call) -> tuple[str, ...]:
    return await services.buckets.list_buckets(mapping_v2_others.list_buckets_of(call.body))


async def _bucket_objects(services: Services, call: Call) -> answers.BucketObjects:
    page = await services.buckets.list_objects(mapping_v2_others.list_objects_of(call.body))
    return mapping_v2_others.objects_answer(page)


async def _cdn_info(services: Services, call: Call) -> answers.CdnInfo:
    info = await services.buckets.cdn_info(mapping_v2_others.cdn_info_of(call.body))
    return mapping_v2_others.cdn_answer(info)


async def _bucket_region(services: Services, call: Call) -> answers.BucketRegion:
    found = await services.buckets.bucket_region(mapping_v2_others.bucket_region_of(call.body))
    return answers.BucketRegion(id=found.region_id, name=found.name, support=found.is_supported)


async def _check_prefix(services: Services, call: Call) -> answers.PrefixFound:
    wanted = mapping_v2_others.check_prefix_of(call.body)
    return answers.PrefixFound(exist=await services.buckets.has_prefix(wanted))


async def _check_url_list(services: Services, call: Call) -> None:
    found = await services.buckets.check_url_list(mapping_v2_others.check_url_list_of(call.body))
    if found.failure is not None:
        raise RequestError(found.failure.code, found.failure.message)


def _sync(call: Call) -> tuple[str, str]:
    return call.project_id, call.path["sync_task_id"]


def _ask(
    name: str, operation: str, path: str, summary: str, handler: Handler, body: Any, answer: Any
) -> Route:
    return Route(
        name, "POST", _BUCKETS + path, summary, handler, Access.READ, operation, body=body, answer=answer
    )


SYNC_ROUTES: tuple[Route, ...] = (
    reading(
        "list_sync_tasks",
        "ListSyncTasks",
        _SYNCS,
        "List synchronization tasks",
        _list_syncs,
        answers.SyncTasks,
        query=bodies.ListSyncTasksQuery,
        frequent=True,
    ),
    changing(
        "create_sync_task",
        "CreateSyncTask",
        "POST",
        _SYNCS,
        "Create a synchronization task and start it",
        _create_sync,
        body=bodies.CreateSyncTask,
        answer=answers.SyncTaskCreated,
    ),
    reading(
        "show_sync_task",
        "GetSyncTask",
        _SYNC,
        "Show a synchronization task and the figures of a month",
        _show_sync,
        answers.SyncTaskMonth,
        query=bodies.ShowSyncTaskQuery,
        frequent=True,
    ),
    changing(
        "delete_sync_task", "DeleteSyncTask", "DELETE", _SYNC, "Delete a synchronization task", _delete_sync
    ),
    changing(
        "create_sync_events",
        "CreateSyncEvents",
        "POST",
        _SYNC + "/events",
        "Ask for objects to be synchronized",
        _sync_events,
        body=bodies.SyncEvents,
        missing_is_404=True,
        frequent=True,
    ),
    changing(
        "start_sync_task",
        "StartSyncTask",
        "POST",
        _SYNC + "/start",
        "Start a stopped synchronization task",
        _start_sync,
        body=bodies.StartSyncTask,
    ),
    reading(
        "list_sync_task_statistic",
        "GetSyncTaskStatistics",
        _SYNC + "/statistics",
        "Show figures of a synchronization task by interval",
        _sync_statistics,
        answers.SyncStatistics,
        query=bodies.StatisticsQuery,
    ),
    changing(
        "stop_sync_task", "StopSyncTask", "POST", _SYNC + "/stop", "Stop a synchronization task", _stop_sync
    ),
)

BUCKET_ROUTES: tuple[Route, ...] = (
    _ask(
        "show_bucket_list",
        "ListBuckets",
        "",
        "List buckets",
        _list_buckets,
        bodies.ListBuckets,
        tuple[str, ...],
    ),
    _ask(
        "show_cdn_info",
        "GetCdnInfo",
        "/cdn-info",
        "Compare objects through a CDN with the source",
        _cdn_info,
        bodies.ShowCdnInfo,
        answers.CdnInfo,
    ),
    _ask(
        "show_bucket_objects",
        "ListBucketObjects",
        "/objects",
        "List one level of a bucket",
        _bucket_objects,
        bodies.ShowBucketObjects,
        answers.BucketObjects,
    ),
    _ask(
        "check_prefix",
        "CheckPrefix",
        "/prefix",
        "Ask whether a key begins with a prefix",
        _check_prefix,
        bodies.CheckPrefix,
        answers.PrefixFound,
    ),
    _ask(
        "show_bucket_region",
        "GetBucketRegion",
        "/regions",
        "Show the region of a bucket",
        _bucket_region,
        bodies.ShowBucketRegion,
        answers.BucketRegion,
    ),
    _ask(
        "check_url_source_list_file_format",
        "CheckUrlList",
        "/url-source-list-file",
        "Check a URL list file",
        _check_url_list,
        bodies.CheckUrlListFile,
        None,
    ),
)
