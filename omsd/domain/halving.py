"""Where to cut a range of keys whose content is not known: keys to ask a listing about, made of characters that were seen.

Only guesses: a cut is made at a key that a listing has answered, so a poor guess costs balance and never an object.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from omsd.domain.listing import DIRECTORY, sort_key

# Digits behind the first that differs which a guess is exact to; more would only lengthen it.
_DIGITS = 8

_SURROGATES = range(0xD800, 0xE000)
_NONCHARACTERS = range(0xFFFE, 0x10000)
_LAST_CHARACTER = 0x10FFFF


def learn_alphabet(order: str, keys: Iterable[str], *, skip: int) -> tuple[str, ...]:
    """The characters of the keys behind their first `skip`, in listing order. Control characters are left out: XML cannot echo them."""
    seen = {character for key in keys for character in key[skip:] if character >= " "}
    return tuple(sorted(seen, key=lambda character: _weight(order, character)))


def middle_of(order: str, low: str, high: str, alphabet: tuple[str, ...]) -> str:
    """A key about half way between two keys, "" if none of these characters lies between them."""
    skip = shared_length(low, high)
    if not alphabet:
        return ""
    weights = [_weight(order, character) for character in alphabet]
    base = len(alphabet) + 1
    total = sum(
        _digit(order, weights, text, skip + place) * base ** (_DIGITS - 1 - place)
        for text in (low, high)
        for place in range(_DIGITS)
    )
    half, digits = total // 2, list[int]()
    for _ in range(_DIGITS):
        half, digit = divmod(half, base)
        digits.insert(0, digit)
    end = digits.index(0) if 0 in digits else _DIGITS
    middle = low[:skip] + "".join(alphabet[digit - 1] for digit in digits[:end])
    return middle if sort_key(order, low) < sort_key(order, middle) < sort_key(order, high) else ""


def behind(order: str, prefix: str) -> str:
    """About the smallest key behind every key that begins with the prefix; "" if there is none."""
    if not prefix:
        return ""
    code = ord(prefix[-1]) + 1
    if order == DIRECTORY and prefix[-1] == "/":
        code = ord(" ")
    elif order == DIRECTORY and code == ord("/"):
        code += 1
    for gap in (range(ord(" ")), _SURROGATES, _NONCHARACTERS):
        if code in gap:
            code = gap.stop
    return prefix[:-1] + chr(code) if code <= _LAST_CHARACTER else ""


def shared_length(first: str, second: str) -> int:
    """How many characters two keys begin with in common."""
    length = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        length += 1
    return length


def _weight(order: str, character: str) -> int:
    return -1 if order == DIRECTORY and character == "/" else ord(character)


def _digit(order: str, weights: list[int], text: str, place: int) -> int:
    """0 behind the end; else the place of the character in the alphabet, of its next neighbour if it is not in it."""
    if place >= len(text):
        return 0
    return min(bisect_left(weights, _weight(order, text[place])), len(weights) - 1) + 1
