"""Streaming CRC64 over bodies; combining parts is in domain/crc64.py."""

from __future__ import annotations

from awscrt.checksums import crc64nvme
from fastcrc.crc64 import xz as crc64xz

from omsd.domain.crc64 import Polynomial
from omsd.domain.crc64 import combine as combine_crc64
from omsd.ports.objectstore import Abilities, Checksums


class Digest:
    """CRC64 of the bytes fed so far, of the kinds asked for."""

    __slots__ = ("_nvme", "_xz", "size_bytes")

    def __init__(self, *, xz: bool, nvme: bool) -> None:
        self._xz: int | None = 0 if xz else None
        self._nvme: int | None = 0 if nvme else None
        self.size_bytes = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.size_bytes += len(chunk)
        if self._nvme is not None:
            self._nvme = crc64nvme(chunk, self._nvme)
        if self._xz is not None:
            self._xz = crc64xz(chunk, self._xz)

    def checksums(self) -> Checksums:
        """The values over everything fed."""
        return Checksums(crc64_xz=self._xz, crc64_nvme=self._nvme)


def digest_for(published: Checksums, destination: Abilities) -> Digest:
    """A digest of the kinds that can be compared or handed on; XZ if none can, so that the object lists always hold one."""
    nvme = published.crc64_nvme is not None or destination.verifies_crc64_nvme
    xz = published.crc64_xz is not None or destination.verifies_crc64_xz or not nvme
    return Digest(xz=xz, nvme=nvme)


def combine(parts: list[tuple[Checksums, int]]) -> Checksums:
    """The checksums of a whole from those of its parts (value, length) in order; a kind that one part lacks is not known."""
    xz: int | None = 0
    nvme: int | None = 0
    for sums, size_bytes in parts:
        xz = (
            None
            if xz is None or sums.crc64_xz is None
            else combine_crc64(Polynomial.XZ, xz, sums.crc64_xz, size_bytes)
        )
        nvme = (
            None
            if nvme is None or sums.crc64_nvme is None
            else combine_crc64(Polynomial.NVME, nvme, sums.crc64_nvme, size_bytes)
        )
    return Checksums(crc64_xz=xz, crc64_nvme=nvme)
