"""Grants follow demand: simulated workers that move what they can under what they were told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.bandwidth import BandwidthLimits, TaskLimit
from omsd.domain.model import TaskId
from omsd.executors.grants import GrantBook

MB = 1_000_000
INTERVAL_S = 0.2
TASK = TaskId(1)


class Workers:
    """Workers of one book. able: what each could move per second without a limit; told: its grants."""

    def __init__(self, limits: BandwidthLimits, able: dict[tuple[int, TaskId], int]) -> None:
        self.book = GrantBook()
        self.able = able
        self.told: dict[tuple[int, TaskId], int | None] = {}
        self.messages = 0
        self.book.set_limits(limits)
        for worker_id, task_id in able:
            self.book.join(worker_id, task_id)
        self.take()

    def take(self) -> None:
        for grant in self.book.regrant():
            self.messages += 1
            self.told[grant.worker_id, grant.task_id] = grant.limit_bytes_per_s

    def moving(self, worker_id: int, task_id: TaskId = TASK) -> int:
        able, told = self.able[worker_id, task_id], self.told[worker_id, task_id]
        return able if told is None else min(able, told)

    def report(self) -> None:
        """All workers report once."""
        for (worker_id, task_id), able in list(self.able.items()):
            moved = self.moving(worker_id, task_id)
            self.book.note(
                worker_id,
                task_id,
                moved_bytes=int(moved * INTERVAL_S),
                waiting_bytes=200_000 if able > moved else 0,
                elapsed_s=INTERVAL_S,
            )
            self.take()

    def total(self) -> int:
        return sum(told or 0 for told in self.told.values())


def test_an_idle_worker_lends_its_grant_within_half_a_second() -> None:
    workers = Workers(BandwidthLimits(50 * MB), {(1, TASK): 500 * MB, (2, TASK): 500 * MB})
    for _ in range(10):
        workers.report()
    assert workers.moving(1) == workers.moving(2) == 25 * MB
    workers.able[2, TASK] = 0
    for _ in range(int(0.5 / INTERVAL_S)):
        workers.report()
    assert workers.moving(1) >= 0.97 * 50 * MB
    assert workers.total() <= 50 * MB


def test_a_worker_that_comes_back_has_its_part_again_within_a_second() -> None:
    workers = Workers(BandwidthLimits(50 * MB), {(1, TASK): 500 * MB, (2, TASK): 0})
    for _ in range(10):
        workers.report()
    workers.able[2, TASK] = 500 * MB
    for _ in range(int(1.0 / INTERVAL_S)):
        workers.report()
    assert workers.moving(2) >= 0.9 * 25 * MB


def test_a_slow_worker_keeps_no_more_than_it_uses() -> None:
    workers = Workers(BandwidthLimits(50 * MB), {(1, TASK): 500 * MB, (2, TASK): MB})
    for _ in range(20):
        workers.report()
    assert workers.moving(2) == MB
    assert workers.moving(1) >= 0.94 * 50 * MB


def test_the_grant_of_a_lost_worker_returns_at_once() -> None:
    workers = Workers(BandwidthLimits(50 * MB), {(1, TASK): 500 * MB, (2, TASK): 500 * MB})
    workers.report()
    workers.book.lose(2)
    del workers.able[2, TASK], workers.told[2, TASK]
    workers.take()
    assert workers.told == {(1, TASK): 50 * MB}
    workers.book.note(2, TASK, moved_bytes=5, waiting_bytes=5, elapsed_s=0.2)
    assert workers.book.regrant() == []


def test_a_task_that_leaves_gives_its_part_to_the_others() -> None:
    other = TaskId(2)
    limits = BandwidthLimits(50 * MB, tasks={other: TaskLimit(10 * MB)})
    workers = Workers(limits, {(1, TASK): 500 * MB, (1, other): 500 * MB})
    assert workers.told == {(1, TASK): 40 * MB, (1, other): 10 * MB}
    workers.book.leave(1, other)
    del workers.able[1, other], workers.told[1, other]
    workers.take()
    assert workers.told == {(1, TASK): 50 * MB}


def test_without_a_limit_one_message_says_so_and_no_more_follow() -> None:
    workers = Workers(BandwidthLimits(), {(1, TASK): MB, (2, TASK): MB})
    assert workers.told == {(1, TASK): None, (2, TASK): None}
    for _ in range(5):
        workers.report()
    assert workers.messages == 2


def test_who_shrinks_is_told_before_who_grows() -> None:
    workers = Workers(BandwidthLimits(50 * MB), {(1, TASK): 0, (2, TASK): 500 * MB})
    for _ in range(5):
        workers.report()
    workers.book.note(1, TASK, moved_bytes=MB, waiting_bytes=50 * MB, elapsed_s=INTERVAL_S)
    assert [grant.worker_id for grant in workers.book.regrant()] == [2, 1]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["note", "join", "leave", "lose", "limits"]),
        st.integers(1, 3),
        st.sampled_from([TaskId(1), TaskId(2)]),
        st.integers(0, 10 * MB),
        st.integers(0, MB),
    ),
    max_size=40,
)


@given(STEPS)
def test_what_is_in_force_never_sums_up_above_the_limit_whatever_is_reported(
    steps: list[tuple[str, int, TaskId, int, int]],
) -> None:
    book, machine, one = GrantBook(), 5 * MB, 2 * MB
    book.set_limits(BandwidthLimits(machine, tasks={TaskId(1): TaskLimit(one)}))
    told: dict[tuple[int, TaskId], int] = {}
    for step, worker_id, task_id, moved, waiting in steps:
        match step:
            case "note":
                book.note(worker_id, task_id, moved_bytes=moved, waiting_bytes=waiting, elapsed_s=0.2)
            case "join":
                book.join(worker_id, task_id)
            case "leave":
                book.leave(worker_id, task_id)
                told.pop((worker_id, task_id), None)
            case "lose":
                book.lose(worker_id)
                told = {share: rate for share, rate in told.items() if share[0] != worker_id}
            case _:
                machine, one = moved + 1, waiting + 1
                book.set_limits(BandwidthLimits(machine, tasks={TaskId(1): TaskLimit(one)}))
        for grant in book.regrant():
            assert grant.limit_bytes_per_s is not None
            told[grant.worker_id, grant.task_id] = grant.limit_bytes_per_s
        assert sum(told.values()) <= machine
        assert sum(rate for share, rate in told.items() if share[1] == TaskId(1)) <= one
