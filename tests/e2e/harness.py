"""A real daemon as a subprocess, and tasks on it over gRPC."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from omsd.cli.client import CallError, ServerAddress
from omsd.cli.task_client import TaskClient
from omsd.pb.v1 import task_pb2, types_pb2
from tests.processes import Process, free_port
from tests.servers import S3Server
from tests.waiting import PATIENCE_S, until

# How long a whole task may take: it only ends what hangs.
TASK_DEADLINE_S = 3 * PATIENCE_S
LIST_FOLDERS = ("oms/success_object_lists/", "oms/skip_object_lists/", "oms/failed_object_lists/")
WAITING, MIGRATING, PAUSED, FAILED, SUCCEEDED, PAUSING = 1, 2, 3, 4, 5, 7


@dataclass
class Daemon:
    """`omsd serve` in a folder of its own; start() and kill() as often as a test likes."""

    folder: Path
    workers: int = 2
    extra: str = ""
    server_side_copy: bool = False
    server_side_copy_part_mib: int = 256
    limits: str = ""
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        return self.folder / "omsd.toml"

    def write_config(self) -> None:
        # Most tests have one server at both ends and are about what happens to bytes on their way through the workers.
        copying = str(self.server_side_copy).lower()
        self.config.write_text(
            f'[server]\ngrpc_listen = "{self.address}"\nstate_dir = "{self.folder / "state"}"\nworkers = {self.workers}\n'
            f'time_zone = "UTC"\n[limits]\nserver_side_copy = {copying}\n'
            f"server_side_copy_part_mib = {self.server_side_copy_part_mib}\n{self.limits}"
            f'[log]\nformat = "json"\n[network]\nallow_private = ["loopback"]\n{self.extra}'
        )

    async def start(self, env: Mapping[str, str] | None = None) -> None:
        """The daemon answers."""
        self.write_config()
        before = len(self.log())
        self.process = Process(
            [sys.executable, "-m", "omsd", "serve", "--config", str(self.config)],
            cwd=self.folder,
            env=env,
            deadline_s=1800.0,
        )
        async with asyncio.timeout(PATIENCE_S):
            while '"event": "ready"' not in self.log()[before:]:
                assert self.process.alive(), self.log()[before:]
                await asyncio.sleep(0.05)

    def log(self) -> str:
        """All it has printed, over all starts."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def events(self) -> list[dict[str, Any]]:
        """The log lines that are JSON; not one that is being written."""
        whole, _, _ = self.log().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def worker_pids(self) -> list[int]:
        """The live workers, children of the daemon; none if it lives no more."""
        assert self.process is not None
        try:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(child) for child in children.split()]

    async def kill_worker(self, rng: random.Random) -> None:
        """kill -9 of one of the workers, once there is one."""
        await until(self.worker_pids, pause_s=0.01)
        _kill(rng.choice(self.worker_pids()))

    def kill_workers(self) -> None:
        """kill -9 of all workers."""
        for pid in self.worker_pids():
            _kill(pid)

    def kill(self) -> None:
        """kill -9 of the control process alone."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.popen.wait(PATIENCE_S)

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, deadline_s: float = PATIENCE_S) -> int:
        """The exit status after a signal."""
        assert self.process is not None
        os.kill(self.process.pid, number)
        return await asyncio.to_thread(self.process.popen.wait, deadline_s)

    def end(self) -> None:
        """Nothing of it runs any more."""
        if self.process is not None and self.process.alive():
            self.kill_workers()
            self.process.kill()

    def state_files(self) -> list[bytes]:
        """What is stored, file by file."""
        return [path.read_bytes() for path in (self.folder / "state").iterdir() if path.is_file()]

    def client(self, project: str = "p1") -> TaskClient:
        return TaskClient(ServerAddress(self.address), project)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def node(server: S3Server, bucket: str, url: str = "") -> dict[str, Any]:
    """What both node messages have in common."""
    return {
        "cloud_type": "AWS",
        "region": server.region,
        "bucket": bucket,
        "ak": server.access_key,
        "sk": server.secret_key,
        "endpoint": url or server.url,
    }


def request(
    source: dict[str, Any], destination: dict[str, Any], keys: list[str] | None = None, **fields: Any
) -> task_pb2.CreateTaskRequest:
    """A task over the whole bucket unless keys are named."""
    fields.setdefault("task_type", types_pb2.TASK_TYPE_PREFIX)
    return task_pb2.CreateTaskRequest(
        src_node=task_pb2.SrcNodeReq(object_key=[""] if keys is None else keys, **source),
        dst_node=task_pb2.DstNodeReq(**destination),
        **fields,
    )


def keys_again(server: S3Server, task_id: int, **fields: Any) -> task_pb2.StartTaskRequest:
    """A start with the keys of one server for both ends."""
    ak, sk = server.access_key, server.secret_key
    return task_pb2.StartTaskRequest(task_id=task_id, src_ak=ak, src_sk=sk, dst_ak=ak, dst_sk=sk, **fields)


async def wait_for(
    client: TaskClient,
    task_id: int,
    reached: Callable[[task_pb2.Task], bool],
    *,
    deadline_s: float = TASK_DEADLINE_S,
    calmest_s: float = 0.02,
) -> task_pb2.Task:
    """Poll until the task is as wanted; each view on the way must add up. calmest_s: the pause that it works up to."""
    pause_s = 0.02
    task = task_pb2.Task()
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                try:
                    task = await client.get(task_id)
                except CallError as error:
                    if not error.unreachable:
                        raise
                else:
                    check_view(task)
                    if reached(task):
                        return task
                await asyncio.sleep(pause_s)
                pause_s = min(calmest_s, 1.5 * pause_s)
    except TimeoutError:
        raise AssertionError(f"not reached within {deadline_s} s: {task}") from None


def check_view(task: task_pb2.Task) -> None:
    """What is true of a task at every moment."""
    accounted = task.successful_num + task.skipped_num + task.failed_num
    assert accounted <= task.total_num, task
    assert 0.0 <= task.progress <= 1.0, task
    assert task.real_size <= task.complete_size, task
    if task.status == SUCCEEDED:
        assert accounted == task.total_num, task
        assert task.failed_num == 0, task
        assert task.progress == 1.0, task
        assert task.is_query_over, task
    assert (task.error_reason.error_code != "") == (task.status == FAILED), task


async def ended(client: TaskClient, task_id: int, *, deadline_s: float = TASK_DEADLINE_S) -> task_pb2.Task:
    """The task when it has succeeded or failed."""
    # Nobody waits for a moment on the way here, and each look costs two processes a millisecond.
    return await wait_for(
        client,
        task_id,
        lambda task: task.status in (SUCCEEDED, FAILED),
        deadline_s=deadline_s,
        calmest_s=0.15,
    )


def our_lists(keys: Iterable[str]) -> set[str]:
    """The keys that are object lists of a task."""
    return {key for key in keys if key.startswith(LIST_FOLDERS)}


async def migrated(server: S3Server, bucket: str) -> dict[str, bytes]:
    """What tasks brought into a bucket: all of it, but for their own object lists."""
    everything = await server.get_all(bucket)
    lists = our_lists(everything)
    return {key: data for key, data in everything.items() if key not in lists}


async def read_list(server: S3Server, bucket: str, key: str) -> list[dict[str, str]]:
    """The lines of an object list by column, keys as they were."""
    header, *lines = (await server.get(bucket, key)).decode().splitlines()
    names = header.split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    return [{**row, "key": unquote(row["key"])} for row in rows]
