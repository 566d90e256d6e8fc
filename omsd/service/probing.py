"""Both ends of a task before it is created: can they be reached with these keys?"""

from __future__ import annotations

from itertools import count

from omsd.domain.errors import Failure, RequestError, Side, told_to_caller
from omsd.domain.manifest import WRONG_METADATA, ListsFound
from omsd.domain.model import TaskCredentials, TaskId, TaskSpec, TaskWork
from omsd.ports.clock import Clock
from omsd.ports.executor import Executor

_CODES = {Side.SOURCE: "OMS.1014", Side.DESTINATION: "OMS.1020"}
_NODES = {Side.SOURCE: "src_node", Side.DESTINATION: "dst_node"}
# Which field of the node a failure speaks of; any other is about the way to it.
_FIELDS = {
    "TRF.0155": "bucket",
    "TRF.0058": "bucket",
    "TRF.0151": "ak",
    "TRF.0152": "ak",
    "TRF.0051": "ak",
    "TRF.0057": "ak",
    "TRF.0053": "ak",
    "TRF.0063": "ak",
    "TRF.0154": "ak",
}
# A failure that speaks of an option of the task.
_OPTIONS = {"TRF.0158": "enable_kms"}


class EndsProbe:
    """Probes for tasks that have no id yet; workers keep nothing of them."""

    def __init__(self, executor: Executor, clock: Clock, *, deadline_s: float) -> None:
        self._executor = executor
        self._clock = clock
        self._deadline_s = deadline_s
        self._numbers = count(1)

    async def check(self, spec: TaskSpec, credentials: TaskCredentials) -> None:
        """Both ends can be used. Raises RequestError OMS.1014 or OMS.1020 with the field, BUSY if no worker answers.

        Of an object list file only its bucket (OMS.0057) and how it is stored (TRF.0019) are refused here; all else is documented
        as an error inside the task.
        """
        # Below zero: never the id of a task.
        task_id = TaskId(-next(self._numbers))
        work = TaskWork(task_id, spec, credentials, 1, self._clock.now_s())
        try:
            result = await self._executor.probe(work, deadline_s=self._deadline_s)
        finally:
            self._executor.forget(task_id)
        if result.failure is not None:
            raise _refusal(result.side or Side.SOURCE, result.failure)
        _check_lists(result.lists)


def _check_lists(found: ListsFound) -> None:
    if found.failure is None:
        return
    if found.bucket_fault:
        raise RequestError.of_field(
            "OMS.0057", "src_node.list_file.obs_bucket", told_to_caller(found.failure)
        )
    if found.failure.code == WRONG_METADATA:
        raise RequestError.of_field(
            WRONG_METADATA, "src_node.list_file.list_file_key", told_to_caller(found.failure)
        )


def _refusal(side: Side, failure: Failure) -> RequestError:
    field = _OPTIONS.get(failure.code) or f"{_NODES[side]}.{_FIELDS.get(failure.code, 'endpoint')}"
    return RequestError.of_field(_CODES[side], field, told_to_caller(failure))
