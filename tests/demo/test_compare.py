"""The demo's comparison sees every kind of difference."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omsd.demo.compare import Fingerprint, compare, read_bucket
from omsd.demo.dataset import ODD_KEYS, SMALL, fill, iter_objects, open_client
from omsd.demo.processes import S3Access
from tests.servers import S3Server

SAME = Fingerprint(3, 0xABC, "00ff", "text/plain", 0xABC)


def test_equal_buckets_have_no_difference() -> None:
    result = compare({"a": SAME, "b": SAME}, {"a": SAME, "b": SAME})
    assert (result.objects, result.size_bytes, result.crc64_matches, result.differences) == (2, 6, 2, ())


@pytest.mark.parametrize(
    ("target", "what", "crc_matches"),
    [
        (replace(SAME, size_bytes=4), "size", 1),
        (replace(SAME, crc64_nvme=0xABD, published_crc64=None), "CRC64", 0),
        (replace(SAME, xxh3="00fe"), "xxh3", 1),
        (replace(SAME, content_type="image/png"), "content type", 1),
        (replace(SAME, published_crc64=0xABD), "publishes another CRC64", 0),
    ],
)
def test_a_difference_is_named(target: Fingerprint, what: str, crc_matches: int) -> None:
    result = compare({"a": SAME}, {"a": target})
    assert len(result.differences) == 1
    assert result.differences[0][0] == "a"
    assert what in result.differences[0][1]
    assert result.crc64_matches == crc_matches


def test_keys_of_one_side_only_are_differences() -> None:
    result = compare({"a": SAME, "b": SAME}, {"b": SAME, "c": SAME})
    assert result.differences == (("a", "missing in the destination"), ("c", "only in the destination"))


async def test_a_filled_bucket_reads_as_planned(seaweed: S3Server) -> None:
    bucket = await seaweed.make_bucket()
    access = S3Access(seaweed.url, seaweed.access_key, seaweed.secret_key)
    async with open_client(access) as client:
        await fill(client, bucket, SMALL, lambda _: None)
        found = await read_bucket(client, bucket, lambda _: None)
    planned = {item.key: item for item in iter_objects(SMALL)}
    assert found.keys() == planned.keys()
    assert set(ODD_KEYS) <= found.keys()
    assert {key: item.size_bytes for key, item in found.items()} == {
        k: p.size_bytes for k, p in planned.items()
    }
    # The server computes the checksum that came with each upload; it keeps none for a folder's marker.
    unpublished = {key for key, item in found.items() if item.published_crc64 is None}
    assert unpublished == {"odd/marker/"}
    assert compare(found, found).crc64_matches == len(planned)
