"""A fake of what the real test servers lack: one bucket over HTTP that speaks the header dialects of OBS, OSS and COS.

It plays what clouds.md describes and no more: SSE-KMS, archive classes whose restore takes a number of looks, tags, requester
pays. It checks no signature beyond which headers were signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.drivers.scripted import Reply, Seen

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE", "ARCHIVE", "COLD"})
_KEPT = ("content-type", "cache-control", "content-disposition", "content-encoding", "expires")


@dataclass(slots=True)
class Kept:
    """An object. looks_left: HEADs until its restore is done; None = it was not asked for."""

    body: bytes
    headers: dict[str, str]
    storage_class: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    kms: bool = False
    looks_left: int | None = None

    @property
    def readable(self) -> bool:
        return self.storage_class not in ARCHIVE_CLASSES or self.looks_left == 0


@dataclass(slots=True)
class DialectBucket:
    """Answers as a ScriptedServer's script. vendor: the prefix of its headers, like x-obs-.

    kms: "yes", "silent" (takes the header, encrypts nothing) or "refused". tags: "yes", "silent" or "refused".
    restore_looks: HEADs that a restore takes; restorable False: the call is refused. payer: demands requester pays.
    """

    vendor: str = "x-amz-"
    kms: str = "yes"
    tags: str = "yes"
    restore_looks: int = 2
    restorable: bool = True
    payer: bool = False
    objects: dict[str, Kept] = field(default_factory=dict)
    uploads: dict[str, tuple[str, Kept, dict[int, bytes]]] = field(default_factory=dict)
    restores: list[tuple[str, bytes]] = field(default_factory=list)
    tag_reads: int = 0

    def __call__(self, seen: Seen) -> Reply:
        """The answer to one request."""
        parts = urlsplit(seen.target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        if self.payer and not self._pays(seen):
            return _error(403, "AccessDenied")
        if not key:
            return self._listing(query)
        if "uploads" in query or "uploadId" in query:
            return self._multipart(seen, key, query)
        if seen.method == "PUT":
            kept = self._kept(seen)
            return kept if isinstance(kept, Reply) else self._keep(key, kept)
        if key not in self.objects:
            return _error(404, "NoSuchKey")
        return self._of_object(seen, key, query)

    def _of_object(self, seen: Seen, key: str, query: Mapping[str, str]) -> Reply:
        kept = self.objects[key]
        if "restore" in query:
            return self._restore(seen, key)
        if "tagging" in query:
            self.tag_reads += 1
            if self.tags == "refused":
                return _error(501, "NotImplemented")
            tags = "".join(
                f"<Tag><Key>{escape(k)}</Key><Value>{escape(v)}</Value></Tag>" for k, v in kept.tags.items()
            )
            return Reply(200, f"<Tagging><TagSet>{tags}</TagSet></Tagging>".encode())
        if seen.method == "DELETE":
            del self.objects[key]
            return Reply(204)
        if seen.method == "HEAD":
            if kept.looks_left:
                kept.looks_left -= 1
            return Reply(200, kept.body, self._headers(kept))
        if not kept.readable:
            return _error(403, "InvalidObjectState")
        return _ranged(seen, kept.body, self._headers(kept))

    def _pays(self, seen: Seen) -> bool:
        name = f"{self.vendor}request-payer"
        signed = seen.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        return seen.headers.get(name) == "requester" and name in signed.split(";")

    def _kept(self, seen: Seen) -> Kept | Reply:
        """What a PUT or a new upload asks for; a refusal if it may not."""
        headers = seen.headers
        wants_kms = "kms" in headers.get("x-amz-server-side-encryption", "")
        if wants_kms and self.kms == "refused":
            return _error(400, "InvalidArgument", "KMS is not enabled in this region")
        tags = dict(parse_qsl(headers.get("x-amz-tagging", "")))
        if tags and self.tags == "refused":
            return _error(501, "NotImplemented")
        return Kept(
            seen.body,
            {k: v for k, v in headers.items() if k in _KEPT or "-meta-" in k},
            headers.get("x-amz-storage-class", ""),
            tags if self.tags == "yes" else {},
            wants_kms and self.kms == "yes",
        )

    def _keep(self, key: str, kept: Kept) -> Reply:
        self.objects[key] = kept
        return Reply(200, b"", {"ETag": _etag(kept.body)} | self._kms_header(kept))

    def _kms_header(self, kept: Kept) -> dict[str, str]:
        return {f"{self.vendor}server-side-encryption": "kms"} if kept.kms else {}

    def _headers(self, kept: Kept) -> dict[str, str]:
        told = {"ETag": _etag(kept.body), "Last-Modified": formatdate(0, usegmt=True)} | kept.headers
        if kept.storage_class:
            told[f"{self.vendor}storage-class"] = kept.storage_class
        if kept.tags:
            told[f"{self.vendor}tagging-count"] = str(len(kept.tags))
        if kept.looks_left is not None:
            ongoing = "true" if kept.looks_left else "false"
            told[f"{self.vendor}restore"] = f'ongoing-request="{ongoing}"'
        return told | self._kms_header(kept)

    def _restore(self, seen: Seen, key: str) -> Reply:
        kept = self.objects[key]
        self.restores.append((key, seen.body))
        if "content-md5" not in seen.headers:
            return _error(400, "MissingContentMD5")
        if not self.restorable:
            return _error(403, "OperationNotSupported")
        if kept.looks_left:
            return _error(409, "RestoreAlreadyInProgress")
        kept.looks_left = self.restore_looks
        return Reply(202)

    def _listing(self, query: Mapping[str, str]) -> Reply:
        prefix = query.get("prefix", "")
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>1970-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>{_etag(kept.body)}</ETag><Size>{len(kept.body)}</Size>"
            f"<StorageClass>{kept.storage_class or 'STANDARD'}</StorageClass></Contents>"
            for key, kept in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return Reply(
            200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()
        )

    def _multipart(self, seen: Seen, key: str, query: Mapping[str, str]) -> Reply:
        if "uploads" in query:
            kept = self._kept(seen)
            if isinstance(kept, Reply):
                return kept
            upload_id = f"u{len(self.uploads) + 1}"
            self.uploads[upload_id] = (key, kept, {})
            body = f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
            return Reply(200, body.encode(), self._kms_header(kept))
        if query["uploadId"] not in self.uploads:
            return _error(404, "NoSuchUpload")
        if seen.method == "DELETE":
            del self.uploads[query["uploadId"]]
            return Reply(204)
        _, kept, parts = self.uploads[query["uploadId"]]
        if seen.method == "PUT":
            parts[int(query["partNumber"])] = seen.body
            return Reply(200, b"", {"ETag": _etag(seen.body)})
        del self.uploads[query["uploadId"]]
        kept.body = b"".join(body for _, body in sorted(parts.items()))
        self.objects[key] = kept
        body = (
            f"<CompleteMultipartUploadResult><ETag>{_etag(kept.body)}</ETag></CompleteMultipartUploadResult>"
        )
        return Reply(200, body.encode(), self._kms_header(kept))


def _ranged(seen: Seen, body: bytes, headers: dict[str, str]) -> Reply:
    asked = seen.headers.get("range", "").removeprefix("bytes=")
    if not asked:
        return Reply(200, body, headers)
    first, _, last = asked.partition("-")
    end = min(len(body), int(last) + 1) if last else len(body)
    return Reply(
        206,
        body[int(first) : end],
        headers | {"Content-Range": f"bytes {first}-{end - 1}/{len(body)}"},
    )


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _error(status: int, code: str, message: str = "said") -> Reply:
    return Reply(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())
