"""The display of a task group at work: a bar for each running task and one for all; a line now and then where there is no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omsd.cli import group_show, show
from omsd.cli.display import Display, JsonDisplay, LineDisplay, add_bar, bar_fields, start_bars
from omsd.pb.v1 import group_pb2

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

ENDED = (
    group_pb2.TASK_GROUP_STATUS_CREATION_FAILED,
    group_pb2.TASK_GROUP_STATUS_MIGRATION_FAILED,
    group_pb2.TASK_GROUP_STATUS_COMPLETED,
)

Watched = group_pb2.WatchTaskGroupResponse


def open_group_display(console: Console, *, as_json: bool = False) -> Display[Watched]:
    """The display that fits where the output goes."""
    if as_json:
        return JsonDisplay(console)
    return GroupBarDisplay(console) if console.is_terminal else LineDisplay(console, _line_of)


def _line_of(watched: Watched) -> tuple[int, str]:
    group = watched.task_group
    text = (
        f"{group_show.status_word(group)}: {group_show.progress_text(group)}; tasks {group_show.tasks_text(group)}; "
        f"objects {group_show.objects_text(group)}; {group_show.bytes_text(group)}"
    )
    return group.status, text


class GroupBarDisplay:
    """The group on top, below it a bar for each task that runs; those that have ended go."""

    def __init__(self, console: Console) -> None:
        self._bars = start_bars(console)
        self._total = add_bar(self._bars, "waiting")
        self._bar_of: dict[int, TaskID] = {}

    def update(self, watched: Watched) -> None:
        """Redraw the bars."""
        group = watched.task_group
        self._bars.update(
            self._total,
            description=f"{group_show.status_word(group)}: tasks {group_show.tasks_text(group)}",
            **bar_fields(group, group_show.objects_text(group), group_show.bytes_text(group)),
        )
        running = {task.id for task in watched.running}
        for task_id in self._bar_of.keys() - running:
            self._bars.remove_task(self._bar_of.pop(task_id))
        for task in watched.running:
            if task.id not in self._bar_of:
                self._bar_of[task.id] = add_bar(self._bars, f"  {task.id}")
            about = bar_fields(task, show.objects_text(task), show.bytes_text(task))
            self._bars.update(self._bar_of[task.id], **about)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._bars.stop()
