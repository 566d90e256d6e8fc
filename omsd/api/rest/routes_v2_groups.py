"""The routes of task groups. Source: API reference, 5.4."""

from __future__ import annotations

from omsd.api.rest import answers, bodies, mapping_v2, mapping_v2_groups
from omsd.api.rest.services import GroupCalls, Services
from omsd.api.rest.table import Access, Call, Route

_GROUPS = "/v2/{project_id}/taskgroups"
_GROUP = _GROUPS + "/{group_id}"


async def _create(services: Services, call: Call) -> answers.GroupCreated:
    group = await _calls(services).create(call.project_id, mapping_v2_groups.create_group_of(call.body))
    return answers.GroupCreated(group_id=group.group_id)


async def _list(services: Services, call: Call) -> answers.Groups:
    page = await _calls(services).list(call.project_id, mapping_v2_groups.list_groups_of(call.query))
    return mapping_v2_groups.group_page_answer(page)


async def _show(services: Services, call: Call) -> answers.Group:
    return mapping_v2_groups.group_answer(await _calls(services).get(*_group(call)))


async def _delete(services: Services, call: Call) -> None:
    await _calls(services).delete(*_group(call))


async def _stop(services: Services, call: Call) -> None:
    await _calls(services).stop(*_group(call))


async def _start(services: Services, call: Call) -> None:
    await _calls(services).start(*_group(call), mapping_v2_groups.start_group_of(call.body))


async def _retry(services: Services, call: Call) -> None:
    await _calls(services).retry(*_group(call), mapping_v2_groups.retry_group_of(call.body))


async def _update(services: Services, call: Call) -> None:
    await _calls(services).update_bandwidth(*_group(call), mapping_v2.rules_of(call.body.bandwidth_policy))


def _calls(services: Services) -> GroupCalls:
    if services.groups is None:
        raise TypeError("a group was asked for where there are none")
    return services.groups


def _group(call: Call) -> tuple[str, str]:
    return call.project_id, call.path["group_id"]


GROUP_ROUTES: tuple[Route, ...] = (
    Route(
        "list_task_group",
        "GET",
        _GROUPS,
        "List task groups",
        _list,
        Access.READ,
        "ListTaskGroups",
        query=bodies.ListGroupsQuery,
        answer=answers.Groups,
        missing_is_404=True,
        frequent=True,
    ),
    Route(
        "create_task_group",
        "POST",
        _GROUPS,
        "Create a task group",
        _create,
        Access.CHANGE,
        "CreateTaskGroup",
        body=bodies.CreateGroup,
        answer=answers.GroupCreated,
    ),
    Route(
        "show_task_group",
        "GET",
        _GROUP,
        "Show a task group",
        _show,
        Access.READ,
        "GetTaskGroup",
        answer=answers.Group,
        missing_is_404=True,
        frequent=True,
    ),
    Route(
        "delete_task_group",
        "DELETE",
        _GROUP,
        "Delete a task group",
        _delete,
        Access.CHANGE,
        "DeleteTaskGroup",
    ),
    Route(
        "stop_task_group",
        "PUT",
        _GROUP + "/stop",
        "Pause a task group",
        _stop,
        Access.CHANGE,
        "StopTaskGroup",
    ),
    Route(
        "start_task_group",
        "PUT",
        _GROUP + "/start",
        "Start a paused task group",
        _start,
        Access.CHANGE,
        "StartTaskGroup",
        body=bodies.StartGroup,
    ),
    Route(
        "retry_task_group",
        "PUT",
        _GROUP + "/retry",
        "Start a failed task group again",
        _retry,
        Access.CHANGE,
        "RetryTaskGroup",
        body=bodies.RetryGroup,
    ),
    Route(
        "update_task_group",
        "PUT",
        _GROUP + "/update",
        "Replace the traffic limiting rules of a task group",
        _update,
        Access.CHANGE,
        "UpdateTaskGroup",
        body=bodies.UpdateBandwidth,
    ),
)
