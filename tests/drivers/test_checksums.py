"""CRC64s as services write them, and as they are sent to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.drivers.s3.answers import checksum_headers, checksums_of
from omsd.drivers.s3.profiles import ChecksumDialect
from omsd.ports.objectstore import Checksums

DIALECT = ChecksumDialect(nvme_header="nvme", xz_header="xz", sent=True)
OF_123456789 = 12577168950296156296
CRC64 = st.integers(min_value=0, max_value=2**64 - 1)


def test_nvme_is_base64_of_eight_bytes_big_endian() -> None:
    assert checksum_headers(Checksums(crc64_nvme=OF_123456789), DIALECT) == [("nvme", "rosUhgp5mIg=")]
    assert checksums_of({"nvme": "rosUhgp5mIg="}, DIALECT) == Checksums(crc64_nvme=OF_123456789)


@given(CRC64, CRC64)
def test_what_is_sent_reads_as_what_it_was(xz: int, nvme: int) -> None:
    sums = Checksums(crc64_xz=xz, crc64_nvme=nvme)
    assert checksums_of(dict(checksum_headers(sums, DIALECT)), DIALECT) == sums


@pytest.mark.parametrize("text", ["", "rosUhgp5mA==", "rosUhgp5mIg=-2", "rosUhgp5mIgg", "é", "not base64!!"])
def test_what_is_no_base64_of_eight_bytes_counts_as_not_published(text: str) -> None:
    assert checksums_of({"nvme": text}, DIALECT) == Checksums()


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", str(2**64), " 1", "٣", "9" * 5000])
def test_what_is_no_decimal_of_64_bits_counts_as_not_published(text: str) -> None:
    assert checksums_of({"xz": text}, DIALECT) == Checksums()
