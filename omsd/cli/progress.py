"""The display of a running task: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omsd.cli import show
from omsd.cli.display import Display, JsonDisplay, LineDisplay, add_bar, bar_fields, start_bars
from omsd.pb.v1 import task_pb2, types_pb2

if TYPE_CHECKING:
    from rich.console import Console

ENDED = (types_pb2.TASK_STATUS_SUCCEEDED, types_pb2.TASK_STATUS_FAILED)


def open_display(console: Console, *, as_json: bool = False) -> Display[task_pb2.Task]:
    """The display that fits where the output goes."""
    if as_json:
        return JsonDisplay(console)
    return BarDisplay(console) if console.is_terminal else LineDisplay(console, _line_of)


def _line_of(task: task_pb2.Task) -> tuple[int, str]:
    text = (
        f"{show.status_word(task)}: {show.progress_text(task)}; "
        f"objects {show.objects_text(task)}; {show.bytes_text(task)}"
    )
    return task.status, text


class BarDisplay:
    """A progress bar: status, share, objects, bytes, speed, time left."""

    def __init__(self, console: Console) -> None:
        self._bars = start_bars(console)
        self._bar = add_bar(self._bars, "waiting")

    def update(self, task: task_pb2.Task) -> None:
        """Redraw the bar."""
        about = bar_fields(task, show.objects_text(task), show.bytes_text(task))
        if task.left_time:
            about["pace"] += f"  ETA {show.duration_text(task.left_time)}"
        self._bars.update(self._bar, description=show.status_word(task), **about)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._bars.stop()
