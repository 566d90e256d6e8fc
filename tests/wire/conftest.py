"""Every test of the wire runs on plain asyncio and on uvloop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import pytest_asyncio
import uvloop

from omsd.wire import Deadlines, Origin, Pool

PoolFactory = Callable[..., Pool]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops, whatever the default is."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture
async def make_pool() -> AsyncIterator[PoolFactory]:
    """Pools with deadlines far away unless the test names others; closed in the end."""
    pools: list[Pool] = []

    def make(
        *, connect_s: float = 10, first_byte_s: float = 10, stall_s: float = 10, **settings: object
    ) -> Pool:
        deadlines = Deadlines(connect_s=connect_s, first_byte_s=first_byte_s, stall_s=stall_s)
        pools.append(Pool(deadlines=deadlines, **settings))  # type: ignore[arg-type]
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()


@pytest.fixture
def full_backlog() -> Iterator[Origin]:
    """A port where the kernel answers no more connection attempts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        yield Origin("http", "127.0.0.1", port)
        for filler in fillers:
            filler.close()
