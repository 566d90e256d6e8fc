"""Both buckets on one server: it copies the objects itself, and no body of one passes through the workers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from omsd.pb.v1 import types_pb2
from tests.e2e.harness import SUCCEEDED, Daemon, ended, migrated, node, request
from tests.e2e.test_main_job import ZOO
from tests.fakes.fault_proxy import FaultProxy, Seen
from tests.fakes.faults import Fault, Kind, s3_error
from tests.servers import S3Server

MIB = 1024 * 1024
# Requests that are not the question whether the destination may be written.
AT_WORK = "^(?!.*omsd-probe)"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that may use copies inside the service, those of large objects in parts of 5 MiB."""
    daemon = Daemon(tmp_path_factory.mktemp("copying"), server_side_copy=True, server_side_copy_part_mib=5)
    asyncio.run(daemon.start())
    yield daemon
    daemon.end()


@dataclass(frozen=True)
class Copying:
    """The daemon as one test sees it."""

    daemon: Daemon
    events_before: int

    def refusals(self) -> int:
        """How often it has said in this test that copies were refused."""
        events = self.daemon.events()[self.events_before :]
        return [event["event"] for event in events].count("server_side_copy_refused")


@pytest.fixture
def copying(started: Daemon) -> Copying:
    return Copying(started, len(started.events()))


def mixed(seed: int) -> dict[str, bytes]:
    rng = random.Random(seed)
    objects = {f"small/{n:03} + ü": rng.randbytes(rng.randrange(0, 30_000)) for n in range(60)}
    return {**objects, "empty": b"", "whole": rng.randbytes(5 * MIB), "parts": rng.randbytes(12 * MIB)}


def bodies_that_came(seen: list[Seen]) -> list[str]:
    """Requests for an object's body."""
    return [
        f"{one.method} {one.target}"
        for one in seen
        if one.method == "GET" and "?" not in one.target and one.target.count("/") > 1
    ]


@pytest.mark.parametrize("metadata", [False, True])
async def test_the_server_copies_and_no_body_passes_through_us(
    metadata: bool, copying: Copying, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = mixed(1)
    for number, (key, data) in enumerate(objects.items()):
        checked = {"ChecksumAlgorithm": "CRC64NVME"} if number % 2 else {}
        more = {"ContentType": "text/x-test", "CacheControl": "max-age=5", "Metadata": {"colour": "blue"}}
        await seaweed.put(source, key, data, **checked, **more)
    with FaultProxy(seaweed.url) as proxy:
        async with copying.daemon.client() as client:
            wanted = request(
                node(seaweed, source, proxy.url),
                node(seaweed, destination, proxy.url),
                enable_metadata_migration=metadata,
                consistency_check=types_pb2.CONSISTENCY_CHECK_CRC64,
            )
            task = await ended(client, (await client.create(wanted)).id)
            assert (task.status, task.successful_num) == (SUCCEEDED, len(objects)), task
            assert task.real_size == task.complete_size == sum(map(len, objects.values()))
            again = await ended(client, (await client.create(wanted)).id)
            assert (again.status, again.skipped_num) == (SUCCEEDED, len(objects)), again
        assert not bodies_that_came(proxy.seen)
        assert proxy.count("PUT", f"{AT_WORK}.*partNumber=") == 3
        # A copy each, and nothing else but the object lists.
        assert proxy.count("PUT", f"{AT_WORK}/[^/]+/(?!oms/)") == len(objects) - 1 + 3
    assert await migrated(seaweed, destination) == objects
    for key in ("whole", "parts", "empty"):
        head = await seaweed.head(destination, key)
        assert head["ContentType"] == "text/x-test"
        assert head["Metadata"] == ({"colour": "blue"} if metadata else {})
        assert head.get("CacheControl") == ("max-age=5" if metadata else None)
    assert not await seaweed.open_uploads(destination)
    assert copying.refusals() == 0


async def test_every_key_is_copied_as_it_is(copying: Copying, moto: S3Server) -> None:
    source, destination = await moto.make_bucket(), await moto.make_bucket()
    objects = {key: f"{number}".encode() for number, key in enumerate(ZOO)}
    await moto.put_many(source, objects)
    with FaultProxy(moto.url) as proxy:
        async with copying.daemon.client() as client:
            wanted = request(node(moto, source, proxy.url), node(moto, destination, proxy.url))
            task = await ended(client, (await client.create(wanted)).id)
        assert (task.status, task.successful_num) == (SUCCEEDED, len(ZOO)), task
        assert not bodies_that_came(proxy.seen)
    assert await migrated(moto, destination) == objects
    assert copying.refusals() == 0


REFUSALS = {
    "copies are not known": lambda: s3_error(501, "NotImplemented", method="PUT", target=AT_WORK),
    "the source may not be read": lambda: s3_error(
        403, "AccessDenied", method="PUT", target=AT_WORK, times=2
    ),
    "a refusal inside a 200": lambda: s3_error(200, "InvalidRequest", method="PUT", target=AT_WORK),
    "a 200 without a result": lambda: Fault(Kind.ANSWER, "PUT", AT_WORK, times=2),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_what_the_server_refuses_to_copy_is_streamed(
    name: str, copying: Copying, seaweed: S3Server
) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = mixed(2)
    del objects["parts"]  # it would not wait for what becomes of the probe
    await seaweed.put_many(source, objects)
    with FaultProxy(seaweed.url) as proxy:
        fault = proxy.add(REFUSALS[name]())
        async with copying.daemon.client() as client:
            wanted = request(node(seaweed, source, proxy.url), node(seaweed, destination, proxy.url))
            task = await ended(client, (await client.create(wanted)).id)
        assert (task.status, task.successful_num) == (SUCCEEDED, len(objects)), task
        assert fault.met == fault.times
        assert len(bodies_that_came(proxy.seen)) >= len(objects)
    assert await migrated(seaweed, destination) == objects
    assert copying.refusals() == 1


async def test_copies_are_true_in_spite_of_faults(copying: Copying, seaweed: S3Server) -> None:
    source, destination = await seaweed.make_bucket(), await seaweed.make_bucket()
    objects = mixed(3)
    await seaweed.put_many(source, objects)
    with FaultProxy(seaweed.url) as proxy:
        faults = [
            proxy.add(Fault(Kind.LOSE, "PUT", times=3, skip=3)),
            proxy.add(s3_error(503, "SlowDown", method="PUT", times=5, skip=8)),
            proxy.add(s3_error(200, "InternalError", method="PUT", target="partNumber=2")),
            proxy.add(Fault(Kind.ANSWER, "PUT", "partNumber=3")),
            proxy.add(Fault(Kind.RESET, "POST", "uploadId")),
        ]
        async with copying.daemon.client() as client:
            wanted = request(node(seaweed, source, proxy.url), node(seaweed, destination, proxy.url))
            task = await ended(client, (await client.create(wanted)).id)
        assert (task.status, task.successful_num) == (SUCCEEDED, len(objects)), task
        assert all(fault.met for fault in faults), faults
        assert not bodies_that_came(proxy.seen)
    assert await migrated(seaweed, destination) == objects
    assert not await seaweed.open_uploads(destination)
