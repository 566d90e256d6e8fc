"""Against guessing: failures are counted by where they come from and whom they are about, and passwords are checked a few at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from omsd.domain.access import BUSY_CODE
from omsd.domain.attempts import MAX_SOURCES, FailureLimiter, network_of
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.passwords import NOBODYS_HASH, PASSWORD_MAX, verify_password
from omsd.ports.clock import Clock
from omsd.telemetry.logging import get_logger

# Each takes 32 MiB and a third of a second of a core.
CHECKS_AT_ONCE = 2
MAX_WAITING = 32
# Behind one address there may be many callers; what one of them does wrong must not keep the others out.
ADDRESS_FACTOR = 10
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


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a failure counts."""

    limiter: FailureLimiter
    name: str

    def blocked(self, now_s: float) -> bool:
        return self.limiter.blocked(self.name, now_s)

    def charge(self, now_s: float) -> None:
        self.limiter.charge(self.name, now_s)

    def refund(self, now_s: float) -> None:
        self.limiter.refund(self.name, now_s)


class Guard:
    """Counts failures; whoever has too many is let in again as they leak away.

    Only passwords can be guessed, so only wrong passwords hold up passwords: a caller whose token has expired must be able to get another
    one, whatever was sent with the old one from there.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        """per_minute: failures of a user at an address, of a user anywhere, and of an AK; ADDRESS_FACTOR times as many of an address."""
        self._clock = clock
        self._proof_subjects = FailureLimiter(per_minute)
        self._proof_addresses = FailureLimiter(per_minute * ADDRESS_FACTOR)
        self._callers = FailureLimiter(per_minute)
        self._users = FailureLimiter(per_minute)
        self._addresses = FailureLimiter(per_minute * ADDRESS_FACTOR)
        # Callers that have succeeded: others' guesses at the user elsewhere do not lock him out here.
        self._known: OrderedDict[str, None] = OrderedDict()

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
            sources = [_Source(self._proof_addresses, network_of(address))]
            if attempt.subject:
                sources.append(_Source(self._proof_subjects, attempt.subject))
            now_s = self._clock.monotonic_s()
            if any(source.blocked(now_s) for source in sources):
                raise _too_many(error.message) from error
            for source in sources:
                source.charge(now_s)
            _log.warning("authentication_failed", address=address, code=error.code, reason=error.message)
            raise

    @contextmanager
    def charged(self, address: str, user: str) -> Iterator[None]:
        """For passwords: the failure is charged before the check and given back after a success, so that many guesses at once are not
        more than the limit. Raises BUSY without checking if there have been too many."""
        now_s = self._clock.monotonic_s()
        network, user = network_of(address), user[:_SUBJECT_MAX]
        caller = f"{network} {user}"
        here = (_Source(self._callers, caller), _Source(self._addresses, network))
        sources = (*here, _Source(self._users, user))
        if any(source.blocked(now_s) for source in (here if caller in self._known else sources)):
            raise _too_many("the password was not looked at")
        for source in sources:
            source.charge(now_s)
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
        self._known[caller] = None
        self._known.move_to_end(caller)
        if len(self._known) > MAX_SOURCES:
            self._known.popitem(last=False)

    def _refund(self, sources: tuple[_Source, ...]) -> None:
        now_s = self._clock.monotonic_s()
        for source in sources:
            source.refund(now_s)


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


def _too_many(why: str) -> RequestError:
    return RequestError(
        BUSY_CODE, f"too many failed attempts; try again in a minute ({why})", refusal=Refusal.BUSY
    )
