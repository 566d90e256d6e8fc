"""Copies inside the service: CopyObject and UploadPartCopy. No byte of an object passes through here.

Both may answer 200 at once, drip white space while they work and end in an error, in half an answer or in none (trap 17).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.drivers.s3 import errors
from omsd.drivers.s3.answers import is_encrypted, option_headers, receipt_checksums
from omsd.drivers.s3.bucket import Bucket, Call
from omsd.drivers.s3.signing import encode_path, encode_query
from omsd.drivers.s3.xml import MAX_XML_BYTES, malformed, parse_error, parse_fields
from omsd.ports.objectstore import Checksums, CopySource, PartReceipt, PutOptions, PutReceipt

# Without one, some services keep the source's class and others give the bucket's own.
_STORAGE_CLASS_IF_NONE = "STANDARD"


async def copy_object(bucket: Bucket, key: str, source: CopySource, options: PutOptions) -> PutReceipt:
    """The object exists; what the service said of it was read whole."""
    profile = bucket.profile
    named = options.storage_class or profile.storage_class_of(options.storage_policy)
    storage_class = named or _STORAGE_CLASS_IF_NONE
    headers = option_headers(replace(options, storage_class=storage_class), profile)
    headers += _source_headers(source)
    headers.append(("x-amz-metadata-directive", "REPLACE"))
    if profile.directs_tags:
        headers.append(("x-amz-tagging-directive", "REPLACE"))
    if profile.checksums.sent and profile.checksums.nvme_header:
        headers.append(("x-amz-checksum-algorithm", "CRC64NVME"))
    call = Call("CopyObject", "PUT", key, signed=headers)
    try:
        etag, stored, answered = await _copied(bucket, call, "CopyObjectResult")
    except StoreError as error:
        raise errors.told_of_encryption(error, options) from error
    return PutReceipt(etag, stored, is_encrypted(answered, profile))


async def copy_part(
    bucket: Bucket,
    key: str,
    upload_id: str,
    part_number: int,
    source: CopySource,
    offset: int,
    size_bytes: int,
) -> PartReceipt:
    """The part holds that range of the source."""
    headers = _source_headers(source)
    headers.append(("x-amz-copy-source-range", f"bytes={offset}-{offset + size_bytes - 1}"))
    query = encode_query([("partNumber", str(part_number)), ("uploadId", upload_id)])
    call = Call("UploadPartCopy", "PUT", key, query, headers, missing=StoreErrorKind.NO_SUCH_UPLOAD)
    etag, stored, _ = await _copied(bucket, call, "CopyPartResult")
    return PartReceipt(part_number, etag, size_bytes, stored)


def _source_headers(source: CopySource) -> list[tuple[str, str]]:
    # Everything but letters, digits, - _ . ~ and / is encoded, a slash never added to or taken from the key: the first slash
    # behind the bucket's name is the border, the rest is the key as it is (traps 29 and 32).
    headers = [("x-amz-copy-source", f"/{source.bucket}/{encode_path(source.key)}")]
    if source.etag:
        headers.append(("x-amz-copy-source-if-match", f'"{source.etag}"'))
    return headers


async def _copied(bucket: Bucket, call: Call, root: str) -> tuple[str, Checksums, Mapping[str, str]]:
    """ETag and checksums of what was written, and the answer's headers. An error, half an answer or none inside a 200 is raised."""
    body, answered = await bucket.fetch(call, MAX_XML_BYTES)
    if not body.strip():
        raise malformed(f"{call.named} was answered with nothing")
    if b"<Error" in body and (error := parse_error(body)).code:
        raise errors.of_answer(call.named, 200, answered, error, missing=call.missing)
    fields = parse_fields(body, root)
    etag = fields.get("ETag", "").strip('"')
    if not etag:
        raise malformed(f"{call.named} was answered without an ETag")
    return etag, receipt_checksums(answered, fields, bucket.profile.checksums), answered
