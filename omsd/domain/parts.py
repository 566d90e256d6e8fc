"""Which parts of a large object are there, and which are whose: pure, over part numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from omsd.domain.plan import PartSpan, cut_parts
from omsd.domain.shards import SentPart, Shard, UploadPlan


def stored_parts(
    recorded: Iterable[SentPart], listed: Mapping[int, tuple[str, int]], plan: UploadPlan
) -> dict[int, SentPart]:
    """The parts that need not be sent again: recorded, of the planned size, and listed with the same ETag and size.

    listed: what the destination says it has, number -> (ETag, size).
    """
    sizes = {span.part_number: span.size_bytes for span in cut_parts(plan.size_bytes, plan.part_bytes)}
    return {
        part.part_number: part
        for part in recorded
        if sizes.get(part.part_number) == part.size_bytes
        and listed.get(part.part_number) == (part.etag, part.size_bytes)
    }


def spans_of(shard: Shard, plan: UploadPlan) -> tuple[PartSpan, ...]:
    """The parts a PARTS shard is about, in order."""
    after = int(shard.after or 0)
    return tuple(
        span
        for span in cut_parts(plan.size_bytes, plan.part_bytes)
        if span.part_number > after and (not shard.until or span.part_number <= int(shard.until))
    )


class PartQueue:
    """Parts that are not begun, in order; taken from below, given away from above."""

    def __init__(self, spans: Iterable[PartSpan]) -> None:
        self._todo = deque(spans)

    def __len__(self) -> int:
        return len(self._todo)

    def take(self) -> PartSpan | None:
        """The next part is begun; None if there is none."""
        return self._todo.popleft() if self._todo else None

    def clear(self) -> None:
        """No more parts are begun."""
        self._todo.clear()

    def give_away(self, *, least_bytes: int) -> int | None:
        """The upper half is somebody else's from now on: all parts behind the number returned.

        None if less than least_bytes would go, or nothing would stay.
        """
        kept = len(self._todo) - len(self._todo) // 2
        given = list(self._todo)[kept:]
        if not given or sum(span.size_bytes for span in given) < least_bytes:
            return None
        for _ in given:
            self._todo.pop()
        return self._todo[-1].part_number
