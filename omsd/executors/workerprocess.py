"""One worker process as the control process sees it: its birth and end, its channel, what it has been given and asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from omsd.aio import shielded
from omsd.domain.model import LeaseId, TaskId, TaskWork
from omsd.executors import protocol
from omsd.executors.channel import Channel, control_channel
from omsd.executors.copybook import WorkerCopies

_EXIT_DEADLINE_S = 5.0


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """A live worker. opened: the tasks it knows. cloud_questions_num: those of ask() that have no answer yet."""

    worker_id: int
    pid: int
    channel: Channel[protocol.FromWorker]
    leases: dict[LeaseId, TaskId] = field(default_factory=dict)
    opened: dict[TaskId, TaskWork] = field(default_factory=dict)
    ready: bool = False
    cloud_questions_num: int = 0
    copies: WorkerCopies = field(init=False)
    _replies: dict[int, asyncio.Future[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.copies = WorkerCopies(self.channel)

    @property
    def busy(self) -> bool:
        """Has it a lease, or a copy that is not at its end?"""
        return bool(self.leases) or self.copies.busy

    @property
    def questions_num(self) -> int:
        """Probes, sweeps and questions about clouds that have no answer yet."""
        return len(self._replies)

    async def reply_to(
        self, message: protocol.Probe | protocol.SweepUploads | protocol.Ask, number: int
    ) -> Any:
        """What the worker answers to the message with this number. Raises ConnectionError if it goes away first."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies[number] = reply
        try:
            await self.channel.send(message)
            return await reply
        finally:
            self._replies.pop(number, None)

    def take_reply(self, message: protocol.Probed | protocol.Swept | protocol.Answered, number: int) -> None:
        """The answer goes to who waits for it; too late, it goes nowhere."""
        waiting = self._replies.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def lose(self) -> None:
        """The worker is gone: so is everything that waits for its word."""
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the worker is gone"))
        self.copies.lose()


@asynccontextmanager
async def open_worker(command: Sequence[str], worker_id: int) -> AsyncIterator[WorkerProcess]:
    """A worker process with its channel; it has ended when the block is left. The number of its socket is appended to the command."""
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            *command,
            str(theirs.fileno()),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            # Signals of the terminal are the control process's to answer: it drains, the workers must still be there.
            start_new_session=True,
        )
    channel = await control_channel(ours)
    try:
        yield WorkerProcess(worker_id, process.pid, channel)
    finally:
        await shielded(_end(process, channel), deadline_s=2 * _EXIT_DEADLINE_S)


async def _end(process: asyncio.subprocess.Process, channel: Channel[protocol.FromWorker]) -> None:
    """The channel is closed, which a worker takes as its end; one that does not end is killed."""
    await channel.close()
    try:
        async with asyncio.timeout(_EXIT_DEADLINE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
