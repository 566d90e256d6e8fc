"""The orders in which services list keys. Every merge and every resume compares keys through here."""

from __future__ import annotations

# The values of ports.objectstore.ListingOrder, whose members are strings.
BYTEWISE = "bytewise"
DIRECTORY = "directory"


def sort_key(order: str, key: str) -> tuple[str, ...]:
    """What to compare instead of the key.

    BYTEWISE: UTF-8 bytes, which is also the order of code points. DIRECTORY: path component by component, so
    that "/" comes before every other character: a, a/b, a-b.
    """
    if order == DIRECTORY:
        return tuple(key.split("/"))
    if order == BYTEWISE:
        return (key,)
    raise ValueError(f"unknown listing order {order!r}")


def in_order(order: str, previous: str, key: str) -> bool:
    """Does the key come strictly after the previous one?"""
    return sort_key(order, previous) < sort_key(order, key)
