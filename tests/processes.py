"""Processes that tests start, on free ports; each has a deadline, and dies with the process that started it."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parent.parent
LIFE_DEADLINE_S = 1800.0
STOP_GRACE_S = 5.0
_PR_SET_PDEATHSIG = 1
GRPC_OFFSET = 10_000
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
        if port in _given or not _is_free(port) or (with_grpc and not _is_free(port + GRPC_OFFSET)):
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


def wait_for_http(url: str, process: Process) -> None:
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
