"""How long an event takes from its acceptance to the object in place: `python -m bench.sync_latency [EVENTS_PER_S] [SECONDS] [--write]`.

SeaweedFS holds both buckets. A relay of ours before the destination notes when the answer to each PUT passes; events are sent on a
fixed schedule, one object each, and are accepted when the call is answered. --write: the section of bench/RESULTS.md is replaced.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from bench.measure import cpu_s, family_of
from bench.report import markdown_table
from tests.e2e.harness import Daemon
from tests.e2e.sync_harness import drained, sync_client, sync_request
from tests.servers import S3Server, start_seaweed

_RESULTS = Path(__file__).parent / "RESULTS.md"
_TITLE = "## Synchronization events"
_OBJECT_BYTES = 16 * 1024
_PUTS_AT_ONCE = 8
HEADERS = ("events/s", "events", "p50 ms", "p90 ms", "p99 ms", "max ms", "call p50 ms", "CPU ms/event")


@dataclass
class _Relay:
    """Passes bytes on to a server. stored: when the answer to the PUT of a path came by, monotonic."""

    upstream: str
    stored: dict[str, float] = field(default_factory=dict)

    async def serve(self) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: _Inbound(self), "127.0.0.1", 0)


class _Inbound(asyncio.Protocol):
    """A connection of a worker, and the one to the server that belongs to it."""

    def __init__(self, relay: _Relay) -> None:
        self._relay = relay
        self._path = ""
        self._early: list[bytes] = []
        self._client: asyncio.Transport | None = None
        self._server: asyncio.Transport | None = None
        self._connecting: asyncio.Task[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client = transport
        parts = urlsplit(self._relay.upstream)
        loop = asyncio.get_running_loop()
        self._connecting = loop.create_task(
            loop.create_connection(lambda: _Outbound(self), parts.hostname or "", parts.port or 80)
        )

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"PUT /"):
            self._path = data[4:300].split(b" ", 1)[0].decode()
        if self._server is None:
            self._early.append(data)
        else:
            self._server.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._server is not None:
            self._server.close()

    def connected(self, server: asyncio.Transport) -> None:
        self._server = server
        server.writelines(self._early)

    def answered(self, data: bytes) -> None:
        if self._path and data.startswith(b"HTTP/1.1 200"):
            self._relay.stored.setdefault(self._path, time.monotonic())
            self._path = ""
        assert self._client is not None
        self._client.write(data)

    def server_lost(self) -> None:
        if self._client is not None:
            self._client.close()


class _Outbound(asyncio.Protocol):
    def __init__(self, inbound: _Inbound) -> None:
        self._inbound = inbound

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._inbound.connected(transport)

    def data_received(self, data: bytes) -> None:
        self._inbound.answered(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._inbound.server_lost()


async def measure(events_per_s: int, seconds: int) -> tuple[str, ...]:
    """One run; the cells under HEADERS."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        server = await asyncio.to_thread(start_seaweed, folder / "server")
        daemon = Daemon(folder)
        relay = _Relay(server.url)
        listening = await relay.serve()
        port = listening.sockets[0].getsockname()[1]
        try:
            return await _run(server, daemon, relay, f"http://127.0.0.1:{port}", events_per_s, seconds)
        finally:
            listening.close()
            daemon.end()
            server.stop()


async def _run(
    server: S3Server, daemon: Daemon, relay: _Relay, url: str, events_per_s: int, seconds: int
) -> tuple[str, ...]:
    source, destination = await server.make_bucket(), await server.make_bucket()
    keys = [f"k/{number:06}" for number in range(events_per_s * seconds)]
    await _fill(server, source, keys)
    await daemon.start()
    assert daemon.process is not None
    accepted: dict[str, float] = {}
    called_s: list[float] = []
    async with sync_client(daemon) as client:
        task_id = await client.create(sync_request(server, source, destination, dst_url=url))
        before_s = cpu_s(family_of(daemon.process.pid))

        async def send(key: str) -> None:
            began_s = time.monotonic()
            await client.events(task_id, [key])
            accepted[key] = time.monotonic()
            called_s.append(accepted[key] - began_s)

        async with asyncio.TaskGroup() as group:
            start_s = time.monotonic()
            for number, key in enumerate(keys):
                await asyncio.sleep(max(0.0, start_s + number / events_per_s - time.monotonic()))
                group.create_task(send(key))
        task = await drained(client, task_id)
        spent_s = cpu_s(family_of(daemon.process.pid)) - before_s
    assert task.monthly_success_object == len(keys), task
    # The answer may pass the relay before that to the caller does.
    took_s = sorted(max(0.0, relay.stored[f"/{destination}/{key}"] - accepted[key]) for key in keys)
    return (
        str(events_per_s),
        str(len(keys)),
        *(f"{1000 * took_s[int(share * (len(took_s) - 1))]:.0f}" for share in (0.5, 0.9, 0.99, 1.0)),
        f"{1000 * sorted(called_s)[len(called_s) // 2]:.1f}",
        f"{1000 * spent_s / len(keys):.2f}",
    )


async def _fill(server: S3Server, bucket: str, keys: list[str]) -> None:
    rng = random.Random(1)
    gate = asyncio.Semaphore(_PUTS_AT_ONCE)

    async def put(key: str) -> None:
        async with gate:
            await server.put(bucket, key, rng.randbytes(_OBJECT_BYTES))

    async with asyncio.TaskGroup() as group:
        for key in keys:
            group.create_task(put(key))


def section(row: tuple[str, ...], load: float) -> list[str]:
    """The section for RESULTS.md."""
    return [
        _TITLE,
        "",
        f"Taken on {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores at a load of {load:.1f} (one minute, before it began).",
        "",
        "Goal: from the acceptance of an event to its object in place p50 at most 200 ms, p99 at most 1 s, at 100 events per second",
        "with both buckets on this machine. Objects of 16 KiB, one event per call; call: from the request to its answer, when the",
        "event is in SQLite. CPU of all processes of omsd.",
        "",
        *markdown_table(HEADERS, [row]),
    ]


def _write(lines: list[str]) -> None:
    kept, _, after = _RESULTS.read_text().partition(_TITLE)
    following = after.partition("\n## ")
    rest = "\n## " + following[2] if following[1] else ""
    _RESULTS.write_text(kept.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n" + rest)


def main() -> None:
    """Measure, print, and write if asked to."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    load = os.getloadavg()[0]
    row = asyncio.run(measure(numbers[0] if numbers else 100, numbers[1] if len(numbers) > 1 else 20))
    sys.stdout.write(" | ".join(HEADERS) + "\n" + " | ".join(row) + "\n")
    if "--write" in sys.argv:
        _write(section(row, load))


if __name__ == "__main__":
    main()
