"""Single objects copied by the workers, without shards and leases: what synchronization events need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from omsd.domain.errors import OmsdError
from omsd.domain.model import OpenUpload, Outcome, TaskId, TaskWork
from omsd.domain.sync import KeyNames


class WorkerGoneError(OmsdError):
    """No worker could finish the copy. begun: one had it and died."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("the worker process that copied the object is gone; see the log", code="TRF.0001")
        self.begun = begun


@dataclass(frozen=True, slots=True)
class CopyOrder:
    """One object to copy. redo_since_s: an earlier attempt since then may have written it, 0 = there was none.

    deletes: what is gone at the source is deleted at the destination. stale_uploads: aborted first.
    restore_since_s: when its restore was first asked for, 0 = it was not.
    """

    names: KeyNames
    deletes: bool = False
    redo_since_s: float = 0.0
    stale_uploads: tuple[OpenUpload, ...] = ()
    restore_since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CopyResult:
    """outcome None: put off, to be asked after in rest_s. tries_again: a failure that another attempt may mend."""

    outcome: Outcome | None
    tries_again: bool = True
    rest_s: float = 0.0
    restore_since_s: float = 0.0


# (upload, whether it was opened; else it was closed)
NoteUpload = Callable[[OpenUpload, bool], None]


class ObjectCopies(Protocol):
    """Workers that copy single objects by the rules of a task."""

    async def copy(self, work: TaskWork, order: CopyOrder, note: NoteUpload) -> CopyResult:
        """What became of the object; a cancelled call drops it. note: hears of multipart uploads before their first part.

        Raises WorkerGoneError.
        """

    def forget(self, task_id: TaskId) -> None:
        """No more copies of this task come: its stores are closed, its credentials dropped."""
