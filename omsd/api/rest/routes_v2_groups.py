"""The routes of task groups. Source: API reference, 5.4."""

from __future__ import annotations

from omsd.api.rest import answers, bodies, mapping_v2, mapping_v2_groups
from omsd.api.rest.routes_v2 import changing, reading
from omsd.api.rest.services import Services
from omsd.api.rest.table import Call, Route

_GROUPS = "/v2/{project_id}/taskgroups"
_GROUP = _GROUPS + "/{group_id}"


async def _create(services: Services, call: Call) -> answers.GroupCreated:
    group = await services.groups.create(call.project_id, mapping_v2_groups.create_group_of(call.body))
    return answers.GroupCreated(group_id=group.group_id)


async def _list(services: Services, call: Call) -> answers.Groups:
    page = await services.groups.list(call.project_id, mapping_v2_groups.list_groups_of(call.query))
    return mapping_v2_groups.group_page_answer(page)


async def _show(services: Services, call: Call) -> answers.Group:
    return mapping_v2_groups.group_answer(await services.groups.get(*_group(call)))


async def _delete(services: Services, call: Call) -> None:
    await services.groups.delete(*_group(call))


async def _stop(services: Services, call: Call) -> None:
    await services.groups.stop(*_group(call))


async def _start(services: Services, call: Call) -> None:
    await services.groups.start(*_group(call), mapping_v2_groups.start_group_of(call.body))


async def _retry(services: Services, call: Call) -> None:
    await services.groups.retry(*_group(call), mapping_v2_groups.retry_group_of(call.body))


async def _update(services: Services, call: Call) -> None:
    await services.groups.update(*_group(call), mapping_v2.rules_of(call.body.bandwidth_policy))


def _group(call: Call) -> tuple[str, str]:
    return call.project_id, call.path["group_id"]


GROUP_ROUTES: tuple[Route, ...] = (
    reading(
        "list_task_group",
        "ListTaskGroups",
        _GROUPS,
        "List task groups",
        _list,
        answers.Groups,
        query=bodies.ListGroupsQuery,
        frequent=True,
    ),
    changing(
        "create_task_group",
        "CreateTaskGroup",
        "POST",
        _GROUPS,
        "Create a task group",
        _create,
        body=bodies.CreateGroup,
        answer=answers.GroupCreated,
    ),
    reading(
        "show_task_group", "GetTaskGroup", _GROUP, "Show a task group", _show, answers.Group, frequent=True
    ),
    changing("delete_task_group", "DeleteTaskGroup", "DELETE", _GROUP, "Delete a task group", _delete),
    changing("stop_task_group", "StopTaskGroup", "PUT", _GROUP + "/stop", "Pause a task group", _stop),
    changing(
        "start_task_group",
        "StartTaskGroup",
        "PUT",
        _GROUP + "/start",
        "Start a paused task group",
        _start,
        body=bodies.StartGroup,
    ),
    changing(
        "retry_task_group",
        "RetryTaskGroup",
        "PUT",
        _GROUP + "/retry",
        "Start a failed task group again",
        _retry,
        body=bodies.RetryGroup,
    ),
    changing(
        "update_task_group",
        "UpdateTaskGroup",
        "PUT",
        _GROUP + "/update",
        "Replace the traffic limiting rules of a task group",
        _update,
        body=bodies.UpdateBandwidth,
    ),
)
