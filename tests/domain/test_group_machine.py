"""The group machine against the documented table, and under random events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.errors import Failure, Refusal, RequestError
from omsd.domain.group import Goal, GroupNumber, GroupState, MemberTally, PlanPosition, TaskGroup
from omsd.domain.group_machine import (
    Act,
    Advanced,
    Call,
    Created,
    Delete,
    GoalAdvanced,
    GroupEvent,
    MembersMoved,
    PlanFailed,
    RecordError,
    Recovered,
    Retry,
    SetGoal,
    SetWindows,
    Start,
    Stop,
    TurnCame,
    UpdateBandwidth,
    add_active,
    evolve,
    group_failure,
    is_settled,
    step,
)
from omsd.domain.model import (
    BandwidthWindow,
    CloudType,
    GroupId,
    Location,
    TaskId,
    TaskSpec,
    TaskState,
    TaskType,
)

W, C, M, P, CF, F, S, G, D, X = GroupState
WINDOWS = (BandwidthWindow(60, 120, 5_000_000),)
FAILURE = Failure("TRF.0155", "the bucket is gone")
LOCATION = Location(CloudType.AWS, "r", "b")
SPEC = TaskSpec(LOCATION, LOCATION, TaskType.PREFIX, ("",))
OVER = PlanPosition(1, "", 1, "", over=True)
CALLS: dict[str, Call] = {
    "stop": Stop(),
    "start": Start(),
    "retry": Retry(),
    "delete": Delete(),
    "update": UpdateBandwidth(WINDOWS),
}

# API reference, section 5.4: a state, or the code of the refusal. Groups in 3 and 5 have a source that is split to its end here.
TABLE: dict[GroupState, tuple[GroupState | str, ...]] = {
    W: (P, "OMS.1039", "OMS.1040", D, W),
    C: (G, "OMS.1039", "OMS.1040", "OMS.1036", C),
    M: (G, "OMS.1039", "OMS.1040", "OMS.1036", M),
    P: ("OMS.1038", M, "OMS.1040", D, P),
    CF: ("OMS.1038", "OMS.1039", C, D, CF),
    F: ("OMS.1038", "OMS.1039", M, D, F),
    S: ("OMS.1038", "OMS.1039", "OMS.1040", D, "OMS.1036"),
    G: ("OMS.1038", "OMS.1039", "OMS.1040", "OMS.1036", G),
    D: ("OMS.1036",) * 5,
    X: ("OMS.1009",) * 5,
}


def group(state: GroupState, **fields: object) -> TaskGroup:
    if state in (M, P, F, S):
        fields.setdefault("position", OVER)
    return TaskGroup(GroupId("g"), GroupNumber(1), "p", SPEC, state, (), 1, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("state", "number"), [(state, n) for state in TABLE for n in range(5)])
def test_every_cell_of_the_documented_table(state: GroupState, number: int) -> None:
    expected, call = TABLE[state][number], list(CALLS.values())[number]
    if isinstance(expected, str):
        with pytest.raises(RequestError) as refused:
            step(group(state), call)
        kind = Refusal.NOT_FOUND if state is X else Refusal.STATE
        assert (refused.value.code, refused.value.refusal) == (expected, kind)
    else:
        assert step(group(state), call).state is expected


def test_a_paused_group_with_tasks_still_to_be_made_goes_on_making_them() -> None:
    transition = step(group(P, position=PlanPosition(0, "k")), Start())
    assert transition.state is C
    assert Act.AWAIT_TURN in transition.effects
    assert SetGoal(Goal.RESUME) in transition.effects
    assert Act.AWAIT_TURN not in step(group(P), Start()).effects


def test_a_retry_takes_failed_tasks_whole_or_only_their_failed_objects() -> None:
    assert SetGoal(Goal.RETRY) in step(group(F), Retry()).effects
    assert SetGoal(Goal.RETRY_FAILED) in step(group(CF), Retry(failed_only=True)).effects


def test_limits_come_out_as_an_effect() -> None:
    assert step(group(M), UpdateBandwidth(WINDOWS)).effects == (SetWindows(WINDOWS),)


def tally(**numbers: int) -> MemberTally:
    return MemberTally(**numbers)


INTERNAL: list[tuple[TaskGroup, GroupEvent, GroupState]] = [
    (group(W), TurnCame(), C),
    (group(C), TurnCame(), C),
    (group(C), Advanced(PlanPosition(0, "k")), C),
    (group(C), Advanced(OVER), M),
    (group(C), PlanFailed(FAILURE), CF),
    (group(M), MembersMoved(tally(succeeded=3)), S),
    (group(M), MembersMoved(tally(succeeded=2, failed=1)), F),
    (group(M), MembersMoved(tally(succeeded=2, failed=1, waiting=1)), M),
    (group(M), MembersMoved(tally(succeeded=2, failed=1, pausing=1)), M),
    (group(M), MembersMoved(tally(succeeded=2, paused=1)), M),
    (group(M, goal=Goal.RETRY), MembersMoved(tally(failed=3)), M),
    (group(G), MembersMoved(tally(paused=2, failed=1)), P),
    (group(G), MembersMoved(tally()), P),
    (group(G), MembersMoved(tally(pausing=1)), G),
    (group(G, goal=Goal.PAUSE), MembersMoved(tally(paused=1)), G),
    (group(F), MembersMoved(tally(waiting=1)), M),
    (group(F), MembersMoved(tally(failed=1)), F),
    (group(CF), MembersMoved(tally(failed=1)), CF),
    (group(D, goal=Goal.DELETE), MembersMoved(tally()), X),
    (group(D, goal=Goal.DELETE), MembersMoved(tally(pausing=1)), D),
    (group(C), MembersMoved(tally(succeeded=1)), C),
]


@pytest.mark.parametrize(("before", "event", "expected"), INTERNAL)
def test_internal_events_move_the_group(before: TaskGroup, event: GroupEvent, expected: GroupState) -> None:
    assert step(before, event).state is expected


@pytest.mark.parametrize("state", [P, CF, F, S, G, D, X, M])
@pytest.mark.parametrize("event", [TurnCame(), Advanced(OVER), PlanFailed(FAILURE)])
def test_planning_that_comes_too_late_changes_nothing(state: GroupState, event: GroupEvent) -> None:
    transition = step(group(state), event)
    assert (transition.state, transition.effects) == (state, ())


@pytest.mark.parametrize("state", [P, F, S])
def test_a_group_at_rest_has_no_keys(state: GroupState) -> None:
    moves: dict[GroupState, tuple[TaskGroup, MemberTally]] = {
        P: (group(G), tally(paused=1)),
        F: (group(M), tally(failed=1)),
        S: (group(M), tally(succeeded=1)),
    }
    before, numbers = moves[state]
    transition = step(before, MembersMoved(numbers))
    assert transition.state is state
    assert {Act.DROP_CREDENTIALS, Act.END_ACTIVE} <= set(transition.effects)


def test_keys_of_a_failed_creation_stay_while_its_tasks_are_at_work() -> None:
    assert Act.DROP_CREDENTIALS not in step(group(C), PlanFailed(FAILURE)).effects
    assert step(group(CF), MembersMoved(tally(waiting=1))).effects == ()
    assert step(group(CF), MembersMoved(tally(failed=1))).effects == (Act.DROP_CREDENTIALS,)


def test_a_failed_creation_that_found_nothing_begins_anew() -> None:
    before = group(C, position=PlanPosition(3, "k"))
    transition = step(before, PlanFailed(FAILURE, restart=True))
    after = evolve(before, transition, now_ms=5)
    assert (after.position, after.error_code, after.ended_ms) == (PlanPosition(), "TRF.0155", 5)
    again = evolve(after, step(after, Retry()), now_ms=9)
    assert (again.state, again.error_code, again.ended_ms) == (C, "", 0)


def test_a_goal_is_pursued_step_by_step() -> None:
    before = group(M, goal=Goal.RETRY)
    half = evolve(before, step(before, GoalAdvanced(TaskId(7), over=False)), now_ms=1)
    assert (half.goal, half.goal_after) == (Goal.RETRY, 7)
    done = evolve(half, step(half, GoalAdvanced(TaskId(9), over=True)), now_ms=1)
    assert (done.goal, done.goal_after) == (Goal.NONE, 0)
    deleting = group(D, goal=Goal.DELETE)
    assert step(deleting, GoalAdvanced(TaskId(9), over=True)).effects == (SetGoal(Goal.DELETE),)


@pytest.mark.parametrize("state", list(GroupState))
def test_a_restart_goes_on_with_what_was_begun(state: GroupState) -> None:
    effects = step(group(state), Recovered()).effects
    assert (Act.AWAIT_TURN in effects) == (state in (W, C))
    assert (Act.LOOK_AGAIN in effects) == (state in (W, C, M, G, D))
    assert (Act.BEGIN_ACTIVE in effects) == (state in (C, M, G))
    assert Act.LOOK_AGAIN in step(group(state, goal=Goal.RETRY), Recovered()).effects


def test_active_time_is_added_up() -> None:
    later = add_active(group(M, active_ms=5, active_since_ms=1), 10, now_ms=99)
    assert (later.active_ms, later.active_since_ms) == (15, 99)


def test_one_code_of_all_failed_tasks_is_that_of_the_group() -> None:
    numbers = tally(failed=2, succeeded=1)
    assert group_failure(numbers, {"TRF.0152": 2}, "k: no").code == "TRF.0152"
    both = group_failure(numbers, {"TRF.0152": 1, "TRF.0156": 1}, "k: no")
    assert both.code == "TRF.0062"
    assert "2 of 3 tasks failed; the first: k: no" in both.message


ENDS = (CF, F, S)
numbers = st.integers(0, 2)
tallies = st.builds(MemberTally, *[numbers] * 6)
events = st.one_of(
    st.sampled_from([*CALLS.values(), Retry(failed_only=True)]),
    st.just(Created()),
    st.just(TurnCame()),
    st.builds(Advanced, st.builds(PlanPosition, st.just(0), st.text(max_size=2), over=st.booleans())),
    st.builds(PlanFailed, st.just(FAILURE), st.booleans()),
    st.builds(GoalAdvanced, st.builds(TaskId, st.integers(0, 9)), st.booleans()),
    st.builds(MembersMoved, tallies, st.sampled_from([None, FAILURE])),
    st.just(Recovered()),
)


@given(st.lists(events, max_size=30))
def test_random_events_keep_the_invariants_and_replay_to_the_same_group(sequence: list[GroupEvent]) -> None:
    def replay() -> list[TaskGroup]:
        now, seen = group(W), [group(W)]
        has_keys = True
        for event in sequence:
            if isinstance(event, Created) and now.state is not W:
                continue
            try:
                transition = step(now, event)
            except RequestError:
                continue
            # Each end is told once.
            ends = transition.state in ENDS and now.state not in ENDS
            assert (Act.NOTIFY in transition.effects) == ends
            now = evolve(now, transition, now_ms=7)
            for effect in transition.effects:
                has_keys = effect is Act.KEEP_CREDENTIALS or (has_keys and effect is not Act.DROP_CREDENTIALS)
            # Nothing is split without keys, and nothing keeps them longer than needed.
            if now.state in (W, C):
                assert has_keys
            if now.state in (P, F, S, D, X):
                assert not has_keys
            seen.append(now)
        return seen

    seen = replay()
    assert seen == replay()
    for now in seen:
        assert bool(now.error_code) == (now.state in (CF, F)), now
        if now.state in (M, F, S):
            assert now.position.over
        if now.state is S:
            assert now.goal is Goal.NONE


@given(st.lists(events, max_size=30))
def test_deleted_is_the_end(sequence: list[GroupEvent]) -> None:
    now = group(X)
    for event in sequence:
        if isinstance(event, Created):
            continue
        try:
            now = evolve(now, step(now, event), now_ms=1)
        except RequestError as refusal:
            assert refusal.code == "OMS.1009"  # noqa: PT017
        assert now.state is X


@given(tallies)
def test_a_group_that_needs_no_look_is_not_moved_by_one(numbers: MemberTally) -> None:
    for state in GroupState:
        now = group(state)
        if not is_settled(now, numbers):
            assert step(now, MembersMoved(numbers)) == step(now, MembersMoved(numbers))
            assert step(now, MembersMoved(numbers)).state is state
            assert step(now, MembersMoved(numbers)).effects == ()


def test_tallies_are_sums() -> None:
    found = MemberTally.of({TaskState.WAITING: 2, TaskState.PAUSING: 1, TaskState.FAILED: 0})
    assert (found.total, found.at_work, found.unrested) == (3, 1, 3)
    assert RecordError(FAILURE).failure is FAILURE
    assert replace(group(W), state=C).seal_id != TaskId(1)
