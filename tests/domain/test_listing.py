from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.listing import in_order, sort_key
from omsd.ports.objectstore import ListingOrder

KEYS = st.text(alphabet="ab-/\x00\x01\x02\x7f\u00e9\U0001f600\uffff", max_size=6)


@given(KEYS, KEYS)
def test_bytewise_is_the_order_of_utf8_bytes(one: str, other: str) -> None:
    assert in_order(ListingOrder.BYTEWISE, one, other) == (one.encode() < other.encode())


@given(KEYS, KEYS)
def test_directory_order_is_utf8_order_with_the_slash_lowest(one: str, other: str) -> None:
    def ranks(key: str) -> list[int]:
        return [-1 if byte == ord("/") else byte for byte in key.encode()]

    assert in_order(ListingOrder.DIRECTORY, one, other) == (ranks(one) < ranks(other))


def test_the_two_orders_differ_where_a_name_goes_on_with_a_character_below_the_slash() -> None:
    keys = ["a-b", "a/b", "a", "a/", "b", "a!"]
    assert sorted(keys, key=lambda key: sort_key("directory", key)) == ["a", "a/", "a/b", "a!", "a-b", "b"]
    assert sorted(keys, key=lambda key: sort_key("bytewise", key)) == ["a", "a!", "a-b", "a/", "a/b", "b"]
    assert PurePosixPath("a/b") < PurePosixPath("a-b")


@pytest.mark.parametrize("order", list(ListingOrder))
def test_a_key_does_not_come_after_itself(order: ListingOrder) -> None:
    assert not in_order(order, "a/b", "a/b")


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="sideways"):
        sort_key("sideways", "a")
