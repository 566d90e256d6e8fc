"""The life of a task group: (state, event) -> (state, effects), or the documented refusal of a call.

Pure: what must be done comes out as data. Source of the tables: API reference, section 5.4. What happens to the tasks of a group is
their own machine's; here they are only counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from omsd.domain.errors import Failure, Refusal, RequestError
from omsd.domain.group import Goal, GroupState, MemberTally, PlanPosition, TaskGroup
from omsd.domain.model import BandwidthWindow, TaskId


@dataclass(frozen=True, slots=True)
class Stop:
    """A caller wants the group paused."""


@dataclass(frozen=True, slots=True)
class Start:
    """A caller wants a paused group to go on."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A caller wants a failed group to be tried again. failed_only: of its failed tasks only the recorded failed objects."""

    failed_only: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """A caller wants the group gone, with its tasks."""


@dataclass(frozen=True, slots=True)
class UpdateBandwidth:
    """A caller wants these windows instead of all others."""

    windows: tuple[BandwidthWindow, ...]


@dataclass(frozen=True, slots=True)
class Created:
    """The group exists."""


@dataclass(frozen=True, slots=True)
class TurnCame:
    """The splitting of its source may begin."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """The source is split up to here. After the end every task exists."""

    position: PlanPosition


@dataclass(frozen=True, slots=True)
class PlanFailed:
    """The source cannot be split. restart: nothing was found, so the next attempt begins anew."""

    failure: Failure
    restart: bool = False


@dataclass(frozen=True, slots=True)
class GoalAdvanced:
    """The tasks up to this one were brought to the goal. over: those were all."""

    up_to: TaskId
    over: bool


@dataclass(frozen=True, slots=True)
class MembersMoved:
    """Tasks of the group are in other states now. failure: what the group has failed of, if it has."""

    tally: MemberTally
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """The daemon has started again and found the group."""


Call = Stop | Start | Retry | Delete | UpdateBandwidth
GroupEvent = Call | Created | TurnCame | Advanced | PlanFailed | GoalAdvanced | MembersMoved | Recovered


class Act(Enum):
    """An effect without data."""

    AWAIT_TURN = auto()  # the source waits to be split
    END_PLANNING = auto()  # it is not split any more; answers that are under way do not count
    KEEP_CREDENTIALS = auto()  # store those that came with the call
    DROP_CREDENTIALS = auto()
    BEGIN_ACTIVE = auto()  # active time runs
    END_ACTIVE = auto()
    MARK_ENDED = auto()
    CLEAR_ERROR = auto()
    LOOK_AGAIN = auto()  # the tasks are to be looked at, after the commit
    FORGET_SOURCE = auto()  # the splitting begins anew
    NOTIFY = auto()  # who wants to hear of such an end is told
    FORGET_NOTICE = auto()  # what was told of its end is shown no more


@dataclass(frozen=True, slots=True)
class RecordError:
    """Callers see why the group failed."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class SetWindows:
    """These windows hold for all its tasks together."""

    windows: tuple[BandwidthWindow, ...]


@dataclass(frozen=True, slots=True)
class SetGoal:
    """Its tasks are brought there, in order; those up to `after` have been."""

    goal: Goal
    after: TaskId = TaskId(0)  # noqa: RUF009  a NewType makes no object


@dataclass(frozen=True, slots=True)
class SetPosition:
    """How far the source is split."""

    position: PlanPosition


Effect = Act | RecordError | SetWindows | SetGoal | SetPosition


@dataclass(frozen=True, slots=True)
class Transition:
    """Where the group is now, and what must be done, in order."""

    state: GroupState
    effects: tuple[Effect, ...] = ()


_W, _C, _M, _P, _CF, _F, _S, _G, _D, _X = GroupState

_RUNS = "the task group is at work; pause it, and delete it when its status is Paused"
_PAUSING = "the task group is being paused; repeat this when its status is Paused"
_GOING = "the task group is being deleted"
_NOT_PAUSED = "the task group is not paused; only a paused one can be started"
_NOT_FAILED = "the task group has not failed; only a failed one can be retried"
_AT_REST = "the task group is not at work; only one that waits, is created or monitored can be paused"
_COMPLETED = "the task group is completed; its bandwidth policy can no longer be changed"

REFUSALS: Mapping[tuple[GroupState, type[Call]], tuple[str, str]] = {
    **{(state, Stop): ("OMS.1038", _AT_REST) for state in (_P, _CF, _F, _S)},
    (_G, Stop): ("OMS.1038", "the task group is already being paused"),
    **{(state, Start): ("OMS.1039", _NOT_PAUSED) for state in (_W, _C, _M, _CF, _F, _S)},
    (_G, Start): ("OMS.1039", _PAUSING),
    **{(state, Retry): ("OMS.1040", _NOT_FAILED) for state in (_W, _C, _M, _P, _S, _G)},
    **{(state, Delete): ("OMS.1036", _RUNS) for state in (_C, _M)},
    (_G, Delete): ("OMS.1036", _PAUSING),
    (_S, UpdateBandwidth): ("OMS.1036", _COMPLETED),
    **{(_D, call): ("OMS.1036", _GOING) for call in (Stop, Start, Retry, Delete, UpdateBandwidth)},
    **{
        (_X, call): ("OMS.1009", "the task group is deleted")
        for call in (Stop, Start, Retry, Delete, UpdateBandwidth)
    },
}

# While the group is in these a task of it cannot be deleted, or started, alone.
MEMBERS_STAY = frozenset({_W, _C, _M, _G})
MEMBERS_REST = frozenset({_G, _D})
# Nothing happens here by itself.
RESTING = frozenset({_P, _CF, _F, _S, _X})

_REST = (Act.END_ACTIVE, Act.DROP_CREDENTIALS)


def step(group: TaskGroup, event: GroupEvent) -> Transition:
    """What an event does to a group; an internal event that comes too late changes nothing.

    Raises RequestError for a call that does not fit the state.
    """
    state = group.state
    match event:
        case Stop() | Start() | Retry() | Delete() | UpdateBandwidth():
            return _call(group, event)
        case Created():
            return Transition(_W, (Act.AWAIT_TURN,))
        case TurnCame() if state in (_W, _C):
            return Transition(_C, (Act.BEGIN_ACTIVE,) if state is _W else ())
        case Advanced() if state is _C and event.position.over:
            return Transition(_M, (SetPosition(event.position), Act.END_PLANNING, Act.LOOK_AGAIN))
        case Advanced() if state is _C:
            return Transition(_C, (SetPosition(event.position),))
        case PlanFailed() if state in (_W, _C):
            return _plan_failed(event)
        case GoalAdvanced() if group.goal is not Goal.NONE:
            return _goal_advanced(group, event)
        case MembersMoved():
            return _settled(group, event)
        case Recovered():
            return _recovered(group)
    return Transition(state)


def is_settled(group: TaskGroup, tally: MemberTally) -> bool:
    """Do its tasks give a reason to look at the group again?"""
    if group.state is _D:
        return True
    if group.goal is not Goal.NONE:
        return False
    match group.state:
        case GroupState.MONITORING:
            return not tally.unrested and not tally.paused
        case GroupState.PAUSING | GroupState.CREATION_FAILED:
            return not tally.unrested
        case GroupState.MIGRATION_FAILED:
            return bool(tally.unrested)
    return False


def _call(group: TaskGroup, call: Call) -> Transition:
    state = group.state
    refusal = REFUSALS.get((state, type(call)))
    if refusal is not None:
        kind = Refusal.NOT_FOUND if state is _X else Refusal.STATE
        raise RequestError(refusal[0], refusal[1], refusal=kind)
    go_on = (Act.CLEAR_ERROR, Act.KEEP_CREDENTIALS, Act.BEGIN_ACTIVE, Act.LOOK_AGAIN)
    to_split = not group.position.over
    match call:
        case Stop() if state is _W:
            return Transition(_P, (Act.END_PLANNING, *_REST))
        case Stop():
            return Transition(_G, (Act.END_PLANNING, SetGoal(Goal.PAUSE), Act.LOOK_AGAIN))
        case Start():
            goal, turn = SetGoal(Goal.RESUME), (Act.AWAIT_TURN,) if to_split else ()
            return Transition(_C if to_split else _M, (*go_on, goal, *turn))
        case Retry():
            goal, turn = SetGoal(_retry_goal(call)), (Act.AWAIT_TURN,) if to_split else ()
            return Transition(_C if to_split else _M, (*go_on, goal, *turn))
        case Delete():
            return Transition(
                _D, (Act.END_PLANNING, Act.CLEAR_ERROR, *_REST, SetGoal(Goal.DELETE), Act.LOOK_AGAIN)
            )
        case UpdateBandwidth():
            return Transition(state, (SetWindows(call.windows),))


def _retry_goal(call: Retry) -> Goal:
    return Goal.RETRY_FAILED if call.failed_only else Goal.RETRY


def _plan_failed(event: PlanFailed) -> Transition:
    """The keys stay while tasks that have the same are at work: a retry need not name them."""
    effects: tuple[Effect, ...] = (
        RecordError(event.failure),
        Act.END_PLANNING,
        Act.END_ACTIVE,
        Act.MARK_ENDED,
        Act.LOOK_AGAIN,
        Act.NOTIFY,
    )
    return Transition(_CF, (*effects, Act.FORGET_SOURCE) if event.restart else effects)


def _goal_advanced(group: TaskGroup, event: GoalAdvanced) -> Transition:
    if not event.over:
        return Transition(group.state, (SetGoal(group.goal, event.up_to), Act.LOOK_AGAIN))
    if group.goal is Goal.DELETE:
        # Tasks that still end are met when they do, from the first one on.
        return Transition(group.state, (SetGoal(Goal.DELETE),))
    return Transition(group.state, (SetGoal(Goal.NONE), Act.LOOK_AGAIN))


def _settled(group: TaskGroup, event: MembersMoved) -> Transition:
    state, tally = group.state, event.tally
    if state is _D:
        return Transition(_D) if tally.total else Transition(_X, (Act.FORGET_NOTICE,))
    if not is_settled(group, tally):
        return Transition(state)
    match state:
        case GroupState.MONITORING if tally.failed:
            failure = event.failure or Failure("TRF.0062", f"{tally.failed} of {tally.total} tasks failed")
            return Transition(_F, (RecordError(failure), *_REST, Act.MARK_ENDED, Act.NOTIFY))
        case GroupState.MONITORING:
            return Transition(_S, (*_REST, Act.MARK_ENDED, Act.NOTIFY))
        case GroupState.PAUSING:
            return Transition(_P, _REST)
        case GroupState.CREATION_FAILED:
            return Transition(_CF, (Act.DROP_CREDENTIALS,))
        case _:
            # Somebody has started one of its failed tasks alone.
            return Transition(_M, (Act.CLEAR_ERROR, Act.BEGIN_ACTIVE))


def _recovered(group: TaskGroup) -> Transition:
    state = group.state
    effects: tuple[Effect, ...] = (Act.BEGIN_ACTIVE,) if state in (_C, _M, _G) else ()
    if state in (_W, _C):
        effects += (Act.AWAIT_TURN,)
    if state not in RESTING or group.goal is not Goal.NONE:
        effects += (Act.LOOK_AGAIN,)
    return Transition(state, effects)


def evolve(group: TaskGroup, transition: Transition, *, now_ms: int) -> TaskGroup:
    """The group after a transition. Active time is not counted here: it needs a clock that never jumps."""
    group = replace(group, state=transition.state)
    for effect in transition.effects:
        group = _evolve_one(group, effect, now_ms)
    return group


def _evolve_one(group: TaskGroup, effect: Effect, now_ms: int) -> TaskGroup:
    match effect:
        case RecordError():
            return replace(group, error_code=effect.failure.code, error_message=effect.failure.message)
        case SetWindows():
            return replace(group, windows=effect.windows)
        case SetGoal():
            return replace(group, goal=effect.goal, goal_after=effect.after)
        case SetPosition():
            return replace(group, position=effect.position)
        case Act.BEGIN_ACTIVE:
            return replace(group, started_ms=group.started_ms or now_ms, active_since_ms=now_ms)
        case Act.END_ACTIVE:
            return replace(group, active_since_ms=0)
        case Act.MARK_ENDED:
            return replace(group, ended_ms=now_ms)
        case Act.CLEAR_ERROR:
            return replace(group, error_code="", error_message="", ended_ms=0)
        case Act.FORGET_SOURCE:
            return replace(group, position=PlanPosition())
        case _:
            return group


def add_active(group: TaskGroup, elapsed_ms: int, *, now_ms: int) -> TaskGroup:
    """elapsed_ms more of active time are accounted for, up to now."""
    return replace(group, active_ms=group.active_ms + elapsed_ms, active_since_ms=now_ms)


def group_failure(tally: MemberTally, codes: Mapping[str, int], first: str) -> Failure:
    """What a group has failed of. codes: failed tasks by their code; first: the message of one of them."""
    code = next(iter(codes)) if len(codes) == 1 else "TRF.0062"
    number = f"{tally.failed} of {tally.total} tasks failed"
    advice = "retry the group, with migrate_failed_object to take only failed objects again where they are recorded"
    return Failure(code, f"{number}; the first: {first}; {advice}" if first else f"{number}; {advice}")
