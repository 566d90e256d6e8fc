"""The routes of the V2 API. Source: API reference, chapter 5; the two that the reference lacks are those of newer clients."""

from __future__ import annotations

from typing import Any

from omsd.api.rest import answers, bodies, mapping_v2, mapping_v2_others
from omsd.api.rest.services import Services
from omsd.api.rest.table import Access, Call, Route
from omsd.domain.errors import RequestError

_TASKS = "/v2/{project_id}/tasks"
_TASK = _TASKS + "/{task_id}"
_SYNCS = "/v2/{project_id}/sync-tasks"
_SYNC = _SYNCS + "/{sync_task_id}"
_BUCKETS = "/v2/{project_id}/objectstorage/buckets"


async def _list_versions(services: Services, call: Call) -> answers.ApiVersions:
    known = services.catalog.versions()
    return answers.ApiVersions(
        versions=tuple(mapping_v2_others.version_answer(version, call.base_url) for version in known)
    )


async def _show_version(services: Services, call: Call) -> answers.ApiVersion:
    return mapping_v2_others.version_answer(services.catalog.version(call.path["version"]), call.base_url)


async def _create_task(services: Services, call: Call) -> answers.TaskCreated:
    task = await services.tasks.create(call.project_id, mapping_v2.create_of(call.body))
    return answers.TaskCreated(id=task.task_id, task_name=task.name)


async def _list_tasks(services: Services, call: Call) -> answers.Tasks:
    page = await services.tasks.list(call.project_id, mapping_v2.list_of(call.query))
    return mapping_v2.page_answer(page)


async def _show_task(services: Services, call: Call) -> answers.Task:
    return mapping_v2.task_answer(await services.tasks.get(*_task(call)))


async def _start_task(services: Services, call: Call) -> None:
    await services.tasks.start(*_task(call), mapping_v2.start_of(call.body))


async def _stop_task(services: Services, call: Call) -> None:
    await services.tasks.stop(*_task(call))


async def _delete_task(services: Services, call: Call) -> None:
    await services.tasks.delete(*_task(call))


async def _update_bandwidth(services: Services, call: Call) -> None:
    await services.tasks.update_bandwidth(*_task(call), mapping_v2.rules_of(call.body.bandwidth_policy))


async def _batch_update(services: Services, call: Call) -> None:
    await services.tasks.batch_update(call.project_id, mapping_v2.batch_of(call.body))


async def _create_sync(services: Services, call: Call) -> answers.SyncTaskCreated:
    task = await services.syncs.create(call.project_id, mapping_v2_others.create_sync_of(call.body))
    return answers.SyncTaskCreated(sync_task_id=task.sync_task_id)


async def _list_syncs(services: Services, call: Call) -> answers.SyncTasks:
    page = await services.syncs.list(call.project_id, mapping_v2_others.list_sync_of(call.query))
    return mapping_v2_others.sync_page_answer(page)


async def _show_sync(services: Services, call: Call) -> answers.SyncTaskMonth:
    return mapping_v2_others.sync_month_answer(
        await services.syncs.get(*_sync(call), call.query.query_time)
    )


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


async def _cloud_types(services: Services, call: Call) -> tuple[str, ...]:
    return services.catalog.cloud_types(call.query.type).documented


async def _regions(services: Services, call: Call) -> tuple[answers.CloudRegions, ...]:
    return tuple(map(mapping_v2_others.regions_answer, services.catalog.cloud_regions()))


async def _privacy_agreement(services: Services, call: Call) -> None:
    """There is nobody to agree with: the server is the caller's own."""


def _task(call: Call) -> tuple[str, int]:
    return call.project_id, mapping_v2.task_id_of(call.path["task_id"])


def _sync(call: Call) -> tuple[str, str]:
    return call.project_id, call.path["sync_task_id"]


def _read(name: str, path: str, summary: str, handler: Any, answer: Any, **more: Any) -> Route:
    return Route(
        name, "GET", path, summary, handler, Access.READ, answer=answer, missing_is_404=True, **more
    )


def _change(name: str, method: str, path: str, summary: str, handler: Any, **more: Any) -> Route:
    return Route(name, method, path, summary, handler, Access.CHANGE, **more)


def _ask(name: str, path: str, summary: str, handler: Any, body: Any, answer: Any) -> Route:
    return Route(name, "POST", _BUCKETS + path, summary, handler, Access.READ, body=body, answer=answer)


_VERSION_ROUTES = (
    Route(
        "list_api_versions",
        "GET",
        "/",
        "List the API versions",
        _list_versions,
        Access.OPEN,
        answer=answers.ApiVersions,
    ),
    Route(
        "show_api_info",
        "GET",
        "/{version}",
        "Show an API version",
        _show_version,
        Access.OPEN,
        answer=answers.ApiVersion,
        missing_is_404=True,
    ),
)

_TASK_ROUTES = (
    _read(
        "list_tasks",
        _TASKS,
        "List migration tasks",
        _list_tasks,
        answers.Tasks,
        query=bodies.ListTasksQuery,
        frequent=True,
    ),
    _change(
        "create_task",
        "POST",
        _TASKS,
        "Create a migration task and start it",
        _create_task,
        body=bodies.CreateTask,
        answer=answers.TaskCreated,
    ),
    _change(
        "batch_update_tasks",
        "POST",
        _TASKS + "/batch-update",
        "Change bandwidth and priority of several tasks",
        _batch_update,
        body=bodies.BatchUpdate,
    ),
    _read("show_task", _TASK, "Show a migration task", _show_task, answers.Task, frequent=True),
    _change("delete_task", "DELETE", _TASK, "Delete a migration task", _delete_task),
    _change(
        "update_bandwidth_policy",
        "PUT",
        _TASK + "/bandwidth-policy",
        "Replace the traffic limiting rules of a task",
        _update_bandwidth,
        body=bodies.UpdateBandwidth,
    ),
    _change(
        "start_task",
        "POST",
        _TASK + "/start",
        "Start a paused or failed task",
        _start_task,
        body=bodies.StartTask,
    ),
    _change("stop_task", "POST", _TASK + "/stop", "Pause a task", _stop_task),
)

_SYNC_ROUTES = (
    _read(
        "list_sync_tasks",
        _SYNCS,
        "List synchronization tasks",
        _list_syncs,
        answers.SyncTasks,
        query=bodies.ListSyncTasksQuery,
        frequent=True,
    ),
    _change(
        "create_sync_task",
        "POST",
        _SYNCS,
        "Create a synchronization task and start it",
        _create_sync,
        body=bodies.CreateSyncTask,
        answer=answers.SyncTaskCreated,
    ),
    _read(
        "show_sync_task",
        _SYNC,
        "Show a synchronization task and the figures of a month",
        _show_sync,
        answers.SyncTaskMonth,
        query=bodies.ShowSyncTaskQuery,
        frequent=True,
    ),
    _change("delete_sync_task", "DELETE", _SYNC, "Delete a synchronization task", _delete_sync),
    _change(
        "create_sync_events",
        "POST",
        _SYNC + "/events",
        "Ask for objects to be synchronized",
        _sync_events,
        body=bodies.SyncEvents,
        missing_is_404=True,
        frequent=True,
    ),
    _change(
        "start_sync_task",
        "POST",
        _SYNC + "/start",
        "Start a stopped synchronization task",
        _start_sync,
        body=bodies.StartSyncTask,
    ),
    _read(
        "list_sync_task_statistic",
        _SYNC + "/statistics",
        "Show figures of a synchronization task by interval",
        _sync_statistics,
        answers.SyncStatistics,
        query=bodies.StatisticsQuery,
    ),
    _change("stop_sync_task", "POST", _SYNC + "/stop", "Stop a synchronization task", _stop_sync),
)

_BUCKET_ROUTES = (
    _ask("show_bucket_list", "", "List buckets", _list_buckets, bodies.ListBuckets, tuple[str, ...]),
    _ask(
        "show_cdn_info",
        "/cdn-info",
        "Compare objects through a CDN with the source",
        _cdn_info,
        bodies.ShowCdnInfo,
        answers.CdnInfo,
    ),
    _ask(
        "show_bucket_objects",
        "/objects",
        "List one level of a bucket",
        _bucket_objects,
        bodies.ShowBucketObjects,
        answers.BucketObjects,
    ),
    _ask(
        "check_prefix",
        "/prefix",
        "Ask whether a key begins with a prefix",
        _check_prefix,
        bodies.CheckPrefix,
        answers.PrefixFound,
    ),
    _ask(
        "show_bucket_region",
        "/regions",
        "Show the region of a bucket",
        _bucket_region,
        bodies.ShowBucketRegion,
        answers.BucketRegion,
    ),
    _ask(
        "check_url_source_list_file_format",
        "/url-source-list-file",
        "Check a URL list file",
        _check_url_list,
        bodies.CheckUrlListFile,
        None,
    ),
)

_CATALOG_ROUTES = (
    _read(
        "show_cloud_type",
        "/v2/{project_id}/objectstorage/cloud-type",
        "List the clouds of an end",
        _cloud_types,
        tuple[str, ...],
        query=bodies.CloudTypeQuery,
    ),
    _read(
        "show_region_info",
        "/v2/{project_id}/objectstorage/data-center",
        "List the regions of all clouds",
        _regions,
        tuple[answers.CloudRegions, ...],
    ),
    _change(
        "update_privacy_agreement_record",
        "POST",
        "/v2/{project_id}/privacy-agreements",
        "Record consent; has no effect",
        _privacy_agreement,
    ),
)

V2_ROUTES: tuple[Route, ...] = (
    *_VERSION_ROUTES,
    *_TASK_ROUTES,
    *_SYNC_ROUTES,
    *_BUCKET_ROUTES,
    *_CATALOG_ROUTES,
)
