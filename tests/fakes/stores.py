"""A wrapper that makes faults before a real store: errors, changes and hangs at a chosen call. A fake, for faults only."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from omsd.domain.errors import StoreError
from omsd.domain.shards import OpenUpload
from omsd.ports.objectstore import (
    Abilities,
    BucketAddress,
    ByteSink,
    ByteSource,
    Checksums,
    CopySource,
    ListPage,
    ObjectHead,
    ObjectStore,
    PartReceipt,
    PutOptions,
    PutReceipt,
    Reading,
)

Before = Callable[[str, int], Awaitable[None]]


class FaultyStore:
    """Counts calls by name; before each one `before(name, nth)` may raise, wait or change things.

    flip: flips one bit of each body read for which it returns True.
    """

    def __init__(
        self,
        inner: ObjectStore,
        before: Before | None = None,
        flip: Callable[[str, int], bool] | None = None,
        after: Before | None = None,
    ) -> None:
        self._inner = inner
        self._before = before
        self._after = after
        self._flip = flip
        self.calls: Counter[str] = Counter()

    @property
    def abilities(self) -> Abilities:
        return self._inner.abilities

    @property
    def address(self) -> BucketAddress:
        return self._inner.address

    async def _enter(self, name: str) -> None:
        self.calls[name] += 1
        if self._before is not None:
            await self._before(name, self.calls[name])

    async def _leave(self, name: str) -> None:
        if self._after is not None:
            await self._after(name, self.calls[name])

    async def check(self) -> None:
        await self._enter("check")
        await self._inner.check()

    async def list_page(
        self,
        prefix: str,
        *,
        after: str = "",
        marker: str | None = None,
        delimiter: str = "",
        limit: int = 1000,
    ) -> ListPage:
        await self._enter("list_page")
        return await self._inner.list_page(
            prefix, after=after, marker=marker, delimiter=delimiter, limit=limit
        )

    async def head(self, key: str) -> ObjectHead:
        await self._enter("head")
        return await self._inner.head(key)

    async def read(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> Reading:
        await self._enter("read")
        reading = await self._inner.read(key, offset=offset, length=length, if_match=if_match)
        if self._flip is not None and self._flip(key, self.calls["read"]):
            return FlippedReading(reading)
        return reading

    async def put(
        self, key: str, body: bytes | ByteSource, size_bytes: int, options: PutOptions
    ) -> PutReceipt:
        await self._enter("put")
        receipt = await self._inner.put(key, body, size_bytes, options)
        await self._leave("put")
        return receipt

    async def copy_from(self, key: str, source: CopySource, options: PutOptions) -> PutReceipt:
        await self._enter("copy_from")
        receipt = await self._inner.copy_from(key, source, options)
        await self._leave("copy_from")
        return receipt

    async def copy_part(
        self, key: str, upload_id: str, part_number: int, source: CopySource, offset: int, size_bytes: int
    ) -> PartReceipt:
        await self._enter("copy_part")
        return await self._inner.copy_part(key, upload_id, part_number, source, offset, size_bytes)

    async def create_upload(self, key: str, options: PutOptions) -> str:
        await self._enter("create_upload")
        upload_id = await self._inner.create_upload(key, options)
        await self._leave("create_upload")
        return upload_id

    async def put_part(
        self,
        key: str,
        upload_id: str,
        part_number: int,
        body: bytes | ByteSource,
        size_bytes: int,
        checksums: Checksums,
    ) -> PartReceipt:
        await self._enter("put_part")
        receipt = await self._inner.put_part(key, upload_id, part_number, body, size_bytes, checksums)
        await self._leave("put_part")
        return receipt

    async def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], checksums: Checksums
    ) -> PutReceipt:
        await self._enter("complete_upload")
        receipt = await self._inner.complete_upload(key, upload_id, parts, checksums)
        await self._leave("complete_upload")
        return receipt

    async def abort_upload(self, key: str, upload_id: str) -> None:
        await self._enter("abort_upload")
        await self._inner.abort_upload(key, upload_id)

    async def list_parts(self, key: str, upload_id: str) -> Sequence[PartReceipt]:
        await self._enter("list_parts")
        return await self._inner.list_parts(key, upload_id)

    async def list_uploads(self, prefix: str = "") -> Sequence[OpenUpload]:
        await self._enter("list_uploads")
        uploads = await self._inner.list_uploads(prefix)
        await self._leave("list_uploads")
        return uploads

    async def tags(self, key: str) -> Mapping[str, str]:
        await self._enter("tags")
        return await self._inner.tags(key)

    async def restore(self, key: str, *, days: int) -> None:
        await self._enter("restore")
        await self._inner.restore(key, days=days)

    async def delete(self, key: str) -> None:
        await self._enter("delete")
        await self._inner.delete(key)

    async def close(self) -> None:
        await self._inner.close()


class FlippedReading:
    """A body with one bit flipped on the way."""

    def __init__(self, inner: Reading) -> None:
        self._inner = inner
        self.head = inner.head
        self.size_bytes = inner.size_bytes
        self._sink: ByteSink | None = None
        self._done = False

    def start(self, sink: ByteSink) -> None:
        self._sink = sink
        self._inner.start(self)

    def feed(self, chunk: bytes) -> None:
        assert self._sink is not None
        if chunk and not self._done:
            self._done = True
            chunk = bytes([chunk[0] ^ 1]) + chunk[1:]
        self._sink.feed(chunk)

    def end(self) -> None:
        assert self._sink is not None
        self._sink.end()

    def fail(self, error: Exception) -> None:
        assert self._sink is not None
        self._sink.fail(error)

    def pause(self) -> None:
        self._inner.pause()

    def resume(self) -> None:
        self._inner.resume()

    async def read_all(self, limit_bytes: int) -> bytes:
        data = await self._inner.read_all(limit_bytes)
        return bytes([data[0] ^ 1]) + data[1:] if data else data

    async def close(self) -> None:
        await self._inner.close()


def failing(name: str, nth: int, error: Callable[[], StoreError], *, times: int = 1) -> Before:
    """Fails the nth call of that name, and the ones after it up to `times`."""

    async def before(called: str, number: int) -> None:
        if called == name and nth <= number < nth + times:
            raise error()

    return before


def hanging(name: str, nth: int, reached: asyncio.Event) -> Before:
    """Hangs at the nth call of that name until cancelled."""

    async def before(called: str, number: int) -> None:
        if called == name and number == nth:
            reached.set()
            await asyncio.Event().wait()

    return before
