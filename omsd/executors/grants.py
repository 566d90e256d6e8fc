"""Who is granted which part of the bandwidth: the limits, what the workers say they want, and what they were told."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from omsd.domain.bandwidth import BandwidthLimits, Share, divide
from omsd.domain.model import TaskId

# What a share wants beyond what it moved: one that its grant holds back grows fast, one that it does not gets some air.
_GROWTH = 2.0
_AIR = 1.25
# A share that moves this much of its grant is held back by it, even if nothing happened to wait when it was asked.
_USED_UP = 0.9
# Reports that count: an idle worker lends its grant after so many.
_REPORTS = 2
# Kept for shares that move nothing, in all, so that the first bytes after a rest need not wait for a new grant.
_RESERVE = 0.02
# Grants that rise by less are not worth a message.
_WORTH_TELLING = 1.01


@dataclass(frozen=True, slots=True)
class Grant:
    """What a worker must be told. limit_bytes_per_s None: no limit."""

    worker_id: int
    task_id: TaskId
    limit_bytes_per_s: int | None


@dataclass(slots=True)
class _Account:
    """One task in one worker. wishes: of the last reports, in bytes per second; empty until it has reported."""

    told: int | None = None
    ever_told: bool = False
    wishes: deque[int] = field(default_factory=lambda: deque(maxlen=_REPORTS))


class GrantBook:
    """Pure bookkeeping. regrant() after each change; what is in force never sums up above a limit."""

    def __init__(self) -> None:
        self._limits = BandwidthLimits()
        self._accounts: dict[Share, _Account] = {}

    def set_limits(self, limits: BandwidthLimits) -> None:
        """In force with the next regrant()."""
        self._limits = limits

    def join(self, worker_id: int, task_id: TaskId) -> None:
        """The worker may get shards of the task; it wants all there is until it says otherwise."""
        self._accounts.setdefault((task_id, worker_id), _Account())

    def leave(self, worker_id: int, task_id: TaskId) -> None:
        """Its grant returns."""
        self._accounts.pop((task_id, worker_id), None)

    def lose(self, worker_id: int) -> None:
        """The worker is gone; its grants return."""
        for share in [share for share in self._accounts if share[1] == worker_id]:
            del self._accounts[share]

    def note(
        self, worker_id: int, task_id: TaskId, *, moved_bytes: int, waiting_bytes: int, elapsed_s: float
    ) -> None:
        """A worker says what it moved since its last report, and what waits."""
        account = self._accounts.get((task_id, worker_id))
        if account is None or elapsed_s <= 0:
            return
        moved_rate = moved_bytes / elapsed_s
        held_back = waiting_bytes > 0 or (
            account.told is not None and moved_rate >= _USED_UP * account.told > 0
        )
        wish = _GROWTH * (moved_bytes + waiting_bytes) / elapsed_s if held_back else _AIR * moved_rate
        account.wishes.append(round(wish))

    def regrant(self) -> list[Grant]:
        """What has to be told now: grants that shrink before those that grow."""
        demands = {share: self._wish(share, account) for share, account in self._accounts.items()}
        grants: list[Grant] = []
        for (task_id, worker_id), limit in divide(self._limits, demands).items():
            account = self._accounts[task_id, worker_id]
            if account.ever_told and not _differs(account.told, limit):
                continue
            grants.append(Grant(worker_id, task_id, limit))
        grants.sort(key=self._rises)
        for grant in grants:
            account = self._accounts[grant.task_id, grant.worker_id]
            account.told, account.ever_told = grant.limit_bytes_per_s, True
        return grants

    def _wish(self, share: Share, account: _Account) -> int | None:
        limit = self._limits.tightest(share[0])
        if limit is None or not account.wishes:
            return None
        reserve = max(1, int(_RESERVE * limit / len(self._accounts)))
        return max(account.wishes) + reserve

    def _rises(self, grant: Grant) -> bool:
        told = self._accounts[grant.task_id, grant.worker_id].told
        if told is None:
            return False
        return grant.limit_bytes_per_s is None or grant.limit_bytes_per_s > told


def _differs(told: int | None, limit: int | None) -> bool:
    if told is None or limit is None:
        return told != limit
    return limit < told or limit > told * _WORTH_TELLING
