"""Single copies in a worker: begun and dropped on order, answered when they have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from omsd.domain.errors import Failure, Side, StoreError, failure_of
from omsd.domain.model import OpenUpload, SentPart, UploadIntent, UploadPlan
from omsd.engine.context import ShardContext, UploadLog
from omsd.engine.records import failed_of
from omsd.engine.restore import Deferred, next_rest_s
from omsd.engine.single import FINAL_CODES, SingleCopy
from omsd.executors import protocol
from omsd.ports.objectcopies import CopyOrder, CopyResult
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

Send = Callable[[protocol.FromWorker], Awaitable[None]]
MakeContext = Callable[[UploadLog], ShardContext]


class CopyRunner:
    """The single copies under way."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._running: dict[int, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def begin(
        self,
        group: asyncio.TaskGroup,
        message: protocol.CopyObject,
        make_context: MakeContext,
        release: Callable[[], Awaitable[None]],
    ) -> None:
        """The copy runs in the group. release: called when it needs the task's stores no more."""
        copy_id = message.copy_id
        copy = group.create_task(self._run(message, make_context, release), name=f"copy {copy_id}")
        self._running[copy_id] = copy
        copy.add_done_callback(lambda _: self._running.pop(copy_id, None))

    def cut(self, copy_id: int) -> None:
        """Drop the copy."""
        if copy := self._running.get(copy_id):
            copy.cancel()

    async def _run(
        self, message: protocol.CopyObject, make_context: MakeContext, release: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            result = await _result_of(message.order, make_context, _CopyUploads(message.copy_id, self._send))
        finally:
            await release()
        await self._send(protocol.Copied(message.copy_id, result))


class _CopyUploads:
    """The UploadLog of one copy. It has no plans and no intents: an upload is gone with its copy, or aborted before the next."""

    def __init__(self, copy_id: int, send: Send) -> None:
        self._copy_id = copy_id
        self._send = send

    async def intended(self, intent: UploadIntent) -> None:
        """Not kept: a creation whose answer is lost is settled by this copy, or by nobody if its worker dies meanwhile."""

    async def opened(self, upload: OpenUpload, plan: UploadPlan | None, *, settled: bool) -> None:
        await self._send(protocol.CopyUpload(self._copy_id, upload, opened=True))

    async def settled(self, key: str) -> None:
        """See intended()."""

    async def sent(self, upload: OpenUpload, parts: tuple[SentPart, ...]) -> None:
        """Parts are told of uploads with a plan only."""

    async def closed(self, upload: OpenUpload) -> None:
        await self._send(protocol.CopyUpload(self._copy_id, upload, opened=False))


async def _result_of(order: CopyOrder, make_context: MakeContext, uploads: UploadLog) -> CopyResult:
    names = [order.names.key]
    if order.names.literal:
        names.append(order.names.literal)
    try:
        context = make_context(uploads)
        outcome = await SingleCopy(context, names, order.stale_uploads, deletes=order.deletes).run()
    except StoreError as error:
        return _failed(names[0], failure_of(error, error.side or Side.SOURCE))
    except Exception as error:
        # A fault of ours must show, but it must not take the worker's other work down.
        _log.exception("copy_crashed", key=names[0])
        return _failed(names[0], Failure("TRF.0001", f"internal error: {type(error).__name__}; see the log"))
    if isinstance(outcome, Deferred):
        since_s = context.restore_since_s or context.now_s()
        return CopyResult(None, rest_s=next_rest_s(context), restore_since_s=since_s)
    return CopyResult(outcome, tries_again=outcome.error_code not in FINAL_CODES)


def _failed(key: str, failure: Failure) -> CopyResult:
    return CopyResult(failed_of(key, None, failure))
