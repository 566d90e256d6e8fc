"""`make bench`: omsd beside rclone, both streaming between two buckets of one SeaweedFS, and beside s5cmd, both leaving the
copying to the server; writes bench/RESULTS.md.

Medians of several runs each, taken in turn. Every process has a deadline.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import Sample
from bench.report import HEADERS, MIB, DataSet, machine_lines, markdown_table, median_of, ratio_row, row_of
from bench.tools import (
    RCLONE_PARALLEL,
    S5CMD_WORKERS,
    BenchError,
    rclone_path,
    run_omsd,
    run_rclone,
    run_s5cmd,
    s5cmd_path,
)
from omsd.demo.compare import LIST_FOLDERS
from omsd.demo.dataset import open_client
from omsd.demo.errors import DemoError
from omsd.demo.processes import S3Access, find_weed, open_folder, open_seaweed

RESULTS = Path(__file__).with_name("RESULTS.md")
DEADLINE_S = 1800.0
UPLOADERS = 12

SMALL = DataSet(
    "4,000 objects of 16 KiB", 4000, 16 * 1024, "at most 0.5 ms CPU per object over all omsd processes"
)
LARGE = DataSet(
    "4 objects of 256 MiB",
    4,
    256 * MIB,
    "at most 1.2 CPU seconds per GiB, with CRC64; a worker at most 120 MB",
)
COPIED = DataSet(
    "4,000 objects of 16 KiB, copied by the server",
    4000,
    16 * 1024,
    "no more CPU per object than s5cmd, with every copy looked at",
    copied=True,
)
QUICK_COPIED = DataSet(
    "400 objects of 16 KiB, copied by the server",
    400,
    16 * 1024,
    "a trial of the program, not a measurement",
    copied=True,
)
QUICK_SMALL = DataSet("400 objects of 16 KiB", 400, 16 * 1024, "a trial of the program, not a measurement")
QUICK_LARGE = DataSet("2 objects of 32 MiB", 2, 32 * MIB, "a trial of the program, not a measurement")


def main() -> int:
    """Run the bench; 1 if a run could not be counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each tool over each data set")
    parser.add_argument("--quick", action="store_true", help="small sets, one run, no RESULTS.md")
    options = parser.parse_args()
    sets = (QUICK_SMALL, QUICK_COPIED, QUICK_LARGE) if options.quick else (SMALL, COPIED, LARGE)
    runs = 1 if options.quick else max(1, options.runs)
    # Wide enough that no cell is wrapped, also where the output is no terminal.
    console = Console(highlight=False, width=130)
    try:
        lines = asyncio.run(_bench(console, sets, runs))
    except (BenchError, DemoError, TimeoutError) as error:
        console.print(f"the bench failed: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    if not options.quick:
        RESULTS.write_text("\n".join(lines) + "\n")
        console.print(f"written to {RESULTS.relative_to(Path.cwd())}", markup=False)
    return 0


async def _bench(console: Console, sets: Sequence[DataSet], runs: int) -> list[str]:
    lines = [
        "# Results of `make bench`",
        "",
        f"Taken on {datetime.now(UTC):%Y-%m-%d}; medians of {runs} runs.",
        "",
    ]
    lines += machine_lines(find_weed(), rclone_path(), s5cmd_path())
    lines += [
        "",
        "Wall time is bound by the server, which shares the machine. CPU is user and system time of all processes of the tool: for",
        "omsd control and workers, from the creation of the task to its end; for rclone the whole process"
        f" (`--transfers {RCLONE_PARALLEL} --checkers {RCLONE_PARALLEL}`) and s5cmd likewise (`--numworkers {S5CMD_WORKERS}`).",
    ]
    async with asyncio.timeout(DEADLINE_S):
        with open_folder() as folder:
            async with open_seaweed(folder) as access, open_client(access) as client:
                for number, data in enumerate(sets):
                    samples = await _measure(console, access, client, data, folder / f"set-{number}", runs)
                    lines += _report(console, data, samples)
    return lines


async def _measure(
    console: Console, access: S3Access, client: Any, data: DataSet, folder: Path, runs: int
) -> list[list[Sample]]:
    """Samples of omsd, then of its peer, taken in turn."""
    folder.mkdir()
    kind, run_peer = ("copied", run_s5cmd) if data.copied else ("streamed", run_rclone)
    source = f"source-{kind}-{data.objects}"
    console.print(f"filling a bucket with {data.name}")
    await client.create_bucket(Bucket=source)
    await _fill(client, source, data)
    omsd, peer = [], []
    for number in range(runs):
        target = await _fresh_bucket(client, f"omsd-{kind}-{data.objects}-{number}")
        omsd.append(
            await run_omsd(
                access, source, target, folder / target, data.objects, server_side_copy=data.copied
            )
        )
        await _check_and_drop(client, target, data)
        target = await _fresh_bucket(client, f"peer-{kind}-{data.objects}-{number}")
        peer.append(await run_peer(access, source, target, folder / target))
        await _check_and_drop(client, target, data)
        for sample in (omsd[-1], peer[-1]):
            console.print(
                f"  run {number + 1}: {sample.tool} {sample.wall_s:.2f} s, CPU {sample.cpu_s:.2f} s"
            )
    await _drop(client, source)
    return [omsd, peer]


async def _fill(client: Any, bucket: str, data: DataSet) -> None:
    # One body for all: what is stored in it makes no difference to what is measured.
    block = random.Random(1).randbytes(min(data.size_bytes, MIB))
    body = block * (data.size_bytes // len(block))
    numbers = iter(range(data.objects))

    async def upload() -> None:
        for number in numbers:
            await client.put_object(Bucket=bucket, Key=f"folder-{number % 10}/object-{number:06}", Body=body)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(UPLOADERS, data.objects)):
            group.create_task(upload())


async def _fresh_bucket(client: Any, name: str) -> str:
    """An empty bucket that has its volumes, so that no run pays for making them."""
    await client.create_bucket(Bucket=name)
    await client.put_object(Bucket=name, Key="warm", Body=b"x")
    await client.delete_object(Bucket=name, Key="warm")
    return name


async def _check_and_drop(client: Any, bucket: str, data: DataSet) -> None:
    sizes = [
        entry["Size"]
        async for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for entry in page.get("Contents", ())
        if not entry["Key"].startswith(LIST_FOLDERS)
    ]
    if sizes != [data.size_bytes] * data.objects:
        raise BenchError(f"{bucket} holds {len(sizes)} objects and {sum(sizes)} bytes")
    await _drop(client, bucket)


async def _drop(client: Any, bucket: str) -> None:
    # SeaweedFS drops a bucket with all that is in it.
    await client.delete_bucket(Bucket=bucket)


def _report(console: Console, data: DataSet, samples: list[list[Sample]]) -> list[str]:
    ours, theirs = (median_of(of_tool) for of_tool in samples)
    rows = [row_of(data, ours), row_of(data, theirs), ratio_row(ours, theirs)]
    table = Table(*HEADERS, title=data.name)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(f"goal: {data.goal}")
    return ["", f"## {data.name}", "", f"Goal: {data.goal}.", "", *markdown_table(rows)]


if __name__ == "__main__":
    sys.exit(main())
