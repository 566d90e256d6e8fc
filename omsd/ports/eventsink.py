"""Where shards report to: one bounded channel."""

from __future__ import annotations

from typing import Protocol

from omsd.domain.events import ShardEvent


class EventSink(Protocol):
    """Takes events in order; waits when the channel is full, so that a slow ledger slows the copy instead of growing memory."""

    async def emit(self, event: ShardEvent) -> None:
        """The event is queued."""
