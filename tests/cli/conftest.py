"""omsctl as a process of its own, against a real server in this loop with the fake task service behind it.

`spawn` starts it as a user does; `omsctl` forks it from a process that has loaded it, for commands that only run to their end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import grpc_server
from tests.waiting import PATIENCE_S

tasks, syncs, groups = grpc_server.tasks, grpc_server.syncs, grpc_server.groups
server, address = grpc_server.server, grpc_server.address

ROOT = Path(__file__).resolve().parent.parent.parent
KEYS = {
    "OMSCTL_SRC_AK": "SRCAK",
    "OMSCTL_SRC_SK": "SRCSK",
    "OMSCTL_DST_AK": "DSTAK",
    "OMSCTL_DST_SK": "DSTSK",
}


@dataclass(frozen=True)
class Done:
    """What a finished command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Omsctl = Callable[..., Awaitable[Done]]
Spawn = Callable[..., Awaitable[asyncio.subprocess.Process]]


def environment(address: str, environ: dict[str, str]) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OMSCTL_"))
    }
    return {**inherited, "OMSCTL_SERVER": address, "COLUMNS": "200", **environ}


@pytest.fixture
async def spawn(address: str) -> AsyncIterator[Spawn]:
    started: list[asyncio.subprocess.Process] = []

    async def spawn(*arguments: str, **environ: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "from omsd.cli.omsctl import run; run()"),
            *arguments,
            cwd=ROOT,
            env=environment(address, environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return process

    yield spawn
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.fixture(scope="session")
def preloaded() -> Iterator[subprocess.Popen[bytes]]:
    """Runs commands for the session; a command that does not end ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.preloaded"],
        cwd=ROOT,
        env={**os.environ, "GRPC_VERBOSITY": "ERROR"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        yield process
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def omsctl(address: str, preloaded: subprocess.Popen[bytes]) -> Omsctl:
    async def run(*arguments: str, **environ: str) -> Done:
        asked = {"arguments": arguments, "environ": environment(address, {**KEYS, **environ})}

        def ask() -> bytes:
            assert preloaded.stdin is not None
            assert preloaded.stdout is not None
            preloaded.stdin.write(json.dumps(asked).encode() + b"\n")
            preloaded.stdin.flush()
            return preloaded.stdout.readline()

        asking = asyncio.create_task(asyncio.to_thread(ask))
        if not (await asyncio.wait([asking], timeout=PATIENCE_S))[0]:
            os.killpg(preloaded.pid, signal.SIGKILL)
        answer = await asking
        assert answer, f"omsctl {arguments} did not end"
        code, out, err = json.loads(answer)
        assert "Traceback" not in err, err
        return Done(code, out, err)

    return run
