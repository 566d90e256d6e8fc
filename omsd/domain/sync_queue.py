"""The events of one synchronization task that are not finished: one queued and one running for each key, back-off, order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

from omsd.domain.sync import EventId, KeyNames, SyncEvent

# With the delays below an event is tried for about two minutes.
MAX_TRIES = 8
_FIRST_REST_S = 1.0
_LONGEST_REST_S = 60.0


def rest_after(tries: int, random01: float) -> float | None:
    """Seconds until an event that failed `tries` times is tried again, None: never. random01: a random number in [0, 1)."""
    if tries >= MAX_TRIES:
        return None
    longest_s = min(_LONGEST_REST_S, _FIRST_REST_S * 2.0 ** (tries - 1))
    return longest_s * (0.5 + random01 / 2)


@dataclass(slots=True)
class QueuedEvent:
    """tries: how often it failed. tried: an attempt may have written the object without telling."""

    event: SyncEvent
    tries: int = 0
    tried: bool = False
    running: bool = False


class SyncQueue:
    """Lanes of events. The first of a lane runs, rests or is ready; those behind it wait for it to finish."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[QueuedEvent]] = {}
        self._events: dict[EventId, QueuedEvent] = {}
        self._ready: deque[str] = deque()
        self._resting: list[tuple[float, EventId]] = []
        self._rests: dict[EventId, float] = {}

    def __len__(self) -> int:
        """Events that are not finished, running ones too."""
        return len(self._events)

    def __contains__(self, event_id: EventId) -> bool:
        return event_id in self._events

    def holds(self, names: KeyNames) -> bool:
        """Is an event for these names queued that has not begun? Then another would do the same."""
        lane = self._lanes.get(names.lane, ())
        return any(queued.event.names == names and not queued.running for queued in lane)

    def add(self, event: SyncEvent, *, tried: bool = False) -> None:
        """The event is queued behind all others of its lane."""
        queued = QueuedEvent(event, tried=tried)
        self._events[event.event_id] = queued
        lane = self._lanes.setdefault(event.names.lane, deque())
        lane.append(queued)
        if len(lane) == 1:
            self._ready.append(event.names.lane)

    def take(self, now_s: float) -> QueuedEvent | None:
        """The next event that may run, which then runs; None if all rest, wait or run."""
        while self._resting and self._resting[0][0] <= now_s:
            at_s, event_id = heappop(self._resting)
            if self._rests.get(event_id) == at_s:
                self._make_ready(event_id)
        if not self._ready:
            return None
        queued = self._lanes[self._ready.popleft()][0]
        queued.running = True
        return queued

    def finish(self, event_id: EventId) -> None:
        """The event has run and is over; the next of its lane is ready."""
        queued = self._events.pop(event_id)
        lane = self._lanes[queued.event.names.lane]
        lane.popleft()
        if lane:
            self._ready.append(queued.event.names.lane)
        else:
            del self._lanes[queued.event.names.lane]

    def rest(self, event_id: EventId, until_s: float, *, failed: bool) -> None:
        """The event has run and is to run again, no sooner than then. failed: that was a try."""
        queued = self._events[event_id]
        queued.running = False
        queued.tried = True
        queued.tries += failed
        self._rests[event_id] = until_s
        heappush(self._resting, (until_s, event_id))

    def hurry(self) -> None:
        """What rests is ready."""
        for event_id in list(self._rests):
            self._make_ready(event_id)
        self._resting.clear()

    def next_s(self) -> float | None:
        """When the next resting event is ready, None if none rests."""
        return self._resting[0][0] if self._resting else None

    def get(self, event_id: EventId) -> QueuedEvent:
        """An event that is not finished."""
        return self._events[event_id]

    def _make_ready(self, event_id: EventId) -> None:
        del self._rests[event_id]
        self._ready.append(self._events[event_id].event.names.lane)
