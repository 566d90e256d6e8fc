"""The task machine against the documented table, and under random events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.errors import Failure, OmsdError, Refusal, RequestError
from omsd.domain.model import (
    BandwidthWindow,
    CloudType,
    Counters,
    ListRecords,
    Location,
    Priority,
    Task,
    TaskId,
    TaskSpec,
    TaskState,
    TaskType,
)
from omsd.domain.task_machine import (
    Act,
    AllShardsDone,
    Decisive,
    Delete,
    Drained,
    Planned,
    RecordError,
    Recovered,
    SetPriority,
    SetWindows,
    SlotGranted,
    Start,
    Stop,
    TaskEvent,
    UpdateBandwidth,
    UpdatePriority,
    add_active,
    end_verdict,
    evolve,
    step,
)

W, M, P, F, S, G = (
    TaskState.WAITING,
    TaskState.MIGRATING,
    TaskState.PAUSED,
    TaskState.FAILED,
    TaskState.SUCCEEDED,
    TaskState.PAUSING,
)
WINDOWS = (BandwidthWindow(60, 120, 5_000_000),)
FAILURE = Failure("TRF.0155", "the bucket is gone")
LOCATION = Location(CloudType.AWS, "r", "b")
SPEC = TaskSpec(LOCATION, LOCATION, TaskType.PREFIX, ("",))

# API reference, section 5.2: a state, or the code of the refusal; None = deleted.
TABLE: dict[TaskState, dict[str, TaskState | str | None]] = {
    W: {"stop": P, "start": "OMS.0065", "delete": None, "bandwidth": W, "priority": "applied"},
    M: {"stop": G, "start": "OMS.0065", "delete": "OMS.0063", "bandwidth": M, "priority": "ignored"},
    G: {"stop": "OMS.0066", "start": "OMS.0065", "delete": "OMS.0063", "bandwidth": G, "priority": "ignored"},
    P: {"stop": "OMS.0066", "start": W, "delete": None, "bandwidth": P, "priority": "applied"},
    F: {"stop": "OMS.0066", "start": W, "delete": None, "bandwidth": F, "priority": "applied"},
    S: {
        "stop": "OMS.0070",
        "start": "OMS.0070",
        "delete": None,
        "bandwidth": "OMS.0086",
        "priority": "ignored",
    },
}
CALLS: dict[str, TaskEvent] = {
    "stop": Stop(),
    "start": Start(),
    "delete": Delete(),
    "bandwidth": UpdateBandwidth(WINDOWS),
}


@pytest.mark.parametrize(("state", "call"), [(state, call) for state in TABLE for call in CALLS])
def test_every_cell_of_the_documented_table(state: TaskState, call: str) -> None:
    expected = TABLE[state][call]
    if isinstance(expected, str):
        with pytest.raises(RequestError) as refused:
            step(state, CALLS[call])
        assert (refused.value.code, refused.value.refusal) == (expected, Refusal.STATE)
    else:
        assert step(state, CALLS[call]).state is expected


@pytest.mark.parametrize("state", TABLE)
def test_priority_is_heard_only_while_the_task_does_not_run(state: TaskState) -> None:
    transition = step(state, UpdatePriority(Priority.HIGH))
    assert transition.state is state
    applied = transition.effects == (SetPriority(Priority.HIGH),)
    assert applied == (TABLE[state]["priority"] == "applied")


def test_bandwidth_comes_out_as_an_effect() -> None:
    assert step(M, UpdateBandwidth(WINDOWS)).effects == (SetWindows(WINDOWS),)


@pytest.mark.parametrize("state", [P, F])
def test_failed_only_without_recorded_failures_is_refused(state: TaskState) -> None:
    with pytest.raises(RequestError) as refused:
        step(state, Start(failed_only=True))
    assert refused.value.code == "OMS.0167"


def test_a_paused_task_goes_on_where_it_was() -> None:
    effects = step(P, Start()).effects
    assert Act.NEW_RUN not in effects
    assert Act.RETRY_FAILED not in effects
    assert Act.KEEP_CREDENTIALS in effects


def test_a_failed_task_starts_over_or_retries_only_what_failed() -> None:
    assert Act.NEW_RUN in step(F, Start()).effects
    retried = step(F, Start(failed_only=True), retryable_num=3).effects
    assert Act.RETRY_FAILED in retried
    assert Act.NEW_RUN not in retried


INTERNAL: list[tuple[TaskState, TaskEvent, TaskState]] = [
    (W, SlotGranted(), M),
    (M, Planned(), M),
    (M, AllShardsDone(None), S),
    (M, AllShardsDone(FAILURE), F),
    (M, Decisive(FAILURE), F),
    (G, Drained(), P),
    (W, Recovered(), W),
    (M, Recovered(), M),
    (G, Recovered(), P),
]


@pytest.mark.parametrize(("state", "event", "expected"), INTERNAL)
def test_internal_events_move_the_task(state: TaskState, event: TaskEvent, expected: TaskState) -> None:
    transition = step(state, event)
    assert transition.state is expected
    assert transition.effects


@pytest.mark.parametrize(
    "event", [SlotGranted(), Planned(), AllShardsDone(None), Decisive(FAILURE), Drained(), Recovered()]
)
def test_an_internal_event_that_comes_too_late_changes_nothing(event: TaskEvent) -> None:
    meant_for = {state for state, meant, _ in INTERNAL if type(meant) is type(event)}
    for state in set(TABLE) - meant_for:
        transition = step(state, event)
        assert (transition.state, transition.effects) == (state, ())


EVENTS = st.sampled_from(
    [
        Stop(),
        Start(),
        Start(failed_only=True),
        Delete(),
        UpdateBandwidth(WINDOWS),
        UpdatePriority(Priority.LOW),
        SlotGranted(),
        Planned(),
        AllShardsDone(None),
        AllShardsDone(FAILURE),
        Decisive(FAILURE),
        Decisive(Failure("TRF.0058", "second")),
        Drained(),
        Recovered(),
    ]
)


def new_task() -> Task:
    return Task(TaskId(1), "p", "n", SPEC, W, Priority.MEDIUM, (), 1)


@given(st.lists(st.tuples(EVENTS, st.integers(0, 2)), max_size=60))
def test_random_events_keep_the_invariants(history: list[tuple[TaskEvent, int]]) -> None:
    task, has_credentials, now_ms = new_task(), True, 1000
    refusals: set[str] = set()
    for event, retryable_num in history:
        now_ms += 10
        before = task
        try:
            transition = step(task.state, event, retryable_num=retryable_num)
        except RequestError as refused:
            refusals.add(refused.code)
            continue
        if transition.state is None:
            break
        task = evolve(task, transition, now_ms=now_ms)
        for effect in transition.effects:
            if effect is Act.KEEP_CREDENTIALS:
                has_credentials = True
            elif effect is Act.DROP_CREDENTIALS:
                has_credentials = False
        # Keys are there exactly while they may be needed.
        assert has_credentials == (task.state in {W, M, G})
        # An error is shown exactly while the task has failed, and the first one stays.
        assert bool(task.error_code) == (task.state is F)
        if before.state is F and task.state is F:
            assert task.error_code == before.error_code
        # Active time runs exactly while the task works.
        assert bool(task.active_since_ms) == (task.state in {M, G})
        assert task.run - before.run in {0, 1}
        # Each end is told once, and nothing else is.
        ended = before.state not in {F, S} and task.state in {F, S}
        assert transition.effects.count(Act.NOTIFY) == int(ended)
        assert task.state is not S or task.listing_over
    assert refusals <= {"OMS.0063", "OMS.0065", "OMS.0066", "OMS.0070", "OMS.0086", "OMS.0167"}


@given(st.lists(EVENTS, max_size=40))
def test_the_same_events_lead_to_the_same_task(history: list[TaskEvent]) -> None:
    def replay() -> Task | None:
        task = new_task()
        for event in history:
            try:
                transition = step(task.state, event, retryable_num=1)
            except OmsdError:
                continue
            if transition.state is None:
                return None
            task = evolve(task, transition, now_ms=7)
        return task

    assert replay() == replay()


def test_a_new_run_starts_from_nothing() -> None:
    used = replace(
        new_task(),
        state=F,
        planned=True,
        listing_over=True,
        started_ms=5,
        ended_ms=9,
        active_ms=4,
        error_code="TRF.0001",
        error_message="x",
        counters=Counters(3, 30, 1, 1, 1),
    )
    again = evolve(used, step(F, Start()), now_ms=20)
    assert again == replace(new_task(), run=2, lists=ListRecords(round=2))


def test_active_time_adds_up() -> None:
    task = add_active(replace(new_task(), active_ms=100), 50, now_ms=900)
    assert (task.active_ms, task.active_since_ms) == (150, 900)


VERDICTS = [
    (Counters(), {}, "TRF.0012"),
    (Counters(listed_num=2, successful_num=1, skipped_num=1), {}, None),
    (Counters(listed_num=2, successful_num=1), {}, "TRF.0001"),
    (Counters(listed_num=1, successful_num=2), {}, "TRF.0001"),
    (Counters(listed_num=2, failed_num=2), {"TRF.0152": (2, "a: no")}, "TRF.0152"),
    (Counters(listed_num=2, failed_num=2), {"TRF.0152": (1, "a: no"), "TRF.0160": (1, "b")}, "TRF.0062"),
]


@pytest.mark.parametrize(("counters", "tally", "code"), VERDICTS)
def test_the_end_of_a_run_is_judged_by_its_counters(
    counters: Counters, tally: dict[str, tuple[int, str]], code: str | None
) -> None:
    verdict = end_verdict(counters, tally, recorded=True)
    assert (verdict.code if verdict else None) == code


def test_the_verdict_says_how_many_failed_and_how_to_retry() -> None:
    verdict = end_verdict(
        Counters(listed_num=5, successful_num=3, failed_num=2), {"TRF.0152": (2, "a: no")}, recorded=True
    )
    assert verdict is not None
    assert "2 of 5" in verdict.message
    assert "a: no" in verdict.message
    assert "migrate_failed_object" in verdict.message


def test_a_recorded_error_is_the_one_that_is_shown() -> None:
    failed = evolve(replace(new_task(), state=M), step(M, Decisive(FAILURE)), now_ms=3)
    assert RecordError(FAILURE) in step(M, Decisive(FAILURE)).effects
    assert (failed.error_code, failed.error_message, failed.ended_ms) == ("TRF.0155", "the bucket is gone", 3)
