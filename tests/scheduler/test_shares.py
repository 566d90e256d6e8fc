"""How running tasks share the workers, and which of their shards is next."""

from __future__ import annotations

from collections import Counter

from omsd.domain.model import (
    CloudType,
    Credentials,
    LeaseId,
    Location,
    Priority,
    ShardId,
    TaskCredentials,
    TaskId,
    TaskSpec,
    TaskType,
    TaskWork,
)
from omsd.scheduler.leases import LeaseBook
from omsd.scheduler.weights import StrideShares

PLACE = Location(CloudType.AWS, "r", "b")
NO_KEYS = TaskCredentials(Credentials("", ""), Credentials("", ""))


def work_of(number: int) -> TaskWork:
    return TaskWork(TaskId(number), TaskSpec(PLACE, PLACE, TaskType.PREFIX, ("",)), NO_KEYS, 1, 0.0)


def test_leases_are_shared_four_to_two_to_one() -> None:
    shares = StrideShares()
    for number, priority in enumerate([Priority.HIGH, Priority.MEDIUM, Priority.LOW], start=1):
        shares.join(TaskId(number), priority)
    picked = Counter(shares.pick([TaskId(1), TaskId(2), TaskId(3)]) for _ in range(700))
    assert [round(picked[TaskId(number)], -1) for number in (1, 2, 3)] == [400, 200, 100]


def test_a_task_without_work_saves_up_no_turns() -> None:
    shares = StrideShares()
    for number in (1, 2):
        shares.join(TaskId(number), Priority.MEDIUM)
    for _ in range(100):
        shares.pick([TaskId(1)])
    picked = Counter(shares.pick([TaskId(1), TaskId(2)]) for _ in range(20))
    assert abs(picked[TaskId(1)] - picked[TaskId(2)]) <= 1


def test_a_new_task_shares_from_its_start_and_one_that_left_is_gone() -> None:
    shares = StrideShares()
    shares.join(TaskId(1), Priority.MEDIUM)
    for _ in range(100):
        shares.pick([TaskId(1)])
    shares.join(TaskId(2), Priority.MEDIUM)
    picked = Counter(shares.pick([TaskId(1), TaskId(2)]) for _ in range(20))
    assert abs(picked[TaskId(1)] - picked[TaskId(2)]) <= 1
    shares.leave(TaskId(1))
    assert shares.pick([]) is None


def test_shards_are_asked_for_in_order_and_not_twice() -> None:
    book = LeaseBook()
    book.add(work_of(1), 1, Priority.MEDIUM)
    for number in (3, 1, 2):
        book.add_ready(TaskId(1), ShardId(number))
    assert book.pick(0, 2) == {TaskId(1): [1, 2]}
    assert book.asked_num() == 2
    assert book.pick(0, 2) == {TaskId(1): [3]}
    assert book.pick(0, 2) == {}


def test_a_resting_shard_waits_for_its_time() -> None:
    book = LeaseBook()
    book.add(work_of(1), 1, Priority.MEDIUM)
    book.add_resting(TaskId(1), ShardId(1), 5.0)
    assert book.next_ready_s(2.0) == 3.0
    assert book.pick(4.9, 1) == {}
    assert book.pick(5.0, 1) == {TaskId(1): [1]}
    assert book.next_ready_s(5.0) is None


def test_a_draining_task_gets_no_more_leases() -> None:
    book = LeaseBook()
    book.add(work_of(1), 1, Priority.MEDIUM)
    book.add_ready(TaskId(1), ShardId(1))
    book.running[TaskId(1)].draining = True
    assert not book.has_ready()
    assert book.pick(0, 1) == {}


def test_leases_outlive_the_slot_of_their_task() -> None:
    book = LeaseBook()
    book.add(work_of(1), 1, Priority.MEDIUM)
    book.add_ready(TaskId(1), ShardId(1))
    book.pick(0, 1)
    book.leased(TaskId(1), ShardId(1), LeaseId(7))
    assert book.asked_num() == 0
    book.remove(TaskId(1))
    assert book.leases_of(TaskId(1)) == [7]
    assert book.ended(LeaseId(7)) == 1
    assert book.ended(LeaseId(7)) is None
