"""The display of a task group at work: a bar for each running task and one for all; a line now and then where there is no terminal."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from omsd.cli import group_show, show
from omsd.pb.v1 import group_pb2

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

LINE_INTERVAL_S = 5.0
ENDED = (
    group_pb2.TASK_GROUP_STATUS_CREATION_FAILED,
    group_pb2.TASK_GROUP_STATUS_MIGRATION_FAILED,
    group_pb2.TASK_GROUP_STATUS_COMPLETED,
)

Watched = group_pb2.WatchTaskGroupResponse


class GroupDisplay(Protocol):
    """Shows each state of a group."""

    def update(self, watched: Watched) -> None:
        """The group or a task of it has changed."""

    def close(self) -> None:
        """No more changes come."""


async def show_group_until_end(
    states: AsyncIterator[Watched], display: GroupDisplay
) -> group_pb2.TaskGroup | None:
    """Every state was shown; returns the last one, None if there was none."""
    last = None
    try:
        async for watched in states:
            last = watched.task_group
            display.update(watched)
    finally:
        display.close()
    return last


def open_group_display(console: Console, *, as_json: bool = False) -> GroupDisplay:
    """The display that fits where the output goes."""
    if as_json:
        return GroupJsonDisplay(console)
    return GroupBarDisplay(console) if console.is_terminal else GroupLineDisplay(console)


class GroupJsonDisplay:
    """One JSON object per line for each state: the group, and its running tasks."""

    def __init__(self, console: Console) -> None:
        self._out = console.file

    def update(self, watched: Watched) -> None:
        """Write the state at once."""
        self._out.write(json.dumps(show.to_json(watched), ensure_ascii=False) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Nothing is open."""


class GroupLineDisplay:
    """A line at each change of the status, and every few seconds between."""

    def __init__(self, console: Console) -> None:
        self._out = console.file
        self._status = -1
        self._shown_at = 0.0

    def update(self, watched: Watched) -> None:
        """Write a line if it is time for one."""
        group, now = watched.task_group, time.monotonic()
        if group.status == self._status and now - self._shown_at < LINE_INTERVAL_S:
            return
        self._status, self._shown_at = group.status, now
        self._out.write(
            f"{group_show.status_word(group)}: {group_show.progress_text(group)}; tasks {group_show.tasks_text(group)}; "
            f"objects {group_show.objects_text(group)}; {group_show.bytes_text(group)}\n"
        )
        self._out.flush()

    def close(self) -> None:
        """Nothing is open."""


class GroupBarDisplay:
    """The group on top, below it a bar for each task that runs; those that have ended go."""

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
        self._total = self._add("waiting")
        self._bars: dict[int, TaskID] = {}
        self._progress.start()

    def update(self, watched: Watched) -> None:
        """Redraw the bars."""
        group = watched.task_group
        self._progress.update(
            self._total,
            description=f"{group_show.status_word(group)}: tasks {group_show.tasks_text(group)}",
            completed=group.progress,
            share=f"{group.progress * 100:.1f} %",
            objects=group_show.objects_text(group),
            size=group_show.bytes_text(group),
            pace=f"{show.size_text(group.migrate_speed)}/s" if group.migrate_speed else "",
        )
        running = {task.id for task in watched.running}
        for task_id in self._bars.keys() - running:
            self._progress.remove_task(self._bars.pop(task_id))
        for task in watched.running:
            if task.id not in self._bars:
                self._bars[task.id] = self._add(f"  {task.id}")
            self._progress.update(
                self._bars[task.id],
                completed=task.progress,
                share=f"{task.progress * 100:.1f} %",
                objects=show.objects_text(task),
                size=show.bytes_text(task),
                pace=f"{show.size_text(task.migrate_speed)}/s" if task.migrate_speed else "",
            )

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._progress.stop()

    def _add(self, text: str) -> TaskID:
        return self._progress.add_task(text, total=1.0, share="", objects="", size="", pace="")
