"""Guesses lie where they should; what they are used for does not depend on it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.halving import behind, learn_alphabet, middle_of
from omsd.domain.listing import BYTEWISE, DIRECTORY, sort_key

KEYS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=12)
ORDERS = st.sampled_from([BYTEWISE, DIRECTORY])


@given(ORDERS, KEYS, KEYS)
def test_a_middle_lies_between(order: str, one: str, other: str) -> None:
    low, high = sorted((one, other), key=lambda key: sort_key(order, key))
    alphabet = learn_alphabet(order, [one, other], skip=0)
    middle = middle_of(order, low, high, alphabet)
    assert not middle or sort_key(order, low) < sort_key(order, middle) < sort_key(order, high)


def test_decimal_numbers_are_halved() -> None:
    alphabet = learn_alphabet(BYTEWISE, [f"{number:06}" for number in range(3000, 4000)], skip=0)
    assert middle_of(BYTEWISE, "004000", "050000", alphabet).startswith("027")


def test_halving_again_and_again_ends() -> None:
    low, high = "a", "z" * 5
    alphabet = learn_alphabet(BYTEWISE, ["a", "m", "z"], skip=0)
    for _ in range(1000):
        middle = middle_of(BYTEWISE, low, high, alphabet)
        if not middle:
            return
        high = middle
    raise AssertionError("a middle was always found")


@given(ORDERS, KEYS, st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=5))
def test_behind_a_prefix_is_behind_all_that_begin_with_it(order: str, prefix: str, rest: str) -> None:
    guess = behind(order, prefix)
    assert not guess or sort_key(order, guess) > sort_key(order, prefix + rest)
    guess.encode()


def test_there_are_keys_nothing_can_be_behind() -> None:
    assert behind(BYTEWISE, "\U0010ffff") == ""
    assert behind(BYTEWISE, "") == ""
    assert behind(BYTEWISE, "a\ud7ff") == "a\ue000"
    assert behind(DIRECTORY, "a.") == "a0"
    assert behind(DIRECTORY, "a/") == "a "
