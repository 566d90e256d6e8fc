"""A pass over a million generated keys that are already there: time, requests, and the memory of every process of omsd.

Part of `make bench`; by itself: `python -m bench.long_listing [KEYS]`. The keys come from tests/fakes/key_server.py; nothing is moved.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench.report import markdown_table, peak_cells
from tests.e2e.harness import Daemon, ended, request
from tests.fakes.generated_keys import start_key_server

_DEADLINE_S = 900.0


HEADERS = ("keys", "skipped", "wall s", "LIST", "HEAD", "control peak MiB", "workers peak MiB")


async def section(console: Console, keys_num: int) -> list[str]:
    """One pass as a section for RESULTS.md."""
    row = await measure(keys_num)
    console.print(" | ".join(HEADERS) + "\n" + " | ".join(row), markup=False)
    return [
        "",
        "## A long listing",
        "",
        "Goal: about 2 LIST calls per 1,000 keys and no HEAD; every process at most 200 MB. A server of ours makes the keys up;",
        "all are there already.",
        "",
        *markdown_table(HEADERS, [row]),
    ]


async def measure(keys_num: int) -> tuple[str, ...]:
    """One pass; the cells under HEADERS."""
    with tempfile.TemporaryDirectory() as folder:
        keys = start_key_server(Path(folder), keys_num)
        daemon = Daemon(Path(folder))
        try:
            await daemon.start()
            assert daemon.process is not None
            began_s = time.monotonic()
            async with daemon.client() as client:
                wanted = request(keys.end("source"), keys.end("same"))
                task = await ended(client, (await client.create(wanted)).id, deadline_s=_DEADLINE_S)
            asked = await keys.counts()
            wall_s = time.monotonic() - began_s
            return (
                str(task.total_num),
                str(task.skipped_num),
                f"{wall_s:.1f}",
                str(asked["LIST"]),
                str(asked.get("HEAD", 0)),
                *peak_cells(daemon.process.pid, daemon.worker_pids()),
            )
        finally:
            daemon.end()
            keys.stop()


if __name__ == "__main__":
    asyncio.run(section(Console(width=130), int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
