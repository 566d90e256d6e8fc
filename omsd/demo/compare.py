"""Reads two buckets again, byte by byte, and says where they differ. Nothing here uses the daemon's own reading code."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import xxhash
from awscrt import checksums

from omsd.domain.object_lists import FOLDERS

READERS = 12
LIST_FOLDERS = tuple(FOLDERS.values())
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What was read of one object. published_crc64: what the server says of it, None if it says nothing."""

    size_bytes: int
    crc64_nvme: int
    xxh3: str
    content_type: str
    published_crc64: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two buckets beside each other, in figures of the destination. differences: key and what is different.

    crc64_matches: objects whose bytes have the same CRC64 on both sides, and the one that the server publishes.
    """

    objects: int
    size_bytes: int
    crc64_matches: int
    differences: tuple[tuple[str, str], ...]


async def read_bucket(client: Any, bucket: str, on_object: Callable[[int], None]) -> dict[str, Fingerprint]:
    """Every key with the fingerprint of its bytes, but for the lists that a task wrote of its objects."""
    keys = [
        entry["Key"]
        async for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for entry in page.get("Contents", ())
        if not entry["Key"].startswith(LIST_FOLDERS)
    ]
    found: dict[str, Fingerprint] = {}
    waiting = iter(keys)

    async def read() -> None:
        for key in waiting:
            found[key] = await _read_object(client, bucket, key)
            on_object(found[key].size_bytes)

    async with asyncio.TaskGroup() as group:
        for _ in range(READERS):
            group.create_task(read())
    return found


async def _read_object(client: Any, bucket: str, key: str) -> Fingerprint:
    answer = await client.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    size, crc, digest = 0, 0, xxhash.xxh3_128()
    async with answer["Body"] as body:
        while chunk := await body.read(_CHUNK_BYTES):
            size += len(chunk)
            crc = checksums.crc64nvme(chunk, crc)
            digest.update(chunk)
    text = answer.get("ChecksumCRC64NVME")
    published = int.from_bytes(base64.b64decode(text), "big") if text else None
    return Fingerprint(size, crc, digest.hexdigest(), answer["ContentType"], published)


def compare(source: Mapping[str, Fingerprint], target: Mapping[str, Fingerprint]) -> Comparison:
    """Every key of both buckets, compared."""
    differences: list[tuple[str, str]] = []
    matches = 0
    for key in sorted(source.keys() | target.keys()):
        here, there = source.get(key), target.get(key)
        if here is None or there is None:
            differences.append(
                (key, "only in the destination" if here is None else "missing in the destination")
            )
            continue
        wrong = _differences(here, there)
        differences += [(key, what) for what in wrong]
        matches += not any("CRC64" in what for what in wrong)
    return Comparison(
        len(target), sum(item.size_bytes for item in target.values()), matches, tuple(differences)
    )


def _differences(source: Fingerprint, target: Fingerprint) -> list[str]:
    wrong = []
    if source.size_bytes != target.size_bytes:
        wrong.append(f"size {source.size_bytes} and {target.size_bytes}")
    if source.crc64_nvme != target.crc64_nvme:
        wrong.append(f"CRC64 {source.crc64_nvme:016x} and {target.crc64_nvme:016x}")
    if source.xxh3 != target.xxh3:
        wrong.append(f"xxh3 {source.xxh3} and {target.xxh3}")
    if source.content_type != target.content_type:
        wrong.append(f"content type {source.content_type!r} and {target.content_type!r}")
    for side, item in (("source", source), ("destination", target)):
        if item.published_crc64 not in (None, item.crc64_nvme):
            wrong.append(f"the {side} publishes another CRC64 than its bytes have")
    return wrong
