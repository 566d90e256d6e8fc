"""A long listing shared by all workers: no change costs two listings and no more, and kill -9 loses and doubles nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import SUCCEEDED, Daemon, ended, request, wait_for
from tests.fakes.generated_keys import KeyServer, start_key_server

StartKeys = Callable[[int], KeyServer]


@pytest.fixture
def keys_at(tmp_path: Path) -> Iterator[StartKeys]:
    """Starts a server of that many generated keys."""
    servers: list[KeyServer] = []

    def start(keys_num: int) -> KeyServer:
        servers.append(start_key_server(tmp_path, keys_num))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


async def test_a_pass_over_50000_keys_already_there_costs_two_lists_per_thousand_and_no_head(
    daemon: Daemon, keys_at: StartKeys
) -> None:
    keys = keys_at(50_000)
    await daemon.start()
    async with daemon.client() as client:
        task_id = (await client.create(request(keys.end("source"), keys.end("same")))).id
        task = await ended(client, task_id)
    assert (task.status, task.total_num, task.skipped_num) == (SUCCEEDED, 50_000, 50_000)
    asked = await keys.counts()
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
    keys = keys_at(20_000)
    await daemon.start()
    async with daemon.client() as client:
        task_id = (await client.create(request(keys.end("source"), keys.end("into")))).id
        for what in ("worker", "daemon", "worker", "daemon", "worker"):
            goal = (await keys.counts()).get("PUT", 0) + rng.randrange(300, 3000)
            task = await wait_for(
                client,
                task_id,
                lambda task: task.status == SUCCEEDED or keys.counts_now().get("PUT", 0) >= goal,
            )
            if task.status == SUCCEEDED:
                break
            if what == "worker":
                await daemon.kill_worker(rng)
            else:
                daemon.kill()
                await daemon.start()
        task = await ended(client, task_id)
    assert (task.status, task.total_num, task.successful_num) == (SUCCEEDED, 20_000, 20_000), task
    asked = await keys.counts()
    print(asked)
    assert asked["kept into"] == 20_000 + 1  # and the list of them
    # Done again is at most what was under way and not yet reported: half a second of work at each of five deaths.
    assert asked["PUT"] <= 20_000 + 5 * 3000
