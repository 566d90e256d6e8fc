"""`omsctl task ...`: every command is one call of the API and one answer on the screen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from omsd.cli.options import (
    KEYS_HELP,
    Ends,
    MigrationOptions,
    NoticeOptions,
    NoWindowsOption,
    OffsetOption,
    WindowOption,
)
from omsd.cli.session import Exit, Output, Session, UsageError, command, complain
from omsd.domain.model import Priority, TaskState

if TYPE_CHECKING:
    from omsd.cli.task_client import TaskClient

app = typer.Typer(no_args_is_help=True, help="Migration tasks.", rich_markup_mode=None)

TaskIdArgument = Annotated[int, typer.Argument(min=1, metavar="ID", help="The task's id.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Show the progress until the task has ended.")]


@app.command("create", epilog=KEYS_HELP)
@command
async def create(
    session: Session,
    ends: Ends,
    options: MigrationOptions,
    notice: NoticeOptions,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Only this key; one that ends in / is a folder. Repeatable."),
    ] = None,
    list_file: Annotated[
        str | None,
        typer.Option(
            metavar="s3://BUCKET/KEY",
            help="Only the keys in this object list file, or in every .txt below this folder (ending in /), in a bucket beside DST.",
        ),
    ] = None,
    priority: Annotated[
        Priority, typer.Option(case_sensitive=False, help="Which waiting task is next.")
    ] = Priority.MEDIUM,
    request_id: Annotated[
        str | None,
        typer.Option(help="A repeat with the same id returns the same task. At most 64 characters."),
    ] = None,
    watch: WatchOption = False,
) -> Exit | None:
    """Create a task that copies SRC to DST, and start it."""
    from omsd.cli import request as words
    from omsd.pb.v1 import task_pb2, types_pb2

    source, destination = words.nodes_of(ends)
    message = task_pb2.CreateTaskRequest(
        task_type=types_pb2.TASK_TYPE_LIST
        if list_file
        else types_pb2.TASK_TYPE_OBJECT
        if key
        else types_pb2.TASK_TYPE_PREFIX,
        task_priority=types_pb2.TaskPriority.Value(f"TASK_PRIORITY_{priority}"),
        request_id=request_id or "",
    )
    words.fill_migration_options(message, options)
    words.fill_smn_config(message, notice)
    source_keys = words.keys_from_environment("SRC")
    message.src_node.CopyFrom(words.source_node(source, key or (), source_keys, list_file))
    message.dst_node.CopyFrom(words.destination_node(destination, words.keys_from_environment("DST")))
    async with session.client() as client:
        made = await client.create(message)
        session.say(f"task {made.id} created: {made.task_name}", id=made.id, task_name=made.task_name)
        return await watch_until_end(session, client, made.id) if watch else None


@app.command("list")
@command
async def list_(
    session: Session,
    status: Annotated[
        str | None,
        typer.Option(help=f"Only tasks that are {', '.join(state.name.lower() for state in TaskState)}."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only tasks whose name contains this.")] = None,
    group: Annotated[str | None, typer.Option(help="Only tasks of the task group with this id.")] = None,
    limit: Annotated[int, typer.Option(help="How many tasks, 1 to 100.")] = 20,
    offset: OffsetOption = 0,
) -> None:
    """List tasks, newest first."""
    from omsd.cli import show
    from omsd.pb.v1 import task_pb2, types_pb2

    if status is not None and status.upper() not in TaskState.__members__:
        raise UsageError(f"--status {status!r}: write one of {', '.join(s.name.lower() for s in TaskState)}")
    request = task_pb2.ListTasksRequest(limit=limit, offset=offset)
    if status is not None:
        request.status = types_pb2.TaskStatus.Value(f"TASK_STATUS_{status.upper()}")
    if name is not None:
        request.task_name = name
    if group is not None:
        request.group_id = group
    async with session.client() as client:
        page = await client.list(request)
    if session.wrote_json(page):
        return
    rows = [
        (
            str(task.id),
            show.status_word(task),
            f"{task.progress * 100:.1f} %",
            show.objects_text(task),
            show.bytes_text(task),
            show.source_text(task),
            show.target_text(task),
        )
        for task in page.tasks
    ]
    headers = ("ID", "STATUS", "PROGRESS", "OBJECTS", "BYTES", "SOURCE", "DESTINATION")
    session.page(headers, rows, total=page.count, what="tasks")


@app.command("show")
@command
async def show_(session: Session, task_id: TaskIdArgument) -> None:
    """Show one task."""
    from omsd.cli import show

    async with session.client() as client:
        task = await client.get(task_id)
    if not session.wrote_json(task):
        session.details(show.details(task))


@app.command("watch")
@command
async def watch_(session: Session, task_id: TaskIdArgument) -> Exit:
    """Show the progress of a task until it has ended; exit code 1 if it failed."""
    async with session.client() as client:
        return await watch_until_end(session, client, task_id)


@app.command("start", epilog=KEYS_HELP)
@command
async def start(
    session: Session,
    task_id: TaskIdArgument,
    failed_only: Annotated[bool, typer.Option("--failed-only", help="Only the objects that failed.")] = False,
    watch: WatchOption = False,
) -> Exit | None:
    """Start a paused or failed task again; it wants its keys again."""
    from omsd.cli.request import fill_keys_from_environment
    from omsd.pb.v1 import task_pb2

    request = task_pb2.StartTaskRequest(task_id=task_id, migrate_failed_object=failed_only)
    fill_keys_from_environment(request)
    async with session.client() as client:
        await client.start(request)
        session.say(f"task {task_id} started", id=task_id)
        return await watch_until_end(session, client, task_id) if watch else None


@app.command("stop")
@command
async def stop(session: Session, task_id: TaskIdArgument) -> None:
    """Pause a task: what it is moving just now is finished first."""
    async with session.client() as client:
        await client.stop(task_id)
    session.say(f"task {task_id} is pausing", id=task_id)


@app.command("delete")
@command
async def delete(session: Session, task_id: TaskIdArgument) -> None:
    """Delete a task that does not run; migrated objects stay."""
    async with session.client() as client:
        await client.delete(task_id)
    session.say(f"task {task_id} deleted", id=task_id)


@app.command("limit")
@command
async def limit(
    session: Session,
    task_id: TaskIdArgument,
    window: WindowOption = None,
    none: NoWindowsOption = False,
) -> None:
    """Replace the bandwidth windows of a task, at once. Outside of them nothing is limited."""
    from omsd.cli.request import new_windows

    windows = new_windows(window, none=none)
    async with session.client() as client:
        await client.limit(task_id, windows)
    said = ", ".join(window or ()) or "none"
    session.say(f"limits of task {task_id}: {said}", id=task_id)


@app.command("set-priority")
@command
async def set_priority(
    session: Session,
    priority: Annotated[Priority, typer.Argument(case_sensitive=False, help="HIGH, MEDIUM or LOW.")],
    task_ids: Annotated[list[int], typer.Argument(min=1, metavar="ID...", help="Tasks, at most 20.")],
) -> None:
    """Change the priority of waiting, paused or failed tasks, all or none."""
    from omsd.pb.v1 import types_pb2

    async with session.client() as client:
        await client.set_priority(task_ids, types_pb2.TaskPriority.Value(f"TASK_PRIORITY_{priority}"))
    session.say(f"priority is {priority}: {', '.join(map(str, task_ids))}", ids=task_ids)


async def watch_until_end(session: Session, client: TaskClient, task_id: int) -> Exit:
    """Show a task until it has ended. Leaving it (Ctrl-C) leaves the task alone."""
    from omsd.cli import progress
    from omsd.cli.display import show_until_end
    from omsd.pb.v1 import types_pb2

    display = progress.open_display(session.console(), as_json=session.output is Output.JSON)
    try:
        task = await show_until_end(client.watch(task_id), display)
    except asyncio.CancelledError:
        complain(f"task {task_id} goes on; `omsctl task watch {task_id}` shows it again")
        raise
    if task is None or task.status not in progress.ENDED:
        complain(f"task {task_id} was deleted")
        return Exit.NOT_FOUND
    if task.status == types_pb2.TASK_STATUS_FAILED:
        complain(f"task {task_id} failed: {task.error_reason.error_code} {task.error_reason.error_msg}")
        return Exit.TASK_FAILED
    return Exit.OK
