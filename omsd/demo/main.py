"""The demo's story: start a server and the daemon, fill a bucket, migrate it, read both buckets again, show the result."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from omsd.cli.client import CallError, ServerAddress
from omsd.cli.display import show_until_end
from omsd.cli.progress import open_display
from omsd.cli.request import Keys, Node, destination_node, source_node
from omsd.cli.show import size_text
from omsd.cli.task_client import TaskClient
from omsd.demo.compare import Comparison, compare, read_bucket
from omsd.demo.dataset import FULL, SMALL, Scale, fill, open_client
from omsd.demo.errors import DemoError
from omsd.demo.processes import Child, S3Access, open_daemon, open_folder, open_seaweed
from omsd.pb.v1 import task_pb2, types_pb2

SOURCE, TARGET = "demo-source", "demo-destination"
DEADLINE_S = 600.0
_SHOWN_DIFFERENCES = 20
_EXPECTED = (DemoError, CallError, BotoCoreError, ClientError, OSError)


@dataclass(frozen=True, slots=True)
class Migrated:
    """The task's end and how long it took by our own clock."""

    task: task_pb2.Task
    wall_s: float


def run_demo(keep: bool = False, small: bool = False) -> int:
    """Run the demo; the exit status: 0 only if both buckets are equal, 130 if it was interrupted.

    keep: the folder with logs and data stays. small: a set that is moved in a second or two.
    """
    console = Console(highlight=False)
    try:
        return asyncio.run(_run(console, SMALL if small else FULL, keep))
    except (KeyboardInterrupt, _InterruptedError):
        console.print("interrupted; everything that was started is ended")
        return 130
    except (*_EXPECTED, ExceptionGroup) as error:
        for leaf in _leaves(error):
            if not isinstance(leaf, _EXPECTED):
                raise
            console.print(f"the demo failed: {leaf}", markup=False, style="red", soft_wrap=True)
        return 1


class _InterruptedError(Exception):
    """A signal came that asks the demo to end."""


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


async def _run(console: Console, scale: Scale, keep: bool) -> int:
    with _ended_by_signals():
        async with asyncio.timeout(DEADLINE_S):
            with open_folder(keep=keep) as folder:
                if keep:
                    console.print(f"data and logs are kept in {folder}")
                return await _tell(console, scale, folder)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """The first of them ends the demo in good order, whatever comes after it.

    A second Ctrl-C must not be raised where the loop happens to be: a task that it breaks there never ends, nor does the loop that
    waits for it. The handlers go with the loop.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    came = False

    def cancel() -> None:
        nonlocal came
        if not came:
            came = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, cancel)
    try:
        yield
    except asyncio.CancelledError:
        if came:
            raise _InterruptedError from None
        raise


async def _tell(console: Console, scale: Scale, folder: Path) -> int:
    async with contextlib.AsyncExitStack() as stack:
        with _step(console, "1/5", "starting SeaweedFS, a real S3 server") as say:
            access = await stack.enter_async_context(open_seaweed(folder))
            client = await stack.enter_async_context(open_client(access))
            say(access.url)
        with _step(console, "2/5", "filling the source bucket") as say:
            await client.create_bucket(Bucket=SOURCE)
            await client.create_bucket(Bucket=TARGET)
            sizes: list[int] = []
            await fill(client, SOURCE, scale, sizes.append)
            say(f"{len(sizes)} objects, {size_text(sum(sizes))}")
        with _step(console, "3/5", "starting the daemon, omsd serve") as say:
            address, daemon = await stack.enter_async_context(open_daemon(folder))
            say(f"gRPC on {address}")
        console.print(f"4/5  migrating s3://{SOURCE} to s3://{TARGET}")
        migrated = await _migrate(console, address, access, daemon)
        with _step(console, "5/5", "reading both buckets again, with another client") as say:
            source = await read_bucket(client, SOURCE, lambda _: None)
            target = await read_bucket(client, TARGET, lambda _: None)
            say(f"{len(source)} and {len(target)} objects")
        result = compare(source, target)
    return _show_result(console, migrated, result)


@contextlib.contextmanager
def _step(console: Console, number: str, what: str) -> Iterator[Callable[[str], None]]:
    """One line: what is done, what came of it, how long it took."""
    console.print(f"{number}  {what} ... ", end="")
    started = time.monotonic()
    said: list[str] = []
    try:
        yield said.append
    except BaseException:
        console.print()
        raise
    console.print(f"{', '.join(said)} ({time.monotonic() - started:.1f} s)", markup=False)


async def _migrate(console: Console, address: str, access: S3Access, daemon: Child) -> Migrated:
    """The task is created as omsctl would do it, and watched until its end."""
    keys = Keys(access.access_key, access.secret_key, "")
    request = task_pb2.CreateTaskRequest(
        src_node=source_node(Node(f"s3://{SOURCE}", "AWS", access.region, access.url), (), keys),
        dst_node=destination_node(Node(f"s3://{TARGET}", "AWS", access.region, access.url), keys),
        task_type=types_pb2.TASK_TYPE_PREFIX,
        consistency_check=types_pb2.CONSISTENCY_CHECK_CRC64,
        description="demo",
    )
    try:
        async with TaskClient(ServerAddress(address), "demo") as client:
            started = time.monotonic()
            made = await client.create(request)
            last = await show_until_end(client.watch(made.id), open_display(console))
            wall_s = time.monotonic() - started
    except CallError as error:
        raise DemoError(f"{error.code} {error}\nthe daemon's output ends:\n{daemon.log_tail()}") from error
    if last is None:
        raise DemoError(f"the task told nothing; the daemon's output ends:\n{daemon.log_tail()}")
    return Migrated(last, wall_s)


def _show_result(console: Console, migrated: Migrated, result: Comparison) -> int:
    task = migrated.task
    succeeded = task.status == types_pb2.TASK_STATUS_SUCCEEDED
    accounted = task.successful_num + task.skipped_num + task.failed_num
    equal = succeeded and not result.differences and task.successful_num == accounted == result.objects
    table = Table(show_header=False, title="Result", title_justify="left")
    for name, value in (
        ("objects", f"{result.objects}"),
        ("bytes", f"{result.size_bytes} ({size_text(result.size_bytes)})"),
        ("seconds", f"{migrated.wall_s:.1f}"),
        (
            "speed",
            f"{result.objects / migrated.wall_s:.0f} objects/s, {size_text(result.size_bytes / migrated.wall_s)}/s",
        ),
        ("CRC64 matches", f"{result.crc64_matches} of {result.objects}"),
        ("differences", f"{len(result.differences)}"),
    ):
        table.add_row(name, value)
    console.print(table)
    for key, what in result.differences[:_SHOWN_DIFFERENCES]:
        console.print(f"{key!r}: {what}", markup=False, style="red", soft_wrap=True)
    if task.HasField("error_reason"):
        reason = task.error_reason
        console.print(
            f"the task failed: {reason.error_code} {reason.error_msg}",
            markup=False,
            style="red",
            soft_wrap=True,
        )
    if not equal and succeeded and not result.differences:
        console.print(f"the task accounts for {accounted} objects, {result.objects} are there", style="red")
    return 0 if equal else 1
