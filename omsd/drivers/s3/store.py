"""The S3 driver: one bucket behind the object store port. Every call is one signed request on our own wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.shards import OpenUpload
from omsd.drivers.s3 import control, copying, errors
from omsd.drivers.s3.answers import (
    S3Reading,
    checksum_headers,
    checksums_of,
    head_of,
    is_encrypted,
    length_of,
    option_headers,
    range_of,
    refuse_disagreement,
)
from omsd.drivers.s3.bucket import Bucket, Call
from omsd.drivers.s3.profiles import ListVersion
from omsd.drivers.s3.signing import encode_query
from omsd.drivers.s3.xml import MAX_ERROR_BYTES, MAX_XML_BYTES, Listing, malformed, parse_error, parse_listing
from omsd.ports.objectstore import (
    BucketAddress,
    ByteSource,
    Checksums,
    CopySource,
    ListingOrder,
    ListPage,
    ObjectHead,
    PartReceipt,
    PutOptions,
    PutReceipt,
    Reading,
)
from omsd.wire import Answer

_NO_SUCH_BUCKET = StoreErrorKind.NO_SUCH_BUCKET  # the name is looked up once, not per object


class S3Store:
    """One bucket of an S3-compatible service. Connections belong to the pool, which outlives the store."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._profile = bucket.profile
        self.abilities = bucket.profile.abilities()
        asks_for_checksum = bool(bucket.profile.checksums.nvme_header)
        self._read_headers = [("x-amz-checksum-mode", "ENABLED")] if asks_for_checksum else []

    @property
    def address(self) -> BucketAddress:
        """Where the bucket is by now."""
        return self.bucket.address

    async def check(self) -> None:
        """The bucket is there and may be listed; a directory-ordered server was recognised."""
        _, headers = await self._list([("max-keys", "1")])
        if headers.get("server", "").startswith("SeaweedFS"):
            self.abilities = replace(self.abilities, listing_order=ListingOrder.DIRECTORY)

    async def list_page(
        self,
        prefix: str,
        *,
        after: str = "",
        marker: str | None = None,
        delimiter: str = "",
        limit: int = 1000,
    ) -> ListPage:
        """The next page. Raises MALFORMED on a page that repeats itself or cannot be read whole."""
        v2 = self._profile.list_version is ListVersion.V2
        pairs = [("prefix", prefix), ("max-keys", str(limit))]
        if delimiter:
            pairs.append(("delimiter", delimiter))
        if v2 and marker is not None:
            pairs.append(("continuation-token", marker))
        elif start := marker or self._start_behind(after):
            pairs.append(("start-after" if v2 else "marker", start))
        listing, _ = await self._list(pairs)
        following = self._following(listing) if listing.truncated else None
        if following is not None and following == marker:
            raise malformed("a page of the listing that repeats itself")
        return ListPage(listing.objects, following, listing.common_prefixes)

    def _start_behind(self, after: str) -> str:
        """SeaweedFS takes a key that is a folder as well for the folder, and begins behind all that is in it."""
        if after and not after.endswith("/") and self.abilities.listing_order is ListingOrder.DIRECTORY:
            return after + "/"
        return after

    async def head(self, key: str) -> ObjectHead:
        """The object's head."""
        answer = await self.bucket.send(Call("HeadObject", "HEAD", key, signed=self._read_headers))
        try:
            headers = answer.head.headers
            size_bytes = length_of(headers)
            if size_bytes < 0:
                raise malformed(f"HeadObject {key}: the answer does not tell the size")
            return head_of(key, headers, size_bytes, self._profile)
        finally:
            await answer.close()

    async def read(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> Reading:
        """Open the body or a range of it."""
        unsigned: list[tuple[str, str]] = []
        ranged = offset > 0 or length is not None
        if ranged:
            last = "" if length is None else str(offset + length - 1)
            unsigned.append(("range", f"bytes={offset}-{last}"))
        if if_match:
            unsigned.append(("if-match", f'"{if_match}"'))
        answer = await self.bucket.send(
            Call("GetObject", "GET", key, signed=self._read_headers, unsigned=unsigned)
        )
        try:
            return self._reading(key, answer, offset, length, ranged)
        except BaseException:
            await answer.close()
            raise

    async def put(
        self, key: str, body: bytes | ByteSource, size_bytes: int, options: PutOptions
    ) -> PutReceipt:
        """The object exists; what the service said about its checksum agreed with what was sent."""
        headers = option_headers(options, self._profile)
        headers += checksum_headers(options.checksums, self._profile.checksums)
        call = Call(
            "PutObject",
            "PUT",
            key,
            signed=headers,
            body=body,
            size_bytes=size_bytes,
            missing=_NO_SUCH_BUCKET,
        )
        try:
            answered = await self._store(call)
        except StoreError as error:
            raise errors.told_of_encryption(error, options) from error
        stored = checksums_of(answered, self._profile.checksums)
        refuse_disagreement(f"PutObject {key}", options.checksums, stored)
        encrypted = options.encrypt_kms and is_encrypted(answered, self._profile)
        return PutReceipt(answered.get("etag", "").strip('"'), stored, encrypted)

    async def copy_from(self, key: str, source: CopySource, options: PutOptions) -> PutReceipt:
        """The service copies the object itself."""
        return await copying.copy_object(self.bucket, key, source, options)

    async def create_upload(self, key: str, options: PutOptions) -> str:
        """The id of a new upload."""
        try:
            return await control.create_upload(self.bucket, key, options)
        except StoreError as error:
            raise errors.told_of_encryption(error, options) from error

    async def copy_part(
        self, key: str, upload_id: str, part_number: int, source: CopySource, offset: int, size_bytes: int
    ) -> PartReceipt:
        """The service copies a range of the object into one part."""
        return await copying.copy_part(self.bucket, key, upload_id, part_number, source, offset, size_bytes)

    async def put_part(
        self,
        key: str,
        upload_id: str,
        part_number: int,
        body: bytes | ByteSource,
        size_bytes: int,
        checksums: Checksums,
    ) -> PartReceipt:
        """Store one part of an open upload."""
        answered = await self._store(
            Call(
                "UploadPart",
                "PUT",
                key,
                encode_query([("partNumber", str(part_number)), ("uploadId", upload_id)]),
                checksum_headers(checksums, self._profile.checksums),
                body=body,
                size_bytes=size_bytes,
                missing=StoreErrorKind.NO_SUCH_UPLOAD,
            )
        )
        etag = answered.get("etag", "").strip('"')
        if not etag:
            raise malformed(f"part {part_number} of {key} was answered without an ETag")
        stored = checksums_of(answered, self._profile.checksums)
        refuse_disagreement(f"UploadPart {part_number} {key}", checksums, stored)
        return PartReceipt(part_number, etag, size_bytes, stored)

    async def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], checksums: Checksums
    ) -> PutReceipt:
        """Make the object of its parts."""
        return await control.complete_upload(self.bucket, key, upload_id, parts, checksums)

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """The upload is gone."""
        await control.abort_upload(self.bucket, key, upload_id)

    async def list_parts(self, key: str, upload_id: str) -> Sequence[PartReceipt]:
        """The stored parts in order."""
        return await control.list_parts(self.bucket, key, upload_id)

    async def list_uploads(self, prefix: str = "") -> Sequence[OpenUpload]:
        """Every open upload under the prefix."""
        return await control.list_uploads(self.bucket, prefix)

    async def tags(self, key: str) -> Mapping[str, str]:
        """The object's tags."""
        return await control.tags(self.bucket, key)

    async def restore(self, key: str, *, days: int) -> None:
        """A restore is under way, or was before."""
        await control.restore(self.bucket, key, days)

    async def delete(self, key: str) -> None:
        """The object is gone."""
        try:
            await self.bucket.fetch(Call("DeleteObject", "DELETE", key), MAX_ERROR_BYTES)
        except StoreError as error:
            if error.kind is not StoreErrorKind.NO_SUCH_KEY:
                raise

    async def close(self) -> None:
        """Nothing belongs to this store alone."""

    async def _store(self, call: Call) -> dict[str, str]:
        """The headers of the answer to a body that was sent; an error inside a 200 is raised."""
        body, headers = await self.bucket.fetch(call, MAX_ERROR_BYTES)
        if body and (error := parse_error(body)).code:
            raise errors.of_answer(call.named, 200, headers, error, missing=call.missing)
        return headers

    async def _list(self, pairs: list[tuple[str, str]]) -> tuple[Listing, dict[str, str]]:
        if self._profile.list_version is ListVersion.V2:
            pairs.append(("list-type", "2"))
        if self._profile.url_encoded_listings:
            pairs.append(("encoding-type", "url"))
        call = Call("ListObjects", "GET", query=encode_query(pairs), missing=StoreErrorKind.NO_SUCH_BUCKET)
        body, headers = await self.bucket.fetch(call, MAX_XML_BYTES)
        if b"<Contents>" not in body and (error := parse_error(body)).code:
            raise errors.of_answer(call.named, 200, headers, error, missing=call.missing)
        return parse_listing(body), headers

    def _following(self, listing: Listing) -> str:
        if self._profile.list_version is ListVersion.V2:
            if not listing.next_token:
                raise malformed("a listing that goes on without a continuation token")
            return listing.next_token
        # Most services leave NextMarker out without a delimiter, and it may not be the last key (US3) or not be encoded
        # (SeaweedFS); the last entry is right wherever they agree or there is nothing to group.
        last_entries = [entry.key for entry in listing.objects[-1:]] + list(listing.common_prefixes[-1:])
        if not listing.common_prefixes and last_entries:
            return last_entries[0]
        for entry in last_entries:
            if entry in (listing.next_marker, listing.decoded_next_marker):
                return entry
        marker = listing.decoded_next_marker or max(last_entries, key=str.encode, default="")
        if not marker:
            raise malformed("a listing that goes on behind nothing")
        return marker

    def _reading(self, key: str, answer: Answer, offset: int, length: int | None, ranged: bool) -> S3Reading:
        headers = answer.head.headers
        size_bytes = whole = answer.size_bytes
        if ranged:
            if answer.head.status != 206:
                raise malformed(f"{key}: a range was asked, everything was sent")
            first, last, whole = range_of(headers)
            end = whole if length is None else min(whole, offset + length)
            size_bytes = last - first + 1
            if first != offset or last + 1 != end or answer.size_bytes not in (size_bytes, -1):
                raise malformed(f"{key}: another range was sent than the one asked")
        elif answer.head.status != 200:
            raise malformed(f"{key}: status {answer.head.status} for a whole object")
        return S3Reading(head_of(key, headers, whole, self._profile), size_bytes, answer)
