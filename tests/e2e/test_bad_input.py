"""Wrong input: the documented code, a message that names the field, and nothing is created."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from omsd.cli.client import CallError
from omsd.pb.v1 import task_pb2, types_pb2
from tests.e2e.harness import Daemon, ended, keys_again, node, request
from tests.servers import S3Server

Change = Callable[[task_pb2.CreateTaskRequest], Any]


def windows(*spans: tuple[str, str, int]) -> Change:
    def change(wanted: task_pb2.CreateTaskRequest) -> None:
        for start, end, rate in spans:
            wanted.bandwidth_policy.add(start=start, end=end, max_bandwidth=rate)

    return change


def setting(path: str, value: object) -> Change:
    def change(wanted: task_pb2.CreateTaskRequest) -> None:
        *nodes, name = path.split(".")
        message: Any = wanted
        for each in nodes:
            message = getattr(message, each)
        setattr(message, name, value)

    return change


def without_endpoint(side: str, region: str) -> Change:
    def change(wanted: task_pb2.CreateTaskRequest) -> None:
        message = getattr(wanted, side)
        message.ClearField("endpoint")
        message.region = region

    return change


def keys(*names: str) -> Change:
    def change(wanted: task_pb2.CreateTaskRequest) -> None:
        wanted.src_node.object_key[:] = names

    return change


RATE = 2 * 1024 * 1024
CASES: dict[str, tuple[Change, str, str]] = {
    "unknown source region": (without_endpoint("src_node", "mars-1"), "OMS.0079", "src_node.region"),
    "unknown destination region": (without_endpoint("dst_node", "mars-1"), "OMS.0080", "dst_node.region"),
    "unreachable source": (setting("src_node.endpoint", "http://127.0.0.1:9"), "OMS.1014", "src_node.endpoint"),
    "unreachable destination": (setting("dst_node.endpoint", "http://127.0.0.1:9"), "OMS.1020", "dst_node.endpoint"),
    "an endpoint that is no URL": (setting("src_node.endpoint", "ftp://x/y"), "OMS.1003", "src_node.endpoint"),
    "a private address": (setting("src_node.endpoint", "http://10.255.255.1"), "OMS.1014", "src_node.endpoint"),
    "the metadata address": (setting("src_node.endpoint", "http://169.254.169.254"), "OMS.1014", "src_node.endpoint"),
    "wrong source keys": (setting("src_node.ak", "NOBODY"), "OMS.1014", "src_node.ak"),
    "wrong source secret": (setting("src_node.sk", "WRONG"), "OMS.1014", "src_node.ak"),
    "wrong destination secret": (setting("dst_node.sk", "WRONG"), "OMS.1020", "dst_node.ak"),
    "a source bucket too long": (setting("src_node.bucket", "b" * 64), "OMS.1003", "src_node.bucket"),
    "a key too long": (keys("k" * 1025), "OMS.1003", "src_node.object_key[0]"),
    "a prefix too long": (setting("dst_node.save_prefix", "k" * 1025), "OMS.1003", "dst_node.save_prefix"),
    "windows that overlap": (
        windows(("01:00", "03:00", RATE), ("02:00", "04:00", RATE)), "OMS.0085", "bandwidth_policy[1]",
    ),
    "a rate too low": (windows(("01:00", "03:00", 5)), "OMS.0084", "bandwidth_policy[0].max_bandwidth"),
    "a time that is none": (windows(("25:00", "03:00", RATE)), "OMS.0087", "bandwidth_policy[0].start"),
    "too many windows": (
        windows(*[(f"{n:02}:00", f"{n:02}:30", RATE) for n in range(6)]), "OMS.0083", "bandwidth_policy",
    ),
    "a forbidden character": (setting("description", "a<b"), "OMS.0078", "description"),
    "a description too long": (setting("description", "x" * 256), "OMS.1003", "description"),
    "no bucket": (setting("src_node.bucket", ""), "OMS.1004", "src_node.bucket"),
    "URL lists, which come later": (setting("task_type", types_pb2.TASK_TYPE_URL_LIST), "OMS.0064", "task_type"),
    "a list task without its list": (setting("task_type", types_pb2.TASK_TYPE_LIST), "OMS.0057", "src_node.list_file"),
    "a list that the task has no use for": (
        setting("src_node.list_file.obs_bucket", "lists"), "OMS.0057", "src_node.list_file",
    ),
    "a CDN, which comes later": (setting("source_cdn.domain", "cdn.example.com"), "OMS.0064", "source_cdn"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_a_task_is_refused_for(name: str, shared_daemon: Daemon, seaweed: S3Server) -> None:
    change, code, field = CASES[name]
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    wanted = request(node(seaweed, source), node(seaweed, destination))
    change(wanted)
    async with shared_daemon.client("refused") as client:
        with pytest.raises(CallError) as caught:
            await client.create(wanted)
        assert (await client.list(task_pb2.ListTasksRequest())).count == 0
    error = caught.value
    assert error.code == code, error
    assert any(violation.field.startswith(field) for violation in error.violations), error.violations
    assert field in error.message
    for secret in ("WRONG", seaweed.secret_key):
        assert secret not in error.message


async def test_missing_buckets_are_named(shared_daemon: Daemon, moto: S3Server) -> None:
    bucket = await moto.make_bucket()
    async with shared_daemon.client("refused") as client:
        for source, destination, code, field in (
            ("not-there-at-all", bucket, "OMS.1014", "src_node.bucket"),
            (bucket, "not-there-at-all", "OMS.1020", "dst_node.bucket"),
        ):
            with pytest.raises(CallError) as caught:
                await client.create(request(node(moto, source), node(moto, destination)))
            assert (caught.value.code, caught.value.violations[0].field) == (code, field)


async def test_a_task_of_another_project_does_not_exist(shared_daemon: Daemon, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put(source, "a", b"1")
    async with shared_daemon.client("mine") as mine, shared_daemon.client("other") as other:
        task_id = (await mine.create(request(node(seaweed, source), node(seaweed, destination)))).id
        await ended(mine, task_id)
        calls = [
            other.get(task_id), other.stop(task_id), other.delete(task_id), other.limit(task_id, []),
            other.start(keys_again(seaweed, task_id)), mine.get(1), mine.get(-5),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(CallError) as caught:
                await call
            assert caught.value.code == "OMS.0054"
            assert caught.value.not_found
        assert (await other.list(task_pb2.ListTasksRequest())).count == 0
        assert (await mine.get(task_id)).successful_num == 1
