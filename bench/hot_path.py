"""CPU of one shard of small objects: engine, driver and wire against a canned S3 server in a process of its own.

python -m bench.hot_path [--objects 4000] [--runs 5] [--unchanged] [--daemon] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import cProfile
import multiprocessing
import pstats
import resource
import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import uvloop
from awscrt.checksums import crc64nvme

from bench.tools import run_omsd
from omsd.demo.processes import S3Access
from omsd.domain.events import ShardBatch, ShardEvent
from omsd.domain.model import CloudType, Credentials, LeaseId, Location, ShardId, TaskId, TaskSpec, TaskType
from omsd.domain.shards import KeptUpload, OpenUpload, SentPart, Shard, ShardKind, UploadIntent, UploadPlan
from omsd.drivers.registry import StoreFactory
from omsd.engine.buffers import BufferBudget
from omsd.engine.context import ShardContext
from omsd.engine.pacer import Pacer, PacerPair
from omsd.engine.settings import EngineSettings
from omsd.engine.shard import ShardRun
from omsd.engine.throttle import Throttle
from omsd.workerd import settle_collector

_BODY = bytes(range(256)) * 64
_CRC64 = base64.b64encode(crc64nvme(_BODY).to_bytes(8, "big"))
_PAGE = 1000
_EMPTY, _SAME = "dst-bench", "same-bench"
_SERVER_LIFE_S = 600
_KEYS = Credentials("bench", "bench")
# What SeaweedFS sends with every answer.
_COMMON = (
    b"HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nServer: SeaweedFS 30GB 4.48\r\nX-Amz-Request-Id: 17f3e1a2b4c5d6e7f\r\n"
    b"Date: Sun, 22 Nov 2026 09:00:00 GMT\r\nX-Amz-Id-2: 0123456789abcdef0123456789abcdef\r\n"
)
_GOT = (
    _COMMON + b'ETag: "0123456789abcdef0123456789abcdef"\r\nLast-Modified: Sun, 22 Nov 2026 08:00:00 GMT\r\n'
    b"Content-Type: application/octet-stream\r\nContent-Disposition: inline\r\nX-Amz-Storage-Class: STANDARD\r\n"
    b"X-Amz-Checksum-Crc64nvme: " + _CRC64 + b"\r\nX-Amz-Checksum-Type: FULL_OBJECT\r\n"
    b"Content-Length: %d\r\n\r\n" % len(_BODY) + _BODY
)
_PUT = (
    _COMMON
    + b'ETag: "0123456789abcdef0123456789abcdef"\r\nX-Amz-Checksum-Crc64nvme: %b\r\nContent-Length: 0\r\n\r\n'
)


class _Server(asyncio.Protocol):
    """Answers what a copy asks, as cheaply as Python can. A bucket named dst-* is empty, one named same-* has the same objects."""

    keys: Sequence[str] = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer = self.buffer + data if self.buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        if buffer.startswith(b"PUT"):
            head = buffer[:end].lower()
            if len(buffer) < end + 4 + int(head.split(b"content-length: ")[1].split(b"\r\n", 1)[0]):
                return
            at = head.find(b"x-amz-checksum-crc64nvme: ") + 26
            self.transport.write(_PUT % buffer[at:end].split(b"\r\n", 1)[0])
        else:
            target = urlsplit(buffer.split(b" ", 2)[1].decode())
            self.transport.write(self.listing(target.path, target.query) if target.query else _GOT)
        self.buffer = b""

    def listing(self, path: str, query: str) -> bytes:
        asked = parse_qs(query)
        keys = () if path.startswith("/dst") else self.keys
        first = bisect_right(keys, asked.get("start-after", [""])[0])
        first = int(asked.get("continuation-token", [str(first)])[0])
        end = min(first + min(int(asked["max-keys"][0]), _PAGE), len(keys))
        entries = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-11-22T08:00:00.000Z</LastModified>"
            f"<ETag>&#34;0123456789abcdef0123456789abcdef&#34;</ETag><Size>{len(_BODY)}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys[first:end]
        )
        more = end < len(keys)
        body = (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated><EncodingType>url</EncodingType>"
            f"<NextContinuationToken>{end}</NextContinuationToken>{entries}</ListBucketResult>"
        ).encode()
        return _COMMON + b"Content-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _serve(pipe: Pipe, objects: int) -> None:
    async def main() -> None:
        _Server.keys = [f"folder-0/object-{n:06}" for n in range(objects)]
        server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.sleep(_SERVER_LIFE_S)

    uvloop.run(main())


class _NoUploads:
    """Small objects have none."""

    async def intended(self, intent: UploadIntent) -> None:
        raise AssertionError(intent)

    async def opened(self, upload: OpenUpload, plan: UploadPlan | None, *, settled: bool) -> None:
        raise AssertionError(upload)

    async def kept(self, key: str) -> KeptUpload | None:
        raise AssertionError(key)

    async def settled(self, key: str) -> None:
        raise AssertionError(key)

    async def sent(self, upload: OpenUpload, parts: tuple[SentPart, ...]) -> None:
        raise AssertionError(upload)

    async def tell(self) -> None:
        """Nothing gathers."""

    async def closed(self, upload: OpenUpload) -> None:
        raise AssertionError(upload)


async def _copy(url: str, target_bucket: str, objects: int) -> tuple[float, float]:
    """User, and user and system CPU seconds of one shard."""
    factory = StoreFactory()
    source, target = (
        Location(CloudType.AWS, "us-east-1", name, url) for name in ("src-bench", target_bucket)
    )
    spec = TaskSpec(source, target, TaskType.PREFIX, ("",))
    done = 0

    async def emit(event: ShardEvent) -> None:
        nonlocal done
        if isinstance(event, ShardBatch):
            done += event.counters.successful_num + event.counters.skipped_num

    pacer = Pacer(64)
    context = ShardContext(
        source=factory.open(source, _KEYS),
        destination=factory.open(target, _KEYS),
        spec=spec,
        settings=EngineSettings(),
        throttle=Throttle(),
        budget=BufferBudget(32 << 20),
        pacers=PacerPair(pacer, pacer),
        uploads=_NoUploads(),
        redo_since_s=None,
    )
    shard = Shard(ShardId(1), TaskId(1), 1, ShardKind.RANGE, attempt=1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    finished = await ShardRun(LeaseId(1), shard, context, (), emit).run()
    after = resource.getrusage(resource.RUSAGE_SELF)
    await factory.close()
    if not finished or done != objects:
        raise RuntimeError(f"{done} of {objects} objects were seen to")
    user_s = after.ru_utime - before.ru_utime
    return user_s, user_s + after.ru_stime - before.ru_stime


def _measure_shard(url: str, target: str, objects: int, runs: int) -> None:
    samples = [uvloop.run(_copy(url, target, objects)) for _ in range(runs)]
    user_s, cpu_s = (min(column) for column in zip(*samples, strict=True))
    print(
        f"shard: least of {runs} runs: {cpu_s / objects * 1e3:.4f} ms CPU/object, {user_s / objects * 1e3:.4f} of it user"
    )


async def _measure_daemon(url: str, target: str, objects: int, runs: int) -> None:
    access = S3Access(url, "bench", "bench", "us-east-1")
    with tempfile.TemporaryDirectory() as folder:
        samples = [
            await run_omsd(
                access,
                "src-bench",
                target,
                Path(folder) / str(n),
                objects,
                unchanged=target == _SAME,
            )
            for n in range(runs)
        ]
    cpu_s, wall_s = min(sample.cpu_s for sample in samples), min(sample.wall_s for sample in samples)
    control_s = min(sample.cpu_s - sum(sample.workers_cpu_s) for sample in samples)
    print(
        f"daemon: least of {runs} runs: {cpu_s / objects * 1e3:.4f} ms CPU/object, {control_s / objects * 1e3:.4f} of it control,"
        f" wall {wall_s:.2f} s"
    )


def _profile(url: str, target: str, objects: int) -> None:
    profile = cProfile.Profile()
    profile.enable()
    uvloop.run(_copy(url, target, objects))
    profile.disable()
    stats = pstats.Stats(profile)
    print(f"{stats.total_calls / objects:.0f} calls per object")  # type: ignore[attr-defined]  # missing in the stubs
    stats.sort_stats("tottime").print_stats(60)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each thing that was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--unchanged", action="store_true", help="all objects are at the destination already")
    parser.add_argument("--daemon", action="store_true", help="measure a whole daemon, too")
    parser.add_argument("--profile", action="store_true", help="count the calls instead")
    options = parser.parse_args(arguments)
    settle_collector()
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=_serve, args=(theirs, options.objects), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}"
        target = _SAME if options.unchanged else _EMPTY
        if options.profile:
            _profile(url, target, options.objects)
        else:
            _measure_shard(url, target, options.objects, options.runs)
        if options.daemon:
            asyncio.run(_measure_daemon(url, target, options.objects, options.runs))
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
