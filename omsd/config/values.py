"""Values as they are written in a configuration: rates, addresses, networks, zones; and the error that names what is wrong."""

from __future__ import annotations

import ipaddress
import re
from zoneinfo import ZoneInfo

from omsd.domain.errors import OmsdError

MIB = 1024 * 1024
GIB = 1024 * MIB
LOOPBACK = "loopback"
LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")

_BANDWIDTH = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmg]i?)b?(?:/s)?)?", re.IGNORECASE)
_BANDWIDTH_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_BANDWIDTH_WANTED = "wanted is bytes per second like '200MB' or '1.5GiB', or a number of MiB"
# A slip (bytes given as MiB, or a limit that stops everything) is refused rather than obeyed.
_MIN_BANDWIDTH = 64_000
_MAX_BANDWIDTH = 10**12


class ConfigError(OmsdError):
    """The configuration cannot be used; `problems` has one line for each thing that is wrong."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def parse_bandwidth(value: str | int) -> int:
    """Bytes per second of a "200MB", "1.5GiB" or a number of MiB. Raises ValueError."""
    found = _BANDWIDTH.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(_BANDWIDTH_WANTED)
    number, unit = found.groups()
    limit = round(float(number) * (MIB if unit is None else _BANDWIDTH_UNITS[unit.lower()]))
    if not _MIN_BANDWIDTH <= limit <= _MAX_BANDWIDTH:
        raise ValueError("not between 64kB and 1000GB; " + _BANDWIDTH_WANTED)
    return limit


def is_local(listen: str) -> bool:
    """Can only this machine connect to the address?"""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_zone(name: str) -> bool:
    """Is it an IANA time zone?"""
    try:
        return name == "UTC" or ZoneInfo(name).key == name
    except (KeyError, ValueError, OSError):
        return False
