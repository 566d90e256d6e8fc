"""A worker process on stores in memory: the real worker and protocol, no cloud. Buckets named `bad-...` do not exist.

The bucket `lists` has object list files: `all.txt` and `half/1.txt`, `half/2.txt` of the keys of the bucket `full`, and bad ones.
The bucket `huge` has one large object.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import Credentials, Location
from omsd.drivers.memory import MemoryStore
from omsd.engine.settings import EngineSettings
from omsd.executors.channel import worker_channel
from omsd.executors.protocol import Configure
from omsd.executors.questions import CloudDoors, Questions
from omsd.executors.worker import Worker
from omsd.ports.account import Account
from omsd.ports.objectstore import PutOptions
from omsd.ports.web import Web

HUGE_BYTES = 12 * 1024 * 1024


def no_account(location: Location, credentials: Credentials) -> Account:
    raise StoreError(StoreErrorKind.UNSUPPORTED, "stores in memory have no accounts")


def no_web() -> Web:
    raise StoreError(StoreErrorKind.UNSUPPORTED, "stores in memory have no web")


async def main() -> None:
    stores: dict[str, MemoryStore] = {}

    def open_store(location: Location, credentials: Credentials) -> MemoryStore:
        if location.bucket == "huge":
            return huge
        store = stores.setdefault(location.bucket, MemoryStore())
        if location.bucket.startswith("bad-"):
            store.drop_bucket()
        return store

    channel = await worker_channel(socket.socket(fileno=int(sys.argv[1])))
    configured = await channel.receive()
    assert isinstance(configured, Configure)
    source = stores.setdefault("full", MemoryStore())
    huge = MemoryStore()
    await huge.put("huge", bytes(HUGE_BYTES), HUGE_BYTES, PutOptions())
    keys = [f"{number:06}" for number in range(int(configured.settings or b"100"))]
    for key in keys:
        await source.put(key, b"x" * 100, 100, PutOptions())
    lists = stores.setdefault("lists", MemoryStore())
    half = len(keys) // 2
    for name, listed, content_type in (
        ("all.txt", keys, "text/plain"),
        ("half/1.txt", keys[:half], "text/plain"),
        ("half/2.txt", keys[half:], "text/plain"),
        ("half/notes.md", ["nothing"], "text/plain"),
        ("page.txt", keys, "text/html"),
        ("empty/notes.md", keys, "text/plain"),
    ):
        text = "\n".join(listed).encode()
        await lists.put(name, text, len(text), PutOptions(content_type=content_type))
    engine = EngineSettings(batch_objects=50, report_interval_s=0.02, large_bytes=HUGE_BYTES // 2)
    questions = Questions(CloudDoors(open_store, no_account, no_web))
    await Worker(channel, engine, open_store, questions.answer).run(lambda: os._exit(0))


if __name__ == "__main__":
    asyncio.run(main())
