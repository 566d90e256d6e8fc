"""Where the ledger keeps the lines of object lists until they are uploaded: files beside the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from omsd.domain.model import ConsistencyCheck, ListPart, Outcome, TaskId


@dataclass(frozen=True, slots=True)
class Lines:
    """What is to be appended to one list of one task, behind what `part` says is committed."""

    task_id: TaskId
    round_number: int
    part: ListPart
    method: ConsistencyCheck
    outcomes: Sequence[Outcome]


class ListSpool(Protocol):
    """Files may hold more than is committed; what is behind the committed length is overwritten."""

    async def append(self, lines: Sequence[Lines]) -> tuple[ListPart, ...]:
        """The lines are durable; the parts as they are to be committed now. Raises TaskStoreError."""

    def path_of(self, task_id: TaskId, round_number: int, part: ListPart) -> str:
        """The file of a part, absolute."""

    async def remove(self, paths: Sequence[str]) -> None:
        """These files are gone; a missing one is no error."""

    async def discard(self, task_id: TaskId) -> None:
        """Nothing of the task is left."""

    async def task_ids(self) -> tuple[TaskId, ...]:
        """The tasks that have files."""
