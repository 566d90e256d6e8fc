"""Documents on the web, fetched without any credentials: CDN domains and URLs that callers name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from omsd.ports.objectstore import ByteSource


@dataclass(frozen=True, slots=True)
class PageHead:
    """status: of the last answer, redirects followed. url: where it came from. headers: lower-case names. size_bytes -1 if not told."""

    status: int
    url: str
    headers: Mapping[str, str]
    size_bytes: int


class Page(ByteSource, Protocol):
    """An open answer, of any status. Close it in every case."""

    head: PageHead

    async def close(self) -> None:
        """Give the connection back, or drop it. Safe to repeat."""


class Web(Protocol):
    """Every call raises StoreError and nothing else."""

    async def get(self, url: str) -> Page:
        """The answer to a GET, when its head is there. Redirects are followed, never from https to http.

        Raises FORBIDDEN_ADDRESS if the host, or one that it redirects to, is at an address that may not be reached; INVALID if
        the URL is none.
        """
