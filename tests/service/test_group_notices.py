"""The end of a task group is told once, by the group and not by its tasks, in the transaction that ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from omsd.domain.errors import RequestError
from omsd.domain.group import GroupState
from omsd.domain.notices import Notice, NoticeId, SmnInfo, group_owner
from omsd.service import requests
from omsd.service.group_requests import CreateTaskGroup, ListTaskGroups, RetryTaskGroup
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.deaths import dying
from tests.service.group_harness import (
    create_group,
    create_list_group,
    members,
    run_out_group,
    split,
    start_group,
)
from tests.service.harness import PROJECT, Control, control_process, start_request
from tests.service.notice_harness import HOOK_URN, SMN_URN, TOPICS
from tests.service.validation_requests import fields_of
from tests.waiting import PATIENCE_S

PENDING = SmnInfo(sent=False, pending=True, error_code="", topic_name="team")


def telling(*conditions: str, urn: str = HOOK_URN, **changes: object) -> CreateTaskGroup:
    smn = requests.SmnConfig(topic_urn=urn, trigger_conditions=conditions or ("SUCCESS", "FAILURE"))
    return create_group(smn_config=smn, **changes)


def world(objects_num: int = 10, broken: dict[str, str] | None = None) -> World:
    return World({f"key{number:03d}": 100 for number in range(objects_num)}, broken=broken or {})


async def due(control: Control) -> tuple[Notice, ...]:
    return await control.notices.due_notices(NoticeId(0), 100)


async def end(control: Control, request: CreateTaskGroup) -> str:
    """The id of a group that was created and has ended."""
    group_id = (await control.groups.create(PROJECT, request)).group_id
    await run_out_group(control, group_id)
    return group_id


async def test_a_completed_group_is_told_with_its_sums_and_its_tasks_are_not(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), topics=TOPICS) as control:
        group = await control.groups.create(PROJECT, telling(description="archive\nof 2019"))
        tasks = await split(control, group.group_id)
        assert len(tasks) == 3
        assert [task.spec.smn for task in tasks] == [None] * 3
        assert (await control.groups.get(PROJECT, group.group_id)).smn is None
        assert not control.notices_due.is_set()
        view = await run_out_group(control, group.group_id)
        assert view.smn == PENDING
        assert control.notices_due.is_set()
        (notice,) = await due(control)
        assert notice.owner == group_owner(group.group_id)
        assert (notice.config.topic_urn, notice.facts.succeeded) == (HOOK_URN, True)
        facts = notice.facts
        assert facts.name == group.group_id
        assert (facts.listed_num, facts.successful_num, facts.failed_num) == (10, 10, 0)
        assert (facts.moved_size_bytes, facts.source_bucket, facts.destination_bucket) == (
            1000,
            "from",
            "into",
        )
        assert (facts.started_ms, facts.ended_ms) == (view.group.started_ms, view.group.ended_ms)
        assert facts.active_ms == view.group.active_ms
        assert (facts.failed_list, facts.error_code) == ("", "")
        await control.notices.settle_notice(notice.notice_id)
        page = await control.groups.list(PROJECT, ListTaskGroups())
        assert [each.smn for each in page.groups] == [
            SmnInfo(sent=True, pending=False, error_code="", topic_name="")
        ]


async def test_a_failed_group_is_told_with_its_folder_of_failed_lists_and_once_more_after_a_retry(
    tmp_path: Path,
) -> None:
    here = world(broken={"key001": "TRF.0152", "key008": "TRF.0152"})
    async with control_process(tmp_path, here, topics=TOPICS) as control:
        group_id = await end(control, telling())
        (first,) = await due(control)
        facts = first.facts
        assert (facts.succeeded, facts.error_code) == (False, "TRF.0152")
        assert "2 of 3 tasks failed" in facts.error_message
        assert (facts.listed_num, facts.successful_num, facts.failed_num) == (10, 8, 2)
        assert facts.failed_list == f"oms/task_group/{group_id}/failed_object_lists/"
        here.broken.clear()
        await control.groups.retry(
            PROJECT,
            group_id,
            RetryTaskGroup(src_ak="a", src_sk="b", dst_ak="c", dst_sk="d", migrate_failed_object=True),
        )
        # What is said of a group that runs again is not what was said of its last end.
        assert (await control.groups.get(PROJECT, group_id)).smn is None
        await run_out_group(control, group_id)
        earlier, later = await due(control)
        assert (earlier.facts.succeeded, later.facts.succeeded) == (False, True)
        assert later.facts.successful_num == 10
        await control.notices.settle_notice(earlier.notice_id, error_code="OMS.0161")
        # Only the latest end is shown.
        assert (await control.groups.get(PROJECT, group_id)).smn == PENDING


async def test_a_failed_task_that_is_started_alone_ends_its_group_and_tells_once_more(tmp_path: Path) -> None:
    here = world(4, broken={"key001": "TRF.0152"})
    async with control_process(tmp_path, here, topics=TOPICS) as control:
        group_id = await end(control, telling("FAILURE"))
        (task,) = await members(control, group_id)
        here.broken.clear()
        await control.service.start(PROJECT, task.task_id, start_request())
        await control.reach_group(group_id, GroupState.MONITORING)
        view = await run_out_group(control, group_id)
        assert view.group.state is GroupState.COMPLETED
        # Nobody wanted to hear of a success, and the failure is no more: it is sent, and not shown.
        assert view.smn is None
        assert [notice.facts.succeeded for notice in await due(control)] == [False]


@pytest.mark.parametrize(("conditions", "wanted"), [(("SUCCESS",), False), (("SUCCESS", "FAIL"), True)])
async def test_a_creation_that_failed_is_a_failure(
    tmp_path: Path, conditions: tuple[str, ...], wanted: bool
) -> None:
    async with control_process(tmp_path, world(0), topics=TOPICS) as control:
        group_id = await end(control, telling(*conditions))
        view = await control.groups.get(PROJECT, group_id)
        assert view.group.state is GroupState.CREATION_FAILED
        told = await due(control)
        assert [notice.facts.error_code for notice in told] == ["TRF.0012"] * wanted
        assert (view.smn is not None) == wanted


async def test_a_list_group_tells_where_its_lists_are_and_a_silent_one_nothing(tmp_path: Path) -> None:
    here = world(2)
    here.manifests |= {"in/a.txt": b"key000\n", "in/b.txt": b"key001\n"}
    async with control_process(tmp_path, here, topics=TOPICS) as control:
        smn = requests.SmnConfig(topic_urn=SMN_URN, trigger_conditions=("SUCCESS",))
        source = create_list_group("in/").src_node
        await end(control, create_list_group("in/"))
        await end(control, create_group(src_node=source, task_type="LIST", smn_config=smn))
        (notice,) = await due(control)
        assert (notice.facts.list_file_bucket, notice.facts.list_file_key) == ("lists", "in/")


async def test_a_pause_is_no_end_and_a_deleted_group_leaves_no_notice_but_a_due_one(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), topics=TOPICS) as control:
        group_id = (await control.groups.create(PROJECT, telling())).group_id
        await split(control, group_id)
        await control.groups.stop(PROJECT, group_id)
        await run_out_group(control, group_id)
        assert await due(control) == ()
        await control.groups.start(PROJECT, group_id, start_group())
        await run_out_group(control, group_id)
        await control.groups.delete(PROJECT, group_id)
        async with asyncio.timeout(PATIENCE_S):
            while (await control.groups.list(PROJECT, ListTaskGroups())).count:
                await asyncio.sleep(0.001)
        (notice,) = await due(control)
        await control.notices.settle_notice(notice.notice_id)
        assert await control.notices.smn_infos([group_owner(group_id)]) == {}
        assert (
            await control.store.real.read("latest_notice", {"owner_kind": "group", "owner_id": group_id})
            == []
        )


@pytest.mark.parametrize(
    ("smn", "project", "code", "field"),
    [
        (requests.SmnConfig(trigger_conditions=("FAIL",)), PROJECT, "OMS.1004", "smn_config.topic_urn"),
        (requests.SmnConfig(topic_urn=HOOK_URN), PROJECT, "OMS.1004", "smn_config.trigger_conditions"),
        (
            requests.SmnConfig(topic_urn="urn:smn:mars:p:t", trigger_conditions=("FAIL",)),
            PROJECT,
            "OMS.0168",
            "smn_config.topic_urn",
        ),
        (
            requests.SmnConfig(topic_urn="urn:smn:eu-de:p:t", trigger_conditions=("FAIL",)),
            PROJECT,
            "OMS.0169",
            "smn_config.topic_urn",
        ),
        (
            requests.SmnConfig(topic_urn=HOOK_URN, trigger_conditions=("SOMETIMES",)),
            PROJECT,
            "OMS.1003",
            "smn_config.trigger_conditions[0]",
        ),
    ],
)
async def test_a_topic_that_may_not_be_named_creates_no_group(
    tmp_path: Path, smn: requests.SmnConfig, project: str, code: str, field: str
) -> None:
    async with control_process(tmp_path, world(), topics=TOPICS) as control:
        with pytest.raises(RequestError) as caught:
            await control.groups.create(project, create_group(smn_config=smn))
        assert caught.value.code == code
        assert field in fields_of(caught.value)
        assert (await control.groups.list(project, ListTaskGroups())).count == 0


@pytest.mark.parametrize("durable", [False, True], ids=["lost", "durable"])
@pytest.mark.parametrize("die_at", range(1, 15))
async def test_a_death_at_any_commit_neither_loses_a_notice_nor_makes_two(
    tmp_path: Path, die_at: int, durable: bool
) -> None:
    asked = telling(request_id="the-one")
    here, clock = world(5), FakeClock()
    with dying():
        async with control_process(
            tmp_path, here, clock=clock, die_at=die_at, durable=durable, topics=TOPICS
        ) as control:
            await end(control, asked)
    async with control_process(tmp_path, here, clock=clock, topics=TOPICS) as control:
        group_id = await end(control, asked)
        (notice,) = await due(control)
        assert (notice.owner.owner_id, notice.facts.successful_num) == (group_id, 5)
