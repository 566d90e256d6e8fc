"""200 callers of the REST API poll while a transfer runs at full speed: `python -m bench.rest_load [--quick] [--write]`.

The same data set is moved without callers and with them, by turns. Callers keep a connection each and ask once a second, for the running
task and for lists in turn; they run in a process of their own, which shares the machine's cores with daemon, workers and server.
--write: the section of bench/RESULTS.md is replaced.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import cast

import uvloop

from bench.measure import cpu_s
from omsd.cli.task_client import TaskClient
from tests.e2e.harness import FAILED, SUCCEEDED, Daemon, ended, node, request
from tests.processes import free_port
from tests.servers import S3Server, start_seaweed

_RESULTS = Path(__file__).parent / "RESULTS.md"
_TITLE = "## Callers of the REST API"
CALLERS = 200
INTERVAL_S = 1.0
_PROJECT = "p1"
_SMALL_BYTES = 16 * 1024
_LARGE_BYTES = 64 * 1024 * 1024
_PUTS_AT_ONCE = 8
_OTHER_TASKS = 100
HEADERS = (
    *("run", "callers", "wall s", "requests", "errors", "p50 ms", "p99 ms", "max ms"),
    *("control CPU s", "callers' CPU s"),
)


@dataclass(frozen=True, slots=True)
class Size:
    """What is moved, and how often."""

    small_num: int
    large_num: int
    runs: int


FULL, QUICK = Size(6000, 12, 5), Size(500, 2, 1)


@dataclass(frozen=True, slots=True)
class Run:
    """One transfer."""

    callers: int
    wall_s: float
    control_cpu_s: float
    took_ms: tuple[float, ...] = ()
    errors: int = 0
    callers_cpu_s: float = 0.0

    def cells(self, name: str) -> tuple[str, ...]:
        """Under HEADERS."""
        shares = [f"{_share(self.took_ms, share):.1f}" if self.took_ms else "-" for share in (0.5, 0.99, 1.0)]
        counts = (str(len(self.took_ms)), str(self.errors)) if self.callers else ("-", "-")
        spent = f"{self.control_cpu_s:.2f}", f"{self.callers_cpu_s:.2f}" if self.callers else "-"
        return (name, str(self.callers), f"{self.wall_s:.2f}", *counts, *shares, *spent)


async def measure(size: Size) -> list[tuple[Run, Run]]:
    """Pairs of runs: without callers, and with them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        server = await asyncio.to_thread(start_seaweed, folder / "server")
        daemon, port = Daemon(folder), free_port()
        try:
            await daemon.start({"OMSD_SERVER__REST_LISTEN": f"127.0.0.1:{port}"})
            async with daemon.client(_PROJECT) as client:
                source = await server.make_bucket()
                await _fill(server, source, size)
                await _other_tasks(client, server)
                await _transfer(client, daemon, server, source, 0, port)  # The first one warms everything up.
                pairs = []
                for _ in range(size.runs):
                    quiet = await _transfer(client, daemon, server, source, 0, port)
                    pairs.append((quiet, await _transfer(client, daemon, server, source, CALLERS, port)))
                return pairs
        finally:
            daemon.end()
            server.stop()


async def _transfer(
    client: TaskClient, daemon: Daemon, server: S3Server, source: str, callers: int, port: int
) -> Run:
    """The bucket is moved into a new one."""
    target = await server.make_bucket()
    await server.put(target, "warm", b"x")
    await server.delete(target, "warm")
    assert daemon.process is not None
    control = [daemon.process.pid]
    # Their start costs more than all they do later, and is no work of the daemon's callers.
    asking = await _start_callers(callers, port) if callers else None
    asking_before_s = cpu_s([asking.pid]) if asking else 0.0
    made = await client.create(request(node(server, source), node(server, target)))
    if asking and asking.stdin:
        asking.stdin.write(f"{made.id}\n".encode())
    before_s = cpu_s(control)
    task = await client.get(made.id)
    while task.status not in (FAILED, SUCCEEDED):
        await asyncio.sleep(0.5)
        task = await client.get(made.id)
    spent_s = cpu_s(control) - before_s
    assert task.status == SUCCEEDED, task
    asking_cpu_s = cpu_s([asking.pid]) - asking_before_s if asking else 0.0
    took, errors = await _answers(asking) if asking else ((), 0)
    # By the daemon's own clock: when we asked for it does not matter.
    return Run(callers, task.total_time / 1000, spent_s, took, errors, asking_cpu_s)


async def _start_callers(callers: int, port: int) -> asyncio.subprocess.Process:
    """They are connected, in a process of their own, and wait for the id of the task."""
    asking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.rest_load", "--callers", str(callers), "--port", str(port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert asking.stdout is not None
    await asking.stdout.readline()
    return asking


async def _answers(asking: asyncio.subprocess.Process) -> tuple[tuple[float, ...], int]:
    """The callers have stopped; what their calls took, and how many went wrong."""
    told, _ = await asking.communicate(b"\n")
    found = json.loads(told)
    return tuple(found["took_ms"]), found["errors"]


class _Caller(asyncio.Protocol):
    """One connection, and a question a second on it; as little work of its own as can be, for it shares the cores."""

    def __init__(self, told: _Told) -> None:
        self._told = told
        self._answer = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def begin(self, questions: Iterator[bytes], delay_s: float) -> None:
        """Ask after this time, then once a second."""
        self._questions = questions
        asyncio.get_running_loop().call_later(delay_s, self._ask)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return
        took_s = time.monotonic() - self._began
        self._told.took_ms.append(took_s * 1000)
        self._told.errors += not head.startswith(b"HTTP/1.1 200 ")
        self._answer = b""
        asyncio.get_running_loop().call_later(max(0.0, INTERVAL_S - took_s), self._ask)

    def connection_lost(self, exc: Exception | None) -> None:
        self._told.errors += not self._told.stopping

    def _ask(self) -> None:
        if not self._told.stopping:
            self._began = time.monotonic()
            self._transport.write(next(self._questions))


@dataclass(slots=True)
class _Told:
    """What the callers found."""

    took_ms: list[float] = field(default_factory=list)
    errors: int = 0
    stopping: bool = False


async def _call_all(callers: int, port: int) -> None:
    """What the process of the callers does: connect, read the id of the task, ask until the next line."""
    told = _Told()
    loop = asyncio.get_running_loop()
    connected = [
        (await loop.create_connection(lambda: _Caller(told), "127.0.0.1", port))[1] for _ in range(callers)
    ]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    task_id = int(await asyncio.to_thread(sys.stdin.readline))
    paths = (f"/v2/{_PROJECT}/tasks/{task_id}", f"/v2/{_PROJECT}/tasks?limit=10", f"/v2/{_PROJECT}/tasks")
    questions = [f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode() for path in paths]
    for number, caller in enumerate(connected):
        caller.begin(islice(cycle(questions), number % len(paths), None), INTERVAL_S * number / callers)
    await asyncio.to_thread(sys.stdin.readline)
    told.stopping = True
    sys.stdout.write(json.dumps({"took_ms": told.took_ms, "errors": told.errors}))


async def _fill(server: S3Server, bucket: str, size: Size) -> None:
    rng = random.Random(1)
    small, large = rng.randbytes(_SMALL_BYTES), rng.randbytes(_LARGE_BYTES)
    names = [(f"small/{number:05}", small) for number in range(size.small_num)]
    names += [(f"large/{number:03}", large) for number in range(size.large_num)]
    waiting = iter(names)

    async def work() -> None:
        for key, data in waiting:
            await server.put(bucket, key, data)

    async with asyncio.TaskGroup() as group:
        for _ in range(_PUTS_AT_ONCE):
            group.create_task(work())


async def _other_tasks(client: TaskClient, server: S3Server) -> None:
    """Tasks that have ended, so that lists are not empty."""
    source, target = await server.make_bucket(), await server.make_bucket()
    await server.put(source, "one", b"x")
    for number in range(_OTHER_TASKS):
        made = await client.create(
            request(node(server, source), node(server, target), description=f"other {number}")
        )
        await ended(client, made.id)


def _share(values: tuple[float, ...], share: float) -> float:
    ordered = sorted(values)
    return ordered[int(share * (len(ordered) - 1))]


def slowdown(pairs: list[tuple[Run, Run]], pick: Callable[[list[float]], float]) -> float:
    """How much longer the transfer takes with callers, as a share. pick: the run that stands for all of a kind."""
    quiet, loud = (pick([pair[side].wall_s for pair in pairs]) for side in (0, 1))
    return loud / quiet - 1


def section(pairs: list[tuple[Run, Run]], load: float) -> list[str]:
    """The section for RESULTS.md."""
    rows = [run.cells(f"{number}") for number, pair in enumerate(pairs, 1) for run in pair]
    table = ["| " + " | ".join(line) + " |" for line in (HEADERS, ("---",) * len(HEADERS), *rows)]
    took = tuple(ms for _, loud in pairs for ms in loud.took_ms)
    errors = sum(loud.errors for _, loud in pairs)
    return [
        _TITLE,
        "",
        f"Taken on {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores at a load of {load:.1f} (one minute, before it began).",
        "",
        f"Goal: with {CALLERS} callers that each ask once a second while a transfer runs at full speed p99 at most 100 ms, no error, and",
        "the transfer slowed by less than 10 %. Two of three questions are lists of ten tasks, one is the running task; the callers' own",
        "process takes its CPU from the same cores.",
        "",
        *table,
        "",
        f"All together: p50 {_share(took, 0.5):.1f} ms, p99 {_share(took, 0.99):.1f} ms, {errors} errors, transfer slower by "
        f"{slowdown(pairs, median):.1%} (medians; {slowdown(pairs, min):.1%} between the best runs).",
    ]


def _write(lines: list[str]) -> None:
    kept, _, after = _RESULTS.read_text().partition(_TITLE)
    following = after.partition("\n## ")
    rest = "\n## " + following[2] if following[1] else ""
    _RESULTS.write_text(kept.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n" + rest)


def main() -> None:
    """Measure, print, and write if asked to; or be the callers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--callers", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    if args.callers:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_call_all(args.callers, args.port))
        return
    load = os.getloadavg()[0]
    pairs = asyncio.run(measure(QUICK if args.quick else FULL))
    lines = section(pairs, load)
    sys.stdout.write("\n".join(lines) + "\n")
    if args.write:
        _write(lines)


if __name__ == "__main__":
    main()
