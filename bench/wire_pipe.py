"""CPU of the wire client alone: GET piped into PUT against a trivial server in a process of its own.

python bench/wire_pipe.py [--objects 4000] [--gib 1] [--concurrency 16] [--tls] [--plain-asyncio] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import datetime
import ipaddress
import multiprocessing
import pstats
import resource
import ssl
import tempfile
import time
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import cast

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from omsd.wire import Answer, Deadlines, Origin, Pool, Request, make_tls_context

_SMALL_BYTES = 16 * 1024
_LARGE_BYTES = 256 * 1024 * 1024
_SERVER_LIFE_S = 600


class _Server(asyncio.Protocol):
    """GET /n answers n bytes, PUT is swallowed. As cheap as Python can be: it must not be the bottleneck."""

    block = bytes(256 * 1024)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.left = 0
        self.buffer = b""
        self.to_send = 0
        self.paused = False

    def data_received(self, data: bytes) -> None:
        if self.left:
            self.left -= len(data)
            if self.left == 0:
                self.answer_put()
            return
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head, rest = self.buffer[:end].lower(), self.buffer[end + 4 :]
        self.buffer = b""
        if head.startswith(b"get"):
            self.to_send = int(head.split(b" ", 2)[1][1:])
            length = b"%d" % self.to_send
            self.transport.write(
                b'HTTP/1.1 200 OK\r\nServer: bench\r\nETag: "0123456789abcdef"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n'
                b"Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\nX-Amz-Request-Id: 1234567890\r\n"
                b"Content-Length: " + length + b"\r\n\r\n"
            )
            self.pump()
            return
        self.left = int(head.split(b"content-length: ")[1].split(b"\r\n")[0]) - len(rest)
        if self.left == 0:
            self.answer_put()

    def answer_put(self) -> None:
        self.transport.write(
            b'HTTP/1.1 200 OK\r\nServer: bench\r\nETag: "0123456789abcdef"\r\nX-Amz-Request-Id: 1\r\nContent-Length: 0\r\n\r\n'
        )

    def pump(self) -> None:
        while self.to_send and not self.paused:
            piece = self.block if self.to_send >= len(self.block) else self.block[: self.to_send]
            self.to_send -= len(piece)
            self.transport.write(piece)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.pump()


def _make_certificate(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))


def _serve(pipe: Pipe, certificate: str) -> None:
    async def main() -> None:
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
        server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0, ssl=context)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.sleep(_SERVER_LIFE_S)

    uvloop.run(main())


async def _copy(pool: Pool, origin: Origin, size_bytes: int) -> None:
    headers = [("Host", "bench"), ("X-Amz-Date", "20260101T000000Z"), ("Authorization", "x" * 180)]
    reading: Answer = await pool.send(origin, lambda: Request("GET", f"/{size_bytes}", headers))
    try:
        answer = await pool.send(origin, lambda: Request("PUT", "/x", headers, reading, reading.size_bytes))
        await answer.read_all(1024)
    finally:
        await reading.close()


async def _run(
    origin: Origin, tls: ssl.SSLContext | None, size_bytes: int, count: int, concurrency: int
) -> None:
    pool = Pool(deadlines=Deadlines(), tls=tls)
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await _copy(pool, origin, size_bytes)

    try:
        await _copy(pool, origin, 1)
        wall_s, cpu_s = time.monotonic(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
        wall_s, cpu_s = time.monotonic() - wall_s, time.process_time() - cpu_s
    finally:
        await pool.close()
    gib = size_bytes * count / 2**30
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count} x {size_bytes} B: wall {wall_s:.2f} s, CPU {cpu_s:.2f} s, {cpu_s / count * 1e3:.3f} ms/object, "
        f"{cpu_s / gib:.2f} CPU s/GiB, peak RSS {rss_mib:.0f} MiB"
    )


def main() -> None:
    """Run both shapes and print a line for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=4000)
    parser.add_argument("--gib", type=float, default=1)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--plain-asyncio", action="store_true")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    run: Callable[[Coroutine[None, None, None]], None] = (
        asyncio.run if arguments.plain_asyncio else uvloop.run
    )
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "bench.pem"
        if arguments.tls:
            _make_certificate(certificate)
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        server = spawn.Process(
            target=_serve, args=(theirs, str(certificate) if arguments.tls else ""), daemon=True
        )
        server.start()
        try:
            origin = Origin("https" if arguments.tls else "http", "127.0.0.1", ours.recv())
            tls = make_tls_context(ca_file=str(certificate)) if arguments.tls else None
            profile = cProfile.Profile()
            if arguments.profile:
                profile.enable()
            if arguments.objects:
                run(_run(origin, tls, _SMALL_BYTES, arguments.objects, arguments.concurrency))
            large = round(arguments.gib * 2**30 / _LARGE_BYTES)
            if large:
                run(_run(origin, tls, _LARGE_BYTES, large, min(4, large)))
            if arguments.profile:
                profile.disable()
                pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
