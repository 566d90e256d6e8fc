"""omsctl as a process of its own, against a real server in this loop with the fake task service behind it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from omsd.api.grpc.server import GrpcServer, group_service, sync_service
from tests.fakes.group_service import FakeGroupService
from tests.fakes.sync_service import FakeSyncService
from tests.fakes.task_service import FakeTaskService

ROOT = Path(__file__).resolve().parent.parent.parent
KEYS = {
    "OMSCTL_SRC_AK": "SRCAK",
    "OMSCTL_SRC_SK": "SRCSK",
    "OMSCTL_DST_AK": "DSTAK",
    "OMSCTL_DST_SK": "DSTSK",
}
DEADLINE_S = 60


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


@pytest.fixture
def tasks() -> FakeTaskService:
    return FakeTaskService()


@pytest.fixture
def syncs() -> FakeSyncService:
    return FakeSyncService()


@pytest.fixture
def groups() -> FakeGroupService:
    return FakeGroupService()


@pytest.fixture
async def server(
    tasks: FakeTaskService, syncs: FakeSyncService, groups: FakeGroupService
) -> AsyncIterator[GrpcServer]:
    server = GrpcServer(tasks, sync_service(syncs), group_service(groups), listen="127.0.0.1:0")
    yield server
    await server.stop(grace_s=0)


@pytest.fixture
async def address(server: GrpcServer) -> str:
    return await server.start()


@pytest.fixture
async def spawn(address: str) -> AsyncIterator[Spawn]:
    started: list[asyncio.subprocess.Process] = []

    async def spawn(*arguments: str, **environ: str) -> asyncio.subprocess.Process:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OMSCTL_"))
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "from omsd.cli.omsctl import run; run()"),
            *arguments,
            cwd=ROOT,
            env={**inherited, "OMSCTL_SERVER": address, "COLUMNS": "200", **environ},
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


@pytest.fixture
def omsctl(spawn: Spawn) -> Omsctl:
    async def run(*arguments: str, **environ: str) -> Done:
        process = await spawn(*arguments, **{**KEYS, **environ})
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate()
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return Done(process.returncode, out.decode(), err.decode())

    return run
