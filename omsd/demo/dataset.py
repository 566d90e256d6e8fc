"""What the demo's source bucket holds: a mixed set of objects, the same in every run, and the upload of it."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from awscrt import checksums

from omsd.demo.processes import S3Access

MIB = 1024 * 1024
UPLOADERS = 12

# All of these the demo's server holds as they are; it would turn a backslash into a slash.
ODD_KEYS = (
    "odd/with space.txt",
    "odd/ leading and trailing ",
    "odd/a+b=c.txt",
    "odd/100%.txt",
    "odd/%41%2F%00.txt",
    "odd/question?x=1#fragment",
    "odd/&<>'\".xml",
    "odd/semi;colon:at@,$!*()~[]{}|^`",
    "odd/emoji-\U0001f680\U0001f30d.bin",
    "odd/nfc-caf\u00e9",
    "odd/nfd-cafe\u0301",
    "odd/\u65e5\u672c\u8a9e/\u30ad\u30fc",
    "odd/tab\tand\nline",
    "odd/.hidden",
    "odd/..two-dots",
    "odd/" + "l" * 200 + "/" + "m" * 200,
    "odd/marker/",
)

_TYPES = (
    "text/plain; charset=utf-8",
    "application/json",
    "image/png",
    "application/octet-stream",
    "text/css",
)


@dataclass(frozen=True, slots=True)
class Planned:
    """An object to be made: its bytes follow from size and seed."""

    key: str
    size_bytes: int
    content_type: str
    seed: int

    def body(self) -> bytes:
        """The bytes, the same each time."""
        return random.Random(self.seed).randbytes(self.size_bytes)


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the set is."""

    small_objects: int
    large_sizes_mib: tuple[int, ...]


FULL = Scale(2000, (64, 80, 96))
SMALL = Scale(150, (20,))


def iter_objects(scale: Scale) -> Iterator[Planned]:
    """Every object of the set, large ones first."""
    dice = random.Random(20)
    for number, size_mib in enumerate(scale.large_sizes_mib):
        # Not a multiple of any part size.
        yield Planned(f"large/video-{number}.mp4", size_mib * MIB + number * 1001, "video/mp4", number)
    for number in range(scale.small_objects):
        folder = f"small/{number % 7}/{number % 31:02}"
        yield Planned(
            f"{folder}/object-{number:05}.dat", dice.randint(1, 64 * 1024), dice.choice(_TYPES), 100 + number
        )
    for number in range(12):
        yield Planned(f"empty/zero-{number}.txt", 0, "text/plain", 0)
    for depth in (10, 20, 40):
        levels = "/".join(f"level-{level}" for level in range(depth))
        yield Planned(f"deep/{levels}/leaf.txt", 1000 + depth, "text/plain", 9000 + depth)
    for number, key in enumerate(ODD_KEYS):
        yield Planned(key, 0 if key.endswith("/") else 500 + number, _TYPES[number % 5], 9500 + number)


def open_client(access: S3Access) -> AbstractAsyncContextManager[Any]:
    """An S3 client that shares no code with the daemon's own hot path."""
    config = AioConfig(
        s3={"addressing_style": "path"},
        max_pool_connections=UPLOADERS * 2,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client: AbstractAsyncContextManager[Any] = get_session().create_client(
        "s3",
        endpoint_url=access.url,
        region_name=access.region,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        config=config,
    )
    return client


async def fill(client: Any, bucket: str, scale: Scale, on_object: Callable[[int], None]) -> None:
    """The bucket holds the set; on_object is told the size of each object that is there."""
    planned = iter_objects(scale)

    async def upload() -> None:
        for item in planned:
            body = await asyncio.to_thread(item.body)
            await client.put_object(
                Bucket=bucket,
                Key=item.key,
                Body=body,
                ContentType=item.content_type,
                ChecksumCRC64NVME=base64.b64encode(checksums.crc64nvme(body).to_bytes(8, "big")).decode(),
            )
            on_object(item.size_bytes)

    async with asyncio.TaskGroup() as group:
        for _ in range(UPLOADERS):
            group.create_task(upload())
