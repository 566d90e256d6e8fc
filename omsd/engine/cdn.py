"""Does a CDN give the objects of a bucket as they are? Each key is fetched through it and compared with the source."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import CloudType
from omsd.domain.questions import CdnChecked, CheckedKey, Fault, is_cdn_of
from omsd.engine.digest import Digest
from omsd.ports.objectstore import ByteSource, Checksums, ObjectHead, ObjectStore
from omsd.ports.web import Page, Web

# Keys of our own choice, where the caller names none.
CHOSEN_KEYS = 5
# Up to this size both ends are read and their bytes compared; of larger objects size and ETag.
WHOLE_MAX_BYTES = 8 * 1024 * 1024
_AT_ONCE = 8
_KEY_DEADLINE_S = 10.0
_CHOICE_FROM = 50
# The domain does not answer at all, or must not be asked; anything else is about one key.
_DOMAIN_FAULTS = frozenset(
    {StoreErrorKind.NETWORK, StoreErrorKind.TIMEOUT, StoreErrorKind.FORBIDDEN_ADDRESS, StoreErrorKind.INVALID}
)


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one key. fault: the CDN could not be asked for it. source_error: the bucket could not."""

    checked: CheckedKey
    fault: Fault | None = None
    of_vendor: bool = False
    source_error: StoreError | None = None


class _SourceTroubleError(Exception):
    """The bucket, not the CDN, refused or failed."""

    def __init__(self, cause: StoreError) -> None:
        super().__init__(cause.message)
        self.cause = cause


class CdnCheck:
    """cdn_url: scheme://host[:port] in front of the keys."""

    def __init__(self, store: ObjectStore, web: Web, cdn_url: str, cloud: CloudType) -> None:
        self._store = store
        self._web = web
        self._cdn_url = cdn_url
        self._cloud = cloud
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self, keys: tuple[str, ...]) -> CdnChecked:
        """The keys, or a few of the bucket's, in order. Raises StoreError if the bucket cannot be used."""
        await self._store.check()
        chosen = tuple(dict.fromkeys(keys)) or await self._choose()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._try(key), name=f"cdn key {number}")
                for number, key in enumerate(chosen)
            ]
        tried = [task.result() for task in tasks]
        for one in tried:
            if one.source_error is not None:
                raise one.source_error
        faults = [one.fault for one in tried if one.fault is not None]
        if faults and len(faults) == len(tried):
            return CdnChecked(domain_fault=faults[0])
        return CdnChecked(tuple(one.checked for one in tried), any(one.of_vendor for one in tried))

    async def _choose(self) -> tuple[str, ...]:
        page = await self._store.list_page("", limit=_CHOICE_FROM)
        return tuple(entry.key for entry in page.objects if not entry.key.endswith("/"))[:CHOSEN_KEYS]

    async def _try(self, key: str) -> Tried:
        async with self._slots:
            head: ObjectHead | None = None
            try:
                head = await self._source_head(key)
                async with asyncio.timeout(_KEY_DEADLINE_S):
                    return await self._fetch(key, head)
            except _SourceTroubleError as trouble:
                missed = CheckedKey(key, False, False, False, trouble.cause.message)
                return Tried(missed, source_error=trouble.cause)
            except StoreError as error:
                fault = Fault.of(error) if error.kind in _DOMAIN_FAULTS else None
                return Tried(CheckedKey(key, False, False, head is not None, error.message), fault)
            except TimeoutError:
                note = f"not received within {_KEY_DEADLINE_S:.0f} s"
                missed = CheckedKey(key, False, False, head is not None, note)
                return Tried(missed, Fault(StoreErrorKind.TIMEOUT, note))

    async def _fetch(self, key: str, head: ObjectHead | None) -> Tried:
        page = await self._web.get(f"{self._cdn_url}/{quote(key, safe='/~')}")
        try:
            return await self._compare(key, head, page)
        finally:
            await page.close()

    async def _source_head(self, key: str) -> ObjectHead | None:
        try:
            return await self._store.head(key)
        except StoreError as error:
            if error.kind is StoreErrorKind.NO_SUCH_KEY:
                return None
            raise _SourceTroubleError(error) from error

    async def _compare(self, key: str, head: ObjectHead | None, page: Page) -> Tried:
        host = urlsplit(page.head.url).hostname or ""
        of_vendor = is_cdn_of(self._cloud, host, frozenset(page.head.headers))
        found = page.head.status == 200
        if not found:
            note = f"the CDN answers with HTTP status {page.head.status}"
        elif head is None:
            note = "the source has no such object"
        else:
            note = await self._difference(key, head, page)
        same = found and head is not None and not note
        return Tried(CheckedKey(key, found, same, head is not None, note), None, of_vendor)

    async def _difference(self, key: str, head: ObjectHead, page: Page) -> str:
        """What is not the same, "" if nothing is."""
        size, told = page.head.size_bytes, etag_of(page.head.headers.get("etag", ""))
        if size not in (-1, head.size_bytes):
            return f"the CDN gives {size} bytes, the source {head.size_bytes}"
        if told and told != head.etag:
            return "the CDN gives another ETag than the source"
        if head.size_bytes > WHOLE_MAX_BYTES:
            return (
                ""
                if told and size >= 0
                else "the CDN gives no ETag or size, and the object is too large to be compared"
            )
        through = await digest_of(page, head.size_bytes)
        if through is None:
            return f"the CDN gives more than the {head.size_bytes} bytes of the source"
        original = await self._source_digest(key, head)
        return "" if through == original else "the CDN gives other bytes than the source"

    async def _source_digest(self, key: str, head: ObjectHead) -> tuple[int, Checksums] | None:
        etag = head.etag if self._store.abilities.reads_if_match else ""
        try:
            reading = await self._store.read(key, if_match=etag)
            try:
                return await digest_of(reading, head.size_bytes)
            finally:
                await reading.close()
        except StoreError as error:
            raise _SourceTroubleError(error) from error


class _Hashing:
    """A sink that keeps CRC64 and length of a body, up to a limit."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.digest = Digest(xz=True, nvme=False)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def overflown(self) -> bool:
        """Did more come than allowed?"""
        return self.digest.size_bytes > self._limit_bytes

    def feed(self, chunk: bytes) -> None:
        """Hash the chunk."""
        if self.overflown():
            return
        self.digest.update(chunk)
        if self.overflown():
            self.end()

    def end(self) -> None:
        """The body is whole."""
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """The body is broken."""
        if not self.done.done():
            self.done.set_exception(error)


async def digest_of(body: ByteSource, limit_bytes: int) -> tuple[int, Checksums] | None:
    """Length and CRC64 of a body, None if it has more than limit_bytes. Raises what broke it. Close the body afterwards."""
    sink = _Hashing(limit_bytes)
    body.start(sink)
    await sink.done
    return None if sink.overflown() else (sink.digest.size_bytes, sink.digest.checksums())


def etag_of(header: str) -> str:
    """The ETag of a header: without quotes, and without the W/ that proxies put in front when they compress."""
    return header.strip().removeprefix("W/").strip('"')
