"""What the client does where a whole omsctl would hide it: TLS, prompts, large pages."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import pty
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from omsd.api.grpc.server import Certificate, GrpcServer
from omsd.cli.client import CallError, ServerAddress
from omsd.cli.task_client import TaskClient
from omsd.pb.v1 import task_pb2
from omsd.service import requests
from tests.cli.conftest import ROOT
from tests.fakes.task_service import FakeTaskService

# A session of its own whose terminal is stdin, as a shell would give it.
ON_A_TERMINAL = (
    "import os, fcntl, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "from omsd.cli.omsctl import run; run()"
)


def self_signed() -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


async def test_tls_is_spoken_to_a_server_that_is_trusted_and_to_no_other(
    tmp_path: Path, tasks: FakeTaskService
) -> None:
    certificate, ca_file, other = self_signed(), tmp_path / "ca.pem", tmp_path / "other.pem"
    ca_file.write_bytes(certificate.chain)
    other.write_bytes(self_signed().chain)
    server = GrpcServer(tasks, listen="127.0.0.1:0", certificate=certificate)
    address = await server.start()
    try:
        async with TaskClient(ServerAddress(address, ca_file), "p") as client:
            assert (await client.list(task_pb2.ListTasksRequest())).count == 0
        for ca in (other, None):
            async with TaskClient(ServerAddress(address, ca), "p", timeout_s=5) as client:
                with pytest.raises(CallError) as caught:
                    await client.list(task_pb2.ListTasksRequest())
                assert caught.value.unreachable
    finally:
        await server.stop(grace_s=0)


async def test_a_page_of_the_largest_tasks_fits_through(address: str, tasks: FakeTaskService) -> None:
    keys = tuple("k" * 1024 for _ in range(500))
    node = requests.SrcNode(bucket="from", object_key=keys)
    for _ in range(40):
        await tasks.create("p", requests.CreateTask(src_node=node, dst_node=requests.DstNode(bucket="to")))
    async with TaskClient(ServerAddress(address), "p") as client:
        page = await client.list(task_pb2.ListTasksRequest(limit=100))
    assert page.ByteSize() > 16 * 1024 * 1024
    assert len(page.tasks) == 40


async def test_keys_that_are_nowhere_are_asked_for_and_not_shown(
    address: str, tasks: FakeTaskService
) -> None:
    ours, terminal = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OMSCTL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ON_A_TERMINAL, "task", "create", "s3://from", "s3://to"),
        *("--server", address),
        cwd=ROOT,
        env=environ,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    try:
        async with asyncio.timeout(60):
            for prompt, answer in (
                (b"source access key (AK): ", b"TYPED1\n"),
                (b"source secret key (SK): ", b"TYPED2\n"),
                (b"destination access key (AK): ", b"TYPED3\n"),
                (b"destination secret key (SK): ", b"TYPED4\n"),
            ):
                while prompt not in shown:
                    shown += await asyncio.to_thread(os.read, ours, 4096)
                os.write(ours, answer)
            while b"created" not in shown:
                shown += await asyncio.to_thread(os.read, ours, 4096)
            assert await process.wait() == 0
    finally:
        os.close(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert b"TYPED" not in shown
    request = tasks.calls[-1][2]
    assert isinstance(request, requests.CreateTask)
    assert request.src_node is not None
    assert request.dst_node is not None
    assert (request.src_node.ak, request.src_node.sk) == ("TYPED1", "TYPED2")
    assert (request.dst_node.ak, request.dst_node.sk) == ("TYPED3", "TYPED4")
