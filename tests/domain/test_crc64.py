from __future__ import annotations

import pytest
from awscrt import checksums
from fastcrc import crc64 as fastcrc64
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.crc64 import Polynomial, combine

XZ_WHOLE = 11051210869376104954
NVME_WHOLE = 12577168950296156296


def hash_of(poly: Polynomial, data: bytes) -> int:
    return fastcrc64.xz(data) if poly is Polynomial.XZ else checksums.crc64nvme(data)


@pytest.mark.parametrize(
    ("poly", "crc_a", "crc_b", "whole"),
    [
        (Polynomial.XZ, 6748440630437108969, 10278880121275185425, XZ_WHOLE),
        (Polynomial.NVME, 1615352696257301240, 16201196698441090871, NVME_WHOLE),
    ],
)
def test_combine_agrees_with_the_published_vectors(
    poly: Polynomial, crc_a: int, crc_b: int, whole: int
) -> None:
    assert combine(poly, crc_a, crc_b, 4) == whole
    assert hash_of(poly, b"123456789") == whole


@given(st.sampled_from(Polynomial), st.binary(max_size=300), st.binary(max_size=300))
def test_combine_equals_the_crc_of_the_whole(poly: Polynomial, a: bytes, b: bytes) -> None:
    assert combine(poly, hash_of(poly, a), hash_of(poly, b), len(b)) == hash_of(poly, a + b)


@given(st.sampled_from(Polynomial), st.lists(st.binary(max_size=40), max_size=12))
def test_parts_folded_in_order_give_the_crc_of_the_object(poly: Polynomial, parts: list[bytes]) -> None:
    crc = 0
    for part in parts:
        crc = combine(poly, crc, hash_of(poly, part), len(part))
    assert crc == hash_of(poly, b"".join(parts))


@pytest.mark.parametrize("poly", Polynomial)
def test_an_empty_second_piece_changes_nothing(poly: Polynomial) -> None:
    assert combine(poly, 12345, 0, 0) == 12345


@pytest.mark.parametrize("poly", Polynomial)
def test_lengths_beyond_memory_are_combined_like_two_halves(poly: Polynomial) -> None:
    length = 5 * 1024**4
    half = combine(poly, 77, 0, length // 2)
    assert combine(poly, 77, 0, length) == combine(poly, half, 0, length - length // 2)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="length_b"):
        combine(Polynomial.XZ, 1, 2, -1)
