"""One end of the stream socket between the control process and a worker: length-prefixed msgpack."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Generic, TypeVar

import msgspec

from omsd.executors.protocol import FromWorker, ToWorker

# The largest message is a batch of some thousand records with keys of 1,024 bytes.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

_LENGTH = struct.Struct("!I")


class ProtocolError(Exception):
    """The other side sent what cannot be a message."""


M = TypeVar("M")


class Channel(Generic[M]):
    """One end: sends any message, receives those of type M."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decoder: msgspec.msgpack.Decoder[M]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder
        self._encoder = msgspec.msgpack.Encoder()

    def send_now(self, message: ToWorker | FromWorker) -> None:
        """Queue the message; for small ones whose number is bounded by something else."""
        data = self._encoder.encode(message)
        self._writer.write(_LENGTH.pack(len(data)) + data)

    async def send(self, message: ToWorker | FromWorker) -> None:
        """Queue the message and wait while the other side is slow."""
        self.send_now(message)
        await self._writer.drain()

    async def receive(self) -> M | None:
        """The next message, None when the other side is gone."""
        try:
            length = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))[0]
            if length > MAX_MESSAGE_BYTES:
                raise ProtocolError(f"a message of {length} bytes")
            data = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        try:
            return self._decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise ProtocolError(str(error)) from error

    async def close(self) -> None:
        """The socket is closed."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


async def control_channel(sock: socket.socket) -> Channel[FromWorker]:
    """The control process's end of a connected stream socket."""
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024 * 1024)
    return Channel(reader, writer, msgspec.msgpack.Decoder(FromWorker))


async def worker_channel(sock: socket.socket) -> Channel[ToWorker]:
    """The worker's end."""
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024 * 1024)
    return Channel(reader, writer, msgspec.msgpack.Decoder(ToWorker))
