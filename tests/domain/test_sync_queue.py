"""The queue of events as properties: one of a key at a time, in order, none lost, none held up by another key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.sync import EventId, KeyNames, SyncEvent
from omsd.domain.sync_queue import MAX_TRIES, SyncQueue, rest_after

KEYS = ["a", "b", "c d", "c+d"]


def event(number: int, key: str, literal: str = "") -> SyncEvent:
    return SyncEvent(EventId(number), KeyNames(key, literal), 0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "take", "finish", "rest", "wait", "hurry"]), st.integers(0, 7))
    )
)
def test_whatever_happens_each_key_runs_alone_and_in_order_and_nothing_is_lost(
    steps: list[tuple[str, int]],
) -> None:
    queue, now_s, number = SyncQueue(), 0.0, 0
    added: dict[EventId, str] = {}
    running: list[EventId] = []
    begun_of: dict[str, list[EventId]] = {}
    finished: set[EventId] = set()
    for what, choice in steps:
        if what == "add":
            key = KEYS[choice % len(KEYS)]
            if not queue.holds(KeyNames(key)):
                number += 1
                queue.add(event(number, key))
                added[EventId(number)] = key
        elif what == "take":
            taken = queue.take(now_s)
            if taken is not None:
                event_id, lane = taken.event.event_id, taken.event.names.lane
                assert all(added[other].replace("+", " ") != lane for other in running)
                assert event_id not in finished
                begun = begun_of.setdefault(lane, [])
                assert not begun or event_id >= begun[-1]
                begun.append(event_id)
                running.append(event_id)
        elif what == "finish" and running:
            finished.add(running[choice % len(running)])
            queue.finish(running.pop(choice % len(running)))
        elif what == "rest" and running:
            queue.rest(running.pop(choice % len(running)), now_s + choice, failed=True)
        elif what == "wait":
            now_s += choice
        elif what == "hurry":
            queue.hurry()
        assert len(queue) == len(added) - len(finished)
    # In the end everything that was added is done, whoever rested.
    for event_id in running:
        queue.finish(event_id)
    while (taken := queue.take(now_s + 100)) is not None:
        queue.finish(taken.event.event_id)
    assert len(queue) == 0


def test_an_event_is_a_repeat_until_the_first_one_begins() -> None:
    queue = SyncQueue()
    queue.add(event(1, "a"))
    assert queue.holds(KeyNames("a"))
    assert not queue.holds(KeyNames("a", "x"))
    assert queue.take(0.0) is not None
    assert not queue.holds(KeyNames("a")), "what runs may have read the object before it changed"
    queue.add(event(2, "a"))
    assert queue.take(0.0) is None
    queue.rest(EventId(1), 5.0, failed=True)
    assert queue.holds(KeyNames("a"))


def test_what_rests_holds_up_its_own_key_only() -> None:
    queue = SyncQueue()
    for number, key in enumerate(["poison", "a", "other", "b"], start=1):
        queue.add(event(number, key))
    first = queue.take(0.0)
    assert first is not None
    queue.rest(first.event.event_id, 60.0, failed=True)
    others = [queue.take(0.0) for _ in range(3)]
    assert [other.event.names.key for other in others if other] == ["a", "other", "b"]
    assert queue.take(59.9) is None
    assert queue.next_s() == 60.0
    again = queue.take(60.0)
    assert again is not None
    assert (again.event.names.key, again.tries, again.tried) == ("poison", 1, True)


@pytest.mark.parametrize(
    ("tries", "least_s", "most_s"), [(1, 0.5, 1.0), (2, 1.0, 2.0), (5, 8.0, 16.0), (7, 30.0, 60.0)]
)
def test_rests_double_up_to_a_minute(tries: int, least_s: float, most_s: float) -> None:
    assert rest_after(tries, 0.0) == least_s
    assert rest_after(tries, 0.999_999_9) == pytest.approx(most_s)


def test_the_last_try_is_the_end() -> None:
    assert rest_after(MAX_TRIES, 0.5) is None
