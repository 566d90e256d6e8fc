"""A task group over a million generated keys: how long it takes to split them, at what cost, and the memory of every process of omsd.

Part of `make bench`; by itself: `python -m bench.group_planning [KEYS]`. The keys come from tests/fakes/key_server.py; all are at the
destination already, so the tasks of the group only compare.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench.report import markdown_table, peak_cells
from tests.e2e.group_harness import COMPLETED, group_client, group_request, wait_for_group
from tests.e2e.harness import Daemon
from tests.fakes.generated_keys import start_key_server

_DEADLINE_S = 900.0
_TASKS = 100

HEADERS = (
    "keys",
    "tasks",
    "all made after s",
    "LIST for it",
    "first done after s",
    "all done after s",
    "control peak MiB",
    "workers peak MiB",
)


async def section(console: Console, keys_num: int) -> list[str]:
    """One group as a section for RESULTS.md."""
    row = await measure(keys_num)
    console.print(" | ".join(HEADERS) + "\n" + " | ".join(row), markup=False)
    return [
        "",
        "## Splitting a task group",
        "",
        "Goal: one LIST call per 1,000 keys beside those of the tasks; every process at most 200 MB. One listing splits the source",
        "while the tasks that are made already run; all objects are there already.",
        "",
        *markdown_table(HEADERS, [row]),
    ]


async def measure(keys_num: int) -> tuple[str, ...]:
    """One group; the cells under HEADERS."""
    with tempfile.TemporaryDirectory() as folder:
        keys = start_key_server(Path(folder), keys_num)
        daemon = Daemon(Path(folder), extra=f"[groups]\nobjects_per_task = {max(1, keys_num // _TASKS)}\n")
        try:
            await daemon.start()
            assert daemon.process is not None
            async with group_client(daemon) as groups:
                group_id = await groups.create(group_request(keys.end("source"), keys.end("same")))
                began_s = time.monotonic()
                await wait_for_group(
                    groups, group_id, lambda now: now.complete_task_num > 0, deadline_s=_DEADLINE_S
                )
                first_s = time.monotonic() - began_s
                made = await wait_for_group(
                    groups, group_id, lambda now: now.is_create_over, deadline_s=_DEADLINE_S
                )
                made_s = time.monotonic() - began_s
                asked = await keys.counts()
                done = await wait_for_group(
                    groups, group_id, lambda now: now.status == COMPLETED, deadline_s=_DEADLINE_S
                )
                done_s = time.monotonic() - began_s
            assert (made.total_num, done.skip_num) == (keys_num, keys_num), done
            return (
                str(done.total_num),
                str(done.create_task_num),
                f"{made_s:.1f}",
                # Tasks list both ends side by side; beyond that the source is asked for the splitting, and for cuts of ranges.
                str(asked["LIST source"] - asked.get("LIST same", 0)),
                f"{first_s:.1f}",
                f"{done_s:.1f}",
                *peak_cells(daemon.process.pid, daemon.worker_pids()),
            )
        finally:
            daemon.end()
            keys.stop()


if __name__ == "__main__":
    asyncio.run(section(Console(width=160), int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
