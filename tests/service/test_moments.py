"""The moment of the task service is another one after all that a caller can know of, and the same while tasks get on."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from pathlib import Path

from omsd.domain.model import TaskState
from omsd.service import requests
from tests.service.group_harness import create_group, run_out_group
from tests.service.harness import PROJECT, Control, control_process, create_request, start_request, world
from tests.waiting import PATIENCE_S

RULE = requests.BandwidthRule(start="00:00", end="01:00", max_bandwidth=5_000_000)


class Moments:
    """Looks at the service after each step."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._last: Hashable = control.service.moment

    def passed(self) -> bool:
        """Is it another moment than when this was asked last?"""
        before, self._last = self._last, self._control.service.moment
        return before != self._last


async def test_every_call_that_changes_a_task_ends_a_moment(tmp_path: Path) -> None:
    async with control_process(tmp_path, world(), max_parallel_tasks=1) as control:
        moments, service = Moments(control), control.service
        task_id = (await service.create(PROJECT, create_request())).task_id
        assert moments.passed()
        await control.lease(task_id)
        waiting_id = (await service.create(PROJECT, create_request())).task_id
        moments.passed()
        for each in (task_id, waiting_id):
            await service.update_bandwidth(PROJECT, each, (RULE,))
            assert moments.passed()
            await service.batch_update(PROJECT, requests.BatchUpdateTasks(ids=(each,), task_priority="HIGH"))
            assert moments.passed()
        for each in (waiting_id, task_id):
            await service.stop(PROJECT, each)
            assert moments.passed()
        await control.run_out(task_id)
        await control.reach(task_id, TaskState.PAUSED)
        assert moments.passed()
        # Of a task at rest, which the store alone tells of.
        await service.update_bandwidth(PROJECT, waiting_id, ())
        assert moments.passed()
        await service.start(PROJECT, waiting_id, start_request())
        assert moments.passed()
        await service.delete(PROJECT, task_id)
        assert moments.passed()
        await control.run_out(waiting_id)
        await control.reach(waiting_id, TaskState.SUCCEEDED)
        assert moments.passed()
        await service.delete(PROJECT, waiting_id)
        assert moments.passed()
        assert (await service.list(PROJECT, requests.ListTasks())).count == 0
        assert not moments.passed()


async def test_a_task_that_begins_or_ends_by_itself_ends_a_moment_and_one_that_gets_on_does_not(
    tmp_path: Path,
) -> None:
    async with control_process(tmp_path, world(30)) as control:
        moments = Moments(control)
        task_id = (await control.service.create(PROJECT, create_request())).task_id
        assert moments.passed()
        lease = await control.lease(task_id)
        await control.settle()
        assert moments.passed()
        for done_num in (10, 20):
            await control.executor.work(lease, 10)
            # Not settle(), which is a call.
            async with asyncio.timeout(PATIENCE_S):
                while (await control.task(task_id)).counters.successful_num < done_num:
                    await asyncio.sleep(0.001)
            assert not moments.passed()
        await control.run_out(task_id)
        await control.reach(task_id, TaskState.SUCCEEDED)
        assert moments.passed()


async def test_what_a_group_does_to_its_tasks_ends_moments(tmp_path: Path) -> None:
    async with control_process(tmp_path, world()) as control:
        group_id = (await control.groups.create(PROJECT, create_group())).group_id
        moments = Moments(control)
        await run_out_group(control, group_id)
        assert (await control.service.list(PROJECT, requests.ListTasks())).count
        assert moments.passed()
        await control.groups.delete(PROJECT, group_id)
        while (await control.service.list(PROJECT, requests.ListTasks())).count:
            await control.settle()
        assert moments.passed()
