"""The orders in which services list keys. Every merge and every resume compares keys through here."""

from __future__ import annotations

# The values of ports.objectstore.ListingOrder, whose members are strings.
BYTEWISE = "bytewise"
DIRECTORY = "directory"

# In directory order a slash is compared as "\0"; what is no higher itself is lifted above it.
_ABOVE_SLASH = {0: "\1\1", 1: "\1\2"}


def sort_key(order: str, key: str) -> str:
    """What to compare instead of the key; as the key begins with a prefix, so does what is compared.

    BYTEWISE: UTF-8 bytes, which is also the order of code points. DIRECTORY: path component by component, so
    that "/" comes before every other character: a, a/b, a-b.
    """
    if order == BYTEWISE:
        return key
    if order == DIRECTORY:
        if "\0" in key or "\1" in key:
            key = key.translate(_ABOVE_SLASH)
        return key.replace("/", "\0")
    raise ValueError(f"unknown listing order {order!r}")


def in_order(order: str, previous: str, key: str) -> bool:
    """Does the key come strictly after the previous one?"""
    return sort_key(order, previous) < sort_key(order, key)
