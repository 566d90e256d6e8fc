"""The one channel: bounded for shards, quick for calls, closable for all."""

from __future__ import annotations

import asyncio

import pytest

from omsd.domain.errors import Refusal, RequestError
from omsd.domain.events import ShardDone
from omsd.domain.model import LeaseId, TaskId
from omsd.scheduler.orders import GrantSlot
from omsd.service.calls import Call, ChangeTasks
from omsd.service.channel import ChannelClosedError, EventChannel

WISH = ChangeTasks("p", (), None, None)


def done(number: int) -> ShardDone:
    return ShardDone(LeaseId(number))


async def test_calls_and_orders_overtake_shard_events() -> None:
    channel = EventChannel()
    await channel.emit(done(1))
    await channel.emit(done(2))
    channel.order(GrantSlot(TaskId(1)))
    async with asyncio.TaskGroup() as group:
        calling = group.create_task(channel.call(WISH))
        await asyncio.sleep(0)
        taken = await channel.take(10)
        assert [type(event) for event in taken] == [GrantSlot, Call, ShardDone, ShardDone]
        call = taken[1]
        assert isinstance(call, Call)
        call.answer(None)
        await calling


async def test_a_full_channel_holds_its_senders_back_in_order() -> None:
    channel = EventChannel(max_events=2)
    sent = []

    async def send(number: int) -> None:
        await channel.emit(done(number))
        sent.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(send(number))
        for _ in range(10):
            await asyncio.sleep(0)
        assert sent == [0, 1]
        taken = [await channel.take(1) for _ in range(5)]
    assert [event for bunch in taken for event in bunch] == [done(number) for number in range(5)]


async def test_a_closed_channel_gives_what_it_has_and_takes_no_more() -> None:
    channel = EventChannel(max_events=1)
    await channel.emit(done(1))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_refused_emit(channel))
        await asyncio.sleep(0)
        await channel.close()
        await waiting
    assert await channel.take(5) == [done(1)]
    assert await channel.take(5) == []
    channel.order(GrantSlot(TaskId(1)))
    assert await channel.take(5) == []
    with pytest.raises(RequestError) as refused:
        await channel.call(WISH)
    assert refused.value.refusal is Refusal.BUSY


async def _refused_emit(channel: EventChannel) -> None:
    with pytest.raises(ChannelClosedError):
        await channel.emit(done(2))


async def test_a_failed_channel_refuses_the_calls_that_wait() -> None:
    channel = EventChannel()
    error = RequestError("OMS.1001", "the disk is full", refusal=Refusal.INTERNAL)
    async with asyncio.TaskGroup() as group:
        calling = group.create_task(_failing_call(channel))
        await asyncio.sleep(0)
        await channel.fail(error)
        assert await calling is error


async def _failing_call(channel: EventChannel) -> RequestError:
    with pytest.raises(RequestError) as refused:
        await channel.call(WISH)
    return refused.value


async def test_a_caller_that_goes_away_disturbs_nobody() -> None:
    channel = EventChannel()
    async with asyncio.TaskGroup() as group:
        calling = group.create_task(channel.call(WISH))
        await asyncio.sleep(0)
        calling.cancel()
    (call,) = await channel.take(5)
    assert isinstance(call, Call)
    call.answer(None)
    call.refuse(RequestError("OMS.1001", "x"))
