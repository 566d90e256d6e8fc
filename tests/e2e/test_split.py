"""A long listing shared by all workers: no change costs two listings and no more, and kill -9 loses and doubles nothing."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.e2e.harness import SUCCEEDED, Daemon, ended, request, wait_for
from tests.servers import Process, start_module
from tests.waiting import PATIENCE_S

StartKeys = Callable[[int], str]


@pytest.fixture
def keys_at(tmp_path: Path) -> Iterator[StartKeys]:
    """Starts a server of that many generated keys; gives its URL."""
    servers: list[Process] = []

    def start(count: int) -> str:
        port, server = start_module("tests.fakes.key_server", str(count), cwd=tmp_path, log_name="keys.log")
        servers.append(server)
        return f"http://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.kill()


def end_at(url: str, bucket: str) -> dict[str, Any]:
    return {
        "cloud_type": "AWS",
        "region": "us-east-1",
        "bucket": bucket,
        "ak": "AK",
        "sk": "SK",
        "endpoint": url,
    }


async def counts(url: str) -> dict[str, int]:
    def read() -> dict[str, int]:
        with urlopen(f"{url}/counts", timeout=PATIENCE_S) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    return await asyncio.to_thread(read)


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


async def test_a_pass_over_50000_keys_already_there_costs_two_lists_per_thousand_and_no_head(
    daemon: Daemon, keys_at: StartKeys
) -> None:
    url = keys_at(50_000)
    await daemon.start()
    async with daemon.client() as client:
        task_id = (await client.create(request(end_at(url, "source"), end_at(url, "same")))).id
        task = await ended(client, task_id)
    assert (task.status, task.total_num, task.skipped_num) == (SUCCEEDED, 50_000, 50_000)
    asked = await counts(url)
    print(asked, [peak_mib(pid) for pid in daemon.worker_pids()])
    assert asked.get("HEAD", 0) == asked.get("GET", 0) == 0
    assert asked["PUT"] == 1  # the list of the skipped objects
    # 100 pages; a split costs some questions, and a page begun on either side of the cut.
    assert 100 <= asked["LIST"] <= 130
    assert asked["LIST source"] > 50
    assert max(map(peak_mib, daemon.worker_pids())) < 200


async def test_kill_9_of_workers_and_daemon_in_a_long_listing_loses_and_doubles_nothing(
    daemon: Daemon, keys_at: StartKeys
) -> None:
    rng = random.Random(seed := random.randrange(10_000))
    print("seed", seed)
    url = keys_at(20_000)
    await daemon.start()
    async with daemon.client() as client:
        task_id = (await client.create(request(end_at(url, "source"), end_at(url, "into")))).id
        for what in ("worker", "daemon", "worker", "daemon", "worker"):
            goal = (await counts(url)).get("PUT", 0) + rng.randrange(300, 3000)
            task = await wait_for(client, task_id, lambda task: task.status == SUCCEEDED or _put(url) >= goal)
            if task.status == SUCCEEDED:
                break
            if what == "worker":
                await daemon.kill_worker(rng)
            else:
                daemon.kill()
                await daemon.start()
        task = await ended(client, task_id)
    assert (task.status, task.total_num, task.successful_num) == (SUCCEEDED, 20_000, 20_000), task
    asked = await counts(url)
    print(asked)
    assert asked["kept into"] == 20_000 + 1  # and the list of them
    # Done again is at most what was under way and not yet reported: half a second of work at each of five deaths.
    assert asked["PUT"] <= 20_000 + 5 * 3000


def _put(url: str) -> int:
    with urlopen(f"{url}/counts", timeout=PATIENCE_S) as answer:
        return int(json.load(answer).get("PUT", 0))
