"""A spooled object list as a source of bytes: each block is checked against its xxh3 before anything is sent."""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_right

import xxhash

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import ListPart
from omsd.domain.object_lists import BLOCK_HEAD
from omsd.ports.objectstore import ByteSink, ObjectHead

_CHUNK_BYTES = 256 * 1024


class SpoolDamagedError(Exception):
    """The file does not hold what was committed."""


class SpooledList:
    """The text of one part. open() reads and checks all of it, then it may be read in any order, any number of times."""

    def __init__(self, descriptor: int, starts: list[int], places: list[int], size_bytes: int) -> None:
        self._descriptor = descriptor
        self._starts = starts
        self._places = places
        self.size_bytes = size_bytes

    @classmethod
    async def open(cls, path: str, part: ListPart) -> SpooledList:
        """Raises SpoolDamagedError if a block is missing or is not what was written."""
        return await asyncio.to_thread(cls._open, path, part)

    @classmethod
    def _open(cls, path: str, part: ListPart) -> SpooledList:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SpoolDamagedError(f"{path}: {error}") from error
        try:
            starts, places, size_bytes = _index(descriptor, part.size_bytes)
            if size_bytes != part.text_bytes:
                raise SpoolDamagedError(f"{path} holds {size_bytes} bytes of text, not {part.text_bytes}")
        except OSError as error:
            os.close(descriptor)
            raise SpoolDamagedError(f"{path}: {error}") from error
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, starts, places, size_bytes)

    def read(self, offset: int, length: int) -> bytes:
        """So many bytes of the text from an offset."""
        pieces: list[bytes] = []
        block = bisect_right(self._starts, offset) - 1
        while length > 0:
            end = self._starts[block + 1] if block + 1 < len(self._starts) else self.size_bytes
            size = min(length, end - offset)
            piece = os.pread(self._descriptor, size, self._places[block] + offset - self._starts[block])
            if len(piece) != size:
                raise StoreError(
                    StoreErrorKind.TRUNCATED, "the spooled list became shorter while it was read"
                )
            pieces.append(piece)
            offset += size
            length -= size
            block += 1
        return b"".join(pieces)

    def close(self) -> None:
        """The file is closed; readings of it end before."""
        os.close(self._descriptor)


def _index(descriptor: int, size_bytes: int) -> tuple[list[int], list[int], int]:
    """Where the text of each block begins, in the text and in the file, and the length of the text."""
    starts: list[int] = []
    places: list[int] = []
    place = text_bytes = 0
    while place < size_bytes:
        head = os.pread(descriptor, BLOCK_HEAD.size, place)
        if len(head) != BLOCK_HEAD.size:
            raise SpoolDamagedError(f"the spooled list ends at byte {place} of {size_bytes}")
        length, fingerprint = BLOCK_HEAD.unpack(head)
        begin = place + BLOCK_HEAD.size
        if not 0 < length <= size_bytes - begin:
            raise SpoolDamagedError(f"the block at byte {place} of the spooled list has an impossible length")
        data = os.pread(descriptor, length, begin)
        if len(data) != length or xxhash.xxh3_64_intdigest(data, seed=place) != fingerprint:
            raise SpoolDamagedError(f"the block at byte {place} of the spooled list is not what was written")
        starts.append(text_bytes)
        places.append(begin)
        text_bytes += length
        place = begin + length
    return starts, places, text_bytes


class SpoolSource:
    """What MultipartCopy reads: one spooled list under one key."""

    def __init__(self, spooled: SpooledList, head: ObjectHead) -> None:
        self._spooled = spooled
        self._head = head

    async def read(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> SpoolReading:
        """The text from an offset; it cannot change, so if_match plays no part."""
        size_bytes = self._spooled.size_bytes - offset if length is None else length
        return SpoolReading(self._spooled, self._head, offset, size_bytes)


class SpoolReading:
    """Pushes a span of the text; a chunk comes from the page cache in less time than a request takes to be written."""

    def __init__(self, spooled: SpooledList, head: ObjectHead, offset: int, size_bytes: int) -> None:
        self.head = head
        self.size_bytes = size_bytes
        self._spooled = spooled
        self._offset = offset
        self._end = offset + size_bytes
        self._sink: ByteSink | None = None
        self._next: asyncio.Handle | None = None
        self._paused = False
        self._ended = False

    def start(self, sink: ByteSink) -> None:
        """Push from the next turn of the loop on."""
        self._sink = sink
        self._schedule()

    def pause(self) -> None:
        """No further chunk comes."""
        self._paused = True

    def resume(self) -> None:
        """Push on from where it stopped."""
        self._paused = False
        self._schedule()

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole span at once."""
        return await asyncio.to_thread(self._spooled.read, self._offset, min(self.size_bytes, limit_bytes))

    async def close(self) -> None:
        """Nothing more is pushed."""
        self._ended = True
        if self._next is not None:
            self._next.cancel()

    def _schedule(self) -> None:
        if self._next is None and self._sink is not None and not self._ended:
            self._next = asyncio.get_running_loop().call_soon(self._push)

    def _push(self) -> None:
        self._next = None
        if self._paused or self._ended or self._sink is None:
            return
        if self._offset == self._end:
            self._ended = True
            self._sink.end()
            return
        size = min(_CHUNK_BYTES, self._end - self._offset)
        try:
            chunk = self._spooled.read(self._offset, size)
        except (OSError, StoreError) as error:
            self._ended = True
            self._sink.fail(StoreError(StoreErrorKind.TRUNCATED, str(error)))
            return
        self._offset += size
        self._sink.feed(chunk)
        self._schedule()
