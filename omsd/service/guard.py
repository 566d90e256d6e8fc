"""Against guessing: failures are counted by where they come from and whom they are about, and passwords are checked a few at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from omsd.domain.access import BUSY_CODE
from omsd.domain.attempts import MAX_SOURCES, FailureLimiter, network_of
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.passwords import NOBODYS_HASH, PASSWORD_MAX, verify_password
from omsd.ports.clock import Clock
from omsd.telemetry.logging import get_logger

# Each takes 32 MiB and a third of a second of a core.
CHECKS_AT_ONCE = 2
MAX_WAITING = 32
# Of a name that is longer nobody is called.
_SUBJECT_MAX = 100

_log = get_logger(__name__)


class Attempt:
    """One attempt to prove something; `subject` is whom it is about, once that is known."""

    def __init__(self) -> None:
        self.subject = ""

    def about(self, subject: str) -> None:
        """Failures count for this subject, too."""
        self.subject = subject[:_SUBJECT_MAX]


class Guard:
    """Counts failures by address and subject; both are let in again as their failures leak away."""

    def __init__(self, failures: FailureLimiter, clock: Clock) -> None:
        self._failures = failures
        self._clock = clock
        # (address, user) that have succeeded: others' guesses at the user do not lock him out there.
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    @contextmanager
    def counted(self, address: str) -> Iterator[Attempt]:
        """For proofs that are quick to verify and hopeless to guess: a good one always passes, a failure is counted, and answered with
        BUSY instead if there have been too many."""
        attempt = Attempt()
        try:
            yield attempt
        except RequestError as error:
            if error.refusal is not Refusal.UNAUTHENTICATED:
                raise
            sources = _sources(address, attempt.subject)
            now_s = self._clock.monotonic_s()
            if any(self._failures.blocked(source, now_s) for source in sources):
                raise _too_many(error.message) from error
            for source in sources:
                self._failures.charge(source, now_s)
            _log.warning("authentication_failed", address=address, code=error.code, reason=error.message)
            raise

    @contextmanager
    def charged(self, address: str, user: str) -> Iterator[None]:
        """For passwords: the failure is charged before the check and given back after a success, so that many guesses at once are not
        more than the limit. Raises BUSY without checking if there have been too many."""
        now_s = self._clock.monotonic_s()
        sources = _sources(address, f"user {user}"[:_SUBJECT_MAX])
        here = (network_of(address), user)
        deciding = sources[:1] if here in self._known else sources
        if any(self._failures.blocked(source, now_s) for source in deciding):
            raise _too_many("the password was not looked at")
        for source in sources:
            self._failures.charge(source, now_s)
        try:
            yield
        except RequestError as error:
            if error.refusal is not Refusal.UNAUTHENTICATED:
                self._refund(sources)
            else:
                _log.warning("authentication_failed", address=address, code=error.code, reason=error.message)
            raise
        # Whoever hangs up meanwhile has used his guess.
        self._refund(sources)
        self._known[here] = None
        self._known.move_to_end(here)
        if len(self._known) > MAX_SOURCES:
            self._known.popitem(last=False)

    def _refund(self, sources: tuple[str, ...]) -> None:
        for source in sources:
            self._failures.refund(source, self._clock.monotonic_s())


class PasswordChecker:
    """Checks passwords in threads, CHECKS_AT_ONCE at a time."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._waiting_num = 0

    async def check(self, password: str, hashed: str) -> bool:
        """Is it the password? hashed "": of nobody, which takes as long. Raises BUSY if too many wait."""
        if self._waiting_num >= MAX_WAITING:
            raise RequestError(
                BUSY_CODE, "too many passwords are being checked; try again", refusal=Refusal.BUSY
            )
        if len(password) > PASSWORD_MAX:
            return False
        self._waiting_num += 1
        try:
            async with self._slots:
                good = await asyncio.to_thread(verify_password, password, hashed or NOBODYS_HASH)
        finally:
            self._waiting_num -= 1
        return good and hashed != ""


def _sources(address: str, subject: str) -> tuple[str, ...]:
    return (f"address {network_of(address)}", *((subject,) if subject else ()))


def _too_many(why: str) -> RequestError:
    return RequestError(
        BUSY_CODE, f"too many failed attempts; try again in a minute ({why})", refusal=Refusal.BUSY
    )
