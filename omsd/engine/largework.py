"""What one lease knows of an object in parts that later leases may go on with; shared by its run and the copy of the object."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from omsd.domain.parts import PartQueue, spans_of
from omsd.domain.plan import PartSpan, cut_parts
from omsd.domain.shards import KeptUpload, OpenUpload, Shard, UploadPlan


class PartsElsewhereError(Exception):
    """The object is not finished by this lease: others send parts of it, or it was told to stop. The upload stays as it is."""


class LargeWork:
    """shard: with parts of the object; None = all of them are copied here, among other objects.

    kept: the upload gone on with, None = there is none (any more). restarts: versions of the source that were given up.
    All in one loop, so no lock.
    """

    def __init__(self, shard: Shard | None, kept: KeptUpload | None) -> None:
        self._shard = shard
        self.kept = kept
        self.restarts = kept.plan.restarts if kept is not None else 0
        self._shared = shard is not None and bool(shard.until)
        self._stopped = False
        self._queue = PartQueue(())
        self.begun = asyncio.Event()
        self.completed = False

    @property
    def alone(self) -> bool:
        """Does no other shard have parts of the object?"""
        return not self._shared

    @property
    def stopped(self) -> bool:
        """Are no more parts begun?"""
        return self._stopped

    def stop(self) -> None:
        """No more parts are begun."""
        self._stopped = True
        self._queue.clear()

    def spans(self, plan: UploadPlan) -> tuple[PartSpan, ...]:
        """The parts that are this lease's, in order."""
        if self._shard is None:
            return cut_parts(plan.size_bytes, plan.part_bytes)
        return spans_of(self._shard, plan)

    def begin(self, spans: Iterable[PartSpan]) -> PartQueue:
        """These parts are to be sent."""
        self._queue = PartQueue(() if self._stopped else spans)
        self.begun.set()
        return self._queue

    def opened(self, upload: OpenUpload, plan: UploadPlan) -> None:
        """A new upload is filled from now on."""
        self.kept = KeptUpload(upload, plan)

    def closed(self) -> None:
        """There is no upload."""
        self.kept = None
        self._queue.clear()

    def give_away(self, *, least_bytes: int) -> int | None:
        """What is behind the number returned is no longer this lease's; None if there is too little of it."""
        boundary = self._queue.give_away(least_bytes=least_bytes)
        self._shared = self._shared or boundary is not None
        return boundary
