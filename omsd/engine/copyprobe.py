"""May the destination's service copy from the source bucket itself? Found out once per task and worker, with its first object."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from omsd.domain.errors import StoreError
from omsd.ports.objectstore import ObjectStore

# After so many refusals in a row, with copies that succeeded before, asking costs more than it can bring.
_MAX_REFUSALS = 20


class ServerCopying:
    """What one worker knows of one task: may the destination's service copy from the source bucket itself?

    reader: the source bucket with the destination's keys. refused: told once, when copying is given up for the rest of the task.
    """

    def __init__(self, reader: ObjectStore, refused: Callable[[StoreError], None]) -> None:
        self.reader = reader
        self._proven = False
        self.probing = asyncio.Lock()
        self._refused = refused
        self._given_up = False
        self._refusals = 0

    def is_proven(self) -> bool:
        """Has an object been copied?"""
        return self._proven

    def wanted(self, source: ObjectStore, destination: ObjectStore) -> bool:
        """May it be tried? Both ends are one service by now, as far as redirects told, and nothing has spoken against it."""
        return (
            not self._given_up
            and destination.abilities.copies_objects
            and source.address.service == destination.address.service
        )

    def succeeded(self) -> None:
        """An object was copied."""
        self._proven = True
        self._refusals = 0

    def note_refusal(self, error: StoreError) -> None:
        """A copy was refused for good."""
        self._refusals += 1
        if not self._given_up and (not self._proven or self._refusals >= _MAX_REFUSALS):
            self._given_up = True
            self._refused(error)
