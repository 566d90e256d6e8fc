"""Opens connections: resolves the name, checks every address before it is used, tries one after the other."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from omsd.wire.connection import Connection
from omsd.wire.errors import WireError, WireErrorKind
from omsd.wire.message import Origin


async def dial(
    origin: Origin,
    make_connection: Callable[[], Connection],
    *,
    connect_s: float,
    tls: ssl.SSLContext | None,
    allow_address: Callable[[str], bool] | None,
) -> Connection:
    """A new connection to one of the host's addresses. tls: used if the scheme is https.

    The address that was checked is the one connected to, so that a name cannot mean something else the second time.
    Raises WireError: DNS, FORBIDDEN_ADDRESS, CONNECT, TLS, TIMEOUT_CONNECT.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + connect_s
    addresses = await _resolve(origin, connect_s)
    if allow_address is not None:
        addresses = [address for address in addresses if allow_address(address)]
        if not addresses:
            raise WireError(
                WireErrorKind.FORBIDDEN_ADDRESS, f"{origin}: no address of the host may be reached"
            )
    error: WireError | None = None
    for tried, address in enumerate(addresses):
        # Each address gets its share of what is left, so that a silent first one leaves time for the others.
        share_s = (end_s - loop.time()) / (len(addresses) - tried)
        try:
            return await _connect(origin, address, make_connection, share_s, tls)
        except WireError as failed:
            error = failed
    assert error is not None
    raise error


async def _resolve(origin: Origin, limit_s: float) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limit_s):
            found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise WireError(WireErrorKind.DNS, f"{origin}: {error.strerror or error}") from error
    except TimeoutError as error:
        raise WireError(
            WireErrorKind.TIMEOUT_CONNECT, f"{origin}: name not resolved in {limit_s} s"
        ) from error
    except (OSError, UnicodeError) as error:
        raise WireError(WireErrorKind.DNS, f"{origin}: {error}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise WireError(WireErrorKind.DNS, f"{origin}: the name has no address")
    return addresses


async def _connect(
    origin: Origin,
    address: str,
    make_connection: Callable[[], Connection],
    limit_s: float,
    tls: ssl.SSLContext | None,
) -> Connection:
    loop = asyncio.get_running_loop()
    is_https = origin.scheme == "https"
    try:
        async with asyncio.timeout(limit_s):
            # Both loops set TCP_NODELAY on what they connect.
            _, connection = await loop.create_connection(
                make_connection,
                address,
                origin.port,
                ssl=tls if is_https else None,
                server_hostname=origin.host if is_https else None,
            )
    except ssl.SSLError as error:
        raise WireError(WireErrorKind.TLS, f"{origin} ({address}): {error}") from error
    except TimeoutError as error:
        raise WireError(
            WireErrorKind.TIMEOUT_CONNECT, f"{origin} ({address}): no connection in {limit_s:.1f} s"
        ) from error
    except OSError as error:
        raise WireError(WireErrorKind.CONNECT, f"{origin} ({address}): {error}") from error
    return connection
