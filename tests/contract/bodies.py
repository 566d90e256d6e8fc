"""Sources, sinks and keys of the contract of object stores, and short words for what its checks do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import fastcrc
import pytest
from awscrt import checksums as awscrt_checksums

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.ports.objectstore import ByteSink, Checksums, ListingOrder, ObjectStore, PutOptions

NOTHING = PutOptions()


class Pushed:
    """A ByteSource of given chunks; obeys pause; fails at the end if told so."""

    def __init__(self, chunks: Sequence[bytes], error: Exception | None = None) -> None:
        self._chunks = list(chunks)
        self._error = error
        self._paused = False
        self._sink: ByteSink | None = None
        self._pushing = False

    def start(self, sink: ByteSink) -> None:
        self._sink = sink
        self._push()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._push()

    def _push(self) -> None:
        if self._pushing:
            return
        self._pushing = True
        while self._sink is not None and not self._paused:
            if self._chunks:
                self._sink.feed(self._chunks.pop(0))
                continue
            sink, self._sink = self._sink, None
            if self._error is None:
                sink.end()
            else:
                sink.fail(self._error)
        self._pushing = False


class Collected:
    """A ByteSink that keeps what it gets."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def feed(self, chunk: bytes) -> None:
        self.chunks.append(bytes(chunk))

    def end(self) -> None:
        self.over.set_result(None)

    def fail(self, error: Exception) -> None:
        self.over.set_result(error)


def checksums_of(data: bytes) -> Checksums:
    return Checksums(fastcrc.crc64.xz(data), awscrt_checksums.crc64nvme(data))


async def raises(kind: StoreErrorKind, call: Awaitable[object]) -> StoreError:
    with pytest.raises(StoreError) as raised:
        await call
    assert raised.value.kind is kind, raised.value
    return raised.value


async def read(store: ObjectStore, key: str, **how: object) -> bytes:
    reading = await store.read(key, **how)  # type: ignore[arg-type]
    try:
        return await reading.read_all(1 << 30)
    finally:
        await reading.close()


async def keys(store: ObjectStore, prefix: str = "", *, limit: int = 1000, after: str = "") -> list[str]:
    found: list[str] = []
    marker: str | None = None
    while True:
        page = await store.list_page(prefix, after=after, marker=marker, limit=limit)
        assert len(page.objects) <= limit
        found += [entry.key for entry in page.objects]
        marker = page.next_marker
        if marker is None:
            return found


def in_order(store: ObjectStore, wanted: Sequence[str]) -> list[str]:
    if store.abilities.listing_order is ListingOrder.DIRECTORY:
        return sorted(wanted, key=lambda key: key.encode().split(b"/"))
    return sorted(wanted, key=str.encode)


ZOO = (
    "/",
    "//",
    "/lead",
    "a//b",
    "./x",
    "../x",
    "a/../b",
    "a/./b",
    " ",
    " a ",
    "a b",
    "a+b",
    "a%2Fb",
    "a%b",
    "%",
    "&<>\"'",
    "\\",
    "dir/",
    "dir",
    "DIR",
    "a?b#c",
    "a;b:c@d=e,f$g!h*i(j)k[l]m{n}o|p^q`r~s",
    "🙂/🙂",
    "\u00e9",
    "e\u0301",
    "\x01\x02\x1f\x7f",
    "tab\tcr\r",
    "\ufffe",
    "k" * 1024,
    "é" * 512,
)
