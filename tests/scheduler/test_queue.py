"""Which waiting task is next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.model import Priority, TaskId
from omsd.scheduler.queue import WaitingQueue

HIGH, MEDIUM, LOW = Priority.HIGH, Priority.MEDIUM, Priority.LOW
AGING_S = 100.0


def queue_of(*waiting: tuple[int, Priority, float]) -> WaitingQueue:
    queue = WaitingQueue(aging_s=AGING_S)
    for task_id, priority, since_s in waiting:
        queue.add(TaskId(task_id), priority, since_s)
    return queue


def drain(queue: WaitingQueue, now_s: float = 0.0) -> list[int]:
    order = []
    while (task_id := queue.pop(now_s)) is not None:
        order.append(int(task_id))
    return order


def test_high_comes_before_medium_before_low_and_first_come_first_served_inside() -> None:
    queue = queue_of((1, LOW, 0), (2, MEDIUM, 0), (3, HIGH, 0), (4, MEDIUM, 0), (5, HIGH, 0), (6, LOW, 0))
    assert drain(queue) == [3, 5, 2, 4, 1, 6]


def test_who_waits_long_enough_rises_one_class_at_a_time() -> None:
    late = (2, HIGH, 250.0)
    assert drain(queue_of((1, LOW, 0), late), 150.0) == [2, 1]
    assert drain(queue_of((1, LOW, 0), late), 199.0) == [2, 1]
    assert drain(queue_of((1, LOW, 0), late), 200.0) == [1, 2]


def test_low_is_never_starved_by_a_stream_of_high_tasks() -> None:
    queue = queue_of((1, LOW, 0))
    for turn in range(2, 50):
        now_s = turn * 10.0
        queue.add(TaskId(turn), HIGH, now_s)
        if queue.pop(now_s) == 1:
            assert now_s <= 2 * AGING_S + 10
            return
    raise AssertionError("starved")


def test_a_changed_priority_keeps_the_place_in_time() -> None:
    queue = queue_of((1, LOW, 0), (2, HIGH, 0), (3, HIGH, 0))
    queue.set_priority(TaskId(1), HIGH)
    queue.set_priority(TaskId(99), HIGH)
    assert drain(queue) == [1, 2, 3]


def test_tasks_that_may_not_run_yet_are_passed_over_and_stay() -> None:
    queue = queue_of((1, HIGH, 0), (2, LOW, 0))
    assert queue.pop(0, not_yet={TaskId(1)}) == 2
    assert queue.pop(0, not_yet={TaskId(1)}) is None
    assert TaskId(1) in queue


@given(st.lists(st.tuples(st.sampled_from([HIGH, MEDIUM, LOW]), st.booleans()), max_size=30))
def test_each_task_comes_out_once_unless_it_was_removed(entries: list[tuple[Priority, bool]]) -> None:
    queue = queue_of(*((number, priority, 0.0) for number, (priority, _) in enumerate(entries)))
    for number, (_, removed) in enumerate(entries):
        if removed:
            queue.remove(TaskId(number))
    kept = {number for number, (_, removed) in enumerate(entries) if not removed}
    assert len(queue) == len(kept)
    assert sorted(drain(queue)) == sorted(kept)
