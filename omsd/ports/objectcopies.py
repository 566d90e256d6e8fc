"""Single objects copied by the workers, without shards and leases: what synchronization events need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from omsd.domain.errors import OmsdError
from omsd.domain.model import Outcome, TaskId, TaskWork
from omsd.domain.shards import OpenUpload, UploadIntent
from omsd.domain.sync import KeyNames


class WorkerGoneError(OmsdError):
    """No worker could finish the copy. begun: one had it and died."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("the worker process that copied the object is gone; see the log", code="TRF.0001")
        self.begun = begun


@dataclass(frozen=True, slots=True)
class CopyOrder:
    """One object to copy. redo_since_s: an earlier attempt since then may have written it, 0 = there was none.

    deletes: what is gone at the source is deleted at the destination. stale_uploads: aborted first. intents: of creations that may
    have left an upload. restore_since_s: when its restore was first asked for, 0 = it was not.
    """

    names: KeyNames
    deletes: bool = False
    redo_since_s: float = 0.0
    stale_uploads: tuple[OpenUpload, ...] = ()
    intents: tuple[UploadIntent, ...] = ()
    restore_since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CopyResult:
    """outcome None: put off, to be asked after in rest_s. tries_again: a failure that another attempt may mend."""

    outcome: Outcome | None
    tries_again: bool = True
    rest_s: float = 0.0
    restore_since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class IntentOpen:
    """An upload is about to be created; the copy waits until this is durable."""

    intent: UploadIntent


@dataclass(frozen=True, slots=True)
class IntentSettled:
    """No upload of unknown id is left of the key."""

    key: str


@dataclass(frozen=True, slots=True)
class UploadOpened:
    """settled: and so is the intent of its key."""

    upload: OpenUpload
    settled: bool


@dataclass(frozen=True, slots=True)
class UploadClosed:
    """Completed or aborted."""

    upload: OpenUpload


UploadNote = IntentOpen | IntentSettled | UploadOpened | UploadClosed
# The second is to be called once the note is durable.
NoteUpload = Callable[[UploadNote, Callable[[], None]], None]


class ObjectCopies(Protocol):
    """Workers that copy single objects by the rules of a task."""

    async def copy(self, work: TaskWork, order: CopyOrder, note: NoteUpload) -> CopyResult:
        """What became of the object; a cancelled call drops it. note: hears of multipart uploads, before each what is intended.

        It still hears of those of a copy that was dropped, until that has ended. Raises WorkerGoneError.
        """

    def has_cut_copies(self, task_id: TaskId) -> bool:
        """Are copies of the task that were dropped not at their end yet?"""

    def forget(self, task_id: TaskId) -> None:
        """No more copies of this task come: its stores are closed, its credentials dropped."""
