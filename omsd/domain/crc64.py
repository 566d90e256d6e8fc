"""CRC64 without the data: combining the values of neighbouring pieces.

Hashing bytes is in engine/digest.py; this is arithmetic on finished values.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

_BITS = 64
_MAX = (1 << _BITS) - 1
# In reflected form the highest bit is x^0.
_ONE = 1 << (_BITS - 1)
_X = 1 << (_BITS - 2)


class Polynomial(IntEnum):
    """The two CRC64 kinds in use, as reflected polynomials; both begin with and are XORed by all ones.

    XZ ("ECMA" in vendors' headers): OBS, OSS, COS, KS3, BOS. NVME: AWS, Azure.
    """

    XZ = 0xC96C5795D7870F42
    NVME = 0x9A6C9329AC4BC9B5


def combine(poly: Polynomial, crc_a: int, crc_b: int, length_b: int) -> int:
    """The CRC of A followed by B, from the CRC of each and the length of B in bytes.

    Equal lengths are cheap from the second time on, so parts of one size cost a few microseconds each.
    """
    if length_b < 0:
        raise ValueError(f"length_b must not be negative, got {length_b}")
    moved = 0
    for column in _shift_columns(poly, length_b):
        if crc_a & 1:
            moved ^= column
        crc_a >>= 1
    return moved ^ crc_b


def _multiply(poly: int, a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & _MAX
        b = _times_x(poly, b)
    return product


def _times_x(poly: int, a: int) -> int:
    return (a >> 1) ^ poly if a & 1 else a >> 1


@lru_cache(maxsize=512)
def _shift_columns(poly: Polynomial, length: int) -> tuple[int, ...]:
    """The operator "length zero bytes follow", as one column per bit, lowest bit first."""
    power = _ONE
    square = _X
    exponent = 8 * length
    while exponent:
        if exponent & 1:
            power = _multiply(poly, power, square)
        square = _multiply(poly, square, square)
        exponent >>= 1
    columns = [power]
    while len(columns) < _BITS:
        columns.append(_times_x(poly, columns[-1]))
    return tuple(reversed(columns))
