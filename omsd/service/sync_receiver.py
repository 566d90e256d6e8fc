"""Event notifications that storage services send for synchronization tasks: who may send, and what becomes an event."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from omsd.domain.bucket_events import BucketChange, Notification
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.sync import SyncTask, check_takes_events
from omsd.ports.clock import Clock
from omsd.service.refusals import unknown_sync
from omsd.service.sync_inbox import AcceptEvents
from omsd.service.sync_ledger import SyncLedger
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

# One transaction each: the smallest bound of a queue that can be configured must have room for them.
_EVENTS_PER_CALL = 100
# Failures of one address that are told in full. A good secret is never held up by them: it has 256 bits and cannot be guessed.
_FAILURES_NUM = 10
_FAILURES_WINDOW_S = 60.0
# Addresses remembered; with more the oldest are forgotten.
_ADDRESSES_NUM = 1024
_SHOWN = 5
_SHOWN_CHARACTERS = 100


def events_path(sync_task_id: str) -> str:
    """Path of the URL to which notifications for the task are sent."""
    return f"/sync-tasks/{sync_task_id}/s3-events"


def secret_digest(secret: str) -> bytes:
    """What is kept of a secret. It is random and long, so one round of a fast hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a notification; accepted events are durable."""

    accepted_num: int
    ignored_num: int


@dataclass(slots=True)
class _Failures:
    since_s: float
    number: int = 0


class EventReceiver:
    """Takes notifications for the tasks of all projects."""

    def __init__(self, ledger: SyncLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def admit(self, sync_task_id: str, secret: str, address: str) -> SyncTask:
        """The task, if the secret is its own. address: who asks, for the bound of failures.

        Raises RequestError: unknown task, no secret, another secret; QUOTA if the address has failed too often of late.
        """
        task = self._ledger.find_any(sync_task_id)
        if task is None:
            raise self._failed(unknown_sync(sync_task_id), address)
        if not secret:
            error = RequestError(
                "OMS.0068", "the task's event secret is missing", refusal=Refusal.UNAUTHENTICATED
            )
            raise self._failed(error, address)
        # Also without a digest the comparison takes its time.
        digest = self._ledger.secret_digest(task)
        if not hmac.compare_digest(digest or bytes(32), secret_digest(secret)):
            error = RequestError(
                "OMS.0068",
                "this is not the task's event secret; omsctl sync secret makes a new one",
                refusal=Refusal.FORBIDDEN,
            )
            raise self._failed(error, address)
        return task

    async def accept(self, task: SyncTask, notification: Notification) -> Receipt:
        """What concerns the task is durable as events; the rest is told in the log.

        Raises RequestError OMS.2002 if the task is stopped, OMS.2004 if its queue is full: a part may be accepted then, and a
        repeat of all is harmless.
        """
        check_takes_events(task)
        wanted = []
        for change in notification.changes:
            if change.bucket == task.spec.source.bucket and (task.deletes or not change.removed):
                wanted.append(change.names)
        for first in range(0, len(wanted), _EVENTS_PER_CALL):
            names = tuple(wanted[first : first + _EVENTS_PER_CALL])
            await self._ledger.inbox.call(AcceptEvents(task.project_id, task.sync_task_id, names))
        self._tell_ignored(task, notification)
        total_num = len(notification.changes) + len(notification.others)
        return Receipt(len(wanted), total_num - len(wanted))

    def _tell_ignored(self, task: SyncTask, notification: Notification) -> None:
        foreign = [change for change in notification.changes if change.bucket != task.spec.source.bucket]
        if foreign:
            _log.warning(
                "sync_events_of_another_bucket",
                sync_task_id=task.sync_task_id,
                wanted=task.spec.source.bucket,
                buckets=_shown(change.bucket for change in foreign),
                keys=_shown(change.names.key for change in foreign),
                number=len(foreign),
            )
        removed_num = _removed_num(notification.changes, task)
        if notification.others or removed_num:
            _log.debug(
                "sync_events_ignored",
                sync_task_id=task.sync_task_id,
                events=_shown(notification.others),
                removals=removed_num,
            )

    def _failed(self, error: RequestError, address: str) -> RequestError:
        """The refusal, told in the log; or another without a line, if there were many."""
        now_s = self._clock.monotonic_s()
        failures = self._failures.pop(address, None)
        if failures is None or now_s - failures.since_s > _FAILURES_WINDOW_S:
            failures = _Failures(now_s)
        failures.number += 1
        self._failures[address] = failures
        if len(self._failures) > _ADDRESSES_NUM:
            self._failures.popitem(last=False)
        if failures.number > _FAILURES_NUM:
            return RequestError("OMS.0068", "too many failures; try again later", refusal=Refusal.QUOTA)
        _log.warning("sync_event_refused", peer=address, code=error.code, reason=error.message)
        return error


def _removed_num(changes: tuple[BucketChange, ...], task: SyncTask) -> int:
    if task.deletes:
        return 0
    return sum(change.removed and change.bucket == task.spec.source.bucket for change in changes)


def _shown(texts: Iterable[str]) -> list[str]:
    """Few of them, and not at any length: they are a stranger's."""
    unique = dict.fromkeys(text[:_SHOWN_CHARACTERS] for text in texts)
    return list(unique)[:_SHOWN]
