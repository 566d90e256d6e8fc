"""Does a limit hold? Real workers move objects between two sockets of bench/store_server.py, which counts what arrives.

`python -m bench.bandwidth`: a table on the screen; with --write (as `make bench` does) also a section of its own in bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.data import MIB
from bench.report import markdown_table
from bench.store_server import BINS_PER_S, WARM_BYTES
from omsd.clock import SystemClock
from omsd.daemon import SLOTS_PER_WORKER
from omsd.domain.bandwidth import BandwidthLimits
from omsd.domain.events import ShardBatch, ShardEvent, ShardFailed, UploadIntended
from omsd.domain.model import (
    CloudType,
    Credentials,
    LeaseId,
    Location,
    OverwriteMode,
    ShardId,
    TaskCredentials,
    TaskId,
    TaskSpec,
    TaskType,
    TaskWork,
)
from omsd.domain.shards import Shard, ShardKind
from omsd.executors.local import LocalExecutor
from omsd.executors.settings import WorkerSettings, encode_settings

RESULTS = Path(__file__).with_name("RESULTS.md")
TITLE = "## Bandwidth limits"
WORKERS = 2
DEADLINE_S = 150.0
MEASURED_S = 10
# After the limit is set, before windows are counted: a change has so long to act.
SETTLE_S = 2.0
FLOWING_DEADLINE_S = 5.0
# The limit before the one that is measured; without one the server would be too busy to answer.
START_MB = 100
MB = 1_000_000
TASK = TaskId(1)

HEADERS = (
    "limit MB/s",
    "objects",
    "connections",
    "arrived in 10 s",
    "1 s windows",
    "read by 1 s windows",
    "acts after",
)


@dataclass(frozen=True, slots=True)
class Case:
    """connections: bodies at once over both workers (1: one worker alone). size_bytes: of each object."""

    limit_mb: int
    connections: int
    size_bytes: int

    @property
    def keys_per_shard(self) -> list[tuple[str, ...]]:
        """The objects of each shard: far more than there is time for."""
        if self.connections == 1:
            return [(f"only-{self.size_bytes}",)]
        # Small ones go first, so that the number of requests at once has found its height when the limit comes.
        warm = [f"warm{number}-{WARM_BYTES}" for number in range(400)]
        many = max(64, min(4000, 8_000 * MIB // self.size_bytes))
        each = [f"object{number}-{self.size_bytes}" for number in range(many)]
        return [tuple(warm + each[part::WORKERS]) for part in range(WORKERS)]


CASES = (
    Case(1, 1, 16384 * MIB),
    Case(50, 1, 16384 * MIB),
    Case(200, 1, 16384 * MIB),
    Case(1, 50, 64 * MIB),
    Case(50, 50, 64 * MIB),
    Case(200, 50, 64 * MIB),
    Case(1, 50, MIB),
)


class _Sink:
    """What becomes of the objects is not of interest; but nobody creates an upload before its intent is noted."""

    def __init__(self, executor: LocalExecutor) -> None:
        self._executor = executor

    async def emit(self, event: ShardEvent) -> None:
        match event:
            case UploadIntended(lease_id, intent):
                self._executor.intent_noted(lease_id, intent.key)
            case ShardFailed(_, failure):
                raise RuntimeError(f"a shard failed: {failure.message}")
            case ShardBatch() if event.counters.failed_num:
                raise RuntimeError(f"objects failed: {event.outcomes[0]}")


@asynccontextmanager
async def _store_server() -> AsyncIterator[tuple[int, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.store_server",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            first, second = map(int, (await process.stdout.readline()).split())
        yield first, second
    finally:
        process.kill()
        await process.wait()


def _settings(requests: int) -> bytes:
    return encode_settings(
        WorkerSettings(
            part_bytes=16 * MIB,
            single_put_max_bytes=8 * MIB,
            # Shared by nobody: there is no ledger here that could hand it on.
            large_bytes=1 << 50,
            copies_in_service=False,
            copy_part_bytes=256 * MIB,
            buffer_budget_bytes=32 * MIB,
            max_requests_per_endpoint=requests,
            connect_timeout_s=10,
            first_byte_timeout_s=60,
            stall_timeout_s=60,
            ca_file="",
            verify_tls=True,
            allowed_networks=("127.0.0.0/8",),
            endpoints=(),
            log_level="error",
            log_format="text",
        )
    )


def _work(ports: tuple[int, int]) -> TaskWork:
    source, destination = (
        Location(CloudType.AWS, "r", "bucket", endpoint_url=f"http://127.0.0.1:{port}") for port in ports
    )
    keys = Credentials("ak", "sk")
    spec = TaskSpec(source, destination, TaskType.OBJECT, ("x",), overwrite_mode=OverwriteMode.FULL_OVERWRITE)
    return TaskWork(TASK, spec, TaskCredentials(keys, keys), 1, 0.0)


async def _counts(port: int) -> tuple[dict[int, int], dict[int, int], int]:
    """Bytes read and arrived by bin, bodies arriving now."""

    def fetch() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/counts", timeout=10) as answer:
            return bytes(answer.read())

    told = json.loads(await asyncio.to_thread(fetch))
    read, arrived = (
        {int(number): size for number, size in told[name].items()} for name in ("read", "arrived")
    )
    return read, arrived, told["uploads"]


async def _flowing(port: int, connections: int) -> None:
    """Large bodies arrive on most connections; or there is no hope of it."""
    deadline = time.monotonic() + FLOWING_DEADLINE_S
    while time.monotonic() < deadline:
        if (await _counts(port))[2] >= 0.9 * connections:
            return
        await asyncio.sleep(0.1)


async def _run(case: Case) -> tuple[str, ...]:
    """One row of the table."""
    async with _store_server() as ports, asyncio.TaskGroup() as group:
        executor = LocalExecutor(
            command=(sys.executable, "-m", "omsd.workerd"),
            settings=_settings(max(1, case.connections // WORKERS)),
            workers=WORKERS,
            slots_per_worker=SLOTS_PER_WORKER,
            clock=SystemClock(),
        )
        group.create_task(executor.serve(_Sink(executor)), name="executor")
        async with asyncio.timeout(30):
            await executor.wait_ready()
        executor.set_limits(BandwidthLimits(START_MB * MB))
        work = _work(ports)
        for number, keys in enumerate(case.keys_per_shard, 1):
            shard = Shard(ShardId(number), TASK, 1, ShardKind.KEYS, keys=keys, attempt=1)
            executor.run(LeaseId(number), work, shard, ())
        await _flowing(ports[1], case.connections)
        changed = time.monotonic()
        executor.set_limits(BandwidthLimits(case.limit_mb * MB))
        await asyncio.sleep(SETTLE_S + MEASURED_S + 0.2)
        read, arrived, uploads = await _counts(ports[1])
        await executor.stop(grace_s=0)
    return _row(case, changed, read, arrived, uploads)


def _row(
    case: Case, changed: float, read: dict[int, int], arrived: dict[int, int], uploads: int
) -> tuple[str, ...]:
    limit = case.limit_mb * MB
    first = int((changed + SETTLE_S) * BINS_PER_S) + 1
    last = first + MEASURED_S * BINS_PER_S
    total = sum(arrived.get(number, 0) for number in range(first, last)) / (limit * MEASURED_S)
    change = int(changed * BINS_PER_S) + 1
    settled = next(
        (
            start - change
            for start in range(change, last - BINS_PER_S)
            if 0.9 <= sum(arrived.get(start + number, 0) for number in range(BINS_PER_S)) / limit <= 1.1
        ),
        None,
    )
    size = f"{case.size_bytes // MIB} MiB" if case.size_bytes < 1024 * MIB else "one large"
    return (
        str(case.limit_mb),
        size,
        str(uploads),
        f"{(total - 1) * 100:+.1f} %",
        _spread(arrived, first, last, limit),
        _spread(read, first, last, limit),
        "never" if settled is None else f"{settled / BINS_PER_S:.1f} s",
    )


def _spread(bins: dict[int, int], first: int, last: int, limit: int) -> str:
    """The lowest and the highest of all windows of one second, ten of them begin in each second."""
    rates = [
        sum(bins.get(start + number, 0) for number in range(BINS_PER_S)) / limit - 1
        for start in range(first, last - BINS_PER_S + 1)
    ]
    return f"{min(rates) * 100:+.1f} to {max(rates) * 100:+.1f} %"


async def measure(console: Console) -> list[str]:
    """Lines of a section for RESULTS.md."""
    rows = []
    load = os.getloadavg()[0]
    async with asyncio.timeout(DEADLINE_S):
        for case in CASES:
            row = await _run(case)
            console.print("  " + " | ".join(row), markup=False)
            rows.append(row)
    return [
        "",
        TITLE,
        "",
        f"Taken on {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores at a load of {load:.1f} (one minute, before it began).",
        "",
        "Goal: windows of 1 s within 10 % of the limit, 10 s within 5 %, a change acts within 2 s. Two workers move objects under a",
        f"limit of {START_MB} MB/s for the machine, then it is changed; a server of ours counts what arrives at its socket,",
        "and what it could write to the one that is read (into kernel buffers, which run ahead).",
        "Windows slide by 0.1 s. Connections: bodies arriving at the end; with one, the other worker is idle.",
        "",
        *markdown_table(HEADERS, rows),
    ]


def main() -> int:
    """The table on the screen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the section into RESULTS.md")
    options = parser.parse_args()
    console = Console(highlight=False, width=130)
    console.print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; " + " | ".join(HEADERS), markup=False
    )
    try:
        lines = asyncio.run(measure(console))
    except TimeoutError:
        console.print(f"the bench failed: it took more than {DEADLINE_S:.0f} s")
        return 1
    if options.write:
        # The section is replaced wherever it stands; what others wrote stays.
        before, _, rest = RESULTS.read_text().partition(f"\n{TITLE}\n")
        after = rest.partition("\n## ")
        RESULTS.write_text(before.rstrip("\n") + "\n" + "\n".join(lines) + "\n" + "".join(after[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
