"""Refusals of a cloud, before and in mid task: each ends in its documented code, and says what the operator can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from omsd.cli.client import CallError
from omsd.pb.v1 import task_pb2
from tests.e2e.harness import (
    FAILED,
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
from tests.fakes.fault_proxy import FaultProxy
from tests.fakes.faults import s3_error
from tests.servers import S3Server

MIB = 1024 * 1024
OBJECTS = {f"k/{number:02}": bytes([number]) * 200_000 for number in range(40)}

# At which end, status, the cloud's code, ours, and a word of the advice.
ENDING = [
    ("source", 403, "InvalidAccessKeyId", "TRF.0151", "valid AK/SK"),
    ("source", 400, "ExpiredToken", "TRF.0151", "fresh ones"),
    ("source", 403, "AllAccessDisabled", "TRF.0154", "activated"),
    ("source", 404, "NoSuchBucket", "TRF.0155", "bucket name"),
    ("destination", 403, "SignatureDoesNotMatch", "TRF.0057", "valid AK/SK"),
    ("destination", 403, "AccountProblem", "TRF.0053", "activated"),
    ("destination", 403, "InArrearOrInsufficientBalance", "TRF.0063", "bills"),
    ("destination", 403, "QuotaExceeded", "TRF.0055", "space"),
    ("destination", 404, "NoSuchBucket", "TRF.0058", "bucket name"),
]


WHAT_IS_SAID = ("side", "status", "said", "code", "advice")


@asynccontextmanager
async def proxy_before(
    side: str, server: S3Server
) -> AsyncIterator[tuple[FaultProxy, task_pb2.CreateTaskRequest, str]]:
    """A proxy before one end, a wish for a task through it that is to move OBJECTS, and the bucket where they come."""
    source, destination = await server.make_bucket(), await server.make_bucket()
    await server.put_many(source, OBJECTS)
    with FaultProxy(server.url) as proxy:
        ends = {"source": node(server, source), "destination": node(server, destination)}
        ends[side]["endpoint"] = proxy.url
        yield proxy, request(**ends), destination


@pytest.mark.parametrize(WHAT_IS_SAID, ENDING)
async def test_what_concerns_the_whole_bucket_ends_the_task(
    side: str, status: int, said: str, code: str, advice: str, shared_daemon: Daemon, seaweed: S3Server
) -> None:
    async with proxy_before(side, seaweed) as (proxy, wanted, _), shared_daemon.client() as client:
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=MIB)
        task_id = (await client.create(wanted)).id
        await wait_for(client, task_id, lambda task: task.successful_num > 0)
        proxy.add(s3_error(status, said, times=None))
        task = await ended(client, task_id)
    assert (task.status, task.error_reason.error_code) == (FAILED, code), task
    assert task.error_reason.error_msg.startswith(side)
    assert said in task.error_reason.error_msg
    assert advice in task.error_reason.error_msg
    assert task.successful_num < len(OBJECTS)
    # It ended with the refusal, not after having tried every object.
    assert task.failed_num == 0, task


SINGLE = [
    ("source", 403, "AccessDenied", "TRF.0152", "grant"),
    ("source", 403, "InvalidObjectState", "TRF.0160", "restore the object"),
    ("source", 404, "NoSuchKey", "TRF.0156", "check that the object is there"),
    ("destination", 403, "AccessDenied", "TRF.0051", "grant"),
    ("destination", 400, "KeyTooLongError", "TRF.0060", "shorter"),
    ("destination", 400, "InvalidArgument", "TRF.0001", "options of the task"),
]


@pytest.mark.parametrize(WHAT_IS_SAID, SINGLE)
async def test_what_concerns_one_object_fails_it_alone(
    side: str, status: int, said: str, code: str, advice: str, shared_daemon: Daemon, seaweed: S3Server
) -> None:
    async with proxy_before(side, seaweed) as (proxy, wanted, destination):
        method = "GET" if side == "source" else "PUT"
        fault = proxy.add(s3_error(status, said, method=method, target=r"k/07$", times=None))
        async with shared_daemon.client() as client:
            task = await ended(client, (await client.create(wanted)).id)
            assert (task.status, task.failed_num, task.successful_num) == (FAILED, 1, len(OBJECTS) - 1)
            assert task.error_reason.error_code == code
            for words in ("k/07", said, advice, "migrate_failed_object"):
                assert words in task.error_reason.error_msg
            fault.times = 0
            await client.start(keys_again(seaweed, task.id, migrate_failed_object=True))
            task = await ended(client, task.id)
    assert (task.status, task.successful_num) == (SUCCEEDED, len(OBJECTS)), task
    assert await migrated(seaweed, destination) == OBJECTS


async def test_a_destination_that_may_only_be_read_is_noticed_before_anything_moves(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    async with proxy_before("destination", seaweed) as (proxy, wanted, _):
        wanted.bandwidth_policy.add(start="00:00", end="23:59", max_bandwidth=MIB)
        read_only = s3_error(403, "AccessDenied", method="PUT", times=None)
        async with shared_daemon.client() as client:
            fault = proxy.add(read_only)
            with pytest.raises(CallError) as refused:
                await client.create(wanted)
            assert (refused.value.code, refused.value.violations[0].field) == ("OMS.1020", "dst_node.ak")
            assert "grant" in refused.value.message
            fault.times = 0
            task_id = (await client.create(wanted)).id
            await wait_for(client, task_id, lambda task: task.successful_num > 0)
            await client.stop(task_id)
            paused = await wait_for(client, task_id, lambda task: task.status == PAUSED)
            fault.times = None
            await client.start(keys_again(seaweed, task_id))
            task = await ended(client, task_id)
    assert (task.status, task.error_reason.error_code) == (FAILED, "TRF.0051"), task
    assert (task.successful_num, task.failed_num) == (paused.successful_num, 0)


async def test_one_refusal_by_mistake_does_not_refuse_a_task(
    shared_daemon: Daemon, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    await seaweed.put_many(source, {"k": b"1"})
    with FaultProxy(seaweed.url) as proxy:
        faults = [proxy.add(s3_error(403, "AccessDenied", method=method)) for method in ("GET", "PUT")]
        async with shared_daemon.client() as client:
            ends = node(seaweed, source, proxy.url), node(seaweed, destination, proxy.url)
            task = await ended(client, (await client.create(request(*ends))).id)
    assert (task.status, task.successful_num) == (SUCCEEDED, 1), task
    assert all(fault.met for fault in faults)
