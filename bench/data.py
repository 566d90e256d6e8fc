"""The data that is moved: what it is, who moves it, and how its buckets are filled."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.tools import BenchError, s5cmd_copy, s5cmd_upload
from omsd.demo.compare import LIST_FOLDERS
from omsd.demo.processes import S3Access

MIB = 1024**2
GIB = 1024**3
UPLOADERS = 12
_LARGEST_PUT_BYTES = 256 * MIB
_PART_BYTES = 64 * MIB
# Through files on disk and a compiled client: a Python one needs minutes for so many.
_MANY = 20_000


class Way(StrEnum):
    """STREAMED: through the tool. COPIED: by the server, asked by the tool. UNCHANGED: all is there already."""

    STREAMED = "streamed"
    COPIED = "copied"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class DataSet:
    """What is moved and which peers move it, too. goal: the figure to reach, as a sentence. max_runs: bounds the time it takes."""

    name: str
    objects: int
    size_bytes: int
    goal: str
    peers: tuple[str, ...]
    way: Way = Way.STREAMED
    max_runs: int = 5

    @property
    def total_bytes(self) -> int:
        """Of all objects."""
        return self.objects * self.size_bytes

    @property
    def label(self) -> str:
        """For names of buckets and folders."""
        return f"{self.way}-{self.objects}-{self.size_bytes}"


async def fill(client: Any, access: S3Access, bucket: str, data: DataSet, folder: Path) -> None:
    """The bucket holds the objects of the set, and nothing else."""
    await client.create_bucket(Bucket=bucket)
    if data.objects > _MANY:
        await asyncio.to_thread(_write_files, folder / "files", data)
        await s5cmd_upload(access, folder / "files", bucket, folder)
        return
    # One body for all: what is stored in it makes no difference to what is measured.
    block = random.Random(1).randbytes(min(data.size_bytes, MIB))
    numbers = iter(range(data.objects))
    upload = _upload_whole if data.size_bytes <= _LARGEST_PUT_BYTES else _upload_parts

    async def work() -> None:
        for number in numbers:
            await upload(client, bucket, _key(number), block, data.size_bytes)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(UPLOADERS, data.objects)):
            group.create_task(work())


async def fresh_target(
    client: Any, access: S3Access, source: str, name: str, data: DataSet, folder: Path
) -> str:
    """A bucket that has its volumes, so that no run pays for making them: empty, or for an unchanged set a copy of the source."""
    await client.create_bucket(Bucket=name)
    await client.put_object(Bucket=name, Key="warm", Body=b"x")
    await client.delete_object(Bucket=name, Key="warm")
    if data.way is Way.UNCHANGED:
        await s5cmd_copy(access, source, name, folder)
    return name


async def check(client: Any, bucket: str, data: DataSet) -> None:
    """Raise BenchError unless the bucket holds the whole set."""
    sizes = [
        entry["Size"]
        async for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for entry in page.get("Contents", ())
        if not entry["Key"].startswith(LIST_FOLDERS)
    ]
    if sizes != [data.size_bytes] * data.objects:
        raise BenchError(f"{bucket} holds {len(sizes)} objects and {sum(sizes)} bytes")


async def drop(client: Any, bucket: str) -> None:
    """The bucket is gone; SeaweedFS drops it with all that is in it."""
    await client.delete_bucket(Bucket=bucket)


def _key(number: int) -> str:
    return f"folder-{number % 10}/object-{number:06}"


def _write_files(folder: Path, data: DataSet) -> None:
    body = random.Random(1).randbytes(data.size_bytes)
    for number in range(data.objects):
        path = folder / _key(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


async def _upload_whole(client: Any, bucket: str, key: str, block: bytes, size_bytes: int) -> None:
    await client.put_object(Bucket=bucket, Key=key, Body=block * (size_bytes // len(block)))


async def _upload_parts(client: Any, bucket: str, key: str, block: bytes, size_bytes: int) -> None:
    body = block * (_PART_BYTES // len(block))
    upload = (await client.create_multipart_upload(Bucket=bucket, Key=key))["UploadId"]
    parts = []
    for number in range(1, size_bytes // _PART_BYTES + 1):
        stored = await client.upload_part(
            Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body
        )
        parts.append({"PartNumber": number, "ETag": stored["ETag"]})
    await client.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
