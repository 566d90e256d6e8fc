"""Pause, kill -9, signals, restart: what runs goes on, nothing is lost, nothing is counted twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from pathlib import Path

import pytest

from omsd.cli.client import CallError
from omsd.pb.v1 import types_pb2
from tests.e2e.harness import (
    FAILED,
    MIGRATING,
    PAUSED,
    SUCCEEDED,
    Daemon,
    ended,
    keys_again,
    migrated,
    node,
    request,
    wait_for,
)
from tests.servers import S3Server
from tests.waiting import PATIENCE_S, until

MIB = 1024 * 1024


def mixed(seed: int, small: int = 250, large: int = 3) -> dict[str, bytes]:
    """Small objects, and some of several parts."""
    rng = random.Random(seed)
    objects = {f"small/{n:05}": rng.randbytes(rng.randrange(20_000)) for n in range(small)}
    objects.update({f"large/{n}": rng.randbytes(24 * MIB + n) for n in range(large)})
    return objects


async def test_pause_and_start_again_goes_on_where_it_was(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = mixed(1)
    await seaweed.put_many(source, objects)
    async with shared_daemon.client() as client:
        wanted = request(node(seaweed, source), node(seaweed, destination))
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=8 * MIB)
        task_id = (await client.create(wanted)).id
        await wait_for(client, task_id, lambda task: task.complete_size > 2 * MIB)
        await client.stop(task_id)
        paused = await wait_for(client, task_id, lambda task: task.status == PAUSED)
        assert paused.migrate_speed == 0
        assert paused.complete_size < sum(map(len, objects.values()))
        with pytest.raises(CallError) as caught:
            await client.stop(task_id)
        assert caught.value.code == "OMS.0066"
        await client.limit(task_id, [])
        await client.start(keys_again(seaweed, task_id))
        task = await ended(client, task_id)
        assert (task.status, task.successful_num, task.skipped_num) == (SUCCEEDED, len(objects), 0), task
        await client.delete(task_id)
        with pytest.raises(CallError) as caught:
            await client.get(task_id)
        assert caught.value.code == "OMS.0054"
    assert await migrated(seaweed, destination) == objects
    assert not await seaweed.open_uploads(destination)


async def test_a_signal_drains_and_the_task_goes_on_after_the_restart(
    daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = mixed(3, small=400, large=1)
    await seaweed.put_many(source, objects)
    await daemon.start()
    async with daemon.client() as client:
        wanted = request(node(seaweed, source), node(seaweed, destination))
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=5 * MIB)
        task_id = (await client.create(wanted)).id
        await wait_for(client, task_id, lambda task: task.complete_size > MIB)
        workers = daemon.worker_pids()
        assert await daemon.stop(signal.SIGINT) == 0
        assert not any(await asyncio.to_thread(lambda: [os.path.exists(f"/proc/{pid}") for pid in workers]))
        assert not await seaweed.open_uploads(destination)
        await daemon.start()
    async with daemon.client() as client:
        await client.limit(task_id, [])
        task = await ended(client, task_id)
    assert (task.status, task.successful_num, task.skipped_num) == (SUCCEEDED, len(objects), 0), task
    assert await migrated(seaweed, destination) == objects


async def test_a_second_signal_cuts(daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "large", bytes(100 * MIB))
    await daemon.start({"OMSD_LIMITS__DRAIN_GRACE_S": "300"})
    async with daemon.client() as client:
        wanted = request(node(seaweed, source), node(seaweed, destination))
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=MIB)
        task_id = (await client.create(wanted)).id
        await wait_for(client, task_id, lambda task: task.complete_size > 0)
        os.kill(daemon.worker_pids()[0], 0)
        assert daemon.process is not None
        os.kill(daemon.process.pid, signal.SIGTERM)
        await until(lambda: '"event": "stopping"' in daemon.log(), pause_s=0.02)
        # At 1 MiB/s the drain would be busy for longer than we wait.
        assert await daemon.stop() == 0
    assert '"event": "cutting"' in daemon.log()


async def test_a_second_daemon_on_the_same_state_refuses_to_start(daemon: Daemon) -> None:
    await daemon.start()
    second = Daemon(daemon.folder)
    before = len(daemon.log())
    with pytest.raises(AssertionError, match="is in use by another omsd"):
        await second.start()
    assert second.process is not None
    assert second.process.popen.wait(PATIENCE_S) == 1
    said = daemon.log()[before:]
    assert str(daemon.folder / "state") in said
    assert str(daemon.process.pid if daemon.process else "") in said
    assert "Traceback" not in said


async def test_systemd_hears_ready_after_recovery_and_stopping(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(PATIENCE_S)
        await daemon.start({"NOTIFY_SOCKET": str(path)})
        assert b"READY=1" in await asyncio.to_thread(listener.recv, 4096)
        assert await daemon.stop() == 0
        assert b"STOPPING=1" in await asyncio.to_thread(listener.recv, 4096)


async def test_keys_are_needed_again_after_a_pause_and_never_stored_plainly(
    daemon: Daemon, moto: S3Server
) -> None:
    source, destination = await moto.make_bucket(), await moto.make_bucket()
    await moto.put_many(source, {f"{n:03}": bytes(100_000) for n in range(100)})
    secret = "a-very-secret-key-of-this-test"
    await daemon.start()
    async with daemon.client() as client:
        from_here = {**node(moto, source), "sk": secret}  # moto takes any key
        wanted = request(from_here, node(moto, destination), task_type=types_pb2.TASK_TYPE_PREFIX)
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=MIB)
        task_id = (await client.create(wanted)).id
        await wait_for(client, task_id, lambda task: task.status == MIGRATING)
        assert not any(secret.encode() in data for data in await asyncio.to_thread(daemon.state_files))
        await client.stop(task_id)
        await wait_for(client, task_id, lambda task: task.status == PAUSED)
        start = keys_again(moto, task_id)
        start.ClearField("src_sk")
        with pytest.raises(CallError) as caught:
            await client.start(start)
        assert caught.value.code == "OMS.1004"
        assert caught.value.violations[0].field == "src_sk"
    assert secret not in daemon.log()
    assert await daemon.stop() == 0
    assert not any(secret.encode() in data for data in await asyncio.to_thread(daemon.state_files))


async def test_a_failed_task_runs_anew_with_fresh_counters(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    async with shared_daemon.client() as client:
        task_id = (await client.create(request(node(seaweed, source), node(seaweed, destination)))).id
        assert (await ended(client, task_id)).status == FAILED
        await seaweed.put_many(source, {"a": b"1", "b": b"2"})
        await client.start(keys_again(seaweed, task_id))
        task = await ended(client, task_id)
    assert (task.status, task.total_num, task.successful_num) == (SUCCEEDED, 2, 2)
