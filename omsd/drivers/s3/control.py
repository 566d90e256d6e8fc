"""The rare calls: life cycle of multipart uploads, tags, restores of archived objects. Parts themselves are in store.py.

On the wire like the rest: the aiobotocore client would cost each worker 0.8 s of CPU and 47 MB at its first large object,
and would bypass the address policy and what the bucket has learned about its region and clock.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.shards import OpenUpload
from omsd.drivers.s3 import errors
from omsd.drivers.s3.answers import (
    checksum_headers,
    is_encrypted,
    option_headers,
    receipt_checksums,
    refuse_disagreement,
)
from omsd.drivers.s3.bucket import Bucket, Call
from omsd.drivers.s3.signing import encode_query
from omsd.drivers.s3.xml import (
    MAX_XML_BYTES,
    complete_body,
    malformed,
    parse_error,
    parse_fields,
    parse_parts,
    parse_tags,
    parse_uploads,
    restore_body,
)
from omsd.ports.objectstore import Checksums, PartReceipt, PutOptions, PutReceipt


async def create_upload(bucket: Bucket, key: str, options: PutOptions) -> str:
    """The id of a new upload; where the service can, it will answer with a CRC64 of the whole object."""
    dialect = bucket.profile.checksums
    headers = option_headers(options, bucket.profile)
    if dialect.full_object and dialect.nvme_header:
        headers += [("x-amz-checksum-algorithm", "CRC64NVME"), ("x-amz-checksum-type", "FULL_OBJECT")]
    body, _ = await bucket.fetch(
        Call(
            "CreateMultipartUpload",
            "POST",
            key,
            "uploads=",
            headers,
            idempotent=False,
            missing=StoreErrorKind.NO_SUCH_BUCKET,
        ),
        MAX_XML_BYTES,
    )
    upload_id = parse_fields(body, "InitiateMultipartUploadResult").get("UploadId", "")
    if not upload_id:
        raise malformed("a new upload without an id")
    return upload_id


async def complete_upload(
    bucket: Bucket, key: str, upload_id: str, parts: Sequence[PartReceipt], checksums: Checksums
) -> PutReceipt:
    """Make the object of its parts. A 200 that holds an error, or nothing, is an error (trap 17)."""
    dialect = bucket.profile.checksums
    headers = [("content-type", "application/xml")]
    if dialect.full_object:
        sent = checksum_headers(checksums, dialect)
        headers += sent
        if sent and dialect.nvme_header:
            headers.append(("x-amz-checksum-type", "FULL_OBJECT"))
    what = "CompleteMultipartUpload"
    query = encode_query([("uploadId", upload_id)])
    body, answered = await bucket.fetch(
        Call(
            what,
            "POST",
            key,
            query,
            headers,
            body=complete_body(parts),
            idempotent=False,
            missing=StoreErrorKind.NO_SUCH_UPLOAD,
        ),
        MAX_XML_BYTES,
    )
    if not body.strip():
        raise malformed(f"{what} {key} was answered with nothing")
    error = parse_error(body)
    if error.code:
        raise errors.of_answer(f"{what} {key}", 200, answered, error)
    fields = parse_fields(body, "CompleteMultipartUploadResult")
    encrypted = is_encrypted(answered, bucket.profile)
    stored = receipt_checksums(answered, fields, dialect)
    refuse_disagreement(f"{what} {key}", checksums, stored)
    return PutReceipt(fields.get("ETag", "").strip('"'), stored, encrypted)


async def abort_upload(bucket: Bucket, key: str, upload_id: str) -> None:
    """The upload is gone."""
    query = encode_query([("uploadId", upload_id)])
    call = Call("AbortMultipartUpload", "DELETE", key, query, missing=StoreErrorKind.NO_SUCH_UPLOAD)
    try:
        await bucket.fetch(call, MAX_XML_BYTES)
    except StoreError as error:
        if error.kind is not StoreErrorKind.NO_SUCH_UPLOAD:
            raise


async def list_parts(bucket: Bucket, key: str, upload_id: str) -> list[PartReceipt]:
    """Every stored part in order.

    A part that was replaced is left out if the service lists both (SeaweedFS): which one counts cannot be told.
    """
    found: list[PartReceipt] = []
    marker = ""
    while True:
        pairs = [("uploadId", upload_id), ("max-parts", "1000")]
        if marker:
            pairs.append(("part-number-marker", marker))
        call = Call("ListParts", "GET", key, encode_query(pairs), missing=StoreErrorKind.NO_SUCH_UPLOAD)
        body, _ = await bucket.fetch(call, MAX_XML_BYTES)
        page, following = parse_parts(body)
        found += page
        if not following:
            times = Counter(part.part_number for part in found)
            return sorted(
                (part for part in found if times[part.part_number] == 1), key=lambda part: part.part_number
            )
        if following == marker:
            raise malformed("a page of parts that repeats itself")
        marker = following


async def list_uploads(bucket: Bucket, prefix: str) -> list[OpenUpload]:
    """Every open upload under the prefix."""
    found: list[OpenUpload] = []
    markers = ("", "")
    while True:
        pairs = [("uploads", ""), ("prefix", prefix), ("max-uploads", "1000")]
        if bucket.profile.url_encoded_listings:
            pairs.append(("encoding-type", "url"))
        if markers[0]:
            pairs += [("key-marker", markers[0]), ("upload-id-marker", markers[1])]
        call = Call(
            "ListMultipartUploads", "GET", query=encode_query(pairs), missing=StoreErrorKind.NO_SUCH_BUCKET
        )
        body, _ = await bucket.fetch(call, MAX_XML_BYTES)
        page, key_marker, id_marker = parse_uploads(body)
        found += page
        if not key_marker:
            return found
        if (key_marker, id_marker) == markers:
            raise malformed("a page of uploads that repeats itself")
        markers = (key_marker, id_marker)


async def tags(bucket: Bucket, key: str) -> dict[str, str]:
    """The object's tags. Raises UNSUPPORTED if the service has none."""
    if not bucket.profile.carries_tags:
        raise StoreError(
            StoreErrorKind.UNSUPPORTED, f"{bucket.profile.name} has no object tags in its S3 dialect"
        )
    body, _ = await bucket.fetch(Call("GetObjectTagging", "GET", key, "tagging="), MAX_XML_BYTES)
    return parse_tags(body)


async def restore(bucket: Bucket, key: str, days: int) -> None:
    """A restore is under way, or was before. Raises UNSUPPORTED where the S3 dialect has no such call."""
    tier_element = bucket.profile.restore_dialect
    if not tier_element:
        raise StoreError(
            StoreErrorKind.UNSUPPORTED,
            f"{bucket.profile.name} cannot be asked to restore {key!r} in its S3 dialect; restore it in the console",
        )
    body = restore_body(days, tier_element)
    # OBS and COS refuse the call without it.
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    headers = [("content-md5", digest), ("content-type", "application/xml")]
    call = Call("RestoreObject", "POST", key, "restore=", headers, body=body, size_bytes=len(body))
    try:
        await bucket.fetch(call, MAX_XML_BYTES)
    except StoreError as error:
        if error.status != 409:
            raise
