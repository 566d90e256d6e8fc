"""One bucket in memory: a real ObjectStore with tunable abilities, for tests and the bench."""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import xxhash

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.shards import OpenUpload
from omsd.drivers.memory_bodies import MemoryReading, checksums_of, collect, of_known_kinds, verified
from omsd.drivers.memory_objects import StoredObject
from omsd.ports.objectstore import (
    Abilities,
    BucketAddress,
    ByteSource,
    Checksums,
    CopySource,
    ListedObject,
    ListingOrder,
    ListPage,
    ObjectHead,
    PartReceipt,
    PutOptions,
    PutReceipt,
    Reading,
    RestoreState,
)

MEMORY_ABILITIES = Abilities(
    verifies_crc64_nvme=True,
    verifies_crc64_xz=True,
    full_object_crc64=True,
    copies_objects=True,
    copies_parts=True,
)

_CHUNK_BYTES = 64 * 1024


@dataclass(slots=True)
class _Upload:
    key: str
    options: PutOptions
    initiated_s: float
    parts: dict[int, tuple[bytes, PartReceipt]] = field(default_factory=dict)


class MemoryService:
    """Buckets that can copy from each other."""

    def __init__(self) -> None:
        self.buckets: dict[str, MemoryStore] = {}


class MemoryStore:
    """One bucket. The same store may be handed out many times: close() keeps what is in it.

    service: where it stands under the name `bucket`; one of its own by default.
    abilities: what it can do, limits are enforced. publishes_checksums: does head() tell CRC64s of the kinds
    it verifies? now: Unix seconds of writes. As S3 does, listings tell milliseconds and heads whole seconds.
    """

    def __init__(
        self,
        *,
        abilities: Abilities = MEMORY_ABILITIES,
        publishes_checksums: bool = True,
        chunk_bytes: int = _CHUNK_BYTES,
        now: Callable[[], float] = time.time,
        service: MemoryService | None = None,
        bucket: str = "bucket",
    ) -> None:
        self._service = service or MemoryService()
        self._service.buckets[bucket] = self
        self.address = BucketAddress(f"memory {id(self._service):x}", bucket)
        self.abilities = abilities
        self._publishes = publishes_checksums
        self._chunk_bytes = chunk_bytes
        self._now = now
        self._objects: dict[str, StoredObject] = {}
        self._order: list[tuple[object, str]] = []
        self._uploads: dict[str, _Upload] = {}
        self._uploads_begun = 0
        self._bucket_is_there = True

    @property
    def objects(self) -> Mapping[str, StoredObject]:
        """What the bucket holds, by key."""
        return self._objects

    def drop_bucket(self) -> None:
        """From now on every call raises NO_SUCH_BUCKET."""
        self._bucket_is_there = False

    def archive(self, key: str, storage_class: str = "GLACIER") -> None:
        """The object is of an archive class now: unreadable until it is restored."""
        self._objects[key] = self._stored(key).archive(storage_class)

    def finish_restores(self) -> None:
        """Every restore that was asked for is done."""
        for key, stored in self._objects.items():
            if stored.restored is RestoreState.ONGOING:
                self._objects[key] = replace(stored, restored=RestoreState.DONE)

    async def check(self) -> None:
        """The bucket is there."""
        await self._enter()

    async def list_page(
        self,
        prefix: str,
        *,
        after: str = "",
        marker: str | None = None,
        delimiter: str = "",
        limit: int = 1000,
    ) -> ListPage:
        """The next page in the store's listing order; a common prefix counts as an entry."""
        await self._enter()
        start = marker if marker is not None else after
        index = bisect.bisect_right(self._order, (self._sort_key(start), start)) if start else 0
        index = max(index, bisect.bisect_left(self._order, (self._sort_key(prefix), prefix)))
        objects: list[ListedObject] = []
        prefixes: list[str] = []
        for position in range(index, len(self._order)):
            key = self._order[position][1]
            if not key.startswith(prefix):
                break
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            group = key[: cut + len(delimiter)] if cut >= 0 else ""
            told = bool(group) and (group in prefixes[-1:] or (marker or "").startswith(group))
            if not told and len(objects) + len(prefixes) >= limit:
                return ListPage(objects, start, prefixes)
            start = key
            if not group:
                objects.append(self._objects[key].listed(key))
            elif not told:
                prefixes.append(group)
        return ListPage(objects, None, prefixes)

    async def head(self, key: str) -> ObjectHead:
        """The object's head; NO_SUCH_KEY if it is not there."""
        await self._enter()
        return self._head_of(key, self._stored(key))

    async def read(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> Reading:
        """Open the body; it stays what it was even if the object is replaced meanwhile."""
        await self._enter()
        stored = self._stored(key)
        stored.refuse_if_unreadable(key)
        if if_match and self.abilities.reads_if_match and if_match != stored.etag:
            raise StoreError(
                StoreErrorKind.PRECONDITION, f"{key}: the object has another ETag now", status=412
            )
        if offset and offset >= len(stored.body):
            raise StoreError(StoreErrorKind.INVALID, f"{key}: the range lies behind the end", status=416)
        end = len(stored.body) if length is None else min(len(stored.body), offset + length)
        body = stored.body if offset == 0 and end == len(stored.body) else stored.body[offset:end]
        return MemoryReading(self._head_of(key, stored), body, self._chunk_bytes)

    async def put(
        self, key: str, body: bytes | ByteSource, size_bytes: int, options: PutOptions
    ) -> PutReceipt:
        """The object exists; its checksums were verified as far as the abilities say so."""
        await self._enter()
        self._refuse_key(key)
        if size_bytes > self.abilities.max_put_bytes:
            raise StoreError(
                StoreErrorKind.INVALID, f"{key}: too large for one put", provider_code="EntityTooLarge"
            )
        data = await collect(body, size_bytes)
        await self._enter()
        computed = checksums_of(data)
        sent = verified(options.checksums, computed, self.abilities)
        self._store(key, StoredObject(data, xxhash.xxh3_128_hexdigest(data), self._now(), options, computed))
        return PutReceipt(self._objects[key].etag, sent, self._encrypts(options))

    async def copy_from(self, key: str, source: CopySource, options: PutOptions) -> PutReceipt:
        """The object exists with the source's bytes and these options."""
        await self._enter()
        self._refuse_key(key)
        body = self._source_body(source)
        if len(body) > self.abilities.max_copy_bytes:
            raise StoreError(StoreErrorKind.INVALID, f"{source.key}: too large for one copy", status=400)
        etag = xxhash.xxh3_128_hexdigest(body)
        self._store(key, StoredObject(body, etag, self._now(), options, checksums_of(body)))
        return PutReceipt(etag, self._published(self._objects[key].checksums), self._encrypts(options))

    async def create_upload(self, key: str, options: PutOptions) -> str:
        """The id of a new multipart upload."""
        await self._enter()
        self._refuse_key(key)
        self._uploads_begun += 1
        upload_id = f"upload-{self._uploads_begun}"
        self._uploads[upload_id] = _Upload(key, options, self._now())
        return upload_id

    async def copy_part(
        self, key: str, upload_id: str, part_number: int, source: CopySource, offset: int, size_bytes: int
    ) -> PartReceipt:
        """Store a range of the source as one part."""
        await self._enter()
        body = self._source_body(source)[offset : offset + size_bytes]
        if len(body) != size_bytes:
            raise StoreError(
                StoreErrorKind.INVALID, f"{source.key}: the range lies behind the end", status=416
            )
        return await self.put_part(key, upload_id, part_number, body, size_bytes, Checksums())

    async def put_part(
        self,
        key: str,
        upload_id: str,
        part_number: int,
        body: bytes | ByteSource,
        size_bytes: int,
        checksums: Checksums,
    ) -> PartReceipt:
        """Store one part of an open upload; a repeat replaces it."""
        await self._enter()
        self._upload(key, upload_id)
        if not 1 <= part_number <= self.abilities.max_parts or size_bytes > self.abilities.max_part_bytes:
            raise StoreError(
                StoreErrorKind.INVALID, f"{key}: part {part_number} is out of bounds", status=400
            )
        data = await collect(body, size_bytes)
        await self._enter()
        upload = self._upload(key, upload_id)
        sent = verified(checksums, checksums_of(data), self.abilities)
        receipt = PartReceipt(part_number, xxhash.xxh3_128_hexdigest(data), len(data), sent)
        upload.parts[part_number] = (data, receipt)
        return receipt

    async def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], checksums: Checksums
    ) -> PutReceipt:
        """Make the object of the named parts; the upload stays open if that is refused."""
        await self._enter()
        upload = self._upload(key, upload_id)
        numbers = [part.part_number for part in parts]
        known = all(
            part.part_number in upload.parts and upload.parts[part.part_number][1].etag == part.etag
            for part in parts
        )
        if not numbers or not known or sorted(set(numbers)) != numbers:
            raise StoreError(
                StoreErrorKind.INVALID,
                f"{key}: parts are missing or out of order",
                provider_code="InvalidPart",
            )
        bodies = [upload.parts[n][0] for n in numbers]
        if any(len(body) < self.abilities.min_part_bytes for body in bodies[:-1]):
            raise StoreError(
                StoreErrorKind.INVALID, f"{key}: a part is too small", provider_code="EntityTooSmall"
            )
        data = b"".join(bodies)
        computed = checksums_of(data)
        sent = Checksums()
        if self.abilities.full_object_crc64:
            verified(checksums, computed, self.abilities)
            sent = self._published(computed)
        etag = f"{xxhash.xxh3_128_hexdigest(data)}-{len(numbers)}"
        self._store(key, StoredObject(data, etag, self._now(), upload.options, computed))
        del self._uploads[upload_id]
        return PutReceipt(etag, sent, self._encrypts(upload.options))

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """The upload and its parts are gone."""
        await self._enter()
        self._uploads.pop(upload_id, None)

    async def list_parts(self, key: str, upload_id: str) -> Sequence[PartReceipt]:
        """The stored parts in order."""
        await self._enter()
        return [receipt for _, (_, receipt) in sorted(self._upload(key, upload_id).parts.items())]

    async def list_uploads(self, prefix: str = "") -> Sequence[OpenUpload]:
        """Every open upload under the prefix."""
        await self._enter()
        return [
            OpenUpload(upload.key, upload_id, upload.initiated_s)
            for upload_id, upload in self._uploads.items()
            if upload.key.startswith(prefix)
        ]

    async def tags(self, key: str) -> Mapping[str, str]:
        """The object's tags."""
        await self._enter()
        return self._stored(key).options.tags

    async def restore(self, key: str, *, days: int) -> None:
        """Under way until finish_restores()."""
        await self._enter()
        stored = self._stored(key)
        if not stored.archived:
            raise StoreError(StoreErrorKind.INVALID, f"{key}: is not archived", status=403)
        if stored.restored is RestoreState.NONE:
            self._objects[key] = replace(stored, restored=RestoreState.ONGOING)

    async def delete(self, key: str) -> None:
        """The object is gone."""
        await self._enter()
        if self._objects.pop(key, None) is not None:
            del self._order[bisect.bisect_left(self._order, (self._sort_key(key), key))]

    async def close(self) -> None:
        """Nothing belongs to this store alone; what is in it stays."""

    async def _enter(self) -> None:
        # Every call gives way once, as one over a network does: cancellation has a place to happen.
        await asyncio.sleep(0)
        if not self._bucket_is_there:
            raise StoreError(
                StoreErrorKind.NO_SUCH_BUCKET,
                "the bucket does not exist",
                status=404,
                provider_code="NoSuchBucket",
            )

    def _sort_key(self, key: str) -> object:
        if self.abilities.listing_order is ListingOrder.DIRECTORY:
            return key.encode().split(b"/")
        return key.encode()

    def _refuse_key(self, key: str) -> None:
        if not 1 <= len(key.encode()) <= self.abilities.max_key_bytes:
            raise StoreError(
                StoreErrorKind.KEY_TOO_LONG, f"the key has {len(key.encode())} bytes", status=400
            )

    def _stored(self, key: str) -> StoredObject:
        stored = self._objects.get(key)
        if stored is None:
            raise StoreError(
                StoreErrorKind.NO_SUCH_KEY, f"{key}: no such object", status=404, provider_code="NoSuchKey"
            )
        return stored

    def _source_body(self, source: CopySource) -> bytes:
        bucket = self._service.buckets.get(source.bucket)
        if bucket is None or not bucket._bucket_is_there:
            raise StoreError(StoreErrorKind.NO_SUCH_BUCKET, f"{source.bucket}: no such bucket", status=404)
        stored = bucket._stored(source.key)
        if source.etag and source.etag != stored.etag:
            raise StoreError(
                StoreErrorKind.PRECONDITION, f"{source.key}: the object has another ETag now", status=412
            )
        stored.refuse_if_unreadable(source.key)
        return stored.body

    def _upload(self, key: str, upload_id: str) -> _Upload:
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise StoreError(
                StoreErrorKind.NO_SUCH_UPLOAD,
                f"{key}: no such upload",
                status=404,
                provider_code="NoSuchUpload",
            )
        return upload

    def _store(self, key: str, stored: StoredObject) -> None:
        if key not in self._objects:
            bisect.insort(self._order, (self._sort_key(key), key))
        self._objects[key] = stored

    def _head_of(self, key: str, stored: StoredObject) -> ObjectHead:
        return stored.head(key, self._published(stored.checksums), encrypted=self._encrypts(stored.options))

    def _encrypts(self, options: PutOptions) -> bool:
        return options.encrypt_kms and self.abilities.encrypts_kms

    def _published(self, computed: Checksums) -> Checksums:
        return of_known_kinds(computed, self.abilities) if self._publishes else Checksums()
