"""Which addresses may be connected to: endpoints come from callers, so by default only public ones."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from omsd.drivers.registry import AddressPolicy


def address_policy(allowed_networks: Iterable[str]) -> AddressPolicy:
    """Public addresses, and those in the networks (CIDR). Checked after resolution, so a name cannot hide a private address."""
    networks = tuple(ipaddress.ip_network(network) for network in allowed_networks)

    def allows(address: str) -> bool:
        real = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(real, ipaddress.IPv6Address) and real.ipv4_mapped is not None:
            real = real.ipv4_mapped
        return real.is_global or any(real in network for network in networks)

    return allows
