"""Real S3 servers as subprocesses for the tests, and a client of them that shares no code with ours.

Every server has its own folder.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.processes import GRPC_OFFSET, Process, free_port, tool, wait_for_http, wait_for_port


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 server, keys for it, and clients of it (botocore, in threads: good on any loop).

    access_key, secret_key, api: may read, write, list and tag, not create buckets. admin: may do everything.
    """

    name: str
    url: str
    access_key: str
    secret_key: str
    process: Process
    api: Any = field(repr=False)
    admin: Any = field(repr=False)
    region: str = "us-east-1"
    cloud_type: str = "AWS"
    buckets: list[str] = field(default_factory=list)
    leftovers: list[Path] = field(default_factory=list, repr=False)

    async def make_bucket(self, *, keep: bool = False) -> str:
        """The name of a new empty bucket; removed after the test that made it, or kept as long as the server lives."""
        bucket = f"t-{secrets.token_hex(8)}"
        await asyncio.to_thread(self.admin.create_bucket, Bucket=bucket)
        if not keep:
            self.buckets.append(bucket)
        return bucket

    async def delete_bucket(self, bucket: str) -> None:
        """The bucket and all in it is gone."""
        for key in await self.list_all(bucket):
            await self.delete(bucket, key)
        await asyncio.to_thread(self.admin.delete_bucket, Bucket=bucket)

    async def put(self, bucket: str, key: str, data: bytes, **extra: Any) -> str:
        """The object is stored; extra: arguments of PutObject (ContentType=...). Returns the ETag."""
        answer = await asyncio.to_thread(self.api.put_object, Bucket=bucket, Key=key, Body=data, **extra)
        return str(answer["ETag"]).strip('"')

    async def put_many(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """All objects are stored, several at a time."""
        async with asyncio.TaskGroup() as group:
            for key, data in objects.items():
                group.create_task(self.put(bucket, key, data))

    async def get(self, bucket: str, key: str) -> bytes:
        """The object's bytes."""

        def read() -> bytes:
            body: bytes = self.api.get_object(Bucket=bucket, Key=key)["Body"].read()
            return body

        return await asyncio.to_thread(read)

    async def head(self, bucket: str, key: str) -> dict[str, Any]:
        """The answer of HeadObject with checksums."""
        answer: dict[str, Any] = await asyncio.to_thread(
            self.api.head_object, Bucket=bucket, Key=key, ChecksumMode="ENABLED"
        )
        return answer

    async def delete(self, bucket: str, key: str) -> None:
        """The object is gone."""
        await asyncio.to_thread(self.api.delete_object, Bucket=bucket, Key=key)

    async def list_all(self, bucket: str) -> dict[str, tuple[int, str]]:
        """Every key with its size and ETag."""

        def pages() -> dict[str, tuple[int, str]]:
            return {
                entry["Key"]: (entry["Size"], entry["ETag"].strip('"'))
                for page in self.api.get_paginator("list_objects_v2").paginate(Bucket=bucket)
                for entry in page.get("Contents", ())
            }

        return await asyncio.to_thread(pages)

    async def get_all(self, bucket: str) -> dict[str, bytes]:
        """Every key with its bytes."""
        keys = list(await self.list_all(bucket))
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(self.get(bucket, key)) for key in keys]
        return {key: read.result() for key, read in zip(keys, reads, strict=True)}

    async def open_uploads(self, bucket: str) -> list[tuple[str, str]]:
        """(key, upload id) of every multipart upload that is neither completed nor aborted."""
        answer = await asyncio.to_thread(self.admin.list_multipart_uploads, Bucket=bucket)
        return [(upload["Key"], upload["UploadId"]) for upload in answer.get("Uploads", ())]

    def forget_buckets(self) -> None:
        """The buckets made so far are dropped with all in them, as far as the server lets us."""
        for bucket in self.buckets:
            with suppress(ClientError):
                self.admin.delete_bucket(Bucket=bucket)
        self.buckets.clear()

    def stop(self) -> None:
        """The server is gone; what it stored is not kept, so it gets no grace."""
        self.api.close()
        self.admin.close()
        self.process.kill()
        for path in self.leftovers:
            path.unlink(missing_ok=True)


def _client(url: str, access_key: str, secret_key: str) -> Any:
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=32,
        retries={"total_max_attempts": 1},
    )
    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        verify=False,
        config=config,
    )


def _server(
    name: str, url: str, process: Process, *, admin: tuple[str, str] = ("AKTEST", "SKTEST")
) -> S3Server:
    return S3Server(
        name,
        url,
        "AKTEST",
        "SKTEST",
        process,
        api=_client(url, "AKTEST", "SKTEST"),
        admin=_client(url, *admin),
    )


SEAWEED_PORTS = ("master", "volume", "filer", "s3")


def seaweed_ports() -> dict[str, int]:
    """Free ports for a SeaweedFS server, by name."""
    return {name: free_port(with_grpc=True) for name in SEAWEED_PORTS}


def start_seaweed(
    folder: Path, *, tls: tuple[Path, Path] | None = None, ports: Mapping[str, int] | None = None
) -> S3Server:
    """A SeaweedFS server with an S3 gateway is up. tls: certificate and key file, then it speaks https.

    ports: of an earlier one in the same folder, whose data it goes on with.
    """
    identities = [
        ("admin", "AKADMIN", "SKADMIN", ["Admin", "Read", "Write", "List", "Tagging"]),
        ("tester", "AKTEST", "SKTEST", ["Read", "Write", "List", "Tagging"]),
    ]
    config = folder / "s3.json"
    config.write_text(
        json.dumps(
            {
                "identities": [
                    {"name": n, "credentials": [{"accessKey": a, "secretKey": s}], "actions": actions}
                    for n, a, s, actions in identities
                ]
            }
        )
    )
    data = folder / "data"
    data.mkdir(exist_ok=True)
    ports = ports or seaweed_ports()
    scheme = "http"
    tls_args: list[str] = []
    if tls is not None:
        scheme = "https"
        tls_args = [f"-s3.cert.file={tls[0]}", f"-s3.key.file={tls[1]}"]
    process = Process(
        [
            tool("weed"),
            f"-logdir={folder}",
            "server",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={ports['master']}",
            f"-volume.port={ports['volume']}",
            "-filer",
            f"-filer.port={ports['filer']}",
            "-s3",
            f"-s3.port={ports['s3']}",
            f"-s3.config={config}",
            *tls_args,
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.localSocket={folder}/s3.sock",
            f"-filer.localSocket={folder}/filer.sock",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=128",
            "-volume.max=2000",
        ],
        cwd=folder,
        # Every bucket is a collection with volumes of its own: two instead of seven, so that hundreds fit.
        env={"WEED_MASTER_VOLUME_GROWTH_COPY_1": "2"},
    )
    try:
        wait_for_http(f"http://127.0.0.1:{ports['master']}/dir/assign", process)
        wait_for_port(ports["s3"], process)
    except BaseException:
        process.kill()
        raise
    server = _server("seaweed", f"{scheme}://127.0.0.1:{ports['s3']}", process, admin=("AKADMIN", "SKADMIN"))
    # Its local sockets for gRPC are always in /tmp.
    server.leftovers.extend(Path(f"/tmp/seaweedfs-{n}-grpc-{p + GRPC_OFFSET}.sock") for n, p in ports.items())
    return server


def start_moto(folder: Path) -> S3Server:
    """A moto server is up: in memory, keeps every key as sent; any access key is good."""
    port = free_port()
    process = Process([tool("moto_server"), "-H", "127.0.0.1", "-p", str(port)], cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for_http(f"{url}/moto-api/", process)
    except BaseException:
        process.kill()
        raise
    return _server("moto", url, process)


def start_rclone_s3(folder: Path) -> S3Server:
    """rclone serves a folder as S3: a sloppy dialect (answers a range with everything, knows no If-Match)."""
    port = free_port()
    data = folder / "data"
    data.mkdir()
    process = Process(
        [
            tool("rclone"),
            "serve",
            "s3",
            str(data),
            "--addr",
            f"127.0.0.1:{port}",
            "--auth-key",
            "AKTEST,SKTEST",
            "--config",
            str(folder / "rclone.conf"),
        ],
        cwd=folder,
    )
    try:
        wait_for_port(port, process)
    except BaseException:
        process.kill()
        raise
    return _server("rclone", f"http://127.0.0.1:{port}", process)
