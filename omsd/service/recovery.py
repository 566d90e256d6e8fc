"""At the start: tasks that ran go on, waiting ones wait, pausing ones are paused. Leases of before are void by themselves."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.model import TaskState
from omsd.ports.groupstore import GroupStore
from omsd.ports.listspool import ListSpool
from omsd.ports.taskstore import TaskStore
from omsd.service.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Recovery:
    """How many tasks were found in each state, and groups that do something."""

    migrating_num: int
    waiting_num: int
    pausing_num: int
    groups_num: int = 0


async def recover(store: TaskStore, groups: GroupStore, spool: ListSpool, ledger: Ledger) -> Recovery:
    """The ledger knows every task that is not at rest, deleted ones leave nothing; call once, before Ledger.run()."""
    for task_id in await spool.task_ids():
        if await store.get_task(task_id) is None:
            await spool.discard(task_id)
    found = {
        state: await store.tasks_in([state])
        for state in (TaskState.PAUSING, TaskState.MIGRATING, TaskState.WAITING)
    }
    for tasks in found.values():
        for task in tasks:
            await ledger.adopt(task)
    unfinished = await groups.unfinished_groups()
    for group in unfinished:
        await ledger.adopt_group(group)
    return Recovery(
        migrating_num=len(found[TaskState.MIGRATING]),
        waiting_num=len(found[TaskState.WAITING]),
        pausing_num=len(found[TaskState.PAUSING]),
        groups_num=len(unfinished),
    )
