"""The display of a running task: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from omsd.cli.show import (
    bytes_text,
    duration_text,
    objects_text,
    progress_text,
    size_text,
    status_word,
    to_json,
)
from omsd.pb.v1 import task_pb2, types_pb2

if TYPE_CHECKING:
    from rich.console import Console

LINE_INTERVAL_S = 5.0
ENDED = (types_pb2.TASK_STATUS_SUCCEEDED, types_pb2.TASK_STATUS_FAILED)


class Display(Protocol):
    """Shows each state of a task."""

    def update(self, task: task_pb2.Task) -> None:
        """The task has changed."""

    def close(self) -> None:
        """No more changes come."""


async def show_until_end(tasks: AsyncIterator[task_pb2.Task], display: Display) -> task_pb2.Task | None:
    """Every state was shown; returns the last one, None if there was none."""
    last = None
    try:
        async for task in tasks:
            last = task
            display.update(task)
    finally:
        display.close()
    return last


def open_display(console: Console, *, as_json: bool = False) -> Display:
    """The display that fits where the output goes."""
    if as_json:
        return JsonDisplay(console)
    return BarDisplay(console) if console.is_terminal else LineDisplay(console)


class JsonDisplay:
    """One JSON object per line for each state."""

    def __init__(self, console: Console) -> None:
        self._out = console.file

    def update(self, task: task_pb2.Task) -> None:
        """Write the state at once."""
        self._out.write(json.dumps(to_json(task), ensure_ascii=False) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Nothing is open."""


class LineDisplay:
    """A line at each change of the status, and every few seconds between."""

    def __init__(self, console: Console) -> None:
        self._out = console.file
        self._status = -1
        self._shown_at = 0.0

    def update(self, task: task_pb2.Task) -> None:
        """Write a line if it is time for one."""
        now = time.monotonic()
        if task.status == self._status and now - self._shown_at < LINE_INTERVAL_S:
            return
        self._status, self._shown_at = task.status, now
        self._out.write(
            f"{status_word(task)}: {progress_text(task)}; objects {objects_text(task)}; {bytes_text(task)}\n"
        )
        self._out.flush()

    def close(self) -> None:
        """Nothing is open."""


class BarDisplay:
    """A progress bar: status, share, objects, bytes, speed, time left."""

    def __init__(self, console: Console) -> None:
        # Most commands show no bar, and rich takes long to load.
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn(
                "{task.fields[share]}  {task.fields[objects]}  {task.fields[size]}  {task.fields[pace]}"
            ),
            console=console,
        )
        self._bar = self._progress.add_task("waiting", total=1.0, share="", objects="", size="", pace="")
        self._progress.start()

    def update(self, task: task_pb2.Task) -> None:
        """Redraw the bar."""
        pace = f"{size_text(task.migrate_speed)}/s" if task.migrate_speed else ""
        if task.left_time:
            pace += f"  ETA {duration_text(task.left_time)}"
        self._progress.update(
            self._bar,
            description=status_word(task),
            completed=task.progress,
            share=f"{task.progress * 100:.1f} %",
            objects=objects_text(task),
            size=bytes_text(task),
            pace=pace,
        )

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._progress.stop()
