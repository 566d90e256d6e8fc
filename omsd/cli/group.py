"""`omsctl group ...`: every command is one call of the API and one answer on the screen."""

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
from omsd.domain.group import GroupState

if TYPE_CHECKING:
    from omsd.cli.group_client import GroupClient

app = typer.Typer(
    no_args_is_help=True,
    help="Task groups: large buckets, split into migration tasks by the server.",
    rich_markup_mode=None,
)

GroupIdArgument = Annotated[str, typer.Argument(metavar="ID", help="The group's id.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Show the progress until the group has ended.")]


@app.command("create", epilog=KEYS_HELP)
@command
async def create(
    session: Session,
    ends: Ends,
    options: MigrationOptions,
    notice: NoticeOptions,
    prefix: Annotated[
        list[str] | None, typer.Option(help="Only keys that begin with this. Repeatable.")
    ] = None,
    list_file: Annotated[
        str | None,
        typer.Option(
            metavar="s3://BUCKET/KEY",
            help="A task for each .txt below this folder (ending in /), or for this one file, in a bucket beside DST.",
        ),
    ] = None,
    request_id: Annotated[
        str | None,
        typer.Option(help="A repeat with the same id returns the same group. At most 64 characters."),
    ] = None,
    watch: WatchOption = False,
) -> Exit | None:
    """Create a group of tasks that copy SRC to DST, and start it. Windows limit all its tasks together."""
    from omsd.cli import request as words
    from omsd.pb.v1 import group_pb2

    source, destination = words.nodes_of(ends)
    if prefix and list_file:
        raise UsageError("write --prefix or --list-file, not both")
    if prefix and words.split_location(ends.src)[1]:
        raise UsageError(f"with --prefix write the source as s3://{words.split_location(ends.src)[0]}")
    message = group_pb2.CreateTaskGroupRequest(
        task_type=group_pb2.TASK_GROUP_TYPE_LIST if list_file else group_pb2.TASK_GROUP_TYPE_PREFIX,
        request_id=request_id or "",
    )
    words.fill_migration_options(message, options)
    words.fill_smn_config(message, notice)
    source_keys = words.keys_from_environment("SRC")
    message.src_node.CopyFrom(words.source_node(source, prefix or (), source_keys, list_file))
    message.dst_node.CopyFrom(words.destination_node(destination, words.keys_from_environment("DST")))
    async with session.group_client() as client:
        group_id = await client.create(message)
        session.say(f"task group {group_id} created", group_id=group_id)
        return await watch_until_end(session, client, group_id) if watch else None


@app.command("list")
@command
async def list_(
    session: Session,
    status: Annotated[
        str | None,
        typer.Option(help="Only groups in this status, like creating or migration-failed."),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many groups, 1 to 100.")] = 20,
    offset: OffsetOption = 0,
) -> None:
    """List groups, newest first."""
    from omsd.cli import group_show
    from omsd.pb.v1 import group_pb2

    request = group_pb2.ListTaskGroupsRequest(limit=limit, offset=offset)
    if status is not None:
        name = status.upper().replace("-", "_")
        if name not in GroupState.__members__:
            words = ", ".join(state.name.lower().replace("_", "-") for state in GroupState)
            raise UsageError(f"--status {status!r}: write one of {words}")
        request.status = group_pb2.TaskGroupStatus.Value(f"TASK_GROUP_STATUS_{name}")
    async with session.group_client() as client:
        page = await client.list(request)
    if session.wrote_json(page):
        return
    rows = [
        (
            group.group_id,
            group_show.status_word(group),
            f"{group.progress * 100:.1f} %",
            group_show.tasks_text(group),
            group_show.objects_text(group),
            group_show.bytes_text(group),
            group_show.source_text(group),
            group_show.target_text(group),
        )
        for group in page.taskgroups
    ]
    headers = ("ID", "STATUS", "PROGRESS", "TASKS", "OBJECTS", "BYTES", "SOURCE", "DESTINATION")
    session.page(headers, rows, total=page.count, what="groups")


@app.command("show")
@command
async def show_(session: Session, group_id: GroupIdArgument) -> None:
    """Show one group. `omsctl task list --group ID` shows its tasks."""
    from omsd.cli import group_show

    async with session.group_client() as client:
        group = await client.get(group_id)
    if not session.wrote_json(group):
        session.details(group_show.details(group))


@app.command("watch")
@command
async def watch_(session: Session, group_id: GroupIdArgument) -> Exit:
    """Show the progress of a group and its running tasks until it has ended; exit code 1 if it failed."""
    async with session.group_client() as client:
        return await watch_until_end(session, client, group_id)


@app.command("start", epilog=KEYS_HELP)
@command
async def start(session: Session, group_id: GroupIdArgument, watch: WatchOption = False) -> Exit | None:
    """Start a paused group and its paused tasks; it wants its keys again."""
    from omsd.cli.request import fill_keys_from_environment
    from omsd.pb.v1 import group_pb2

    request = group_pb2.StartTaskGroupRequest(group_id=group_id)
    fill_keys_from_environment(request)
    async with session.group_client() as client:
        await client.start(request)
        session.say(f"task group {group_id} started", group_id=group_id)
        return await watch_until_end(session, client, group_id) if watch else None


@app.command("retry", epilog=KEYS_HELP)
@command
async def retry(
    session: Session,
    group_id: GroupIdArgument,
    failed_only: Annotated[
        bool, typer.Option("--failed-only", help="Of each failed task only the objects that failed.")
    ] = False,
    stored_keys: Annotated[
        bool,
        typer.Option(
            "--stored-keys", help="Send no keys: while tasks of the group are at work they are still stored."
        ),
    ] = False,
    watch: WatchOption = False,
) -> Exit | None:
    """Start a failed group and its failed tasks again; goes on making tasks if that had failed."""
    from omsd.cli.request import fill_keys_from_environment
    from omsd.pb.v1 import group_pb2

    request = group_pb2.RetryTaskGroupRequest(group_id=group_id, migrate_failed_object=failed_only)
    if not stored_keys:
        fill_keys_from_environment(request)
    async with session.group_client() as client:
        await client.retry(request)
        session.say(f"task group {group_id} is retried", group_id=group_id)
        return await watch_until_end(session, client, group_id) if watch else None


@app.command("stop")
@command
async def stop(session: Session, group_id: GroupIdArgument) -> None:
    """Pause a group: no more tasks are made; what is moved just now is finished first."""
    async with session.group_client() as client:
        await client.stop(group_id)
    session.say(f"task group {group_id} is pausing", group_id=group_id)


@app.command("delete")
@command
async def delete(session: Session, group_id: GroupIdArgument) -> None:
    """Delete a group that does not run, and its tasks; migrated objects stay."""
    async with session.group_client() as client:
        await client.delete(group_id)
    session.say(f"task group {group_id} is being deleted", group_id=group_id)


@app.command("limit")
@command
async def limit(
    session: Session,
    group_id: GroupIdArgument,
    window: WindowOption = None,
    none: NoWindowsOption = False,
) -> None:
    """Replace the bandwidth windows of all tasks together, at once. Outside of them nothing is limited."""
    from omsd.cli.request import new_windows

    windows = new_windows(window, none=none)
    async with session.group_client() as client:
        await client.limit(group_id, windows)
    said = ", ".join(window or ()) or "none"
    session.say(f"limits of task group {group_id}: {said}", group_id=group_id)


async def watch_until_end(session: Session, client: GroupClient, group_id: str) -> Exit:
    """Show a group until it has ended. Leaving it (Ctrl-C) leaves the group alone."""
    from omsd.cli import group_progress
    from omsd.cli.display import show_until_end
    from omsd.pb.v1 import group_pb2

    display = group_progress.open_group_display(session.console(), as_json=session.output is Output.JSON)
    try:
        watched = await show_until_end(client.watch(group_id), display)
    except asyncio.CancelledError:
        complain(f"task group {group_id} goes on; `omsctl group watch {group_id}` shows it again")
        raise
    if watched is None or watched.task_group.status not in group_progress.ENDED:
        complain(f"task group {group_id} was deleted")
        return Exit.NOT_FOUND
    if watched.task_group.status != group_pb2.TASK_GROUP_STATUS_COMPLETED:
        reason = watched.task_group.error_reason
        complain(f"task group {group_id} failed: {reason.error_code} {reason.error_msg}")
        return Exit.TASK_FAILED
    return Exit.OK
