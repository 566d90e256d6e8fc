"""`omsctl group ...`: every command is one call of the API and one answer on the screen."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from omsd.cli.session import Exit, Output, Session, UsageError, command, complain
from omsd.cli.task import (
    KEYS_HELP,
    NotifyLanguageOption,
    NotifyOnOption,
    NotifyTemplateOption,
    NotifyTopicOption,
    WindowOption,
    cloud_option,
    endpoint_option,
    region_option,
)
from omsd.domain.group import GroupState
from omsd.domain.model import CloudType, ConsistencyCheck, OverwriteMode, StoragePolicy
from omsd.domain.notices import NoticeLanguage

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
    src: Annotated[
        str, typer.Argument(metavar="SRC", help="s3://bucket, or s3://bucket/prefix of the keys.")
    ],
    dst: Annotated[
        str, typer.Argument(metavar="DST", help="s3://bucket; a prefix goes in front of each key.")
    ],
    src_cloud: Annotated[str, cloud_option("source")] = CloudType.AWS,
    src_region: Annotated[str | None, region_option("source")] = None,
    src_endpoint: Annotated[str | None, endpoint_option("source")] = None,
    src_app_id: Annotated[str | None, typer.Option(help="APPID of a Tencent source.")] = None,
    dst_cloud: Annotated[str, cloud_option("destination")] = CloudType.AWS,
    dst_region: Annotated[str | None, region_option("destination")] = None,
    dst_endpoint: Annotated[str | None, endpoint_option("destination")] = None,
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
    description: Annotated[str | None, typer.Option(help="At most 255 characters.")] = None,
    overwrite: Annotated[
        OverwriteMode, typer.Option(case_sensitive=False, help="When an object that exists is replaced.")
    ] = OverwriteMode.SIZE_LAST_MODIFIED,
    check: Annotated[
        ConsistencyCheck, typer.Option(case_sensitive=False, help="How the result is checked.")
    ] = ConsistencyCheck.SIZE_LAST_MODIFIED,
    storage: Annotated[
        StoragePolicy, typer.Option(case_sensitive=False, help="Storage class at the destination.")
    ] = StoragePolicy.STANDARD,
    since: Annotated[
        str | None, typer.Option(help="Only objects changed since: Unix seconds or 2026-01-31T12:00.")
    ] = None,
    window: WindowOption = None,
    metadata: Annotated[
        bool, typer.Option("--metadata", help="Migrate metadata, not only Content-Type.")
    ] = False,
    record_failed: Annotated[bool, typer.Option(help="Record failed objects, to be retried alone.")] = True,
    restore: Annotated[bool, typer.Option("--restore", help="Restore archived objects first.")] = False,
    kms: Annotated[bool, typer.Option("--kms", help="Encrypt with KMS at the destination.")] = False,
    requester_pays: Annotated[
        bool, typer.Option("--requester-pays", help="Pay for the source's traffic.")
    ] = False,
    notify_topic: NotifyTopicOption = None,
    notify_on: NotifyOnOption = "success,failure",
    notify_language: NotifyLanguageOption = NoticeLanguage.EN_US,
    notify_template: NotifyTemplateOption = None,
    request_id: Annotated[
        str | None,
        typer.Option(help="A repeat with the same id returns the same group. At most 64 characters."),
    ] = None,
    watch: WatchOption = False,
) -> Exit | None:
    """Create a group of tasks that copy SRC to DST, and start it. Windows limit all its tasks together."""
    from omsd.cli import request as words  # noqa: PLC0415
    from omsd.pb.v1 import group_pb2, types_pb2  # noqa: PLC0415

    source = words.Node(src, src_cloud, src_region, src_endpoint, src_app_id)
    destination = words.Node(dst, dst_cloud, dst_region, dst_endpoint)
    for node in (source, destination):
        words.split_location(node.location)
    if prefix and list_file:
        raise UsageError("write --prefix or --list-file, not both")
    if prefix and words.split_location(src)[1]:
        raise UsageError(f"with --prefix write the source as s3://{words.split_location(src)[0]}")
    message = group_pb2.CreateTaskGroupRequest(
        bandwidth_policy=words.windows_from(window or ()),
        src_node=words.source_node(source, prefix or (), words.keys_from_environment("SRC"), list_file),
        dst_node=words.destination_node(destination, words.keys_from_environment("DST")),
        task_type=group_pb2.TASK_GROUP_TYPE_LIST if list_file else group_pb2.TASK_GROUP_TYPE_PREFIX,
        object_overwrite_mode=types_pb2.ObjectOverwriteMode.Value(f"OBJECT_OVERWRITE_MODE_{overwrite}"),
        consistency_check=types_pb2.ConsistencyCheck.Value(f"CONSISTENCY_CHECK_{check.upper()}"),
        dst_storage_policy=types_pb2.DstStoragePolicy.Value(f"DST_STORAGE_POLICY_{storage}"),
        enable_metadata_migration=metadata,
        enable_failed_object_recording=record_failed,
        enable_restore=restore or None,
        enable_kms=kms or None,
        enable_requester_pays=requester_pays or None,
        request_id=request_id or "",
    )
    words.fill_smn_config(message, notify_topic, notify_on, notify_language, notify_template)
    if description is not None:
        message.description = description
    if since is not None:
        message.migrate_since = words.seconds_from(since)
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
    offset: Annotated[int, typer.Option(help="How many of the newest to leave out.")] = 0,
) -> None:
    """List groups, newest first."""
    from omsd.cli import group_show, show  # noqa: PLC0415
    from omsd.pb.v1 import group_pb2  # noqa: PLC0415

    request = group_pb2.ListTaskGroupsRequest(limit=limit, offset=offset)
    if status is not None:
        name = status.upper().replace("-", "_")
        if name not in GroupState.__members__:
            words = ", ".join(state.name.lower().replace("_", "-") for state in GroupState)
            raise UsageError(f"--status {status!r}: write one of {words}")
        request.status = group_pb2.TaskGroupStatus.Value(f"TASK_GROUP_STATUS_{name}")
    async with session.group_client() as client:
        page = await client.list(request)
    if session.output is Output.JSON:
        sys.stdout.write(json.dumps(show.to_json(page), ensure_ascii=False) + "\n")
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
    session.table(("ID", "STATUS", "PROGRESS", "TASKS", "OBJECTS", "BYTES", "SOURCE", "DESTINATION"), rows)
    if page.count > len(rows):
        complain(f"{len(rows)} of {page.count} groups shown; --offset and --limit show others")


@app.command("show")
@command
async def show_(session: Session, group_id: GroupIdArgument) -> None:
    """Show one group. `omsctl task list --group ID` shows its tasks."""
    from omsd.cli import group_show, show  # noqa: PLC0415

    async with session.group_client() as client:
        group = await client.get(group_id)
    if session.output is Output.JSON:
        sys.stdout.write(json.dumps(show.to_json(group), ensure_ascii=False) + "\n")
    else:
        rows = group_show.details(group)
        width = max(len(name) for name, _ in rows)
        sys.stdout.write("".join(f"{name.ljust(width)}  {text}\n" for name, text in rows))


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
    from omsd.cli.request import fill_keys, keys_from_environment  # noqa: PLC0415
    from omsd.pb.v1 import group_pb2  # noqa: PLC0415

    request = group_pb2.StartTaskGroupRequest(group_id=group_id)
    fill_keys(request, keys_from_environment("SRC"), keys_from_environment("DST"))
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
    from omsd.cli.request import fill_keys, keys_from_environment  # noqa: PLC0415
    from omsd.pb.v1 import group_pb2  # noqa: PLC0415

    request = group_pb2.RetryTaskGroupRequest(group_id=group_id, migrate_failed_object=failed_only)
    if not stored_keys:
        fill_keys(request, keys_from_environment("SRC"), keys_from_environment("DST"))
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
    none: Annotated[bool, typer.Option("--none", help="Remove all limits.")] = False,
) -> None:
    """Replace the bandwidth windows of all tasks together, at once. Outside of them nothing is limited."""
    from omsd.cli.request import windows_from  # noqa: PLC0415

    if bool(window) is none:
        raise UsageError("write --window (again for each one), or --none")
    windows = windows_from(window or ())
    async with session.group_client() as client:
        await client.limit(group_id, windows)
    said = ", ".join(window or ()) or "none"
    session.say(f"limits of task group {group_id}: {said}", group_id=group_id)


async def watch_until_end(session: Session, client: GroupClient, group_id: str) -> Exit:
    """Show a group until it has ended. Leaving it (Ctrl-C) leaves the group alone."""
    from omsd.cli import group_progress  # noqa: PLC0415
    from omsd.pb.v1 import group_pb2  # noqa: PLC0415

    display = group_progress.open_group_display(session.console(), as_json=session.output is Output.JSON)
    try:
        group = await group_progress.show_group_until_end(client.watch(group_id), display)
    except asyncio.CancelledError:
        complain(f"task group {group_id} goes on; `omsctl group watch {group_id}` shows it again")
        raise
    if group is None or group.status not in group_progress.ENDED:
        complain(f"task group {group_id} was deleted")
        return Exit.NOT_FOUND
    if group.status != group_pb2.TASK_GROUP_STATUS_COMPLETED:
        reason = group.error_reason
        complain(f"task group {group_id} failed: {reason.error_code} {reason.error_msg}")
        return Exit.TASK_FAILED
    return Exit.OK
