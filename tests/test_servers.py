"""The servers of the tests behave as the tests take for granted."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.processes import Process
from tests.servers import S3Server
from tests.waiting import PATIENCE_S


@pytest.mark.parametrize("name", ["seaweed_server", "moto"])
async def test_an_object_comes_back_as_it_was_put(name: str, request: pytest.FixtureRequest) -> None:
    server: S3Server = request.getfixturevalue(name)
    bucket = await server.make_bucket()
    etag = await server.put(bucket, "a/b c+d", b"hello", ContentType="text/plain")
    assert await server.get(bucket, "a/b c+d") == b"hello"
    assert await server.list_all(bucket) == {"a/b c+d": (5, etag)}
    assert await server.open_uploads(bucket) == []
    await server.delete_bucket(bucket)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        await server.list_all(bucket)


async def test_a_put_does_not_revive_a_deleted_seaweed_bucket(seaweed: S3Server) -> None:
    bucket = await seaweed.make_bucket()
    await seaweed.put(bucket, "k", b"x")
    await seaweed.delete_bucket(bucket)
    with pytest.raises(ClientError):
        await seaweed.put(bucket, "k", b"x")
    names = [entry["Name"] for entry in seaweed.admin.list_buckets()["Buckets"]]
    assert bucket not in names


async def test_seaweed_holds_many_buckets_at_once(seaweed: S3Server) -> None:
    for _ in range(25):
        bucket = await seaweed.make_bucket()
        await seaweed.put(bucket, "k", b"x" * 1000)
        assert await seaweed.get(bucket, "k") == b"x" * 1000


def test_a_process_is_killed_at_its_deadline(tmp_path: Path) -> None:
    process = Process(["sleep", str(PATIENCE_S)], cwd=tmp_path, deadline_s=0.2)
    assert process.popen.wait(PATIENCE_S / 2) == -signal.SIGKILL
    assert not process.alive()
