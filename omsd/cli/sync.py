"""`omsctl sync ...`: synchronization tasks, which copy the objects that events name."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from omsd.cli.options import KEYS_HELP, CopyOptions, Ends, OffsetOption
from omsd.cli.session import Session, UsageError, command, complain
from omsd.domain.model import CloudType
from omsd.domain.sync import SyncState
from omsd.domain.sync_figures import DataType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omsd.pb.v1 import sync_pb2

app = typer.Typer(no_args_is_help=True, help="Synchronization tasks.", rich_markup_mode=None)

EVENTS_PER_CALL = 100
_BAR_WIDTH = 40

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The synchronization task's id.")]
_CLOUDS = ", ".join(c.value for c in CloudType if c not in (CloudType.URL_SOURCE, CloudType.GOOGLE))


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketEnds(Ends):
    """Whole buckets at both ends."""

    src: Annotated[str, typer.Argument(metavar="SRC", help="s3://bucket of the source.")]
    dst: Annotated[str, typer.Argument(metavar="DST", help="s3://bucket of the destination.")]
    src_cloud: Annotated[str, typer.Option(help=f"AWS for any S3-compatible service. One of {_CLOUDS}.")] = (
        CloudType.AWS
    )
    dst_cloud: Annotated[str, typer.Option(help="Cloud of the destination.")] = CloudType.AWS


@app.command("create", epilog=KEYS_HELP)
@command
async def create(
    session: Session,
    ends: BucketEnds,
    options: CopyOptions,
    deletes: Annotated[
        bool, typer.Option("--deletes", help="Delete at the destination what is gone at the source.")
    ] = False,
) -> None:
    """Create a task that follows SRC with DST by the events it is sent."""
    from omsd.cli import request as words
    from omsd.pb.v1 import sync_pb2

    buckets = []
    for location in (ends.src, ends.dst):
        bucket, prefix = words.split_location(location)
        if prefix:
            raise UsageError(f"{location!r}: a synchronization task is for whole buckets, s3://{bucket}")
        buckets.append(bucket)
    message = sync_pb2.CreateSyncTaskRequest(
        src_cloud_type=ends.src_cloud,
        src_region=ends.src_region,
        src_endpoint=ends.src_endpoint,
        app_id=ends.src_app_id,
        src_bucket=buckets[0],
        dst_cloud_type=ends.dst_cloud,
        dst_region=ends.dst_region,
        dst_endpoint=ends.dst_endpoint,
        dst_bucket=buckets[1],
        enable_delete=deletes,
    )
    words.fill_copy_options(message, options)
    words.fill_keys_from_environment(message)
    async with session.sync_client() as client:
        made = await client.create(message)
    session.say(f"synchronization task {made} created", id=made)


@app.command("list")
@command
async def list_(
    session: Session,
    status: Annotated[
        SyncState | None, typer.Option(case_sensitive=False, help="Only tasks in this state.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many tasks, 1 to 100.")] = 20,
    offset: OffsetOption = 0,
) -> None:
    """List synchronization tasks, newest first."""
    from omsd.pb.v1 import sync_pb2

    request = sync_pb2.ListSyncTasksRequest(limit=limit, offset=offset)
    if status is not None:
        request.status = sync_pb2.SyncTaskStatus.Value(f"SYNC_TASK_STATUS_{status}")
    async with session.sync_client() as client:
        page = await client.list(request)
    if session.wrote_json(page):
        return
    rows = [
        (
            task.sync_task_id,
            _status_word(task),
            str(task.queued_object),
            f"s3://{task.src_bucket}",
            f"s3://{task.dst_bucket}",
        )
        for task in page.tasks
    ]
    session.page(("ID", "STATUS", "QUEUED", "SOURCE", "DESTINATION"), rows, total=page.count, what="tasks")


@app.command("show")
@command
async def show_(
    session: Session,
    sync_task_id: IdArgument,
    month: Annotated[
        str | None, typer.Option(help="Figures of this month, like 2026-01; default: this month.")
    ] = None,
) -> None:
    """Show one task and its figures of a month."""
    async with session.sync_client() as client:
        task = await client.get(sync_task_id, _month_ms(month))
    if session.wrote_json(task):
        return
    from omsd.cli import show

    rows = [
        ("id", task.sync_task_id),
        ("status", _status_word(task)),
        ("source", _place(task.src_bucket, task.src_cloud_type, task.src_region, task.src_endpoint)),
        ("destination", _place(task.dst_bucket, task.dst_cloud_type, task.dst_region, task.dst_endpoint)),
        ("description", task.description),
        ("deletes", "yes" if task.enable_delete else "no"),
        ("created", _time_text(task.create_time)),
        ("started", _time_text(task.last_start_time)),
        ("queued", str(task.queued_object)),
        ("requested", str(task.monthly_acceptance_request)),
        ("succeeded", f"{task.monthly_success_object}, {show.size_text(task.monthly_size)}"),
        ("failed", str(task.monthly_failed_object)),
        ("skipped", str(task.monthly_skip_object)),
    ]
    session.details(rows)


@app.command("stats")
@command
async def stats(
    session: Session,
    sync_task_id: IdArgument,
    kind: Annotated[
        list[DataType] | None, typer.Option(case_sensitive=False, help="What to show. Repeatable.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.1, max=1000, help="How far back.")] = 24.0,
) -> None:
    """Plot what a task did, in five minutes for up to 24 hours, else in hours."""
    from omsd.pb.v1 import sync_pb2

    end_ms = int(datetime.now(UTC).timestamp() * 1000)
    request = sync_pb2.GetSyncTaskStatisticsRequest(
        sync_task_id=sync_task_id,
        data_type=[sync_pb2.SyncDataType.Value(f"SYNC_DATA_TYPE_{one}") for one in kind or DataType],
        start_time=end_ms - int(hours * 3_600_000),
        end_time=end_ms,
    )
    async with session.sync_client() as client:
        answer = await client.statistics(request)
    if session.wrote_json(answer):
        return
    for entry in answer.statistic_datas:
        name = sync_pb2.SyncDataType.Name(entry.data_type).removeprefix("SYNC_DATA_TYPE_")
        sys.stdout.write(f"{name}: {sum(point.statistic_num for point in entry.data)}\n")
        sys.stdout.writelines(f"  {line}\n" for line in plot(entry.data))


@app.command("event")
@command
async def event(
    session: Session,
    sync_task_id: IdArgument,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY...", help="Keys as they are.")] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Keys from standard input, one a line.")] = False,
) -> None:
    """Synchronize these objects now; done when the server has stored the wish."""
    wanted = list(keys or ())
    if stdin:
        wanted += [line for line in sys.stdin.read().splitlines() if line]
    if not wanted:
        raise UsageError("write one or more keys, or --stdin")
    encoded = [quote(key, safe="/") for key in wanted]
    async with session.sync_client() as client:
        for first in range(0, len(encoded), EVENTS_PER_CALL):
            await client.events(sync_task_id, encoded[first : first + EVENTS_PER_CALL])
    events = "event" if len(wanted) == 1 else "events"
    session.say(f"{len(wanted)} {events} accepted", id=sync_task_id, accepted=len(wanted))


@app.command("start", epilog=KEYS_HELP)
@command
async def start(session: Session, sync_task_id: IdArgument) -> None:
    """Start a stopped task; it wants its keys again."""
    from omsd.cli.request import fill_keys_from_environment
    from omsd.pb.v1 import sync_pb2

    request = sync_pb2.StartSyncTaskRequest(sync_task_id=sync_task_id)
    fill_keys_from_environment(request)
    async with session.sync_client() as client:
        await client.start(request)
    session.say(f"synchronization task {sync_task_id} started", id=sync_task_id)


@app.command("stop")
@command
async def stop(session: Session, sync_task_id: IdArgument) -> None:
    """Take no more events; those accepted are finished."""
    async with session.sync_client() as client:
        await client.stop(sync_task_id)
    session.say(f"synchronization task {sync_task_id} stopped", id=sync_task_id)


@app.command("delete")
@command
async def delete(session: Session, sync_task_id: IdArgument) -> None:
    """Delete a stopped task with its figures; what it copied stays."""
    async with session.sync_client() as client:
        await client.delete(sync_task_id)
    session.say(f"synchronization task {sync_task_id} deleted", id=sync_task_id)


@app.command("secret")
@command
async def secret(session: Session, sync_task_id: IdArgument) -> None:
    """Make the secret for S3 event notifications, which is shown this once; the one before it is not good any more."""
    async with session.sync_client() as client:
        made = await client.rotate_secret(sync_task_id)
    session.say(
        f"path    {made.path}\nsecret  {made.secret}",
        id=sync_task_id,
        path=made.path,
        secret=made.secret,
        listen=made.listen,
    )
    if not made.listen:
        complain("the server takes no notifications; set [sync] events_listen in its configuration")


def plot(points: Sequence[sync_pb2.StatisticData]) -> list[str]:
    """A line for each interval: local time, a bar, the figure."""
    most = max((point.statistic_num for point in points), default=0)
    return [
        f"{_time_text(point.time_stamp)[:16]}  "
        f"{('#' * max(1, round(_BAR_WIDTH * point.statistic_num / most))).ljust(_BAR_WIDTH)}  {point.statistic_num}"
        for point in points
    ]


def _month_ms(text: str | None) -> int | None:
    """The middle of the month, so that no time zone makes another one of it."""
    if text is None:
        return None
    try:
        return int(datetime.strptime(text + "-15 UTC", "%Y-%m-%d %Z").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError as error:
        raise UsageError(f"--month {text!r}: write a month like 2026-01") from error


def _status_word(task: sync_pb2.SyncTask) -> str:
    from omsd.pb.v1 import sync_pb2

    return sync_pb2.SyncTaskStatus.Name(task.status).removeprefix("SYNC_TASK_STATUS_").lower()


def _place(bucket: str, *about: str) -> str:
    return f"s3://{bucket} ({', '.join(filter(None, about))})"


def _time_text(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone().isoformat(sep=" ", timespec="seconds")
