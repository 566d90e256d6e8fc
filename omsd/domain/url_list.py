"""URL list files: what a line says. Which files are lists and how they are cut into lines is in manifest.py.

A line is a URL, a tab and the name of the destination object, both URL-encoded. Codes: API reference 7.2, TRF.0016 and TRF.0017.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from omsd.domain.errors import OmsdError
from omsd.domain.manifest import BadLineError, key_of

WRONG_FORMAT = "TRF.0016"
NO_URL = "TRF.0017"

_URL_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class BadUrlLineError(OmsdError):
    """A line that cannot be used; the message says what is wrong with it and repeats nothing of it."""

    code = WRONG_FORMAT


@dataclass(frozen=True, slots=True)
class UrlLine:
    """url: as written. key: of the destination object, decoded."""

    url: str
    key: str


def parse_url_line(text: bytes) -> UrlLine:
    """What the line asks for. Raises BadUrlLineError."""
    fields = text.split(b"\t")
    if len(fields) != 2:
        raise BadUrlLineError("the line is not a URL, one tab and the name of the destination object")
    url = _url_of(fields[0])
    try:
        key = key_of(fields[1])
    except BadLineError as error:
        raise BadUrlLineError(f"the name of the destination object cannot be used: {error.message}") from None
    if not key:
        raise BadUrlLineError("the name of the destination object is empty")
    return UrlLine(url, key)


def _url_of(text: bytes) -> str:
    try:
        url = text.decode("ascii")
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadUrlLineError("the URL is none, or is not URL-encoded") from None
    if not _URL_CHARACTERS.fullmatch(url) or _BAD_ESCAPE.search(url):
        raise BadUrlLineError("the URL is not URL-encoded")
    if parts.scheme not in ("http", "https") or not host:
        raise BadUrlLineError("the URL must begin with http:// or https:// and a host")
    if parts.username is not None:
        raise BadUrlLineError("the URL must not hold a user or a password")
    return url
