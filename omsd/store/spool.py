"""Object lists on their way: files in the state directory, appended block by block, each block with its xxh3."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import xxhash

from omsd.domain.model import ListPart, TaskId
from omsd.domain.object_lists import BLOCK_HEAD, HEADER, lines_of
from omsd.ports.listspool import Lines
from omsd.ports.taskstore import TaskStoreError

SPOOL_FOLDER = "spool"

T = TypeVar("T")


class FileSpool:
    """ListSpool in a state directory that the caller holds. All file work is done in threads: a slow disk must not stop the loop."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir.absolute() / SPOOL_FOLDER

    async def append(self, lines: Sequence[Lines]) -> tuple[ListPart, ...]:
        """The lines are durable; the parts as they are to be committed now."""
        return await self._in_thread(lambda: tuple(self._append(each) for each in lines))

    def path_of(self, task_id: TaskId, round_number: int, part: ListPart) -> str:
        """The file of a part."""
        name = f"{part.kind}-{part.number:04}.spool"
        return str(self._folder / str(task_id) / f"run-{round_number}" / name)

    async def remove(self, paths: Sequence[str]) -> None:
        """These files are gone, and their folders once they are empty."""
        await self._in_thread(lambda: _remove(paths))

    async def discard(self, task_id: TaskId) -> None:
        """Nothing of the task is left."""
        await self._in_thread(lambda: shutil.rmtree(self._folder / str(task_id), ignore_errors=True))

    async def task_ids(self) -> tuple[TaskId, ...]:
        """The tasks that have files."""

        def found() -> tuple[TaskId, ...]:
            if not self._folder.is_dir():
                return ()
            return tuple(TaskId(int(entry.name)) for entry in self._folder.iterdir() if entry.name.isdigit())

        return await self._in_thread(found)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise TaskStoreError(
                f"{self._folder}: {error}; check the disk's space and the directory's permissions"
            ) from error

    def _append(self, lines: Lines) -> ListPart:
        part = lines.part
        text = lines_of(lines.outcomes, lines.method)
        if not part.size_bytes:
            text = HEADER + text
        data = text.encode()
        path = Path(self.path_of(lines.task_id, lines.round_number, part))
        if not part.size_bytes:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # What an earlier process wrote and never committed. Too short a file grows zeros, which no guard lets pass.
            os.ftruncate(descriptor, part.size_bytes)
            os.lseek(descriptor, part.size_bytes, os.SEEK_SET)
            block = guarded(data, part.size_bytes)
            _write_all(descriptor, block)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if not part.size_bytes:
            _sync_folders(path.parent, self._folder.parent)
        return replace(
            part,
            size_bytes=part.size_bytes + len(block),
            text_bytes=part.text_bytes + len(data),
            lines_num=part.lines_num + len(lines.outcomes),
        )


def guarded(data: bytes, offset: int) -> bytes:
    """A block as it is stored at an offset of a spool file."""
    return BLOCK_HEAD.pack(len(data), xxhash.xxh3_64_intdigest(data, seed=offset)) + data


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folders(folder: Path, top: Path) -> None:
    """A new file is found again after a power cut only if the folders above it are written too."""
    while True:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if folder == top:
            return
        folder = folder.parent


def _remove(paths: Sequence[str]) -> None:
    for path in map(Path, paths):
        path.unlink(missing_ok=True)
        # Only an empty folder goes.
        with suppress(OSError):
            path.parent.rmdir()
            path.parent.parent.rmdir()
