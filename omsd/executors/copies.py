"""Single copies in a worker: begun and dropped on order, answered when they have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from omsd.domain.errors import Failure, Side, StoreError, failure_of
from omsd.domain.shards import KeptUpload, OpenUpload, SentPart, UploadIntent, UploadPlan
from omsd.engine.context import ShardContext, UploadLog
from omsd.engine.records import failed_of
from omsd.engine.restore import Deferred, next_rest_s
from omsd.engine.single import FINAL_CODES, SingleCopy
from omsd.executors import protocol
from omsd.executors.uploadlog import IntentWaits
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
        self._uploads: dict[int, _CopyUploads] = {}

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
        uploads = self._uploads[copy_id] = _CopyUploads(copy_id, self._send)
        copy = group.create_task(self._run(message, make_context, release, uploads), name=f"copy {copy_id}")
        self._running[copy_id] = copy
        copy.add_done_callback(lambda _: self._ended(copy_id))

    def take(self, message: protocol.CutCopy | protocol.CopyIntentNoted) -> None:
        """The copy is dropped, or may create its upload."""
        match message:
            case protocol.CutCopy(copy_id):
                if copy := self._running.get(copy_id):
                    # Behind its first step: a task that is cancelled before it ends without a word, and keeps the task's stores.
                    asyncio.get_running_loop().call_soon(copy.cancel)
            case protocol.CopyIntentNoted(copy_id, key):
                if uploads := self._uploads.get(copy_id):
                    uploads.noted(key)

    def _ended(self, copy_id: int) -> None:
        del self._running[copy_id], self._uploads[copy_id]

    async def _run(
        self,
        message: protocol.CopyObject,
        make_context: MakeContext,
        release: Callable[[], Awaitable[None]],
        uploads: _CopyUploads,
    ) -> None:
        try:
            result = await _result_of(message.order, make_context, uploads)
        except asyncio.CancelledError:
            # What it has left open is swept from now on.
            await self._send(protocol.CopyGone(message.copy_id))
            raise
        finally:
            await release()
        await self._send(protocol.Copied(message.copy_id, result))


class _CopyUploads:
    """The UploadLog of one copy. It has no plans: an upload is gone with its copy, or aborted before the next."""

    def __init__(self, copy_id: int, send: Send) -> None:
        self._copy_id = copy_id
        self._send = send
        self._waits = IntentWaits()

    def noted(self, key: str) -> None:
        """The control process has stored the intent."""
        self._waits.noted(key)

    async def intended(self, intent: UploadIntent) -> None:
        """The intent is durable."""
        await self._waits.until_noted(intent.key, self._send(protocol.CopyIntends(self._copy_id, intent)))

    async def opened(self, upload: OpenUpload, plan: UploadPlan | None, *, settled: bool) -> None:
        await self._send(protocol.CopyOpens(self._copy_id, upload, settled))

    async def kept(self, key: str) -> KeptUpload | None:
        """Nothing is gone on with."""
        return None

    async def settled(self, key: str) -> None:
        await self._send(protocol.CopySettles(self._copy_id, key))

    async def sent(self, upload: OpenUpload, parts: tuple[SentPart, ...]) -> None:
        """Parts are told of uploads with a plan only."""

    async def tell(self) -> None:
        """Nothing gathers."""

    async def closed(self, upload: OpenUpload) -> None:
        await self._send(protocol.CopyCloses(self._copy_id, upload))


async def _result_of(order: CopyOrder, make_context: MakeContext, uploads: UploadLog) -> CopyResult:
    names = [order.names.key]
    if order.names.literal:
        names.append(order.names.literal)
    try:
        context = make_context(uploads)
        copy = SingleCopy(context, names, order.stale_uploads, order.intents, deletes=order.deletes)
        outcome = await copy.run()
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
