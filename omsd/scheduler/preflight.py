"""The check of both ends before a task's first shard; trouble that may pass is given some time to pass."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.errors import Failure, RequestError
from omsd.domain.model import TaskWork
from omsd.ports.clock import Clock
from omsd.ports.executor import Executor, ProbeResult

# Service trouble and throttling: documented codes of what may be gone in a minute.
_PASSING_CODES = frozenset({"TRF.0061", "TRF.0157", "TRF.0159"})


@dataclass(frozen=True, slots=True)
class PreflightPolicy:
    """deadline_s bounds one probe; the wait between attempts doubles up to max_wait_s: trouble of some minutes is sat out."""

    attempts: int = 12
    deadline_s: float = 60.0
    first_wait_s: float = 2.0
    max_wait_s: float = 30.0


async def check_ends(
    executor: Executor, clock: Clock, work: TaskWork, policy: PreflightPolicy
) -> ProbeResult:
    """What the last probe found: the first without trouble that may pass."""
    wait_s = policy.first_wait_s
    for attempt in range(1, policy.attempts + 1):
        found = await _probe(executor, work, policy.deadline_s)
        failure = found.failure or found.lists.failure
        passing = failure is not None and (failure.code in _PASSING_CODES or failure.code == "TRF.0003")
        if not passing or attempt == policy.attempts:
            break
        await clock.sleep(wait_s)
        wait_s = min(policy.max_wait_s, 2 * wait_s)
    return found


async def _probe(executor: Executor, work: TaskWork, deadline_s: float) -> ProbeResult:
    try:
        return await executor.probe(work, deadline_s=deadline_s)
    except RequestError as error:
        reason = f"no worker could check the buckets: {error.message}; start the task again"
        return ProbeResult(failure=Failure("TRF.0003", reason))
