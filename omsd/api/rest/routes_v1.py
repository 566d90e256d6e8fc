"""The routes of the V1 API, outdated but served: the same tasks under other names. Source: API reference, chapter 6."""

from __future__ import annotations

from typing import Any

from omsd.api.rest import bodies_v1, mapping_v1, mapping_v2
from omsd.api.rest.answers import TaskCreated
from omsd.api.rest.services import Services
from omsd.api.rest.table import Access, Call, Handler, Route, Version
from omsd.domain.errors import Refusal, RequestError
from omsd.service.requests import Dialect, ListTasks

_BASE = "/v1/{project_id}/objectstorage"
_TASKS = _BASE + "/task"
_TASK = _TASKS + "/{task_id}"
_PARALLEL = "MaxParallelTaskNum"


async def _versions(services: Services, call: Call) -> bodies_v1.Versions:
    wanted = (call.query.version or "").lower()
    known = [mapping_v1.version_answer(version, call.base_url) for version in services.catalog.versions()]
    found = tuple(version for version in known if not wanted or version.id.startswith(wanted))
    if not found:
        raise RequestError("OMS.1009", "version: there is no such version", refusal=Refusal.NOT_FOUND)
    return bodies_v1.Versions(versions=found)


async def _create(services: Services, call: Call) -> TaskCreated:
    task = await services.tasks.create(call.project_id, mapping_v1.create_of(call.body))
    return TaskCreated(id=task.task_id, task_name=task.name)


async def _list(services: Services, call: Call) -> tuple[bodies_v1.Task, ...] | bodies_v1.TaskCount:
    query: bodies_v1.ListQuery = call.query
    if (query.totalcount or "").lower() == "true":
        wanted = ListTasks(limit=1, status=mapping_v1.state_of(query))
        return bodies_v1.TaskCount(taskcount=(await services.tasks.list(call.project_id, wanted)).count)
    page = await services.tasks.list(call.project_id, mapping_v1.list_of(query))
    return tuple(map(mapping_v1.task_answer, page.tasks))


async def _show(services: Services, call: Call) -> bodies_v1.Task:
    return mapping_v1.task_answer(await services.tasks.get(*_task(call)))


async def _delete(services: Services, call: Call) -> None:
    await services.tasks.delete(*_task(call))


async def _operate(services: Services, call: Call) -> None:
    body: bodies_v1.TaskOperation = call.body
    match body.operation.lower():
        case mapping_v1.START:
            await services.tasks.start(*_task(call), mapping_v1.start_of(body))
        case mapping_v1.STOP:
            await services.tasks.stop(*_task(call))
        case mapping_v1.CHANGE_BANDWIDTH:
            rules = mapping_v2.rules_of(body.bandwidth_policy) or ()
            await services.tasks.update_bandwidth(*_task(call), rules, Dialect.V1)
        case _:
            right = f"must be {mapping_v1.START}, {mapping_v1.STOP} or {mapping_v1.CHANGE_BANDWIDTH}"
            raise RequestError.of_field("OMS.0064", "operation", right)


async def _quotas(services: Services, call: Call) -> bodies_v1.Quotas:
    quotas = await services.catalog.quotas(call.project_id)
    limit = next(quota.limit for quota in quotas if quota.name == _PARALLEL)
    return bodies_v1.Quotas(
        quotas=bodies_v1.QuotaResource(resource=bodies_v1.Quota(type=_PARALLEL, quota=limit))
    )


def _task(call: Call) -> tuple[str, int]:
    return call.project_id, mapping_v2.task_id_of(call.path["task_id"])


def _route(
    name: str,
    operation: str,
    method: str,
    path: str,
    summary: str,
    handler: Handler,
    access: Access,
    **more: Any,
) -> Route:
    missing = method == "GET"
    return Route(
        name, method, path, summary, handler, access, operation, Version.V1, missing_is_404=missing, **more
    )


V1_ROUTES: tuple[Route, ...] = (
    _route(
        "v1_show_versions",
        "ListApiVersions",
        "GET",
        _BASE + "/version",
        "V1: show the API versions",
        _versions,
        Access.READ,
        query=bodies_v1.VersionQuery,
        answer=bodies_v1.Versions,
    ),
    _route(
        "v1_create_task",
        "CreateTask",
        "POST",
        _TASKS,
        "V1: create a migration task and start it",
        _create,
        Access.CHANGE,
        body=bodies_v1.CreateTask,
        answer=TaskCreated,
    ),
    _route(
        "v1_list_tasks",
        "ListTasks",
        "GET",
        _TASKS,
        "V1: list migration tasks, or count them",
        _list,
        Access.READ,
        query=bodies_v1.ListQuery,
        answer=tuple[bodies_v1.Task, ...] | bodies_v1.TaskCount,
        frequent=True,
        of_tasks=True,
    ),
    _route(
        "v1_show_task",
        "GetTask",
        "GET",
        _TASK,
        "V1: show a migration task",
        _show,
        Access.READ,
        answer=bodies_v1.Task,
        frequent=True,
        of_tasks=True,
    ),
    _route(
        "v1_delete_task", "DeleteTask", "DELETE", _TASK, "V1: delete a migration task", _delete, Access.CHANGE
    ),
    _route(
        "v1_operate_task",
        "OperateTask",
        "PUT",
        _TASK,
        "V1: start or stop a task, or replace its traffic limiting rules",
        _operate,
        Access.CHANGE,
        body=bodies_v1.TaskOperation,
    ),
    _route(
        "v1_show_quotas",
        "ListQuotas",
        "GET",
        _BASE + "/quotas",
        "V1: show the quotas of a tenant",
        _quotas,
        Access.READ,
        answer=bodies_v1.Quotas,
    ),
)
