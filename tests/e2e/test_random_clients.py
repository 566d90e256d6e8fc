"""Several clients at once do whatever they like to the same tasks of a real daemon: every answer is one that some order explains.

What a kind of thing answers stands in a Machine, what clients do to it in a Zoo; another kind is another pair. The seed is printed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from omsd.cli.client import CallError, TaskClient
from omsd.cli.sync_client import SyncClient
from omsd.domain.model import TaskState
from omsd.pb.v1 import sync_pb2, task_pb2, types_pb2
from tests.e2e.harness import Daemon, check_view, ended, keys_again, node, request, wait_for
from tests.e2e.history import GONE, OK, Machine, Seen, cannot_be, table
from tests.e2e.sync_harness import drained, send, sync_client, sync_keys_again, sync_request
from tests.fakes.fault_proxy import Fault, FaultProxy, Kind
from tests.servers import S3Server
from tests.service.test_model import LEGAL

CLIENTS = 4
RUN_S = 12.0
MOST_ALIVE = 4
OBJECTS = {f"{n:02}": b"x" * 100 * n for n in range(12)}
W, M, P, F, S, G = "WAITING", "MIGRATING", "PAUSED", "FAILED", "SUCCEEDED", "PAUSING"

# API reference 5.2 and 7.2.
TASK = Machine(
    "task",
    table(
        {
            "stop": {W: (P,), M: (G,), G: "OMS.0066", P: "OMS.0066", F: "OMS.0066", S: "OMS.0070"},
            "start": {W: "OMS.0065", M: "OMS.0065", G: "OMS.0065", P: (W,), F: (W,), S: "OMS.0070"},
            "delete": {W: (GONE,), M: "OMS.0063", G: "OMS.0063", P: (GONE,), F: (GONE,), S: (GONE,)},
            "limit": {W: (W,), M: (M,), G: (G,), P: (P,), F: (F,), S: "OMS.0086"},
            "priority": {state: (state,) for state in (W, M, G, P, F, S)},
        }
    ),
    {W: frozenset({M}), M: frozenset({S, F}), G: frozenset({P})},
    "OMS.0054",
)
R, T = "SYNCHRONIZING", "STOPPED"
# API reference 5.3 and 7.2.
SYNC = Machine(
    "sync task",
    table(
        {
            "stop": {R: (T,), T: "OMS.0066"},
            "start": {R: "OMS.0065", T: (R,)},
            "delete": {R: "OMS.0063", T: (GONE,)},
            "events": {R: (R,), T: "OMS.2002"},
        }
    ),
    {},
    "OMS.2002",
)

Id = Any
Do = Callable[["Actor", Id], Awaitable[None]]
Look = Callable[["Zoo", "Actor", Id], Awaitable[None]]


@dataclass
class Zoo:
    """The things of one kind. make: another one. acts: what may be done to one, by name of the call; looks: what is seen."""

    machine: Machine
    make: Callable[[Actor], Awaitable[Id]]
    acts: dict[str, Do]
    looks: list[Look]
    first: str
    full_code: str = ""
    alive: list[Id] = field(default_factory=list)
    seen: dict[Id, list[Seen]] = field(default_factory=dict)

    def note(self, thing: Id, call: str, answer: str, began: float) -> None:
        self.seen[thing].append(Seen(call, answer, began, time.monotonic()))


@dataclass
class Actor:
    """One client with its connections."""

    rng: random.Random
    tasks: TaskClient
    syncs: SyncClient
    seaweed: S3Server
    buckets: tuple[str, str]
    source_url: str

    async def once(self, zoo: Zoo) -> None:
        """Something happens to something."""
        if len(zoo.alive) < MOST_ALIVE and (not zoo.alive or self.rng.random() < 0.3):
            began = time.monotonic()
            try:
                thing = await zoo.make(self)
            except CallError as error:
                # Others made some meanwhile.
                if error.code != zoo.full_code:
                    raise
                return
            zoo.seen[thing] = [Seen("see", zoo.first, began, began)]
            zoo.alive.append(thing)
        if not zoo.alive:
            return
        thing = self.rng.choice(zoo.alive)
        if self.rng.random() < 0.35:
            await self.rng.choice(zoo.looks)(zoo, self, thing)
            return
        name = self.rng.choice(list(zoo.acts))
        began = time.monotonic()
        try:
            await zoo.acts[name](self, thing)
        except CallError as error:
            zoo.note(thing, name, error.code or str(error.status), began)
        else:
            zoo.note(thing, name, OK, began)
            if name == "delete" and thing in zoo.alive:
                zoo.alive.remove(thing)


async def get_task(zoo: Zoo, actor: Actor, task_id: int) -> None:
    began = time.monotonic()
    await _seen(zoo, task_id, began, actor.tasks.get(task_id))


async def list_tasks(zoo: Zoo, actor: Actor, _: int) -> None:
    began, known = time.monotonic(), list(zoo.alive)
    page = await actor.tasks.list(task_pb2.ListTasksRequest(limit=100))
    assert page.count == len(page.tasks)
    there = {task.id: task for task in page.tasks}
    for task in page.tasks:
        check_view(task)
    for task_id in known:
        state = _state(there[task_id]) if task_id in there else GONE
        zoo.note(task_id, "see", state, began)


async def watch_task(zoo: Zoo, actor: Actor, task_id: int) -> None:
    began, views = time.monotonic(), 0
    try:
        async for task in actor.tasks.watch(task_id):
            check_view(task)
            zoo.note(task_id, "see", _state(task), began)
            views += 1
            # One that rests may rest for ever.
            if views == 2 or _state(task) == P:
                return
    except CallError as error:
        if error.code != TASK.gone_code:
            raise


def task_zoo() -> Zoo:
    async def make(actor: Actor) -> int:
        ends = node(actor.seaweed, actor.buckets[0], actor.source_url), node(actor.seaweed, actor.buckets[1])
        made = await actor.tasks.create(
            request(*ends, object_overwrite_mode="OBJECT_OVERWRITE_MODE_FULL_OVERWRITE")
        )
        return made.id

    async def limit(actor: Actor, task_id: int) -> None:
        rate = actor.rng.choice([2**20, 2**22])
        window = types_pb2.BandwidthPolicy(start="00:00", end="23:59", max_bandwidth=rate)
        await actor.tasks.limit(task_id, [window] if actor.rng.random() < 0.7 else [])

    async def priority(actor: Actor, task_id: int) -> None:
        await actor.tasks.set_priority([task_id], actor.rng.choice([1, 2, 3]))  # type: ignore[arg-type]

    return Zoo(
        TASK,
        make,
        {
            "stop": lambda actor, task_id: actor.tasks.stop(task_id),
            "start": lambda actor, task_id: actor.tasks.start(keys_again(actor.seaweed, task_id)),
            "delete": lambda actor, task_id: actor.tasks.delete(task_id),
            "limit": limit,
            "priority": priority,
        },
        [get_task, list_tasks, watch_task],
        W,
    )


async def get_sync(zoo: Zoo, actor: Actor, task_id: str) -> None:
    began = time.monotonic()
    await _seen(zoo, task_id, began, actor.syncs.get(task_id))


def sync_zoo() -> Zoo:
    async def make(actor: Actor) -> str:
        wanted = sync_request(actor.seaweed, *actor.buckets, src_url=actor.source_url)
        return await actor.syncs.create(wanted)

    async def events(actor: Actor, task_id: str) -> None:
        await send(actor.syncs, task_id, actor.rng.choices(list(OBJECTS), k=5))

    return Zoo(
        SYNC,
        make,
        {
            "stop": lambda actor, task_id: actor.syncs.stop(task_id),
            "start": lambda actor, task_id: actor.syncs.start(sync_keys_again(actor.seaweed, task_id)),
            "delete": lambda actor, task_id: actor.syncs.delete(task_id),
            "events": events,
        },
        [get_sync],
        R,
        "OMS.0077",
    )


async def _seen(zoo: Zoo, thing: Id, began: float, call: Awaitable[Any]) -> None:
    try:
        view = await call
    except CallError as error:
        if error.code != zoo.machine.gone_code:
            raise
        zoo.note(thing, "see", GONE, began)
    else:
        if isinstance(view, task_pb2.Task):
            check_view(view)
        zoo.note(thing, "see", _state(view), began)


def _state(view: task_pb2.Task | sync_pb2.SyncTask) -> str:
    if isinstance(view, task_pb2.Task):
        return types_pb2.TaskStatus.Name(view.status).removeprefix("TASK_STATUS_")
    return sync_pb2.SyncTaskStatus.Name(view.status).removeprefix("SYNC_TASK_STATUS_")


def test_the_machine_of_tasks_knows_the_states_and_moves_of_the_model() -> None:
    assert TASK.states == {state.name for state in TaskState}
    moves = {(before, after) for before, then in TASK.moves.items() for after in then}
    assert moves <= {(before.name, after.name) for before, after in LEGAL}


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


@pytest.mark.timeout(240)
async def test_every_answer_to_clients_that_race_is_one_that_some_order_explains(
    daemon: Daemon, seaweed: S3Server
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)
    buckets = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put_many(buckets[0], OBJECTS)
    await daemon.start()
    zoos = [task_zoo(), sync_zoo()]
    with FaultProxy(seaweed.url) as proxy:
        # So that tasks last long enough to be met in every state.
        slow = proxy.add(Fault(Kind.DELAY, "GET", r"/\d+$", times=None, chance=0.3, seed=seed, delay_s=0.15))
        async with AsyncExitStack() as stack:
            actors = [
                Actor(
                    random.Random(seed + number),
                    await stack.enter_async_context(daemon.client()),
                    await stack.enter_async_context(sync_client(daemon)),
                    seaweed,
                    buckets,
                    proxy.url,
                )
                for number in range(CLIENTS)
            ]
            until = time.monotonic() + RUN_S
            async with asyncio.TaskGroup() as group:
                for actor in actors:
                    group.create_task(play(actor, zoos, until))
            slow.times = 0
            for zoo in zoos:
                for thing, seen in zoo.seen.items():
                    stuck = cannot_be(zoo.machine, seen, zoo.first)
                    assert not stuck, f"{zoo.machine.name} {thing}: {seen}\nno call follows {stuck[-3:]}"
            calls = {(one.call, one.answer) for zoo in zoos for seen in zoo.seen.values() for one in seen}
            assert {("stop", OK), ("start", OK), ("delete", OK), ("events", OK)} <= calls, calls
            await bring_home(actors[0], zoos, seaweed, buckets[1])
    assert await daemon.stop() == 0
    assert "Traceback" not in daemon.log()
    assert '"code": "OMS.1001"' not in daemon.log()


async def play(actor: Actor, zoos: list[Zoo], until: float) -> None:
    while time.monotonic() < until:
        await actor.once(actor.rng.choice(zoos))


async def bring_home(actor: Actor, zoos: list[Zoo], seaweed: S3Server, bucket: str) -> None:
    """However it went, what is left can be brought to its end, and its counters are exact."""
    tasks, syncs = zoos
    for task_id in tasks.alive:
        task = await wait_for(actor.tasks, task_id, lambda task: _state(task) not in (W, M, G))
        if _state(task) in (P, F):
            await actor.tasks.start(keys_again(seaweed, task_id))
            task = await ended(actor.tasks, task_id)
        assert (_state(task), task.total_num) == (S, len(OBJECTS)), task
        assert task.successful_num + task.skipped_num == len(OBJECTS)
    for task_id in syncs.alive:
        sync = await actor.syncs.get(task_id)
        if _state(sync) == R:
            await actor.syncs.stop(task_id)
        sync = await drained(actor.syncs, task_id)
        assert sync.monthly_failed_object == 0, sync
        await actor.syncs.delete(task_id)
    left = await actor.syncs.list(sync_pb2.ListSyncTasksRequest())
    assert left.count == 0
    there = await seaweed.get_all(bucket)
    assert {key: data for key, data in there.items() if key in OBJECTS}.items() <= OBJECTS.items()
