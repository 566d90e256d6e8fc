"""What could not be taken along though the object was migrated: counted per task, never a failure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Caveat(StrEnum):
    """Stable names; a task counts the objects that each one holds for."""

    TAGS_NOT_READ = "tags_not_read"
    TAGS_NOT_WRITTEN = "tags_not_written"
    METADATA_DROPPED = "metadata_dropped"
    METADATA_ENCODED = "metadata_encoded"
    STORAGE_CLASS_UNKNOWN = "storage_class_unknown"
    STORAGE_CLASS_REPLACED = "storage_class_replaced"


CAVEAT_TEXTS = {
    Caveat.TAGS_NOT_READ: "tags could not be read at the source, the objects were migrated without them;"
    " the service may have no tags, or the AK lacks the permission to read them",
    Caveat.TAGS_NOT_WRITTEN: "the destination took no tags, the objects were migrated without them;"
    " the service may have no tags, or the AK lacks the permission to write them",
    Caveat.METADATA_DROPPED: "user metadata that cannot travel in HTTP headers was left out",
    Caveat.METADATA_ENCODED: "metadata with characters beyond ASCII was percent-encoded",
    Caveat.STORAGE_CLASS_UNKNOWN: "the source's storage class is not known, the objects were stored as STANDARD",
    Caveat.STORAGE_CLASS_REPLACED: "the destination has no storage class as cold as the source's, the next warmer one was used",
}

_TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def is_header_name(name: str) -> bool:
    """Can it stand behind the prefix of a metadata header? RFC 9110, token."""
    return bool(name) and _TOKEN_CHARACTERS.issuperset(name.lower())


def is_header_text(value: str) -> bool:
    """Does the value travel in a header as it is?"""
    return value.isascii() and value.isprintable()


def caveats_of_metadata(headers: Mapping[str, str], user_metadata: Mapping[str, str]) -> tuple[Caveat, ...]:
    """What writing these as headers does to them."""
    found: list[Caveat] = []
    if not all(map(is_header_name, user_metadata)):
        found.append(Caveat.METADATA_DROPPED)
    carried = [value for name, value in user_metadata.items() if is_header_name(name)]
    if not all(map(is_header_text, (*headers.values(), *carried))):
        found.append(Caveat.METADATA_ENCODED)
    return tuple(found)
