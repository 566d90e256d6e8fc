"""The routes of the V2 API. Source: API reference, chapter 5; the two that the reference lacks are those of newer clients."""

from __future__ import annotations

from typing import Any

from omsd.api.rest import answers, bodies, mapping_v2, mapping_v2_others
from omsd.api.rest.services import Services
from omsd.api.rest.table import Access, Call, Handler, Route

_TASKS = "/v2/{project_id}/tasks"
_TASK = _TASKS + "/{task_id}"


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


async def _cloud_types(services: Services, call: Call) -> tuple[str, ...]:
    return services.catalog.cloud_types(call.query.type).documented


async def _regions(services: Services, call: Call) -> tuple[answers.CloudRegions, ...]:
    return tuple(map(mapping_v2_others.regions_answer, services.catalog.cloud_regions()))


async def _privacy_agreement(services: Services, call: Call) -> None:
    """There is nobody to agree with: the server is the caller's own."""


def _task(call: Call) -> tuple[str, int]:
    return call.project_id, mapping_v2.task_id_of(call.path["task_id"])


def reading(
    name: str, operation: str, path: str, summary: str, handler: Handler, answer: Any, **more: Any
) -> Route:
    return Route(
        name,
        "GET",
        path,
        summary,
        handler,
        Access.READ,
        operation,
        answer=answer,
        missing_is_404=True,
        **more,
    )


def changing(
    name: str, operation: str, method: str, path: str, summary: str, handler: Handler, **more: Any
) -> Route:
    return Route(name, method, path, summary, handler, Access.CHANGE, operation, **more)


_VERSION_ROUTES = (
    Route(
        "list_api_versions",
        "GET",
        "/",
        "List the API versions",
        _list_versions,
        Access.OPEN,
        "ListApiVersions",
        answer=answers.ApiVersions,
    ),
    Route(
        "show_api_info",
        "GET",
        "/{version}",
        "Show an API version",
        _show_version,
        Access.OPEN,
        "GetApiVersion",
        answer=answers.ApiVersion,
        missing_is_404=True,
    ),
)

_TASK_ROUTES = (
    reading(
        "list_tasks",
        "ListTasks",
        _TASKS,
        "List migration tasks",
        _list_tasks,
        answers.Tasks,
        query=bodies.ListTasksQuery,
        frequent=True,
        of_tasks=True,
    ),
    changing(
        "create_task",
        "CreateTask",
        "POST",
        _TASKS,
        "Create a migration task and start it",
        _create_task,
        body=bodies.CreateTask,
        answer=answers.TaskCreated,
    ),
    changing(
        "batch_update_tasks",
        "BatchUpdateTasks",
        "POST",
        _TASKS + "/batch-update",
        "Change bandwidth and priority of several tasks",
        _batch_update,
        body=bodies.BatchUpdate,
    ),
    reading(
        "show_task",
        "GetTask",
        _TASK,
        "Show a migration task",
        _show_task,
        answers.Task,
        frequent=True,
        of_tasks=True,
    ),
    changing("delete_task", "DeleteTask", "DELETE", _TASK, "Delete a migration task", _delete_task),
    changing(
        "update_bandwidth_policy",
        "UpdateBandwidthPolicy",
        "PUT",
        _TASK + "/bandwidth-policy",
        "Replace the traffic limiting rules of a task",
        _update_bandwidth,
        body=bodies.UpdateBandwidth,
    ),
    changing(
        "start_task",
        "StartTask",
        "POST",
        _TASK + "/start",
        "Start a paused or failed task",
        _start_task,
        body=bodies.StartTask,
    ),
    changing("stop_task", "StopTask", "POST", _TASK + "/stop", "Pause a task", _stop_task),
)

_CATALOG_ROUTES = (
    reading(
        "show_cloud_type",
        "ListCloudTypes",
        "/v2/{project_id}/objectstorage/cloud-type",
        "List the clouds of an end",
        _cloud_types,
        tuple[str, ...],
        query=bodies.CloudTypeQuery,
    ),
    reading(
        "show_region_info",
        "ListRegions",
        "/v2/{project_id}/objectstorage/data-center",
        "List the regions of all clouds",
        _regions,
        tuple[answers.CloudRegions, ...],
    ),
    changing(
        "update_privacy_agreement_record",
        "UpdatePrivacyAgreementRecord",
        "POST",
        "/v2/{project_id}/privacy-agreements",
        "Record consent; has no effect",
        _privacy_agreement,
    ),
)

V2_ROUTES: tuple[Route, ...] = (
    *_VERSION_ROUTES,
    *_TASK_ROUTES,
    *_CATALOG_ROUTES,
)
