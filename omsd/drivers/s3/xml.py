"""The XML of S3 answers and of the one body we send. Nothing but elements and text is read.

Declarations, comments and CDATA are refused as a whole, so entities cannot be defined and a page cannot hide anything.
Entries of listings are cut out with regular expressions, and characters that XML 1.0 forbids but S3 keys may have (U+0003) are
read as they are. Mostly all entries of a page have the elements of the first one: then one expression reads them as columns, 1 us an
entry instead of 6 us one by one, or 14 us with expat callbacks. What is left of the page goes through expat.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from urllib.parse import unquote_plus

# Safe here: _tree() refuses every document with a declaration before the parser sees it, and fixes the encoding.
from xml.etree.ElementTree import Element, ParseError, XMLParser

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.shards import OpenUpload
from omsd.drivers.s3.dates import iso_to_unix_s
from omsd.ports.objectstore import ListedObject, PartReceipt

# A page of 1,000 keys of 1,024 bytes, each byte as %XX, with 1 KB around each.
MAX_XML_BYTES = 8 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024

_ENTRY_FIELD = re.compile(r"<(Key|LastModified|ETag|Size|StorageClass)>([^<]*)</")
_FIELDS = ["ETag", "Key", "LastModified", "Size", "StorageClass"]  # sorted; the last one may be missing
_MARKUP = re.compile(r"<[^>]*>")
_MAX_SHAPE = 1024
_QUOTES = ("&#34;", "&quot;", '"')
_make_listed = partial(tuple.__new__, ListedObject)  # 0.1 us; ListedObject() is a call into Python
_REFERENCE = re.compile(r"&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|(lt|gt|amp|quot|apos));|&")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of ListObjects, keys decoded. next_token and next_marker: as they came, "" if absent.

    decoded_next_marker: the marker if the service encodes it like the keys; not all that encode keys do (SeaweedFS).
    """

    objects: Sequence[ListedObject]
    common_prefixes: Sequence[str]
    truncated: bool
    next_marker: str
    decoded_next_marker: str
    next_token: str


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An <Error>; all fields "" if there was no readable one."""

    code: str = ""
    message: str = ""
    request_id: str = ""
    region: str = ""
    endpoint: str = ""
    server_time: str = ""


def malformed(what: str) -> StoreError:
    """An answer that cannot be understood."""
    return StoreError(StoreErrorKind.MALFORMED, f"the service's answer cannot be read: {what}")


def parse_listing(body: bytes) -> Listing:
    """A page of ListObjects V1 or V2. Raises MALFORMED unless it can be read whole."""
    text = _text_of(body)
    url_encoded = "<EncodingType>url</EncodingType>" in text
    objects, rest = _alike_entries(text, url_encoded) or _any_entries(text, url_encoded)
    root = _tree(rest)
    if _local(root) != "ListBucketResult":
        raise malformed(f"<{_local(root)}> instead of a listing")
    fields = {_local(child): child.text or "" for child in root}
    prefixes = [
        _decoded(grandchild.text or "", url_encoded)
        for child in root
        if _local(child) == "CommonPrefixes"
        for grandchild in child
        if _local(grandchild) == "Prefix"
    ]
    truncated = fields.get("IsTruncated", "").strip().lower()
    if truncated not in ("true", "false"):
        raise malformed("the listing does not tell whether it goes on")
    marker = fields.get("NextMarker", "")
    return Listing(
        objects,
        prefixes,
        truncated == "true",
        marker,
        _decoded(marker, url_encoded),
        fields.get("NextContinuationToken", ""),
    )


def parse_error(body: bytes) -> ErrorBody:
    """What an error body says; nothing if it is none, for proxies answer in HTML and HEAD not at all."""
    try:
        root = _tree(_text_of(body))
    except StoreError:
        return ErrorBody()
    if _local(root) != "Error":
        return ErrorBody()
    fields = {_local(child): (child.text or "").strip() for child in root}
    return ErrorBody(
        code=fields.get("Code", ""),
        message=fields.get("Message", ""),
        request_id=fields.get("RequestId", ""),
        region=fields.get("Region", ""),
        endpoint=fields.get("Endpoint", ""),
        server_time=fields.get("ServerTime", ""),
    )


def parse_fields(body: bytes, root_name: str) -> dict[str, str]:
    """The direct children of an answer whose root must be root_name, as name to text. Raises MALFORMED."""
    root = _tree(_text_of(body))
    if _local(root) != root_name:
        raise malformed(f"<{_local(root)}> instead of <{root_name}>")
    return {_local(child): (child.text or "").strip() for child in root}


def parse_parts(body: bytes) -> tuple[list[PartReceipt], str]:
    """A page of ListParts, and the marker of the next page or ""."""
    root = _tree(_text_of(body))
    fields, entries = _answer_with_entries(root, "ListParts", "Part")
    try:
        parts = [
            PartReceipt(int(entry["PartNumber"]), entry["ETag"].strip().strip('"'), int(entry["Size"]))
            for entry in entries
        ]
    except (KeyError, ValueError) as error:
        raise malformed("a part without number, ETag or size") from error
    more = fields.get("IsTruncated", "").strip() == "true"
    return parts, fields.get("NextPartNumberMarker", "").strip() if more else ""


def parse_uploads(body: bytes) -> tuple[list[OpenUpload], str, str]:
    """A page of ListMultipartUploads, and key and upload id of the next page's markers, or twice ""."""
    root = _tree(_text_of(body))
    fields, entries = _answer_with_entries(root, "ListMultipartUploads", "Upload")
    url_encoded = fields.get("EncodingType", "") == "url"
    try:
        uploads = [
            OpenUpload(
                _decoded(entry["Key"], url_encoded), entry["UploadId"], _begun_s(entry.get("Initiated", ""))
            )
            for entry in entries
        ]
    except (KeyError, ValueError) as error:
        raise malformed("an upload without key or id, or begun at no time") from error
    if fields.get("IsTruncated", "").strip() != "true":
        return uploads, "", ""
    return (
        uploads,
        _decoded(fields.get("NextKeyMarker", ""), url_encoded),
        fields.get("NextUploadIdMarker", ""),
    )


def parse_tags(body: bytes) -> dict[str, str]:
    """The tags of GetObjectTagging."""
    root = _tree(_text_of(body))
    if _local(root) != "Tagging":
        raise malformed(f"<{_local(root)}> instead of tags")
    found: dict[str, str] = {}
    for tag in (tag for tags in root for tag in tags if _local(tag) == "Tag"):
        fields = {_local(child): child.text or "" for child in tag}
        if fields.get("Key"):
            found[fields["Key"]] = fields.get("Value", "")
    return found


def restore_body(days: int, tier_element: str) -> bytes:
    """A restore request for so many days (0: not said) at the standard tier."""
    asked = f"<Days>{days}</Days>" if days else ""
    return (
        f"<RestoreRequest>{asked}<{tier_element}><Tier>Standard</Tier></{tier_element}></RestoreRequest>"
    ).encode()


def _begun_s(text: str) -> float:
    return iso_to_unix_s(text.strip()) if text.strip() else 0.0


@dataclass(frozen=True, slots=True)
class BucketList:
    """A page of the account's buckets: names with their regions ("" if not told), and where the next page begins."""

    buckets: Sequence[tuple[str, str]]
    next_marker: str
    next_token: str


def parse_buckets(body: bytes) -> BucketList:
    """A page of ListBuckets. Raises MALFORMED unless it can be read whole."""
    root = _tree(_text_of(body))
    if _local(root) != "ListAllMyBucketsResult":
        raise malformed(f"<{_local(root)}> instead of a list of buckets")
    fields = {_local(child): (child.text or "").strip() for child in root}
    buckets = []
    for bucket in (bucket for child in root if _local(child) == "Buckets" for bucket in child):
        told = {_local(entry): (entry.text or "").strip() for entry in bucket}
        if not told.get("Name"):
            raise malformed("a bucket without a name")
        buckets.append((told["Name"], told.get("Location") or told.get("BucketRegion", "")))
    more = fields.get("IsTruncated", "").lower() == "true"
    return BucketList(
        buckets, fields.get("NextMarker", "") if more else "", fields.get("ContinuationToken", "")
    )


def parse_location(body: bytes) -> str:
    """The region in an answer to GetBucketLocation, "" if it names none. Raises MALFORMED."""
    root = _tree(_text_of(body))
    found = [entry for entry in root.iter() if _local(entry) in ("LocationConstraint", "Location")]
    if not found:
        raise malformed(f"<{_local(root)}> instead of a location")
    return next((entry.text.strip() for entry in found if entry.text and entry.text.strip()), "")


def complete_body(parts: Iterable[PartReceipt]) -> bytes:
    """The body of CompleteMultipartUpload. ETags are sent in quotes, as they came."""
    entries = "".join(
        f"<Part><PartNumber>{part.part_number}</PartNumber><ETag>&quot;{_escape(part.etag)}&quot;</ETag></Part>"
        for part in parts
    )
    name = "CompleteMultipartUpload"
    return f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{entries}</{name}>'.encode()


def _any_entries(text: str, url_encoded: bool) -> tuple[list[ListedObject], str]:
    """The entries of a page one by one, and what is left of it."""
    blocks = text.split("<Contents>")
    rest = [blocks[0]]
    objects: list[ListedObject] = []
    for block in blocks[1:]:
        entry, end, after = block.partition("</Contents>")
        if not end:
            raise malformed("an entry of the listing has no end")
        objects.append(_listed(dict(_ENTRY_FIELD.findall(entry)), url_encoded))
        rest.append(after)
    return objects, "".join(rest)


def _alike_entries(text: str, url_encoded: bool) -> tuple[list[ListedObject], str] | None:
    """The same, if all entries have the elements of the first one in its order, and nothing odd in them; else None."""
    start, end = text.find("<Contents>"), text.find("</Contents>")
    shape = _shape_of("".join(_MARKUP.findall(text, start, end))) if 0 <= start < end else None
    if shape is None:
        return None
    pattern, fields = shape
    pieces = pattern.split(text)
    step = len(fields) + 1
    rest = "".join(pieces[::step])
    if "<Contents>" in rest:
        return None
    columns = {field: pieces[1 + place :: step] for place, field in enumerate(fields)}
    keys, etags = columns["Key"], "\n".join(columns["ETag"])
    joined = "".join(keys)
    if "&" in joined or (url_encoded and ("%" in joined or "+" in joined)):
        keys = [_key_of(key, url_encoded) for key in keys]
    for quote in _QUOTES:
        if quote[0] in etags:
            etags = etags.replace(quote, "")
    try:
        # Columns of unequal length are refused as well: an ETag with a line break in it is no ETag.
        entries = zip(
            keys,
            map(int, columns["Size"]),
            map(iso_to_unix_s, columns["LastModified"]),
            etags.split("\n"),
            columns.get("StorageClass") or [""] * len(keys),
            strict=True,
        )
        return list(map(_make_listed, entries)), rest
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _shape_of(markup: str) -> tuple[re.Pattern[str], tuple[str, ...]] | None:
    """What splits a page of entries with these elements into texts between them, and the fields that come out, in order.

    Services have few shapes; but they choose what comes in here, so it is bounded.
    """
    tags = _MARKUP.findall(markup)
    fields = tuple(tag[1:-1] for tag in tags if tag[1:-1] in _FIELDS)
    closed = all(f"<{field}></{field}>" in markup for field in fields)
    complete = sorted(fields) in (_FIELDS, _FIELDS[:-1])
    if len(markup) > _MAX_SHAPE or not closed or not complete:
        return None
    texts = [re.escape(tag) + ("([^<]*)" if tag[1:-1] in _FIELDS else "[^<]*") for tag in tags]
    return re.compile("".join(texts) + "</Contents>"), fields


def _listed(fields: dict[str, str], url_encoded: bool) -> ListedObject:
    try:
        key = _key_of(fields["Key"], url_encoded)
        etag = fields.get("ETag", "").replace("&quot;", "").replace("&#34;", "").strip('"')
        modified_s = iso_to_unix_s(fields["LastModified"])
        return ListedObject(key, int(fields["Size"]), modified_s, etag, fields.get("StorageClass", ""))
    except (KeyError, ValueError) as error:
        raise malformed("an entry of the listing lacks key, size or time") from error


def _key_of(text: str, url_encoded: bool) -> str:
    """A key as it is meant."""
    if "&" in text:
        text = _unescape(text)
    return _decoded(text, url_encoded)


def _answer_with_entries(root: Element, name: str, entry: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    # Result in S3, Response in some dialects.
    if _local(root) not in (f"{name}Result", f"{name}Response"):
        raise malformed(f"<{_local(root)}> instead of <{name}Result>")
    entries = [{_local(f): f.text or "" for f in child} for child in root if _local(child) == entry]
    return {_local(child): child.text or "" for child in root}, entries


def _decoded(text: str, url_encoded: bool) -> str:
    if not url_encoded or ("%" not in text and "+" not in text):
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError as error:
        raise malformed("a key that is not UTF-8") from error


def _unescape(text: str) -> str:
    return _REFERENCE.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    hexadecimal, decimal, name = match.groups()
    if name:
        return _NAMED[name]
    if hexadecimal is None and decimal is None:
        raise malformed("an unknown entity")
    try:
        return chr(int(hexadecimal, 16) if hexadecimal else int(decimal))
    except ValueError as error:
        raise malformed("a character that does not exist") from error


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _text_of(body: bytes) -> str:
    if len(body) > MAX_XML_BYTES:
        raise malformed(f"more than {MAX_XML_BYTES} bytes")
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise malformed("not UTF-8") from error
    # One character is found at the speed of memory, two take 0.5 us per entry of a listing.
    if "!" in text and "<!" in text:
        raise malformed("declarations, comments and CDATA are not accepted")
    return text


def _tree(text: str) -> Element:
    # The encoding is ours, whatever the document claims: it cannot smuggle a declaration in past the check above.
    parser = XMLParser(encoding="utf-8")  # noqa: S314 - declarations and entities were refused before
    try:
        # Keys are echoed here and there with characters XML does not allow; what is read below does not depend on them.
        parser.feed(_FORBIDDEN.sub("\ufffd", text).encode())
        root: Element = parser.close()
    except ParseError as error:
        raise malformed("not well-formed or cut off") from error
    return root


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]
