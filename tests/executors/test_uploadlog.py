"""What a worker tells of multipart uploads: few messages, nothing that waits for long, and each thing behind what it follows from."""

from __future__ import annotations

import asyncio

from omsd.domain.events import (
    PartsSent,
    ShardDone,
    ShardEvent,
    ShardProgress,
    UploadClosed,
    UploadOpened,
    UploadSought,
)
from omsd.domain.model import LeaseId, LiveProgress
from omsd.domain.shards import KeptUpload, OpenUpload, SentPart, UploadPlan
from omsd.executors.uploadlog import MOST_UNTOLD, LeaseUploads

LEASE = LeaseId(7)
ONE, TWO = OpenUpload("one", "u1"), OpenUpload("two", "u2")
PLAN = UploadPlan("etag", 100, 10)


def part(number: int) -> SentPart:
    return SentPart(number, 10, f"e{number}")


class Told:
    """A lease's log, and what came of it."""

    def __init__(self) -> None:
        self.events: list[ShardEvent] = []
        self.log = LeaseUploads(LEASE, self._take)

    async def _take(self, event: ShardEvent) -> None:
        self.events.append(event)

    async def send(self, upload: OpenUpload, *numbers: int) -> None:
        for number in numbers:
            await self.log.sent(upload, (part(number),))


async def test_a_part_is_told_when_it_is_stored_and_takes_along_the_ends_before_it() -> None:
    told = Told()
    await told.send(ONE, 1)
    assert told.events == [PartsSent(LEASE, ONE, (part(1),))]
    await told.log.closed(ONE)
    await told.send(TWO, 9)
    assert told.events[1:] == [UploadClosed(LEASE, ONE), PartsSent(LEASE, TWO, (part(9),))]


async def test_whatever_else_is_told_takes_along_the_ends_before_it() -> None:
    told = Told()
    events: list[ShardEvent] = [ShardProgress(LEASE, LiveProgress()), ShardDone(LEASE)]
    for event in events:
        await told.log.closed(ONE)
        await told.log.emit(event)
        assert told.events == [UploadClosed(LEASE, ONE), event]
        told.events.clear()
    await told.log.closed(ONE)
    await told.log.opened(TWO, PLAN, settled=True)
    assert told.events == [UploadClosed(LEASE, ONE), UploadOpened(LEASE, TWO, PLAN, True)]


async def test_the_end_of_an_upload_comes_with_what_is_next() -> None:
    told = Told()
    await told.log.closed(ONE)
    assert told.events == []
    await told.log.tell()
    assert told.events == [UploadClosed(LEASE, ONE)]
    await told.log.tell()
    assert len(told.events) == 1


async def test_many_ends_are_told_without_waiting_for_anything() -> None:
    told = Told()
    for number in range(MOST_UNTOLD):
        await told.log.closed(OpenUpload("k", str(number)))
    assert len(told.events) == MOST_UNTOLD


async def test_a_question_waits_for_its_own_answer() -> None:
    told = Told()
    kept = KeptUpload(ONE, PLAN, (part(1),))
    await told.send(TWO, 1)
    async with asyncio.TaskGroup() as group:
        one, two = (group.create_task(told.log.kept(key)) for key in ("one", "two"))
        await asyncio.sleep(0)
        assert told.events[1:] == [UploadSought(LEASE, "one"), UploadSought(LEASE, "two")]
        told.log.found("two", None)
        told.log.found("one", kept)
    assert (one.result(), two.result()) == (kept, None)
    told.log.found("one", kept)  # nobody asked
