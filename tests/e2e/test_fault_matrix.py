"""Each fault at each request of a small task, from its creation to the upload of its lists: none changes what arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.harness import SUCCEEDED, Daemon, ended, node, request
from tests.fakes.fault_proxy import FaultProxy
from tests.fakes.faults import Fault, Kind, s3_error
from tests.servers import S3Server

MIB = 1024 * 1024
# The large one is a multipart upload of one part: faults in the middle of several are test_faults.py's.
OBJECTS = {"empty": b"", "small": b"s" * 1000, "large": bytes(range(256)) * (MIB // 256) + b"tail"}
TOGETHER = 5
# Longer than a first retry waits, far shorter than eight attempts.
REFUSED_S = 0.3
# A task of these objects makes about twenty requests; the bound only ends a test that goes wrong.
LEAST_REQUESTS, MOST_REQUESTS = 18, 80

KINDS: dict[str, Callable[[int], Fault]] = {
    "a reset": lambda skip: Fault(Kind.RESET, skip=skip),
    "a refusal of all connections": lambda skip: Fault(Kind.REFUSE, skip=skip, delay_s=REFUSED_S),
    "a 500": lambda skip: s3_error(500, "InternalError", skip=skip),
    "a 503": lambda skip: s3_error(503, "SlowDown", skip=skip),
    "a 429 with Retry-After": lambda skip: s3_error(429, "TooManyRequests", skip=skip, retry_after_s=1),
    "a 403 by mistake": lambda skip: s3_error(403, "AccessDenied", skip=skip),
    "a lost answer": lambda skip: Fault(Kind.LOSE, skip=skip),
    "a silence": lambda skip: Fault(Kind.SILENCE, skip=skip),
    "an answer cut short": lambda skip: Fault(Kind.TRUNCATE, skip=skip, at=3),
    "an answer without length": lambda skip: Fault(Kind.UNSIZED, skip=skip),
    "an answer without length, cut short": lambda skip: Fault(Kind.UNSIZED, skip=skip, at=-3),
    "an answer too long": lambda skip: Fault(Kind.OVERRUN, skip=skip, at=3),
}
READS: dict[str, Callable[[int], Fault]] = {
    # For a write these are true statements about a bucket, or lies that nothing tells from the truth.
    "a 404 by mistake": lambda skip: s3_error(
        404, "NoSuchKey", method="GET", target="large|small", skip=skip
    ),
    "an empty 200": lambda skip: Fault(Kind.ANSWER, "GET", skip=skip),
    "an error inside a 200": lambda skip: s3_error(
        200, "InternalError", method="GET", target="list-type", skip=skip
    ),
}


@pytest.fixture(scope="module")
def matrix_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Parts as small as they may be, and little patience with silence."""
    daemon = Daemon(tmp_path_factory.mktemp("matrix"), limits="single_put_max_mib = 1\npart_size_mib = 5\n")
    daemon.extra = "first_byte_timeout_s = 3.0\nstall_timeout_s = 3.0\n"
    asyncio.run(daemon.start())
    yield daemon
    daemon.end()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [*KINDS, *READS])
async def test_at_no_request_does_the_task_mind(name: str, matrix_daemon: Daemon, seaweed: S3Server) -> None:
    make = {**KINDS, **READS}[name]
    source = await seaweed.make_bucket()
    for key, body in OBJECTS.items():
        await seaweed.put(
            source,
            key,
            body,
            ContentType="text/x-test",
            Metadata={"colour": "blue"},
            ChecksumAlgorithm="CRC64NVME",
        )
    # One destination for all, each task below a prefix of its own: making buckets is what takes time.
    destination = await seaweed.make_bucket()
    skips = iter(range(MOST_REQUESTS))
    met: list[int] = []

    async def work() -> None:
        for skip in skips:
            if not await arrives(make(skip), matrix_daemon, seaweed, source, destination, f"at-{skip}/"):
                return
            met.append(skip)

    async with asyncio.TaskGroup() as group:
        for _ in range(TOGETHER):
            group.create_task(work())
    assert len(met) >= (LEAST_REQUESTS if name in KINDS else 1)
    assert len(met) < MOST_REQUESTS
    assert not await seaweed.open_uploads(destination)
    assert seaweed.secret_key not in matrix_daemon.log()


async def arrives(
    fault: Fault, daemon: Daemon, server: S3Server, source: str, destination: str, prefix: str
) -> bool:
    """Move everything with this fault on the way; False if it met no request."""
    with FaultProxy(server.url) as proxy:
        proxy.add(fault)
        async with daemon.client() as client:
            ends = node(server, source, proxy.url), node(server, destination, proxy.url)
            ends[1]["save_prefix"] = prefix
            wanted = request(*ends, enable_metadata_migration=True)
            task = await ended(client, (await client.create(wanted)).id)
        met = [seen for seen in proxy.seen if seen.fault is not None]
    where = f"{fault.kind} met {met}: {task}"
    assert task.status == SUCCEEDED, where
    assert (task.total_num, task.successful_num, task.failed_num) == (len(OBJECTS), len(OBJECTS), 0), where
    for key, body in OBJECTS.items():
        head = await server.head(destination, f"{prefix}{key}")
        assert (head["ContentType"], head["Metadata"]) == ("text/x-test", {"colour": "blue"}), where
        assert await server.get(destination, f"{prefix}{key}") == body, where
    return bool(met)
