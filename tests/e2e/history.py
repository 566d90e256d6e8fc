"""Is what several callers saw of one thing possible in some order? A machine's tables, calls with their times, and a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OK = "ok"
GONE = "gone"
Answers = Mapping[tuple[str, str], tuple[str, frozenset[str]]]


@dataclass(frozen=True, slots=True)
class Machine:
    """What a kind of thing answers, by (call, state): OK or a code, and the states it may be in afterwards.

    moves: what it does by itself, state -> states. A thing that is GONE answers gone_code to every call.
    """

    name: str
    answers: Answers
    moves: Mapping[str, frozenset[str]]
    gone_code: str

    @property
    def states(self) -> frozenset[str]:
        return frozenset(state for _, state in self.answers)

    def settled(self, states: frozenset[str]) -> frozenset[str]:
        """States that it may have come to by itself."""
        reached, new = set(states), set(states)
        while new:
            new = {after for state in new for after in self.moves.get(state, frozenset())} - reached
            reached |= new
        return frozenset(reached)

    def after(self, states: frozenset[str], call: str, answer: str) -> frozenset[str]:
        """Where it may be if it gave this answer when it was in one of these; empty if it cannot have given it."""
        found: set[str] = set()
        for state in self.settled(states):
            if call == "see":
                found |= {state} & {answer}
            elif state == GONE:
                found |= {GONE} if answer == self.gone_code else set()
            else:
                expected, then = self.answers[call, state]
                found |= then if expected == answer else set()
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Seen:
    """A call, what it answered (a code, OK, or for "see" the state), and when it was under way."""

    call: str
    answer: str
    began: float
    ended: float


def cannot_be(machine: Machine, seen: Sequence[Seen], first: str) -> list[Seen]:
    """[] if some order of the calls explains all answers; else the calls that could be explained before none went on.

    A call takes effect between its begin and its end, so of two that do not overlap the earlier one comes first.
    """
    calls = sorted(seen, key=lambda one: one.ended)
    # A way: all calls before a place are explained, and these few behind it; then the thing may be in these states.
    start = (0, frozenset[int](), frozenset({first}))
    tried, ways, best = {start}, [start], 0
    while ways:
        place, ahead, states = ways.pop()
        best = max(best, place)
        if place == len(calls):
            return []
        for chosen, then in _next(machine, calls, place, ahead, states):
            later, beyond = place, ahead | {chosen}
            while later in beyond:
                beyond -= {later}
                later += 1
            way = (later, beyond, then)
            if way not in tried:
                tried.add(way)
                ways.append(way)
    return calls[: best + 1]


def _next(
    machine: Machine, calls: Sequence[Seen], place: int, ahead: frozenset[int], states: frozenset[str]
) -> list[tuple[int, frozenset[str]]]:
    """Calls that may have been the next to take effect, and where the thing may be then."""
    found = []
    for number in range(place, len(calls)):
        one = calls[number]
        # Sorted by their ends: the first that is left must have had its effect by then.
        if number in ahead or one.began > calls[place].ended:
            continue
        then = machine.after(states, one.call, one.answer)
        if then == machine.settled(states):
            # It changes nothing and tells nothing: it may as well come now.
            return [(number, then)]
        if then:
            found.append((number, then))
    return found


def table(rows: Mapping[str, Mapping[str, str | tuple[str, ...]]]) -> Answers:
    """call -> state -> a code, or the states after a success; the state stays where a code is given."""
    return {
        (call, state): (OK, frozenset(then)) if isinstance(then, tuple) else (then, frozenset({state}))
        for call, row in rows.items()
        for state, then in row.items()
    }
