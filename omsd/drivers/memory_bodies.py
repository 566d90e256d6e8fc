"""How bodies go into a bucket in memory and out of it, and what their checksums say."""

from __future__ import annotations

import asyncio

import fastcrc
from awscrt import checksums as awscrt_checksums

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.ports.objectstore import Abilities, ByteSink, ByteSource, Checksums, ObjectHead


class MemoryReading:
    """Pushes a body chunk by chunk, at once and as long as it is not paused."""

    def __init__(self, head: ObjectHead, body: bytes, chunk_bytes: int) -> None:
        self.head = head
        self.size_bytes = len(body)
        self._body = memoryview(body)
        self._chunk_bytes = chunk_bytes
        self._position = 0
        self._sink: ByteSink | None = None
        self._paused = False
        self._pushing = False

    def start(self, sink: ByteSink) -> None:
        """Push until the end or the first pause."""
        self._sink = sink
        self._push()

    def pause(self) -> None:
        """No further chunk comes."""
        self._paused = True

    def resume(self) -> None:
        """Push on from where it stopped."""
        self._paused = False
        self._push()

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole body."""
        if self.size_bytes > limit_bytes:
            raise StoreError(StoreErrorKind.TRUNCATED, f"{self.head.key}: more than {limit_bytes} bytes came")
        return bytes(self._body)

    async def close(self) -> None:
        """Nothing is pushed any more."""
        self._sink = None

    def _push(self) -> None:
        # A sink may pause and resume inside feed(): the outer loop goes on, an inner one would nest.
        if self._pushing:
            return
        self._pushing = True
        try:
            while self._sink is not None and not self._paused:
                if self._position == self.size_bytes:
                    sink, self._sink = self._sink, None
                    sink.end()
                    return
                chunk = bytes(self._body[self._position : self._position + self._chunk_bytes])
                self._position += len(chunk)
                self._sink.feed(chunk)
        finally:
            self._pushing = False


class _Collector:
    """A sink that keeps everything and refuses what was not announced."""

    def __init__(self, size_bytes: int) -> None:
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._size_bytes = size_bytes
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        if not self.done.done():
            self._chunks.append(chunk)

    def end(self) -> None:
        data = b"".join(self._chunks)
        self._chunks.clear()
        if self.done.done():
            return
        if len(data) == self._size_bytes:
            self.done.set_result(data)
        else:
            self.done.set_exception(_wrong_size(len(data), self._size_bytes))

    def fail(self, error: Exception) -> None:
        self._chunks.clear()
        if not self.done.done():
            self.done.set_exception(error)


async def collect(body: bytes | ByteSource, size_bytes: int) -> bytes:
    """All bytes of a body. Raises TRUNCATED if they are not as many as announced."""
    if isinstance(body, bytes):
        if len(body) != size_bytes:
            raise _wrong_size(len(body), size_bytes)
        return body
    collector = _Collector(size_bytes)
    body.start(collector)
    return await collector.done


def _wrong_size(got: int, announced: int) -> StoreError:
    return StoreError(StoreErrorKind.TRUNCATED, f"{got} bytes came, {announced} were announced")


def checksums_of(data: bytes) -> Checksums:
    """Every CRC64 that there is."""
    return Checksums(crc64_xz=fastcrc.crc64.xz(data), crc64_nvme=awscrt_checksums.crc64nvme(data))


def of_known_kinds(checksums: Checksums, abilities: Abilities) -> Checksums:
    """Those of the kinds that the store verifies."""
    if not abilities.verifies_crc64_xz:
        checksums = checksums._replace(crc64_xz=None)
    if not abilities.verifies_crc64_nvme:
        checksums = checksums._replace(crc64_nvme=None)
    return checksums


def verified(given: Checksums, computed: Checksums, abilities: Abilities) -> Checksums:
    """The given ones of the kinds that the store verifies. Raises INTEGRITY if one is not that of the bytes."""
    given = of_known_kinds(given, abilities)
    wrong_xz = given.crc64_xz is not None and given.crc64_xz != computed.crc64_xz
    wrong_nvme = given.crc64_nvme is not None and given.crc64_nvme != computed.crc64_nvme
    if wrong_xz or wrong_nvme:
        raise StoreError(
            StoreErrorKind.INTEGRITY,
            "the checksum sent does not match the bytes that arrived",
            status=400,
            provider_code="BadDigest",
        )
    return given
