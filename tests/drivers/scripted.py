"""A scripted HTTP server: a test says what each request is answered with, and sees what came."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def credential_region(self) -> str:
        """The region it was signed for."""
        return self.headers["authorization"].split("Credential=")[1].split("/")[2]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; Content-Length is added, unless the headers name one or it is unsized. closes: and the connection ends."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    closes: bool = False
    unsized: bool = False


Script = Callable[[Seen], Reply]


@dataclass(slots=True)
class ScriptedServer:
    """Runs on a loopback port; seen: every request so far."""

    script: Script
    url: str = ""
    seen: list[Seen] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests of one connection until it ends."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.seen.append(Seen(method, target, headers, body))
                reply = self.script(self.seen[-1])
                writer.write(self._rendered(method, reply))
                await writer.drain()
                if reply.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @staticmethod
    def _rendered(method: str, reply: Reply) -> bytes:
        headers = {**({} if reply.unsized else {"Content-Length": str(len(reply.body))}), **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} Because", *(f"{name}: {value}" for name, value in headers.items())]
        body = b"" if method == "HEAD" else reply.body
        return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def scripted(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """A running scripted server. tls: it speaks https."""
    server = ScriptedServer(script)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    scheme = "http" if tls is None else "https"
    server.url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        await asyncio.sleep(0)
