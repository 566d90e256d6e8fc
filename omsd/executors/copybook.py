"""The single copies that a worker has, as the control process sees them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from omsd.domain.model import TaskId
from omsd.executors import protocol
from omsd.executors.channel import Channel
from omsd.ports.objectcopies import (
    CopyOrder,
    CopyResult,
    IntentOpen,
    IntentSettled,
    NoteUpload,
    UploadClosed,
    UploadOpened,
    WorkerGoneError,
)


@dataclass(frozen=True, slots=True)
class _Copy:
    task_id: TaskId
    note: NoteUpload
    answer: asyncio.Future[CopyResult]


class WorkerCopies:
    """Those of one worker. What a cut copy still says of its uploads is heard until the worker says that it has ended."""

    def __init__(self, channel: Channel[protocol.FromWorker]) -> None:
        self._channel = channel
        self._running: dict[int, _Copy] = {}
        self._cut: dict[int, _Copy] = {}

    def __len__(self) -> int:
        return len(self._running)

    @property
    def busy(self) -> bool:
        """Is any copy not at its end, waited for or cut?"""
        return bool(self._running or self._cut)

    def has_cut(self, task_id: TaskId) -> bool:
        """Is a copy of the task, which nobody waits for any more, not at its end yet?"""
        return any(copy.task_id == task_id for copy in self._cut.values())

    async def copy(self, copy_id: int, task_id: TaskId, order: CopyOrder, note: NoteUpload) -> CopyResult:
        """What became of the object; a cancelled call cuts the copy. Raises WorkerGoneError."""
        copy = _Copy(task_id, note, asyncio.get_running_loop().create_future())
        self._running[copy_id] = copy
        self._channel.send_now(protocol.CopyObject(copy_id, task_id, order))
        try:
            return await copy.answer
        except asyncio.CancelledError:
            if self._running.pop(copy_id, None) is not None:
                self._cut[copy_id] = copy
                self._channel.send_now(protocol.CutCopy(copy_id))
            raise

    def take(self, message: protocol.CopyMessage) -> None:
        """A copy has something to say."""
        copy_id = message.copy_id
        copy = self._running.get(copy_id) or self._cut.get(copy_id)
        if copy is None:
            return
        match message:
            case protocol.Copied(_, result):
                self._running.pop(copy_id, None)
                self._cut.pop(copy_id, None)
                if not copy.answer.done():
                    copy.answer.set_result(result)
            case protocol.CopyGone():
                self._cut.pop(copy_id, None)
            case protocol.CopyIntends(_, intent):
                copy.note(IntentOpen(intent), lambda: self._say_noted(copy_id, intent.key))
            case protocol.CopySettles(_, key):
                copy.note(IntentSettled(key), _nothing)
            case protocol.CopyOpens(_, upload, settled):
                copy.note(UploadOpened(upload, settled), _nothing)
            case protocol.CopyCloses(_, upload):
                copy.note(UploadClosed(upload), _nothing)

    def lose(self) -> None:
        """The worker is gone."""
        for copy in self._running.values():
            if not copy.answer.done():
                copy.answer.set_exception(WorkerGoneError(begun=True))
        self._running.clear()
        self._cut.clear()

    def _say_noted(self, copy_id: int, key: str) -> None:
        if copy_id in self._running or copy_id in self._cut:
            self._channel.send_now(protocol.CopyIntentNoted(copy_id, key))


def _nothing() -> None:
    """Nobody waits for this to be durable."""
