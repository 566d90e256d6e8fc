"""Several clients at once do whatever they like to the same things of a real daemon: every answer is one that some order explains.

The seed is printed.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack

from omsd.domain.group import GroupState
from omsd.domain.group_machine import REFUSALS, Delete, Retry, Start, Stop, UpdateBandwidth
from omsd.domain.model import TaskState
from omsd.pb.v1 import group_pb2, sync_pb2, task_pb2
from tests.e2e.group_harness import group_client, wait_for_group
from tests.e2e.harness import Daemon, ended, keys_again, wait_for
from tests.e2e.history import GONE, OK, Seen, cannot_be
from tests.e2e.sync_harness import drained, sync_client
from tests.e2e.zoos import (
    BAD_LIST,
    CF,
    CO,
    GROUP,
    MF,
    MO,
    OBJECTS,
    TASK,
    Actor,
    C,
    F,
    G,
    M,
    P,
    R,
    S,
    W,
    Zoo,
    group_keys_again,
    group_zoo,
    state_of,
    sync_zoo,
    task_zoo,
)
from tests.fakes.fault_proxy import FaultProxy
from tests.fakes.faults import Fault, Kind
from tests.servers import S3Server
from tests.service.test_model import LEGAL
from tests.waiting import PATIENCE_S

CLIENTS = 4
RUN_S = 14.0
# What must have happened before it is over, however long that takes.
WANTED = {("stop", OK), ("start", OK), ("retry", OK), ("delete", OK), ("events", OK)}


def test_the_machine_of_tasks_knows_the_states_and_moves_of_the_model() -> None:
    assert TASK.states == {state.name for state in TaskState}
    moves = {(before, after) for before, then in TASK.moves.items() for after in then}
    assert moves <= {(before.name, after.name) for before, after in LEGAL}


def test_the_machine_of_groups_refuses_what_the_model_does() -> None:
    assert GROUP.states == {state.name for state in GroupState if state is not GroupState.DELETED}
    calls = {"stop": Stop, "start": Start, "retry": Retry, "delete": Delete, "limit": UpdateBandwidth}
    for (name, state), (answer, _) in GROUP.answers.items():
        refusal = REFUSALS.get((GroupState[state], calls[name]))
        assert answer == (refusal[0] if refusal is not None else OK), (name, state)


def test_an_order_that_explains_all_is_found_and_one_that_cannot_be_is_not() -> None:
    both = [Seen("stop", OK, 0, 9), Seen("delete", OK, 1, 8), Seen("see", GONE, 2, 7)]
    assert cannot_be(TASK, both, W) == []
    assert cannot_be(TASK, [Seen("stop", OK, 0, 1), Seen("see", M, 2, 3)], W)
    assert cannot_be(TASK, [Seen("stop", OK, 0, 2), Seen("see", M, 1, 3)], M) == []
    assert cannot_be(TASK, [Seen("delete", OK, 0, 1), Seen("delete", OK, 0, 1)], P)
    assert cannot_be(TASK, [Seen("delete", OK, 0, 1), Seen("delete", "OMS.0054", 0, 1)], P) == []
    assert cannot_be(TASK, [Seen("stop", "OMS.1001", 0, 1)], M)
    many = [Seen("priority", OK, 0, 9 + n) for n in range(300)]
    assert cannot_be(TASK, [*many, Seen("see", P, 0, 400)], W)


async def test_every_answer_to_clients_that_race_is_one_that_some_order_explains(
    daemon: Daemon, seaweed: S3Server
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)
    buckets = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put_many(buckets[0], OBJECTS)
    await seaweed.put(buckets[1], BAD_LIST, b"00\ngone\n", ContentType="text/plain")
    daemon.extra = "[groups]\nobjects_per_task = 5\n"
    await daemon.start()
    zoos = [task_zoo(), sync_zoo(), group_zoo()]
    with FaultProxy(seaweed.url) as proxy:
        # So that tasks last long enough to be met in every state.
        slow = proxy.add(Fault(Kind.DELAY, "GET", r"/\d+$", times=None, chance=0.3, seed=seed, delay_s=0.15))
        async with AsyncExitStack() as stack:
            actors = [
                Actor(
                    random.Random(seed + number),
                    await stack.enter_async_context(daemon.client()),
                    await stack.enter_async_context(sync_client(daemon)),
                    await stack.enter_async_context(group_client(daemon)),
                    seaweed,
                    buckets,
                    proxy.url,
                )
                for number in range(CLIENTS)
            ]
            until_s = time.monotonic() + RUN_S
            async with asyncio.TaskGroup() as group:
                for actor in actors:
                    group.create_task(play(actor, zoos, until_s))
            slow.times = 0
            for zoo in zoos:
                for thing, seen in zoo.seen.items():
                    stuck = cannot_be(zoo.machine, seen, zoo.first)
                    assert not stuck, f"{zoo.machine.name} {thing}: {seen}\nno call follows {stuck[-3:]}"
            await bring_home(actors[0], zoos, seaweed, buckets[1])
    assert await daemon.stop() == 0
    assert "Traceback" not in daemon.log()
    assert '"code": "OMS.1001"' not in daemon.log()


async def play(actor: Actor, zoos: list[Zoo], until_s: float) -> None:
    while time.monotonic() < until_s or not calls_of(zoos) >= WANTED:
        await actor.once(actor.rng.choice(zoos))


def calls_of(zoos: list[Zoo]) -> set[tuple[str, str]]:
    """What was done to something, with the answer."""
    return {(one.call, one.answer) for zoo in zoos for seen in zoo.seen.values() for one in seen}


async def bring_home(actor: Actor, zoos: list[Zoo], seaweed: S3Server, bucket: str) -> None:
    """However it went, what is left can be brought to its end, and its counters are exact."""
    tasks, syncs, groups = zoos
    for group_id in groups.alive:
        await bring_group_home(actor, group_id)
    for task_id in tasks.alive:
        task = await wait_for(actor.tasks, task_id, lambda task: state_of(task) not in (W, M, G))
        if state_of(task) in (P, F):
            await actor.tasks.start(keys_again(seaweed, task_id))
            task = await ended(actor.tasks, task_id)
        assert (state_of(task), task.total_num) == (S, len(OBJECTS)), task
        assert task.successful_num + task.skipped_num == len(OBJECTS)
    for task_id in syncs.alive:
        sync = await actor.syncs.get(task_id)
        if state_of(sync) == R:
            await actor.syncs.stop(task_id)
        sync = await drained(actor.syncs, task_id)
        assert sync.monthly_failed_object == 0, sync
        await actor.syncs.delete(task_id)
    left = await actor.syncs.list(sync_pb2.ListSyncTasksRequest())
    assert left.count == 0
    there = await seaweed.get_all(bucket)
    assert {key: data for key, data in there.items() if key in OBJECTS}.items() <= OBJECTS.items()


async def bring_group_home(actor: Actor, group_id: str) -> None:
    """It comes to the end that its source allows, and goes with its tasks."""
    group = await wait_for_group(actor.groups, group_id, lambda group: state_of(group) not in (W, C, MO, G))
    if state_of(group) == P:
        await actor.groups.start(group_keys_again(actor.seaweed, group_id))
        group = await wait_for_group(actor.groups, group_id, lambda group: state_of(group) in (CF, MF, CO))
    whole = list(group.src_node.object_key) == [""]
    assert (state_of(group) == CO) == whole, group
    if whole:
        assert (group.total_num, group.create_task_num) == (len(OBJECTS), 3), group
        assert group.success_num + group.skip_num == len(OBJECTS), group
    await actor.groups.delete(group_id)
    async with asyncio.timeout(PATIENCE_S):
        while any(group_id == one.group_id for one in (await _all_groups(actor)).taskgroups):
            await asyncio.sleep(0.05)
    left = await actor.tasks.list(task_pb2.ListTasksRequest(group_id=group_id))
    assert left.count == 0


async def _all_groups(actor: Actor) -> group_pb2.ListTaskGroupsResponse:
    return await actor.groups.list(group_pb2.ListTaskGroupsRequest(limit=100))
