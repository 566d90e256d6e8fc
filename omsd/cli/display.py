"""What the displays of tasks and of groups at work share: JSON lines, lines now and then, bars on a terminal."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from omsd.cli.show import size_text, to_json
from omsd.pb.v1 import group_pb2, task_pb2

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

LINE_INTERVAL_S = 5.0

State = TypeVar("State")
Shown_contra = TypeVar("Shown_contra", contravariant=True)


class Display(Protocol[Shown_contra]):
    """Shows each state of what is watched."""

    def update(self, state: Shown_contra, /) -> None:
        """It has changed."""

    def close(self) -> None:
        """No more changes come."""


async def show_until_end(states: AsyncIterator[State], display: Display[State]) -> State | None:
    """Every state was shown; returns the last one, None if there was none."""
    last = None
    try:
        async for state in states:
            last = state
            display.update(state)
    finally:
        display.close()
    return last


class JsonDisplay:
    """One JSON object per line for each state."""

    def __init__(self, console: Console) -> None:
        self._out = console.file

    def update(self, state: Message) -> None:
        """Write the state at once."""
        self._out.write(json.dumps(to_json(state), ensure_ascii=False) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Nothing is open."""


class LineDisplay(Generic[State]):
    """A line at each change of the status, and every few seconds between. describe: the status and the line of a state."""

    def __init__(self, console: Console, describe: Callable[[State], tuple[int, str]]) -> None:
        self._out = console.file
        self._describe = describe
        self._status = -1
        self._shown_at = 0.0

    def update(self, state: State) -> None:
        """Write a line if it is time for one."""
        now = time.monotonic()
        status, line = self._describe(state)
        if status == self._status and now - self._shown_at < LINE_INTERVAL_S:
            return
        self._status, self._shown_at = status, now
        self._out.write(line + "\n")
        self._out.flush()

    def close(self) -> None:
        """Nothing is open."""


def start_bars(console: Console) -> Progress:
    """Bars with a text in front; behind them share, objects, bytes and pace, as bar_fields() names them."""
    # Most commands show no bar, and rich takes long to load.
    from rich.progress import BarColumn, Progress, TextColumn

    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[share]}  {task.fields[objects]}  {task.fields[size]}  {task.fields[pace]}"),
        console=console,
    )
    bars.start()
    return bars


def add_bar(bars: Progress, text: str) -> TaskID:
    """An empty bar below the others."""
    return bars.add_task(text, total=1.0, share="", objects="", size="", pace="")


def bar_fields(state: task_pb2.Task | group_pb2.TaskGroup, objects: str, size: str) -> dict[str, Any]:
    """How full a bar is, and what stands behind it."""
    return {
        "completed": state.progress,
        "share": f"{state.progress * 100:.1f} %",
        "objects": objects,
        "size": size,
        "pace": f"{size_text(state.migrate_speed)}/s" if state.migrate_speed else "",
    }
