"""`make bench`: omsd beside its peers, all on one SeaweedFS that is source and destination; writes bench/RESULTS.md.

Medians of several runs each, taken in turn. Every process has a deadline.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import group_planning, long_listing
from bench.data import GIB, MIB, DataSet, Way, check, drop, fill, fresh_target
from bench.measure import Sample
from bench.report import HEADERS, machine_lines, markdown_table, median_of, ratio_row, row_of
from bench.tools import (
    RCLONE_PARALLEL,
    S5CMD_WORKERS,
    BenchError,
    juicefs_path,
    rclone_path,
    run_juicefs,
    run_omsd,
    run_rclone,
    run_s5cmd,
    s5cmd_path,
)
from omsd.demo.dataset import open_client
from omsd.demo.errors import DemoError
from omsd.demo.processes import S3Access, find_weed, open_folder, open_seaweed

RESULTS = Path(__file__).with_name("RESULTS.md")
DEADLINE_S = 3600.0

SETS = (
    DataSet(
        "4,000 objects of 16 KiB",
        4000,
        16 * 1024,
        "at most 0.5 ms CPU per object over all omsd processes",
        ("rclone", "juicefs"),
    ),
    DataSet(
        "4,000 objects of 16 KiB, copied by the server",
        4000,
        16 * 1024,
        "no more CPU per object than s5cmd, with every copy proven by its checksum",
        ("s5cmd",),
        Way.COPIED,
    ),
    DataSet(
        "4 objects of 256 MiB",
        4,
        256 * MIB,
        "at most 1.2 CPU seconds per GiB, with CRC64; a worker at most 120 MB",
        ("rclone", "juicefs"),
    ),
    DataSet(
        "1 object of 4 GiB",
        1,
        4 * GIB,
        "all workers are busy with it",
        ("rclone", "juicefs"),
        max_runs=1,
    ),
    DataSet(
        "50,000 objects of 1 KiB that are there already",
        50_000,
        1024,
        "less CPU than every peer",
        ("rclone", "juicefs", "s5cmd"),
        Way.UNCHANGED,
    ),
)
LONG_LISTING_KEYS = 1_000_000
QUICK_LONG_LISTING_KEYS = 20_000
_QUICK_GOAL = "a trial of the program, not a measurement"


def quick(data: DataSet) -> DataSet:
    """A tenth of the objects, each a sixteenth of the size."""
    objects = max(1, data.objects // 10)
    size_bytes = max(1024, data.size_bytes // 16)
    name = f"{objects} objects of {size_bytes} bytes, {data.way}"
    return replace(data, name=name, objects=objects, size_bytes=size_bytes, goal=_QUICK_GOAL)


def main() -> int:
    """Run the bench; 1 if a run could not be counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each tool over each data set")
    parser.add_argument("--quick", action="store_true", help="small sets, one run, no RESULTS.md")
    options = parser.parse_args()
    sets = [quick(data) for data in SETS] if options.quick else SETS
    runs = 1 if options.quick else max(1, options.runs)
    # Wide enough that no cell is wrapped, also where the output is no terminal.
    console = Console(highlight=False, width=130)
    try:
        keys = QUICK_LONG_LISTING_KEYS if options.quick else LONG_LISTING_KEYS
        lines = asyncio.run(_bench(console, sets, runs, keys))
    except (BenchError, DemoError, TimeoutError) as error:
        console.print(f"the bench failed: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    if not options.quick:
        RESULTS.write_text("\n".join(lines) + "\n")
        console.print(f"written to {RESULTS.relative_to(Path.cwd())}", markup=False)
    return 0


async def _bench(console: Console, sets: Sequence[DataSet], runs: int, keys: int) -> list[str]:
    lines = [
        "# Results of `make bench`",
        "",
        f"Taken on {datetime.now(UTC):%Y-%m-%d}; medians.",
        "",
    ]
    lines += machine_lines(find_weed(), rclone_path(), juicefs_path(), s5cmd_path())
    lines += [
        "",
        "Wall time is bound by the server, which shares the machine. CPU is user and system time of all processes of the tool: for",
        "omsd control and workers, from the creation of the task to its end; for the others the whole process",
        f"(`rclone copy --transfers {RCLONE_PARALLEL} --checkers {RCLONE_PARALLEL}`, `juicefs sync --threads {RCLONE_PARALLEL}`,"
        f" `s5cmd --numworkers {S5CMD_WORKERS}`).",
    ]
    async with asyncio.timeout(DEADLINE_S):
        with open_folder() as folder:
            async with open_seaweed(folder) as access, open_client(access) as client:
                for data in sets:
                    samples = await _measure(console, access, client, data, folder / data.label, runs)
                    lines += _report(console, data, samples)
        lines += await long_listing.section(console, keys)
        lines += await group_planning.section(console, keys)
    return lines


async def _measure(
    console: Console, access: S3Access, client: Any, data: DataSet, folder: Path, runs: int
) -> list[list[Sample]]:
    """Samples of omsd, then of its peers, taken in turn."""
    folder.mkdir()
    source = f"source-{data.label}"
    console.print(f"filling a bucket with {data.name}")
    await fill(client, access, source, data, folder)
    tools = ("omsd", *data.peers)
    samples: dict[str, list[Sample]] = {tool: [] for tool in tools}
    target = ""
    for number in range(min(runs, data.max_runs)):
        for tool in tools:
            # Where nothing is changed one target serves all.
            if not target or data.way is not Way.UNCHANGED:
                target = await fresh_target(
                    client, access, source, f"{tool}-{data.label}-{number}", data, folder
                )
            sample = await _run(tool, access, source, target, folder / f"{tool}-{number}", data)
            console.print(
                f"  run {number + 1}: {tool} {sample.wall_s:.2f} s, CPU {sample.cpu_s:.2f} s", markup=False
            )
            samples[tool].append(sample)
            await check(client, target, data)
            if data.way is not Way.UNCHANGED:
                await drop(client, target)
    await drop(client, source)
    return list(samples.values())


async def _run(tool: str, access: S3Access, source: str, target: str, folder: Path, data: DataSet) -> Sample:
    unchanged = data.way is Way.UNCHANGED
    match tool:
        case "rclone":
            return await run_rclone(access, source, target, folder, unchanged=unchanged)
        case "juicefs":
            return await run_juicefs(access, source, target, folder)
        case "s5cmd":
            return await run_s5cmd(access, source, target, folder, unchanged=unchanged)
    return await run_omsd(
        access,
        source,
        target,
        folder,
        data.objects,
        server_side_copy=data.way is Way.COPIED,
        unchanged=unchanged,
    )


def _report(console: Console, data: DataSet, samples: list[list[Sample]]) -> list[str]:
    ours, *peers = (median_of(of_tool) for of_tool in samples)
    rows = [row_of(data, sample) for sample in (ours, *peers)] + [ratio_row(ours, peer) for peer in peers]
    table = Table(*HEADERS, title=data.name)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    shares = ", ".join(f"{spent_s:.2f} s" for spent_s in ours.workers_cpu_s)
    busy = f"Runs: {len(samples[0])}. CPU of the workers: {shares}."
    console.print(f"goal: {data.goal}; {busy}", markup=False)
    return ["", f"## {data.name}", "", f"Goal: {data.goal}.", "", *markdown_table(HEADERS, rows), "", busy]


if __name__ == "__main__":
    sys.exit(main())
