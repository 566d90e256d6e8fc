"""A bucket followed live: a real SeaweedFS sends its notifications to a real daemon."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.e2e.harness import Daemon
from tests.e2e.sync_harness import drained, sync_client, sync_request
from tests.processes import free_port
from tests.servers import S3Server, seaweed_ports, start_seaweed
from tests.waiting import PATIENCE_S

MIB = 1024 * 1024


async def test_what_is_put_or_deleted_at_the_source_is_soon_so_at_the_destination(
    tmp_path: Path,
) -> None:
    """The server learns URL and secret by a restart: it reads them when it starts."""
    (tmp_path / "seaweed").mkdir()
    (tmp_path / "daemon").mkdir()
    port, ports = free_port(), seaweed_ports()
    daemon = Daemon(tmp_path / "daemon", extra=f'[sync]\nevents_listen = "127.0.0.1:{port}"\n')
    server = start_seaweed(tmp_path / "seaweed", ports=ports)
    try:
        await daemon.start()
        source, destination = await server.make_bucket(), await server.make_bucket()
        request = sync_request(server, source, destination, enable_delete=True)
        async with sync_client(daemon) as client:
            task_id = await client.create(request)
            made = await client.rotate_secret(task_id)
            assert made.listen == f"127.0.0.1:{port}"
            url = f"http://{made.listen}{made.path}"
            server.stop()
            (tmp_path / "seaweed" / "notification.toml").write_text(
                f'[notification.webhook]\nenabled = true\nendpoint = "{url}"\n'
                f'bearer_token = "{made.secret}"\npath_prefixes = ["/buckets/{source}/"]\n'
            )
            server = start_seaweed(tmp_path / "seaweed", ports=ports)
            objects = {
                "plain": b"1",
                "folder/with space+plus/ü%41.txt": b"odd",
                "large": bytes(20 * MIB),
            }
            await server.put_many(source, objects)
            await put_in_parts(server, source, "parts", [b"x" * 6 * MIB, b"y"])
            await server.put(source, "plain", b"2, longer")
            wanted = {**objects, "plain": b"2, longer", "parts": b"x" * 6 * MIB + b"y"}
            await until_same(server, destination, wanted)
            await server.delete(source, "folder/with space+plus/ü%41.txt")
            del wanted["folder/with space+plus/ü%41.txt"]
            await until_same(server, destination, wanted)
            task = await drained(client, task_id)
            assert task.monthly_failed_object == 0
            assert await asyncio.to_thread(status_of, url, "wrong") == 403
            await client.stop(task_id)
            assert await asyncio.to_thread(status_of, url, made.secret) == 409
        assert made.secret not in daemon.log()
        assert await daemon.stop() == 0
        assert "Traceback" not in daemon.log()
    finally:
        daemon.end()
        server.stop()


async def put_in_parts(server: S3Server, bucket: str, key: str, parts: list[bytes]) -> None:
    def put() -> None:
        named = {"Bucket": bucket, "Key": key}
        upload_id = server.api.create_multipart_upload(**named)["UploadId"]
        etags = [
            server.api.upload_part(**named, UploadId=upload_id, PartNumber=number, Body=data)["ETag"]
            for number, data in enumerate(parts, 1)
        ]
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        server.api.complete_multipart_upload(**named, UploadId=upload_id, MultipartUpload={"Parts": listed})

    await asyncio.to_thread(put)


async def until_same(server: S3Server, bucket: str, wanted: dict[str, bytes]) -> None:
    """The bucket holds exactly this."""
    found: dict[str, bytes] = {}
    try:
        async with asyncio.timeout(PATIENCE_S):
            while found != wanted:
                if set(await server.list_all(bucket)) == set(wanted):
                    found = await server.get_all(bucket)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"there is {sorted(await server.list_all(bucket))}") from None


def status_of(url: str, secret: str) -> int:
    """What a notification is answered."""
    record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}
    body = json.dumps({"Records": [record]}).encode()
    try:
        with urlopen(Request(url, body, {"Authorization": f"Bearer {secret}"}), timeout=PATIENCE_S) as answer:
            status: int = answer.status
    except HTTPError as error:
        with error:
            status = error.code
    return status
