"""How many failed attempts a source may make: a leaky bucket for each, in bounded memory. Time comes in as an argument."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

MAX_SOURCES = 10_000


class FailureLimiter:
    """Counts failures by source; a source with too many is blocked until they have leaked away."""

    def __init__(self, per_minute: int, max_sources: int = MAX_SOURCES) -> None:
        """per_minute: failures at once, and as many a minute after that."""
        self._per_minute = per_minute
        self._max_sources = max_sources
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def blocked(self, source: str, now_s: float) -> bool:
        """Has it failed too often?"""
        return self._level(source, now_s) > self._per_minute - 1

    def charge(self, source: str, now_s: float) -> None:
        """One failure more; of an attempt that takes its time, charged before it and given back if it succeeds."""
        self._levels[source] = (min(self._level(source, now_s) + 1, self._per_minute), now_s)
        self._levels.move_to_end(source)
        while len(self._levels) > self._max_sources:
            # Those that failed longest ago have leaked most.
            self._levels.popitem(last=False)

    def refund(self, source: str, now_s: float) -> None:
        """The attempt has succeeded."""
        level = self._level(source, now_s) - 1
        if level > 0:
            self._levels[source] = (level, now_s)
        else:
            self._levels.pop(source, None)

    def _level(self, source: str, now_s: float) -> float:
        level, at_s = self._levels.get(source, (0.0, now_s))
        return max(0.0, level - (now_s - at_s) * self._per_minute / 60)


def network_of(address: str) -> str:
    """The source an address counts as: itself, of IPv6 its /64, which one machine can have all of."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
