"""Bytes per second of one task in this worker: spends the grant of the control process in small quanta."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# A quantum is what moves in this time: small beside the second in which a limit is measured, large beside a timer's grain.
_QUANTUM_S = 0.01
_MIN_QUANTUM_BYTES = 4 * 1024
_MAX_QUANTUM_BYTES = 256 * 1024
# A loop that wakes late makes up for this much and no more; a longer rest in which nobody waited saves up nothing.
_CATCH_UP_S = 0.08


class Timer(Protocol):
    """A call that will come, unless it is cancelled."""

    def cancel(self) -> None:
        """The call does not come."""


CallLater = Callable[[float, Callable[[], None]], Timer]


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in a gate's queue. held_bytes: all that waits here with these bytes.

    divisible: fewer bytes will do; size_bytes is how many once go() is called.
    """

    size_bytes: int
    go: Callable[[], None]
    held_bytes: int
    divisible: bool = False


class Gate:
    """One direction of a task's bytes: first come, first served, at a rate. None = no limit; 0 = nothing moves.

    It books on a schedule: bytes move at once if the schedule is free, and those behind them wait for their time.
    """

    __slots__ = (
        "_call_later",
        "_due_s",
        "_monotonic",
        "_queue",
        "_rate",
        "_serving",
        "_timer",
        "moved_bytes",
        "waiting_bytes",
    )

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, call_later: CallLater | None = None
    ) -> None:
        self._call_later = call_later
        self.moved_bytes = 0
        self.waiting_bytes = 0
        self._monotonic = monotonic
        self._rate: int | None = None
        self._due_s = 0.0
        self._queue: deque[Ticket] = deque()
        self._timer: Timer | None = None
        self._serving = False

    @property
    def limited(self) -> bool:
        """Is there a limit?"""
        return self._rate is not None

    @property
    def quantum_bytes(self) -> int:
        """How much may be asked for at once."""
        if self._rate is None:
            return _MAX_QUANTUM_BYTES
        return min(_MAX_QUANTUM_BYTES, max(_MIN_QUANTUM_BYTES, int(self._rate * _QUANTUM_S)))

    def set_rate(self, rate_bytes_per_s: int | None) -> None:
        """The new rate counts at once, also for who waits already."""
        now_s = self._monotonic()
        ahead_s = self._due_s - now_s
        if ahead_s > 0:
            booked_bytes = ahead_s * (self._rate or 0)
            self._due_s = now_s + (booked_bytes / rate_bytes_per_s if rate_bytes_per_s else 0.0)
        self._rate = rate_bytes_per_s
        self._serve()

    def ask(
        self, size_bytes: int, go: Callable[[], None], held_bytes: int = 0, *, divisible: bool = False
    ) -> Ticket | None:
        """None: the bytes may move now. Else go() is called once they may, unless the ticket is withdrawn before.

        held_bytes: how much is held up with them, if that is more. divisible: go() may be called for a quantum of them.
        """
        if not self._queue and self._is_due():
            self._book(size_bytes)
            return None
        ticket = Ticket(size_bytes, go, max(size_bytes, held_bytes), divisible)
        self._queue.append(ticket)
        self.waiting_bytes += ticket.held_bytes
        self._arm()
        return ticket

    def withdraw(self, ticket: Ticket) -> None:
        """Nobody waits for these bytes any more."""
        if ticket in self._queue:
            self._queue.remove(ticket)
            self.waiting_bytes -= ticket.held_bytes

    def charge(self, size_bytes: int) -> None:
        """These bytes moved without asking; those that ask later wait for them."""
        self._book(size_bytes)

    async def admit(self, size_bytes: int) -> None:
        """Return once the bytes may move, all at once; those that come later wait until their time is over."""
        if self._rate is None:
            self.moved_bytes += size_bytes
            return
        came = asyncio.Event()
        ticket = self.ask(size_bytes, came.set)
        if ticket is None:
            return
        try:
            await came.wait()
        finally:
            self.withdraw(ticket)

    def _is_due(self) -> bool:
        return self._rate is None or (self._rate > 0 and self._due_s <= self._monotonic())

    def _book(self, size_bytes: int, *, waited: bool = False) -> None:
        self.moved_bytes += size_bytes
        if not self._rate:
            return
        now_s = self._monotonic()
        if now_s - self._due_s > _CATCH_UP_S:
            self._due_s = now_s - _CATCH_UP_S if waited else now_s
        self._due_s += size_bytes / self._rate

    def _serve(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._serving = True
        try:
            while self._queue and self._is_due():
                ticket = self._queue.popleft()
                self.waiting_bytes -= ticket.held_bytes
                if ticket.divisible:
                    # Asked for under a higher rate it may be much more than a quantum by now: fifty such bodies would go
                    # on in lumps of half a second each, for as long as the old tickets last.
                    ticket.size_bytes = min(ticket.size_bytes, self.quantum_bytes)
                self._book(ticket.size_bytes, waited=True)
                ticket.go()
        finally:
            self._serving = False
        self._arm()

    def _arm(self) -> None:
        # Inside _serve() its loop comes to who is new in the queue.
        if self._queue and self._rate and self._timer is None and not self._serving:
            wait_s = max(0.0, self._due_s - self._monotonic())
            call_later = self._call_later or asyncio.get_running_loop().call_later
            self._timer = call_later(wait_s, self._serve)


class Throttle:
    """Both directions of a task. incoming: every object byte passes it, and is counted there, once.

    outgoing: smooths what was read whole before it is sent; bytes that pass straight through are only charged to it.
    """

    __slots__ = ("_taken", "incoming", "outgoing")

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, call_later: CallLater | None = None
    ) -> None:
        self.incoming = Gate(monotonic, call_later)
        self.outgoing = Gate(monotonic, call_later)
        self._taken = (0, 0)

    @property
    def limited(self) -> bool:
        """Is there a limit?"""
        return self.incoming.limited

    @property
    def waiting_bytes(self) -> int:
        """Bytes that would move now if there were no limit."""
        return max(self.incoming.waiting_bytes, self.outgoing.waiting_bytes)

    def take_moved(self) -> int:
        """Bytes that moved since the last call, in the busier direction."""
        before, self._taken = self._taken, (self.incoming.moved_bytes, self.outgoing.moved_bytes)
        return max(self._taken[0] - before[0], self._taken[1] - before[1])

    def set_limit(self, limit_bytes_per_s: int | None) -> None:
        """None = no limit; 0 = nothing moves."""
        self.incoming.set_rate(limit_bytes_per_s)
        self.outgoing.set_rate(limit_bytes_per_s)
