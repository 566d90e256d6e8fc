"""Headers of answers into heads and receipts, options into headers, and the open read of one object."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import quote, urlencode

from omsd.domain.caveats import is_header_name, is_header_text
from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.drivers.s3 import errors
from omsd.drivers.s3.dates import http_date_to_unix_s
from omsd.drivers.s3.profiles import ChecksumDialect, Profile
from omsd.drivers.s3.xml import malformed
from omsd.ports.objectstore import ByteSink, Checksums, ObjectHead, PutOptions, RestoreState
from omsd.wire import Answer, WireError

_SYSTEM_HEADERS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "expires",
    }
)
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_MOST_DIGITS = 20  # of a number of 64 bits
_NO_CHECKSUMS = Checksums()
# Storage class apart, which many services tell of every object.
_PARTICULARS = (
    "tagging-count",
    "server-side-encryption",
    "restore",
    "restore-status",
    "missing-meta",
)
_NO_PARTICULARS = (0, False, RestoreState.NONE, 0)


class S3Reading:
    """An open read on the wire. Chunks go from the connection to the sink without a stop here."""

    __slots__ = ("_answer", "head", "pause", "resume", "size_bytes")

    def __init__(self, head: ObjectHead, size_bytes: int, answer: Answer) -> None:
        self.head = head
        self.size_bytes = size_bytes
        self.pause = answer.pause
        self.resume = answer.resume
        self._answer = answer

    def start(self, sink: ByteSink) -> None:
        """Begin to push."""
        self._answer.start(_StoreErrorSink(sink, self.head.key))

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole body."""
        try:
            return await self._answer.read_all(limit_bytes)
        except WireError as error:
            raise errors.of_wire(f"GetObject {self.head.key}", error) from error

    async def close(self) -> None:
        """Give the connection back, or drop it."""
        await self._answer.close()


class _StoreErrorSink:
    """Hands everything on as it is, but errors of the wire as StoreErrors."""

    __slots__ = ("_key", "_sink", "end", "feed")

    def __init__(self, sink: ByteSink, key: str) -> None:
        self.feed = sink.feed
        self.end = sink.end
        self._sink = sink
        self._key = key

    def fail(self, error: Exception) -> None:
        if isinstance(error, WireError):
            error = errors.of_wire(f"GetObject {self._key}", error)
        self._sink.fail(error)


def head_of(key: str, headers: Mapping[str, str], size_bytes: int, profile: Profile) -> ObjectHead:
    """The object's head. Raises MALFORMED without a readable Last-Modified."""
    try:
        modified_s = http_date_to_unix_s(headers["last-modified"])
    except (KeyError, ValueError) as error:
        raise malformed(f"the head of {key} has no readable Last-Modified") from error
    storage_class = profile.answered(headers, "storage-class")
    particulars = (storage_class, *_NO_PARTICULARS)
    if profile.answers_any(headers, _PARTICULARS):
        particulars = (
            storage_class,
            _count(profile.answered(headers, "tagging-count")),
            is_encrypted(headers, profile),
            restore_state(headers, profile),
            _count(profile.answered(headers, "missing-meta")),
        )
    return ObjectHead(
        key,
        size_bytes,
        modified_s,
        headers.get("etag", "").strip('"'),
        headers.get("content-type", ""),
        {name: headers[name] for name in _SYSTEM_HEADERS if name in headers},
        _metadata_of(headers, profile.metadata_prefixes),
        checksums_of(headers, profile.checksums),
        *particulars,
    )


def is_encrypted(headers: Mapping[str, str], profile: Profile) -> bool:
    """Does the answer say that KMS encrypts the object?"""
    return "kms" in profile.answered(headers, "server-side-encryption").lower()


def restore_state(headers: Mapping[str, str], profile: Profile) -> RestoreState:
    """How far the restore of an archived object is."""
    said = profile.answered(headers, "restore") or profile.answered(headers, "restore-status")
    said = said.replace(" ", "").lower()
    if 'ongoing-request="true"' in said:
        return RestoreState.ONGOING
    return RestoreState.DONE if 'ongoing-request="false"' in said else RestoreState.NONE


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def length_of(headers: Mapping[str, str]) -> int:
    """Content-Length, -1 if there is none."""
    value = headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() else -1


def range_of(headers: Mapping[str, str]) -> tuple[int, int, int]:
    """First byte, last byte and whole size of a Content-Range. Raises MALFORMED."""
    value = headers.get("content-range", "")
    try:
        unit, _, span = value.partition(" ")
        ends, _, whole = span.partition("/")
        first, _, last = ends.partition("-")
        if unit.lower() != "bytes":
            raise ValueError
        return int(first), int(last), int(whole)
    except ValueError as error:
        raise malformed(f"Content-Range {value!r}") from error


def checksums_of(headers: Mapping[str, str], dialect: ChecksumDialect) -> Checksums:
    """The CRC64s an answer publishes; what cannot be read, or is of parts only, counts as not published."""
    nvme = headers.get(dialect.nvme_header) if dialect.nvme_header else None
    xz = headers.get(dialect.xz_header) if dialect.xz_header else None
    if nvme is None and xz is None:
        return _NO_CHECKSUMS
    if headers.get("x-amz-checksum-type") == "COMPOSITE":
        return _NO_CHECKSUMS
    return Checksums(_xz_from_text(xz), _nvme_from_text(nvme))


def receipt_checksums(
    headers: Mapping[str, str], fields: Mapping[str, str], dialect: ChecksumDialect
) -> Checksums:
    """The CRC64s of what was written, from the answer's headers or else from its document."""
    stored = checksums_of(headers, dialect)
    if stored != _NO_CHECKSUMS or fields.get("ChecksumType", "") == "COMPOSITE":
        return stored
    return Checksums(
        _xz_from_text(fields.get("ChecksumCRC64ECMA")), _nvme_from_text(fields.get("ChecksumCRC64NVME"))
    )


def _xz_from_text(text: str | None) -> int | None:
    """A CRC64/XZ written as a decimal number."""
    # Longer ones are not even converted: beyond 4,300 digits that raises.
    if not text or len(text) > _MOST_DIGITS or not (text.isascii() and text.isdigit()):
        return None
    value = int(text)
    return value if value < 1 << 64 else None


def _nvme_from_text(text: str | None) -> int | None:
    """A CRC64/NVME written as base64 of eight bytes, big-endian."""
    try:
        raw = binascii.a2b_base64(text or "", strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    return int.from_bytes(raw, "big") if len(raw) == 8 else None


def checksum_headers(checksums: Checksums, dialect: ChecksumDialect) -> list[tuple[str, str]]:
    """The headers that make the service check a body on arrival, as far as it does."""
    sent: list[tuple[str, str]] = []
    if dialect.sent and dialect.nvme_header and checksums.crc64_nvme is not None:
        text = binascii.b2a_base64(checksums.crc64_nvme.to_bytes(8, "big"), newline=False).decode()
        sent.append((dialect.nvme_header, text))
    if dialect.sent and dialect.xz_header and checksums.crc64_xz is not None:
        sent.append((dialect.xz_header, str(checksums.crc64_xz)))
    return sent


def option_headers(options: PutOptions, profile: Profile) -> list[tuple[str, str]]:
    """Content type, system headers, metadata and storage class of a put or of a new upload."""
    sent: list[tuple[str, str]] = []
    if options.content_type:
        sent.append(("content-type", _sendable(options.content_type)))
    for name, value in options.headers.items():
        sent.append((name.lower(), _sendable(value)))
    prefix = profile.metadata_prefixes[0]
    for name, value in options.user_metadata.items():
        lower = name.lower()
        if is_header_name(lower):
            sent.append((prefix + lower, _sendable(value)))
    storage_class = options.storage_class or profile.storage_class_of(options.storage_policy)
    if storage_class:
        sent.append(("x-amz-storage-class", storage_class))
    if options.encrypt_kms:
        sent += profile.kms_headers
    if options.tags and profile.carries_tags:
        sent.append(("x-amz-tagging", urlencode(options.tags, quote_via=quote)))
    return sent


def refuse_disagreement(what: str, sent: Checksums, answered: Checksums) -> None:
    """Raise INTEGRITY if the service computed another checksum than the one it was sent."""
    for ours, theirs in (
        (sent.crc64_nvme, answered.crc64_nvme),
        (sent.crc64_xz, answered.crc64_xz),
    ):
        if ours is not None and theirs is not None and ours != theirs:
            raise StoreError(
                StoreErrorKind.INTEGRITY, f"{what}: the service computed CRC64 {theirs:016x}, not {ours:016x}"
            )


def _metadata_of(headers: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in [name for name in headers if "-meta-" in name]:
        for prefix in prefixes:
            if name.startswith(prefix):
                found.setdefault(name[len(prefix) :], _readable(headers[name]))
    return found


def _sendable(value: str) -> str:
    # A header is ASCII: other characters (and line breaks) travel percent-encoded. What is ASCII stays as it is, also a
    # percent sign, so that a value which was encoded at the source arrives as it was.
    return value if is_header_text(value) else quote(value, safe=_PRINTABLE)


def _readable(value: str) -> str:
    if not value.isascii():
        try:
            return value.encode("latin-1").decode()
        except UnicodeError:
            return value
    if value.startswith("=?") and value.endswith("?="):
        # AWS hands out metadata that was stored as UTF-8 in RFC 2047 words.
        try:
            return str(make_header(decode_header(value)))
        except (HeaderParseError, UnicodeError, LookupError):
            return value
    return value
