"""`omsctl task ...`: every command is one call of the API and one answer on the screen."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omsd.cli.session import Exit, Output, Session, UsageError, command, complain
from omsd.domain.model import CloudType, ConsistencyCheck, OverwriteMode, Priority, StoragePolicy, TaskState
from omsd.domain.notices import NoticeLanguage

if TYPE_CHECKING:
    from omsd.cli.client import TaskClient

app = typer.Typer(no_args_is_help=True, help="Migration tasks.", rich_markup_mode=None)

KEYS_HELP = (
    "Keys come from OMSCTL_SRC_AK, OMSCTL_SRC_SK, OMSCTL_SRC_TOKEN and OMSCTL_DST_AK, OMSCTL_DST_SK, OMSCTL_DST_TOKEN, "
    "else from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, else from a hidden prompt; never from arguments."
)

TaskIdArgument = Annotated[int, typer.Argument(min=1, metavar="ID", help="The task's id.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Show the progress until the task has ended.")]
WindowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--window",
        metavar="HH:MM-HH:MM=RATE",
        help="Limit in a daily window, like 08:00-18:00=20MB. Repeatable.",
    ),
]
NotifyTopicOption = Annotated[
    str | None,
    typer.Option(
        metavar="URN", help="Tell this topic of the end: urn:smn:<region>:<project_id>:<topic_name>."
    ),
]
NotifyOnOption = Annotated[
    str, typer.Option(metavar="ENDS", help="Which ends: success, failure or success,failure.")
]
NotifyLanguageOption = Annotated[
    NoticeLanguage, typer.Option(case_sensitive=False, help="Language of the message.")
]
NotifyTemplateOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Send by this message template of the topic's service.")
]


def cloud_option(end: str) -> Any:
    """--src-cloud and --dst-cloud."""
    clouds = ", ".join(cloud.value for cloud in CloudType if cloud is not CloudType.URL_SOURCE)
    return typer.Option(help=f"Cloud of the {end}; AWS for any S3-compatible service. One of {clouds}.")


def region_option(end: str) -> Any:
    """--src-region and --dst-region."""
    return typer.Option(help=f"Region of the {end}.")


def endpoint_option(end: str) -> Any:
    """--src-endpoint and --dst-endpoint."""
    return typer.Option(help=f"URL of the {end}'s service, instead of the region's own.")


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
    priority: Annotated[
        Priority, typer.Option(case_sensitive=False, help="Which waiting task is next.")
    ] = Priority.MEDIUM,
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
        typer.Option(help="A repeat with the same id returns the same task. At most 64 characters."),
    ] = None,
    watch: WatchOption = False,
) -> Exit | None:
    """Create a task that copies SRC to DST, and start it."""
    from omsd.cli import request as words  # noqa: PLC0415
    from omsd.pb.v1 import task_pb2, types_pb2  # noqa: PLC0415

    source = words.Node(src, src_cloud, src_region, src_endpoint, src_app_id)
    destination = words.Node(dst, dst_cloud, dst_region, dst_endpoint)
    for node in (source, destination):
        words.split_location(node.location)
    message = task_pb2.CreateTaskRequest(
        bandwidth_policy=words.windows_from(window or ()),
        src_node=words.source_node(source, key or (), words.keys_from_environment("SRC"), list_file),
        dst_node=words.destination_node(destination, words.keys_from_environment("DST")),
        task_type=types_pb2.TASK_TYPE_LIST
        if list_file
        else types_pb2.TASK_TYPE_OBJECT
        if key
        else types_pb2.TASK_TYPE_PREFIX,
        object_overwrite_mode=types_pb2.ObjectOverwriteMode.Value(f"OBJECT_OVERWRITE_MODE_{overwrite}"),
        consistency_check=types_pb2.ConsistencyCheck.Value(f"CONSISTENCY_CHECK_{check.upper()}"),
        dst_storage_policy=types_pb2.DstStoragePolicy.Value(f"DST_STORAGE_POLICY_{storage}"),
        task_priority=types_pb2.TaskPriority.Value(f"TASK_PRIORITY_{priority}"),
        enable_metadata_migration=metadata,
        enable_failed_object_recording=record_failed,
        enable_restore=restore or None,
        enable_kms=kms or None,
        enable_requester_pays=requester_pays or None,
        request_id=request_id or "",
    )
    if description is not None:
        message.description = description
    words.fill_smn_config(message, notify_topic, notify_on, notify_language, notify_template)
    if since is not None:
        message.migrate_since = words.seconds_from(since)
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
    offset: Annotated[int, typer.Option(help="How many of the newest to leave out.")] = 0,
) -> None:
    """List tasks, newest first."""
    from omsd.cli import show  # noqa: PLC0415
    from omsd.pb.v1 import task_pb2, types_pb2  # noqa: PLC0415

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
    if session.output is Output.JSON:
        sys.stdout.write(json.dumps(show.to_json(page), ensure_ascii=False) + "\n")
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
    session.table(("ID", "STATUS", "PROGRESS", "OBJECTS", "BYTES", "SOURCE", "DESTINATION"), rows)
    if page.count > len(rows):
        complain(f"{len(rows)} of {page.count} tasks shown; --offset and --limit show others")


@app.command("show")
@command
async def show_(session: Session, task_id: TaskIdArgument) -> None:
    """Show one task."""
    from omsd.cli import show  # noqa: PLC0415

    async with session.client() as client:
        task = await client.get(task_id)
    if session.output is Output.JSON:
        sys.stdout.write(json.dumps(show.to_json(task), ensure_ascii=False) + "\n")
    else:
        rows = show.details(task)
        width = max(len(name) for name, _ in rows)
        sys.stdout.write("".join(f"{name.ljust(width)}  {text}\n" for name, text in rows))


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
    from omsd.cli.request import fill_keys, keys_from_environment  # noqa: PLC0415
    from omsd.pb.v1 import task_pb2  # noqa: PLC0415

    request = task_pb2.StartTaskRequest(task_id=task_id, migrate_failed_object=failed_only)
    fill_keys(request, keys_from_environment("SRC"), keys_from_environment("DST"))
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
    none: Annotated[bool, typer.Option("--none", help="Remove all limits.")] = False,
) -> None:
    """Replace the bandwidth windows of a task, at once. Outside of them nothing is limited."""
    from omsd.cli.request import windows_from  # noqa: PLC0415

    if bool(window) is none:
        raise UsageError("write --window (again for each one), or --none")
    windows = windows_from(window or ())
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
    from omsd.pb.v1 import types_pb2  # noqa: PLC0415

    async with session.client() as client:
        await client.set_priority(task_ids, types_pb2.TaskPriority.Value(f"TASK_PRIORITY_{priority}"))
    session.say(f"priority is {priority}: {', '.join(map(str, task_ids))}", ids=task_ids)


async def watch_until_end(session: Session, client: TaskClient, task_id: int) -> Exit:
    """Show a task until it has ended. Leaving it (Ctrl-C) leaves the task alone."""
    from omsd.cli import progress  # noqa: PLC0415
    from omsd.pb.v1 import types_pb2  # noqa: PLC0415

    display = progress.open_display(session.console(), as_json=session.output is Output.JSON)
    try:
        task = await progress.show_until_end(client.watch(task_id), display)
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
