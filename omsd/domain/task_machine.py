"""The life of a migration task: (state, event) -> (state, effects), or the documented refusal of a call.

Pure: what must be done comes out as data. Who may call and what is stored is not here. Source of the tables: API reference, section 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from omsd.domain.errors import Failure, Refusal, RequestError
from omsd.domain.model import BandwidthWindow, Counters, ListRecords, Priority, Task, TaskState


@dataclass(frozen=True, slots=True)
class Stop:
    """A caller wants the task paused."""


@dataclass(frozen=True, slots=True)
class Start:
    """A caller wants the task to go on. failed_only: only what is recorded as failed (and what was never finished)."""

    failed_only: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """A caller wants the task gone."""


@dataclass(frozen=True, slots=True)
class UpdateBandwidth:
    """A caller wants these windows instead of all others."""

    windows: tuple[BandwidthWindow, ...]


@dataclass(frozen=True, slots=True)
class UpdatePriority:
    """Only heard while the task does not run."""

    priority: Priority


@dataclass(frozen=True, slots=True)
class SlotGranted:
    """The scheduler has a place for the task."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The task is cut into shards."""


@dataclass(frozen=True, slots=True)
class AllShardsDone:
    """Nothing of the run is left to do. verdict: why the task failed nevertheless, None = it succeeded."""

    verdict: Failure | None


@dataclass(frozen=True, slots=True)
class Decisive:
    """Nothing of the task can succeed any more."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Drained:
    """No shard of the task runs any more."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The daemon has started again and found the task."""


Call = Stop | Start | Delete | UpdateBandwidth | UpdatePriority
TaskEvent = Call | SlotGranted | Planned | AllShardsDone | Decisive | Drained | Recovered


class Act(Enum):
    """An effect without data."""

    ENQUEUE = auto()  # wait for a slot
    WITHDRAW = auto()  # wait or run no longer; the slot is free
    KEEP_CREDENTIALS = auto()  # store those that came with the call
    DROP_CREDENTIALS = auto()
    NEW_RUN = auto()  # counters, shards and failed rows start over
    NEW_LISTS = auto()  # what is recorded from now on goes to lists of its own
    RETRY_FAILED = auto()  # recorded failed objects become shards
    VOID_LEASES = auto()  # what leases of before still report is not counted
    BEGIN_WORK = auto()  # active time runs; both ends are checked
    END_WORK = auto()  # active time stops
    DRAIN_LEASES = auto()
    CUT_LEASES = auto()
    MARK_PLANNED = auto()
    MARK_ENDED = auto()
    CLEAR_ERROR = auto()
    NOTIFY = auto()  # who wants to hear of such an end is told
    REMOVE = auto()


@dataclass(frozen=True, slots=True)
class RecordError:
    """Callers see why the task failed."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class SetWindows:
    """These windows hold from now on."""

    windows: tuple[BandwidthWindow, ...]


@dataclass(frozen=True, slots=True)
class SetPriority:
    """The task waits with this priority."""

    priority: Priority


Effect = Act | RecordError | SetWindows | SetPriority


@dataclass(frozen=True, slots=True)
class Transition:
    """state None: the task is deleted."""

    state: TaskState | None
    effects: tuple[Effect, ...] = ()


_W, _M, _P, _F, _S, _G = (
    TaskState.WAITING,
    TaskState.MIGRATING,
    TaskState.PAUSED,
    TaskState.FAILED,
    TaskState.SUCCEEDED,
    TaskState.PAUSING,
)

_FINISHED = (
    "the task has succeeded; a finished task can be neither started nor stopped; create a new one instead"
)
_STARTED = "the task is already started"
_PAUSING = "the task is being paused; start it again when its status is Paused"
_RUNNING = "the task is running; stop it and delete it when its status is Paused"
_NO_BANDWIDTH = "the task has succeeded; its bandwidth policy can no longer be changed"

REFUSALS: Mapping[tuple[TaskState, type[Call]], tuple[str, str]] = {
    (_G, Stop): ("OMS.0066", "the task is already being paused"),
    (_P, Stop): ("OMS.0066", "the task is already paused"),
    (_F, Stop): ("OMS.0066", "the task has failed and does not run"),
    (_S, Stop): ("OMS.0070", _FINISHED),
    (_W, Start): ("OMS.0065", _STARTED),
    (_M, Start): ("OMS.0065", _STARTED),
    (_G, Start): ("OMS.0065", _PAUSING),
    (_S, Start): ("OMS.0070", _FINISHED),
    (_M, Delete): ("OMS.0063", _RUNNING),
    (_G, Delete): ("OMS.0063", _RUNNING),
    (_S, UpdateBandwidth): ("OMS.0086", _NO_BANDWIDTH),
}

_PRIORITY_STATES = frozenset({_W, _P, _F})

INTERNAL: Mapping[tuple[TaskState, type[TaskEvent]], Transition] = {
    (_W, SlotGranted): Transition(_M, (Act.BEGIN_WORK,)),
    (_M, Planned): Transition(_M, (Act.MARK_PLANNED,)),
    (_G, Drained): Transition(_P, (Act.END_WORK, Act.DROP_CREDENTIALS, Act.WITHDRAW)),
    (_W, Recovered): Transition(_W, (Act.ENQUEUE,)),
    # A task that ran goes on by itself: it takes a place in the queue without giving up its state.
    (_M, Recovered): Transition(_M, (Act.BEGIN_WORK,)),
    (_G, Recovered): Transition(_P, (Act.END_WORK, Act.DROP_CREDENTIALS)),
}


def step(state: TaskState, event: TaskEvent, *, retryable_num: int = 0) -> Transition:
    """What an event does to a task in a state; an internal event that comes too late changes nothing.

    retryable_num: failed objects that are recorded and can be retried. Raises RequestError for a call that does not fit the state.
    """
    if isinstance(event, Stop | Start | Delete | UpdateBandwidth | UpdatePriority):
        return _call(state, event, retryable_num)
    if isinstance(event, AllShardsDone) and state is _M:
        return _ended(event.verdict)
    if isinstance(event, Decisive) and state is _M:
        return _failed(event.failure)
    return INTERNAL.get((state, type(event)), Transition(state))


def _call(state: TaskState, call: Call, retryable_num: int) -> Transition:
    refusal = REFUSALS.get((state, type(call)))
    if refusal is not None:
        raise RequestError(*refusal, refusal=Refusal.STATE)
    match call:
        case Stop() if state is _W:
            return Transition(_P, (Act.WITHDRAW, Act.DROP_CREDENTIALS))
        case Stop():
            return Transition(_G, (Act.DRAIN_LEASES,))
        case Start():
            return _start(state, call.failed_only, retryable_num)
        case Delete():
            return Transition(None, (Act.WITHDRAW, Act.VOID_LEASES, Act.REMOVE))
        case UpdateBandwidth():
            return Transition(state, (SetWindows(call.windows),))
        case UpdatePriority() if state in _PRIORITY_STATES:
            return Transition(state, (SetPriority(call.priority),))
    return Transition(state)


def _start(state: TaskState, failed_only: bool, retryable_num: int) -> Transition:
    if failed_only and not retryable_num:
        raise RequestError(
            "OMS.0167",
            "no failed objects are recorded for this task; start it without migrate_failed_object",
            refusal=Refusal.STATE,
        )
    effects: list[Effect] = [Act.VOID_LEASES, Act.CLEAR_ERROR, Act.KEEP_CREDENTIALS]
    if state is _F:
        effects.append(Act.NEW_LISTS)
    if failed_only:
        effects.append(Act.RETRY_FAILED)
    elif state is _F:
        effects.append(Act.NEW_RUN)
    return Transition(_W, (*effects, Act.ENQUEUE))


def _ended(verdict: Failure | None) -> Transition:
    done = (Act.END_WORK, Act.MARK_ENDED, Act.DROP_CREDENTIALS, Act.WITHDRAW, Act.NOTIFY)
    if verdict is None:
        return Transition(_S, done)
    return Transition(_F, (RecordError(verdict), *done))


def _failed(failure: Failure) -> Transition:
    return Transition(
        _F,
        (
            RecordError(failure),
            Act.CUT_LEASES,
            Act.END_WORK,
            Act.DROP_CREDENTIALS,
            Act.WITHDRAW,
            Act.NOTIFY,
        ),
    )


def evolve(task: Task, transition: Transition, *, now_ms: int) -> Task:
    """The task after a transition. Active time is not counted here (see add_active): it needs a clock that never jumps."""
    if transition.state is None:
        return task
    task = replace(task, state=transition.state)
    for effect in transition.effects:
        task = _evolve_one(task, effect, now_ms)
    return task


def _evolve_one(task: Task, effect: Effect, now_ms: int) -> Task:
    match effect:
        case RecordError():
            # What is left of large objects is swept.
            return replace(
                task,
                error_code=effect.failure.code,
                error_message=effect.failure.message,
                ended_ms=now_ms,
                parts_size_bytes=0,
            )
        case SetWindows():
            return replace(task, windows=effect.windows)
        case SetPriority():
            return replace(task, priority=effect.priority)
        case Act.BEGIN_WORK:
            return replace(task, started_ms=task.started_ms or now_ms, active_since_ms=now_ms)
        case Act.END_WORK:
            return replace(task, active_since_ms=0)
        case Act.MARK_PLANNED:
            return replace(task, planned=True)
        case Act.MARK_ENDED:
            return replace(task, ended_ms=now_ms, listing_over=True)
        case Act.CLEAR_ERROR:
            return replace(task, error_code="", error_message="", ended_ms=0)
        case Act.NEW_LISTS:
            # Nothing was recorded yet: the names are still free.
            began = task.counters.accounted_num > 0
            return replace(task, lists=ListRecords(round=task.lists.round + began))
        case Act.RETRY_FAILED:
            return replace(task, lists=replace(task.lists, failed_key="", failed_error=""))
        case Act.NEW_RUN:
            return replace(
                task,
                run=task.run + 1,
                counters=Counters(),
                caveats=(),
                parts_size_bytes=0,
                planned=False,
                listing_over=False,
                started_ms=0,
                active_ms=0,
            )
        case _:
            return task


def add_active(task: Task, elapsed_ms: int, *, now_ms: int) -> Task:
    """elapsed_ms more of active time are accounted for, up to now."""
    return replace(task, active_ms=task.active_ms + elapsed_ms, active_since_ms=now_ms)


def end_verdict(
    counters: Counters, tally: Mapping[str, tuple[int, str]], *, recorded: bool
) -> Failure | None:
    """Why a run that has done all its shards has failed; None if every object is migrated or skipped.

    tally: code -> (failed objects with it, message of the first). recorded: the failed objects can be retried alone.
    """
    if counters.listed_num != counters.accounted_num:
        return Failure(
            "TRF.0001",
            f"{counters.listed_num} objects were listed but {counters.accounted_num} accounted for; start the task again",
        )
    if not counters.listed_num:
        return Failure(
            "TRF.0012",
            "no object matches; check object_key or the object list file, and the source bucket, then start again",
        )
    if not counters.failed_num:
        return None
    codes = list(tally)
    code = codes[0] if len(codes) == 1 else "TRF.0062"
    first = f"; the first: {tally[codes[0]][1]}" if codes else ""
    advice = (
        "with migrate_failed_object to retry only those"
        if recorded
        else "to go through all objects once more"
    )
    return Failure(
        code,
        f"{counters.failed_num} of {counters.listed_num} objects could not be migrated{first}; start the task again {advice}",
    )
