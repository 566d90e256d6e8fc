"""Nobody starves, HIGH overtakes, who came first goes first, leases are shared 4:2:1: whatever arrives, on hand-moved time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from omsd.domain.model import LeaseId, Priority, ShardId, TaskId
from omsd.scheduler.leases import LeaseBook
from omsd.scheduler.orders import GrantSlot, Order
from omsd.scheduler.queue import WaitingQueue
from omsd.scheduler.scheduler import Scheduler, SchedulerSettings
from omsd.scheduler.weights import WEIGHT, StrideShares
from tests.fakes.clock import FakeClock
from tests.fakes.executor import FakeExecutor, World
from tests.scheduler.test_shares import work_of

AGING_S = 100.0
PRIORITIES = st.sampled_from(list(Priority))
RANK = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2}


@dataclass
class Line:
    """A waiting queue, and what a watcher knows of it."""

    clock: FakeClock = field(default_factory=FakeClock)
    queue: WaitingQueue = field(default_factory=lambda: WaitingQueue(aging_s=AGING_S))
    since_s: dict[TaskId, float] = field(default_factory=dict)
    priority: dict[TaskId, Priority] = field(default_factory=dict)
    waiting: list[TaskId] = field(default_factory=list)

    def arrive(self, priority: Priority) -> TaskId:
        task_id = TaskId(len(self.since_s) + 1)
        self.since_s[task_id] = self.clock.monotonic_s()
        self.priority[task_id] = priority
        self.waiting.append(task_id)
        self.queue.add(task_id, priority, self.clock.monotonic_s())
        return task_id

    def take(self) -> TaskId | None:
        task_id = self.queue.pop(self.clock.monotonic_s())
        if task_id is not None:
            self.waiting.remove(task_id)
        return task_id

    def waited_s(self, task_id: TaskId) -> float:
        return self.clock.monotonic_s() - self.since_s[task_id]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), PRIORITIES),
        st.tuples(st.just("wait"), st.floats(0, 150)),
        st.tuples(st.just("take"), st.none()),
    ),
    max_size=60,
)


@given(STEPS)
def test_who_comes_next_is_never_overtaken_against_the_rules(
    steps: list[tuple[str, Priority | float | None]],
) -> None:
    line = Line()
    for what, value in steps:
        if what == "arrive":
            assert isinstance(value, Priority)
            line.arrive(value)
        elif what == "wait":
            assert isinstance(value, float)
            line.clock.advance(value)
        else:
            before = list(line.waiting)
            taken = line.take()
            assert (taken is None) == (not before)
            if taken is None:
                continue
            for other in line.waiting:
                if other < taken:
                    # It was overtaken: by a higher class, and it has not waited for so long that it is in the highest itself.
                    assert RANK[line.priority[taken]] < RANK[line.priority[other]]
                    assert line.waited_s(other) < RANK[line.priority[other]] * AGING_S
                elif line.priority[other] is Priority.HIGH and line.priority[taken] is not Priority.HIGH:
                    # It was not overtaken by HIGH: only by having waited long.
                    assert line.waited_s(taken) >= RANK[line.priority[taken]] * AGING_S


@given(
    crowd=st.lists(PRIORITIES, max_size=8),
    priority=PRIORITIES,
    arrivals=st.lists(st.lists(PRIORITIES, min_size=1, max_size=5), min_size=1, max_size=8),
    turn_s=st.floats(5.0, 60.0),
    changes=st.lists(st.tuples(st.integers(0, 40), PRIORITIES), max_size=5),
)
@settings(deadline=None)
def test_no_waiting_task_starves_whatever_arrives(
    crowd: list[Priority],
    priority: Priority,
    arrivals: list[list[Priority]],
    turn_s: float,
    changes: list[tuple[int, Priority]],
) -> None:
    line = Line()
    for each in crowd:
        line.arrive(each)
    line.clock.advance(1.0)
    mine = line.arrive(priority)
    # A slot is free once a turn, and each time more tasks arrive than slots do: forever, as far as this one can tell.
    bound = int(2 * AGING_S / turn_s) + len(crowd) + 2
    for turn in range(bound):
        for each in arrivals[turn % len(arrivals)]:
            line.arrive(each)
        for at_turn, changed in changes:
            if at_turn == turn and line.waiting[-1] != mine:
                line.queue.set_priority(line.waiting[-1], changed)
        if line.take() == mine:
            return
        line.clock.advance(turn_s)
    raise AssertionError(f"not run within {bound} turns of {turn_s} s")


@given(
    priorities=st.lists(PRIORITIES, min_size=2, max_size=6),
    absent=st.lists(st.sets(st.integers(0, 5)), max_size=150),
)
def test_tasks_that_always_have_work_share_by_weight_whatever_the_others_do(
    priorities: list[Priority], absent: list[set[int]]
) -> None:
    shares = StrideShares()
    for number, priority in enumerate(priorities):
        shares.join(TaskId(number), priority)
    picked: Counter[int] = Counter()
    for away in absent:
        # The first two never rest.
        chosen = shares.pick([TaskId(n) for n in range(len(priorities)) if n < 2 or n not in away])
        assert chosen is not None
        picked[chosen] += 1
        moved = [picked[n] / WEIGHT[priorities[n]] for n in (0, 1)]
        assert abs(moved[0] - moved[1]) <= 1.0


@given(priorities=st.lists(PRIORITIES, min_size=1, max_size=6), slots=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_leases_approach_four_to_two_to_one_in_the_long_run(priorities: list[Priority], slots: int) -> None:
    book = LeaseBook()
    for number, priority in enumerate(priorities, 1):
        book.add(work_of(number), 1, priority)
        for shard in range(400):
            book.add_ready(TaskId(number), ShardId(shard))
    leased: Counter[int] = Counter()
    rounds = 210 // slots
    for turn in range(rounds):
        for task_id, shard_ids in book.pick(float(turn), slots).items():
            for shard_id in shard_ids:
                lease_id = LeaseId(task_id * 1000 + shard_id)
                book.leased(task_id, shard_id, lease_id)
                assert book.ended(lease_id) == task_id
            leased[task_id] += len(shard_ids)
    total_weight = sum(WEIGHT[priority] for priority in priorities)
    for number, priority in enumerate(priorities, 1):
        due = rounds * slots * WEIGHT[priority] / total_weight
        assert abs(leased[number] - due) <= len(priorities)


@given(
    events=st.lists(
        st.one_of(
            st.tuples(st.just("join"), PRIORITIES),
            st.tuples(st.just("leave"), st.integers(0, 20)),
            st.tuples(st.just("pick"), st.none()),
        ),
        max_size=120,
    )
)
def test_no_running_task_waits_for_more_turns_than_the_weights_of_the_others_allow(
    events: list[tuple[str, Priority | int | None]],
) -> None:
    shares = StrideShares()
    running: dict[TaskId, Priority] = {}
    passed_over: dict[TaskId, Counter[TaskId]] = {}
    joined = 0
    for what, value in events:
        if what == "join":
            assert isinstance(value, Priority)
            joined += 1
            running[TaskId(joined)] = value
            passed_over[TaskId(joined)] = Counter()
            shares.join(TaskId(joined), value)
        elif what == "leave":
            gone = TaskId(int(value))  # type: ignore[call-overload]
            if running.pop(gone, None) is not None:
                shares.leave(gone)
        else:
            chosen = shares.pick(running)
            assert (chosen is None) == (not running)
            for task_id in running:
                if task_id == chosen:
                    passed_over[task_id].clear()
                elif chosen is not None:
                    passed_over[task_id][chosen] += 1
                    # Between two of its turns a LOW task sees each HIGH one run four times, and once more at the edges.
                    ratio = WEIGHT[running[chosen]] / WEIGHT[running[task_id]]
                    assert passed_over[task_id][chosen] <= ratio + 1


@given(
    events=st.lists(
        st.one_of(
            st.tuples(st.just("arrive"), PRIORITIES, st.integers(0, 3)),
            st.tuples(st.just("end"), st.just(Priority.LOW), st.integers(0, 8)),
            st.tuples(st.just("wait"), st.just(Priority.LOW), st.integers(0, 150)),
        ),
        max_size=60,
    ),
    machine=st.integers(1, 6),
    quota=st.integers(0, 4),
)
@settings(max_examples=60)
def test_no_project_has_more_than_its_quota_and_no_place_is_left_to_nobody(
    events: list[tuple[str, Priority, int]], machine: int, quota: int
) -> None:
    asyncio.run(_places(events, machine, quota))


async def _places(events: list[tuple[str, Priority, int]], machine: int, quota: int) -> None:
    """The test plays the ledger: what is granted begins."""
    clock, orders = FakeClock(), list[Order]()
    made = Scheduler(
        FakeExecutor(World({})),
        clock,
        orders.append,
        SchedulerSettings(machine, UTC, parallel_tasks=quota),
    )
    project_of: dict[TaskId, str] = {}
    waiting: list[TaskId] = []
    running: list[TaskId] = []
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(made.run())
        for what, priority, number in events:
            if what == "arrive":
                task_id = TaskId(len(project_of) + 1)
                project_of[task_id] = f"p{number}"
                waiting.append(task_id)
                made.enqueue(task_id, priority, project_id=f"p{number}")
            elif what == "wait":
                clock.advance(float(number))
            elif running:
                made.withdraw(running.pop(number % len(running)))
            for _ in range(10):
                await asyncio.sleep(0)
            granted = [order.task_id for order in orders if isinstance(order, GrantSlot)]
            orders.clear()
            for task_id in granted:
                waiting.remove(task_id)
                running.append(task_id)
                made.begin(work_of(task_id), 1, Priority.LOW, (), project_id=project_of[task_id])
            used = Counter(project_of[task_id] for task_id in running)
            assert len(running) <= machine
            assert not quota or all(num <= quota for num in used.values())
            if len(running) < machine:
                assert all(quota and used[project_of[task_id]] >= quota for task_id in waiting)
        loop.cancel()
