"""The one connection that writes. It has a thread of its own, and a whole transaction is one visit there.

Statement by statement, as with the reader, a small transaction costs more in hand-overs between threads than in SQLite.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from omsd.store.rows import Row

T = TypeVar("T")


class Writer:
    """Nothing but its own thread touches the connection. What was begun there ends there, also if its caller is cancelled."""

    def __init__(self, thread: ThreadPoolExecutor, connection: sqlite3.Connection) -> None:
        self._thread = thread
        self._connection = connection

    @classmethod
    async def open(cls, path: Path, connect: Callable[[Path], sqlite3.Connection]) -> Writer:
        """connect: run in the thread."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="store writer")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, connect, path)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(thread, connection)

    async def run(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """What it returns with the connection; acts come one after another."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, act, self._connection)

    async def transaction(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> None:
        """Each statement is run with all its rows, in this order; all is durable, or nothing is done."""
        await self.run(partial(_transact, statements))

    async def close(self) -> None:
        """The file is closed."""
        try:
            await self.run(sqlite3.Connection.close)
        finally:
            self._thread.shutdown(wait=False)


def _transact(statements: Sequence[tuple[str, Sequence[Row]]], connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement, rows in statements:
            connection.executemany(statement, rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
