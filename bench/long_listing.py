"""A pass over a million generated keys that are already there: time, requests, and the memory of every process of omsd.

`python -m bench.long_listing [KEYS]`. The keys come from tests/fakes/key_server.py; nothing is moved.
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

from tests.e2e.harness import Daemon, ended, request
from tests.servers import Process, free_port

_DEADLINE_S = 900.0


async def measure(keys_num: int) -> None:
    """One pass; prints one line of JSON."""
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
            print(
                json.dumps(
                    {
                        "keys": task.total_num,
                        "skipped": task.skipped_num,
                        "wall_s": round(time.monotonic() - began_s, 1),
                        "lists": asked["LIST"],
                        "heads": asked.get("HEAD", 0),
                        "control_mib": _peak_mib(daemon.process.pid),
                        "workers_mib": [_peak_mib(pid) for pid in daemon.worker_pids()],
                    }
                )
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
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
