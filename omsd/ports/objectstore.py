"""What the engine needs of one bucket, whatever cloud it is in. Bodies are pushed, never iterated.

What is made anew for each object is a tuple, or never changed but not frozen: to freeze a field costs 0.1 us, and there are thirty of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from omsd.domain.model import StoragePolicy
from omsd.domain.shards import OpenUpload


class ListingOrder(StrEnum):
    """In which order a service lists keys. BYTEWISE: UTF-8 bytes. DIRECTORY: path component by component."""

    BYTEWISE = "bytewise"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a service can do; data of a driver, fixed once the store is open.

    sizes in bytes. verifies_crc64_nvme / verifies_crc64_xz: a checksum sent with a put is checked on arrival and a wrong one refused.
    full_object_crc64: complete_upload checks a whole-object CRC64 (of the kind it verifies) and answers with the stored one.
    copies_objects / copies_parts: copy_from() and copy_part() may be tried; max_copy_bytes: the largest object copy_from() takes.
    storage_policies: those the service has a storage class for. encrypts_kms: can writes ask for encryption with KMS?
    """

    min_part_bytes: int = 5 * 1024 * 1024
    max_part_bytes: int = 5 * 1024**3
    max_put_bytes: int = 5 * 1024**3
    max_parts: int = 10_000
    max_key_bytes: int = 1024
    listing_order: ListingOrder = ListingOrder.BYTEWISE
    verifies_crc64_nvme: bool = False
    verifies_crc64_xz: bool = False
    full_object_crc64: bool = False
    reads_if_match: bool = True
    copies_objects: bool = False
    copies_parts: bool = False
    max_copy_bytes: int = 5 * 1024**3
    storage_policies: frozenset[StoragePolicy] = frozenset(
        {StoragePolicy.STANDARD, StoragePolicy.IA, StoragePolicy.ARCHIVE, StoragePolicy.DEEP_ARCHIVE}
    )
    encrypts_kms: bool = True


class Checksums(NamedTuple):
    """CRC64 of a whole object (or part) as published or sent; None = not known."""

    crc64_xz: int | None = None
    crc64_nvme: int | None = None


NO_CHECKSUMS = Checksums()


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """Where a bucket is. Two of equal service are reached at one host in one dialect: one may be asked to copy from the other.

    bucket: as the service itself names it.
    """

    service: str
    bucket: str


@dataclass(frozen=True, slots=True)
class CopySource:
    """An object that the service reads for itself. etag: it must have this one, "" = any."""

    bucket: str
    key: str
    etag: str = ""


class ListedObject(NamedTuple):
    """One entry of a listing. etag without quotes. last_modified_s: Unix seconds.

    A tuple: pages are made of columns, 0.1 us an entry; a frozen dataclass takes ten times that.
    """

    key: str
    size_bytes: int
    last_modified_s: float
    etag: str
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page, in listing order. next_marker: opaque, give it to the next call; None = the listing is over."""

    objects: Sequence[ListedObject]
    next_marker: str | None
    common_prefixes: Sequence[str] = ()


class RestoreState(StrEnum):
    """NONE also of objects that need none."""

    NONE = "none"
    ONGOING = "ongoing"
    DONE = "done"  # a readable copy is there for some days


@dataclass(slots=True)
class ObjectHead:
    """An object's head. size_bytes is the whole object's, also on a ranged read; -1 if the service does not tell.

    headers: content_type apart, the documented system headers that travel with an object (cache-control, content-disposition,
    content-encoding, content-language, expires), lower-case names. user_metadata: names without prefix, lower case.
    checksums: of the whole object. tag_count: tags it has, 0 also if the service does not tell. encrypted_kms: it says so itself.
    untold_metadata_num: user metadata that it has, but could not put into headers.
    """

    key: str
    size_bytes: int
    last_modified_s: float
    etag: str
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    checksums: Checksums = NO_CHECKSUMS
    storage_class: str = ""
    tag_count: int = 0
    encrypted_kms: bool = False
    restore: RestoreState = RestoreState.NONE
    untold_metadata_num: int = 0


@dataclass(slots=True)
class PutOptions:
    """What an object is written with. checksums: known before the first byte, sent if the service verifies them.

    storage_policy: the service's class for it is sent; None = as the bucket or service has it.
    """

    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    checksums: Checksums = NO_CHECKSUMS
    storage_class: str = ""
    storage_policy: StoragePolicy | None = None
    encrypt_kms: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class PutReceipt:
    """The answer to a put, a part or a completed upload. checksums: what the service says it stored (or just verified).

    encrypted_kms: it says so; False proves nothing.
    """

    etag: str
    checksums: Checksums = NO_CHECKSUMS
    encrypted_kms: bool = False


@dataclass(frozen=True, slots=True)
class PartReceipt:
    """One stored part, as complete_upload() wants it. checksums: those that were sent or answered for the part."""

    part_number: int
    etag: str
    size_bytes: int
    checksums: Checksums = NO_CHECKSUMS


class ByteSink(Protocol):
    """Takes a pushed body. Calls come from the loop, are synchronous and must not block."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""

    def end(self) -> None:
        """All bytes came."""

    def fail(self, error: Exception) -> None:
        """No more bytes will come; the body is broken. Exactly one of end() and fail() is called, once."""


class ByteSource(Protocol):
    """Pushes a body into a sink. pause() may let a chunk that is on its way still arrive."""

    def start(self, sink: ByteSink) -> None:
        """Begin to push; called once. May push at once, inside the call."""

    def pause(self) -> None:
        """Stop pushing soon; may be repeated."""

    def resume(self) -> None:
        """Go on pushing; may be repeated."""


class Reading(ByteSource, Protocol):
    """An open read. head is complete; no body byte is lost before start().

    Close it in every case: what was not read costs its connection.
    """

    head: ObjectHead
    size_bytes: int  # of this body (the range), -1 if unknown

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole body, instead of start(). Raises StoreError TRUNCATED if it ends early or exceeds the limit."""

    async def close(self) -> None:
        """Give the connection back (body read to its end) or drop it. Safe to repeat."""


class ObjectStore(Protocol):
    """One bucket. Every call raises StoreError and nothing else; none retries, apart from a stale kept-alive connection.

    Cancellation leaves nothing behind.
    """

    abilities: Abilities

    @property
    def address(self) -> BucketAddress:
        """Where the bucket is, as far as is known by now: a redirect may move it."""

    async def check(self) -> None:
        """Raise unless the bucket exists and the credentials may use it; cheap, changes nothing. Also learns about the service."""

    async def list_page(
        self,
        prefix: str,
        *,
        after: str = "",
        marker: str | None = None,
        delimiter: str = "",
        limit: int = 1000,
    ) -> ListPage:
        """The next page of keys that begin with prefix, in listing order.

        marker: next_marker of the page before; without it the listing starts behind the key `after` ("" = at the start).
        Raises MALFORMED on a page that cannot be read whole.
        """

    async def head(self, key: str) -> ObjectHead:
        """The object's head; NO_SUCH_KEY if it is not there."""

    async def read(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> Reading:
        """Open the body (or length bytes from offset). Returns when the head of the answer is there.

        if_match: ETag; PRECONDITION if the object has another one now. MALFORMED if a range was asked and not given.
        An empty object is read without a range.
        """

    async def put(
        self, key: str, body: bytes | ByteSource, size_bytes: int, options: PutOptions
    ) -> PutReceipt:
        """The object exists with exactly size_bytes bytes; a repeat replaces it.

        A ByteSource that fails makes the call raise that very exception and leaves no object. A checksum that is sent and does not
        agree raises INTEGRITY.
        """

    async def copy_from(self, key: str, source: CopySource, options: PutOptions) -> PutReceipt:
        """The object exists with the bytes of another object of the same service; no byte passes through us.

        It is written with these options alone, nothing of the source's metadata, tags or storage class is taken over; their
        checksums are not sent. Read with this store's credentials: PERMISSION or NO_SUCH_KEY may be about either object, PRECONDITION
        means that the source has another ETag. An error inside a 200, and a 200 without a receipt, is raised.
        Source: S3 CopyObject.
        """

    async def create_upload(self, key: str, options: PutOptions) -> str:
        """The id of a new multipart upload."""

    async def copy_part(
        self, key: str, upload_id: str, part_number: int, source: CopySource, offset: int, size_bytes: int
    ) -> PartReceipt:
        """Store size_bytes bytes from offset of another object as one part; errors as those of copy_from() and put_part().

        checksums of the receipt: those that were answered. Source: S3 UploadPartCopy.
        """

    async def put_part(
        self,
        key: str,
        upload_id: str,
        part_number: int,
        body: bytes | ByteSource,
        size_bytes: int,
        checksums: Checksums,
    ) -> PartReceipt:
        """Store one part (1..max_parts); a repeat replaces it, order is free. NO_SUCH_UPLOAD if the upload is gone."""

    async def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], checksums: Checksums
    ) -> PutReceipt:
        """Make the object of its parts, given in order. checksums: of the whole object, sent if full_object_crc64.

        An error inside a 200 is raised. Raises INTEGRITY if the service computed something else.
        """

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """The upload and its parts are gone; a missing one is no error."""

    async def list_parts(self, key: str, upload_id: str) -> Sequence[PartReceipt]:
        """The stored parts in order."""

    async def list_uploads(self, prefix: str = "") -> Sequence[OpenUpload]:
        """Every open upload under the prefix, whoever opened it."""

    async def tags(self, key: str) -> Mapping[str, str]:
        """The object's tags."""

    async def restore(self, key: str, *, days: int) -> None:
        """A readable copy of the archived object is being made, or made already, and stays for so many days; may be repeated.

        days 0: for a service that moves the object itself back. UNSUPPORTED if the service has no such call.
        """

    async def delete(self, key: str) -> None:
        """The object is gone; a missing one is no error."""

    async def close(self) -> None:
        """Release what belongs to this store alone."""
