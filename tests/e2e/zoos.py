"""What clients do to the things of a daemon, and what each of these answers in which state: tasks, groups, synchronization tasks.

What a kind of thing answers stands in a Machine, what clients do to it in a Zoo; another kind is another pair.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from omsd.cli.client import CallError
from omsd.cli.group_client import GroupClient
from omsd.cli.sync_client import SyncClient
from omsd.cli.task_client import TaskClient
from omsd.pb.v1 import group_pb2, sync_pb2, task_pb2, types_pb2
from tests.e2e.group_harness import check_group, group_request, keys_of
from tests.e2e.harness import check_view, keys_again, node, request
from tests.e2e.history import GONE, OK, Machine, Seen, table
from tests.e2e.sync_harness import send, sync_keys_again, sync_request
from tests.servers import S3Server

MOST_ALIVE = 4
# What rests shows nothing new until somebody does something, and all clients may be watching such.
WATCH_S = 1.0
OBJECTS = {f"{n:02}": b"x" * 100 * n for n in range(12)}
# A list of one key that is not there.
BAD_LIST = "lists/bad.txt"
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
C, CF, MF, D = "CREATING", "CREATION_FAILED", "MIGRATION_FAILED", "DELETING"
MO, CO = "MONITORING", "COMPLETED"
# API reference 5.4 and 7.2.
GROUP = Machine(
    "task group",
    table(
        {
            "stop": {
                **dict.fromkeys((P, CF, MF, CO, G), "OMS.1038"),
                **{W: (P,), C: (G,), MO: (G,), D: "OMS.1036"},
            },
            "start": {
                **dict.fromkeys((W, C, MO, CF, MF, CO, G), "OMS.1039"),
                **{P: (C, MO), D: "OMS.1036"},
            },
            "retry": {
                **dict.fromkeys((W, C, MO, P, CO, G), "OMS.1040"),
                **{CF: (C,), MF: (MO,), D: "OMS.1036"},
            },
            "delete": {
                **dict.fromkeys((C, MO, G, D), "OMS.1036"),
                **dict.fromkeys((W, P, CF, MF, CO), (D,)),
            },
            "limit": {
                **{state: (state,) for state in (W, C, MO, P, CF, MF, G)},
                **{CO: "OMS.1036", D: "OMS.1036"},
            },
        }
    ),
    {
        W: frozenset({C}),
        C: frozenset({MO, CF}),
        MO: frozenset({CO, MF}),
        G: frozenset({P}),
        D: frozenset({GONE}),
    },
    "OMS.1009",
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
View = task_pb2.Task | group_pb2.TaskGroup | sync_pb2.SyncTask
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
    groups: GroupClient
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


def look_at(get: Callable[[Actor, Id], Awaitable[View]]) -> Look:
    """One of them is shown."""

    async def look(zoo: Zoo, actor: Actor, thing: Id) -> None:
        began = time.monotonic()
        try:
            view = await get(actor, thing)
        except CallError as error:
            if error.code != zoo.machine.gone_code:
                raise
            zoo.note(thing, "see", GONE, began)
        else:
            check(view)
            zoo.note(thing, "see", state_of(view), began)

    return look


def look_at_page(get: Callable[[Actor], Awaitable[tuple[int, dict[Id, View]]]]) -> Look:
    """All are shown at once, with their number; one that is not shown is gone."""

    async def look(zoo: Zoo, actor: Actor, _: Id) -> None:
        began, known = time.monotonic(), list(zoo.alive)
        count, there = await get(actor)
        assert count == len(there)
        for view in there.values():
            check(view)
        for thing in known:
            zoo.note(thing, "see", state_of(there[thing]) if thing in there else GONE, began)

    return look


def look_twice(
    watch: Callable[[Actor, Id], AsyncIterator[Any]], view_in: Callable[[Any], View] = lambda answer: answer
) -> Look:
    """One of them is watched until it has shown itself twice, or shows nothing new."""

    async def look(zoo: Zoo, actor: Actor, thing: Id) -> None:
        began, views = time.monotonic(), 0
        try:
            async with asyncio.timeout(WATCH_S):
                async for answer in watch(actor, thing):
                    view = view_in(answer)
                    check(view)
                    zoo.note(thing, "see", state_of(view), began)
                    views += 1
                    if views == 2:
                        return
        except TimeoutError:
            return
        except CallError as error:
            if error.code != zoo.machine.gone_code:
                raise

    return look


async def page_of_tasks(actor: Actor) -> tuple[int, dict[Id, View]]:
    page = await actor.tasks.list(task_pb2.ListTasksRequest(limit=100))
    return page.count, {task.id: task for task in page.tasks}


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
        [
            look_at(lambda actor, task_id: actor.tasks.get(task_id)),
            look_at_page(page_of_tasks),
            look_twice(lambda actor, task_id: actor.tasks.watch(task_id)),
        ],
        W,
    )


async def page_of_groups(actor: Actor) -> tuple[int, dict[Id, View]]:
    page = await actor.groups.list(group_pb2.ListTaskGroupsRequest(limit=100))
    return page.count, {group.group_id: group for group in page.taskgroups}


def group_zoo() -> Zoo:
    """Most groups are whole; some find nothing, and some have a list with a key that is not there."""

    async def make(actor: Actor) -> str:
        source = node(actor.seaweed, actor.buckets[0], actor.source_url)
        destination = node(actor.seaweed, actor.buckets[1])
        match actor.rng.choice(["whole", "whole", "nothing", "bad list"]):
            case "whole":
                wanted = group_request(source, destination)
            case "nothing":
                wanted = group_request(source, destination, ["nothing/"])
            case _:
                file = types_pb2.ListFile(list_file_key=BAD_LIST, obs_bucket=actor.buckets[1])
                wanted = group_request(
                    {**source, "list_file": file}, destination, task_type=group_pb2.TASK_GROUP_TYPE_LIST
                )
        return await actor.groups.create(wanted)

    async def limit(actor: Actor, group_id: str) -> None:
        window = types_pb2.BandwidthPolicy(start="00:00", end="23:59", max_bandwidth=2**22)
        await actor.groups.limit(group_id, [window] if actor.rng.random() < 0.7 else [])

    async def retry(actor: Actor, group_id: str) -> None:
        failed_only = actor.rng.random() < 0.5
        keys = keys_of(actor.seaweed)
        await actor.groups.retry(
            group_pb2.RetryTaskGroupRequest(group_id=group_id, migrate_failed_object=failed_only, **keys)
        )

    return Zoo(
        GROUP,
        make,
        {
            "stop": lambda actor, group_id: actor.groups.stop(group_id),
            "start": lambda actor, group_id: actor.groups.start(group_keys_again(actor.seaweed, group_id)),
            "retry": retry,
            "delete": lambda actor, group_id: actor.groups.delete(group_id),
            "limit": limit,
        },
        [
            look_at(lambda actor, group_id: actor.groups.get(group_id)),
            look_at_page(page_of_groups),
            look_twice(lambda actor, group_id: actor.groups.watch(group_id), lambda seen: seen.task_group),
        ],
        W,
    )


def group_keys_again(seaweed: S3Server, group_id: str) -> group_pb2.StartTaskGroupRequest:
    return group_pb2.StartTaskGroupRequest(group_id=group_id, **keys_of(seaweed))


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
        [look_at(lambda actor, task_id: actor.syncs.get(task_id))],
        R,
        "OMS.0077",
    )


def check(view: View) -> None:
    """What is true of it at every moment."""
    if isinstance(view, task_pb2.Task):
        check_view(view)
    elif isinstance(view, group_pb2.TaskGroup):
        check_group(view)


def state_of(view: View) -> str:
    """The name of its status."""
    if isinstance(view, task_pb2.Task):
        return types_pb2.TaskStatus.Name(view.status).removeprefix("TASK_STATUS_")
    if isinstance(view, group_pb2.TaskGroup):
        return group_pb2.TaskGroupStatus.Name(view.status).removeprefix("TASK_GROUP_STATUS_")
    return sync_pb2.SyncTaskStatus.Name(view.status).removeprefix("SYNC_TASK_STATUS_")
