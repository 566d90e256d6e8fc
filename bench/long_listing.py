"""A pass over a million generated keys that are already there: time, requests, and the memory of every process of omsd.

Part of `make bench`; by itself: `python -m bench.long_listing [KEYS]`. The keys come from tests/fakes/key_server.py; nothing is moved.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from rich.console import Console

from tests.e2e.harness import Daemon, ended, request
from tests.servers import Process, free_port

_DEADLINE_S = 900.0


HEADERS = ("keys", "skipped", "wall s", "LIST", "HEAD", "control peak MiB", "workers peak MiB")


async def section(console: Console, keys_num: int) -> list[str]:
    """One pass as a section for RESULTS.md."""
    row = await measure(keys_num)
    console.print(" | ".join(HEADERS) + "\n" + " | ".join(row), markup=False)
    table = ["| " + " | ".join(line) + " |" for line in (HEADERS, ["---"] * len(HEADERS), row)]
    return [
        "",
        "## A long listing",
        "",
        "Goal: about 2 LIST calls per 1,000 keys and no HEAD; every process at most 200 MB. A server of ours makes the keys up;",
        "all are there already.",
        "",
        *table,
    ]


async def measure(keys_num: int) -> tuple[str, ...]:
    """One pass; the cells under HEADERS."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        args = [sys.executable, "-m", "tests.fakes.key_server", str(port), str(keys_num)]
        keys = Process(
            args, cwd=Path(folder), env={"PYTHONPATH": os.pathsep.join(sys.path)}, log_name="keys.log"
        )
        daemon = Daemon(Path(folder))
        try:
            await daemon.start()
            assert daemon.process is not None
            began_s = time.monotonic()
            async with daemon.client() as client:
                wanted = request(_end(url, "source"), _end(url, "same"))
                task = await ended(client, (await client.create(wanted)).id, deadline_s=_DEADLINE_S)
            asked = await asyncio.to_thread(_counts, url)
            wall_s = time.monotonic() - began_s
            return (
                str(task.total_num),
                str(task.skipped_num),
                f"{wall_s:.1f}",
                str(asked["LIST"]),
                str(asked.get("HEAD", 0)),
                str(_peak_mib(daemon.process.pid)),
                ", ".join(str(_peak_mib(pid)) for pid in daemon.worker_pids()),
            )
        finally:
            daemon.end()
            keys.kill()


def _end(url: str, bucket: str) -> dict[str, str]:
    ends = {"cloud_type": "AWS", "region": "us-east-1", "bucket": bucket, "ak": "AK", "sk": "SK"}
    return ends | {"endpoint": url}


def _counts(url: str) -> dict[str, int]:
    with urlopen(f"{url}/counts", timeout=10) as answer:
        found: dict[str, int] = json.load(answer)
    return found


def _peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


if __name__ == "__main__":
    asyncio.run(section(Console(width=130), int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
