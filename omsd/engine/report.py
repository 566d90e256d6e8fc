"""The account of one shard: outcomes in any order come in, batches without gaps go out, live figures at any moment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from omsd.domain.model import Counters, LiveProgress, Outcome, OutcomeKind
from omsd.domain.shards import Checkpoint, LargeObject, ShardKind
from omsd.engine.restore import Deferred
from omsd.engine.settings import EngineSettings
from omsd.engine.stream import Meter

_SUCCESS, _SKIPPED = OutcomeKind.SUCCESS, OutcomeKind.SKIPPED


@dataclass(frozen=True, slots=True)
class Taken:
    """What one batch takes, in order: final records, keys put off, objects handed over, and the checkpoint behind them all."""

    outcomes: tuple[Outcome, ...]
    deferred: tuple[str, ...]
    handed: tuple[LargeObject, ...]
    counters: Counters
    checkpoint: Checkpoint


def count(outcomes: list[Outcome]) -> Counters:
    """The sum over final records; each counts as listed too."""
    every = [outcome.size_bytes for outcome in outcomes]
    done = [outcome.size_bytes for outcome in outcomes if outcome.kind is _SUCCESS]
    skipped = [outcome.size_bytes for outcome in outcomes if outcome.kind is _SKIPPED]
    numbers = len(done), len(skipped), len(every) - len(done) - len(skipped)
    listed_bytes, done_bytes, skipped_bytes = sum(every), sum(done), sum(skipped)
    return Counters(
        len(every),
        listed_bytes,
        *numbers,
        done_bytes,
        skipped_bytes,
        listed_bytes - done_bytes - skipped_bytes,
    )


class ShardAccount:
    """Gives each listed object a position and keeps what became of it until everything before it is final.

    window_objects bounds how many positions may be open: place_room() waits beyond it, so memory does not grow with the shard.
    lead_objects, lead_bytes: it also waits while more objects than that are begun and have more bytes, so that large objects behind
    them can still be given to another worker.
    """

    def __init__(self, kind: ShardKind, start: Checkpoint, meter: Meter, settings: EngineSettings) -> None:
        self._kind = kind
        self._lead_objects = settings.lead_objects
        self._lead_bytes = settings.lead_bytes
        self._begun_num = 0
        self._begun_bytes = 0
        self._checkpoint = start
        self._meter = meter
        self._window_objects = settings.window_objects
        self._next_position = start.position
        self._head = start.position
        self._open: dict[int, Outcome | Deferred | LargeObject] = {}
        self._ready: list[Outcome | Deferred | LargeObject] = []
        self._deferred_num = 0
        self._listed_num = 0
        self._listed_bytes = 0
        self._held = [0, 0, 0]
        self._held_bytes = [0, 0, 0]
        self._room = asyncio.Event()
        self._room.set()
        self._stopped = False
        self.listing_over = False

    @property
    def checkpoint(self) -> Checkpoint:
        """Behind what batches have taken."""
        return self._checkpoint

    @property
    def ready_num(self) -> int:
        """Records that wait for a batch."""
        return len(self._ready)

    @property
    def has_room(self) -> bool:
        """May one more position be opened?"""
        if self._next_position - self._head >= self._window_objects:
            return False
        return self._begun_num < self._lead_objects or self._begun_bytes < self._lead_bytes

    @property
    def deferred_num(self) -> int:
        """Deferred objects that no batch has taken yet."""
        return self._deferred_num

    async def place_room(self) -> None:
        """Return when one more position may be opened, or when none is wanted any more."""
        while not self.has_room and not self._stopped:
            self._room.clear()
            await self._room.wait()

    def stop(self) -> None:
        """No position is wanted any more; room for one might never come, as what was dropped never settles."""
        self._stopped = True
        self._room.set()

    def open_position(self, size_bytes: int) -> int:
        """The next object in listing order has this position."""
        position = self._next_position
        self._next_position += 1
        self._listed_num += 1
        self._listed_bytes += size_bytes
        self._begun_num += 1
        self._begun_bytes += size_bytes
        return position

    @property
    def is_idle(self) -> bool:
        """Is no object begun?"""
        return self._head == self._next_position

    def pass_over(self, skipped: list[Outcome]) -> None:
        """While no object is begun: the next ones are skipped. One call for a run of them, for that is most of what is left to do."""
        number, size_bytes = len(skipped), sum([outcome.size_bytes for outcome in skipped])
        self._next_position += number
        self._head += number
        self._listed_num += number
        self._listed_bytes += size_bytes
        self._held[1] += number
        self._held_bytes[1] += size_bytes
        self._ready += skipped

    def settle(self, position: int, outcome: Outcome | Deferred | LargeObject, listed_bytes: int) -> None:
        """That object is final, or put off, or has a shard of its own from now on.

        listed_bytes: as given when its position was opened; it may have changed since. The size of what is put off counts once it
        is final.
        """
        self._begun_num -= 1
        self._begun_bytes -= listed_bytes
        self._listed_bytes -= listed_bytes
        if isinstance(outcome, Deferred):
            self._deferred_num += 1
        elif isinstance(outcome, LargeObject):
            self._listed_bytes += outcome.size_bytes
        else:
            slot = _slot(outcome)
            self._listed_bytes += outcome.size_bytes
            self._held[slot] += 1
            self._held_bytes[slot] += outcome.size_bytes
        self._open[position] = outcome
        while (ready := self._open.pop(self._head, None)) is not None:
            self._ready.append(ready)
            self._head += 1
        # Not for every place that becomes free: whoever lists runs seldom and far then, which costs less than a wake-up per object.
        if (
            not self._room.is_set()
            and self.has_room
            and self._next_position - self._head <= self._window_objects * 3 // 4
        ):
            self._room.set()

    def take_batch(self, limit: int) -> Taken | None:
        """At most `limit` records in order, with what is put off or handed over among them; None if none is ready."""
        if not self._ready:
            return None
        taken = self._ready[:limit]
        del self._ready[:limit]
        outcomes = [entry for entry in taken if isinstance(entry, Outcome)]
        counters = count(outcomes)
        deferred: tuple[str, ...] = ()
        handed: tuple[LargeObject, ...] = ()
        if len(outcomes) < len(taken):
            deferred = tuple(entry.key for entry in taken if isinstance(entry, Deferred))
            handed = tuple(entry for entry in taken if isinstance(entry, LargeObject))
            self._deferred_num -= len(deferred)
            counters = replace(
                counters,
                listed_num=len(taken),
                listed_size_bytes=counters.listed_size_bytes + sum(large.size_bytes for large in handed),
            )
        self._listed_num -= counters.listed_num
        self._listed_bytes -= counters.listed_size_bytes
        for slot, (number, size_bytes) in enumerate(_by_slot(counters)):
            self._held[slot] -= number
            self._held_bytes[slot] -= size_bytes
        self._checkpoint = self._behind(len(taken), taken[-1].key)
        return Taken(tuple(outcomes), deferred, handed, counters, self._checkpoint)

    def _behind(self, taken_num: int, last_key: str) -> Checkpoint:
        """The checkpoint when so many records more are taken."""
        after = last_key if self._kind is ShardKind.RANGE else ""
        return Checkpoint(self._checkpoint.position + taken_num, after)

    @property
    def all_final(self) -> bool:
        """Is everything listed so far reported?"""
        return self._head == self._next_position and not self._ready

    def live(self) -> LiveProgress:
        """What is beyond the last batch."""
        counters = Counters(
            self._listed_num,
            self._listed_bytes,
            self._held[0],
            self._held[1],
            self._held[2],
            self._held_bytes[0],
            self._held_bytes[1],
            self._held_bytes[2],
        )
        return LiveProgress(
            counters, self._meter.moving_bytes, self._meter.moved_total_bytes, self.listing_over
        )


def _by_slot(counters: Counters) -> tuple[tuple[int, int], ...]:
    return (
        (counters.successful_num, counters.successful_size_bytes),
        (counters.skipped_num, counters.skipped_size_bytes),
        (counters.failed_num, counters.failed_size_bytes),
    )


def _slot(outcome: Outcome) -> int:
    kind = outcome.kind
    return 0 if kind is _SUCCESS else 1 if kind is _SKIPPED else 2
