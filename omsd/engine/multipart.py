"""The life of one multipart upload: opened, filled by several tasks, completed or aborted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

from omsd.aio import shielded
from omsd.domain.errors import Side, StoreError, StoreErrorKind
from omsd.domain.model import OpenUpload
from omsd.domain.overwrite import equal_crc64
from omsd.domain.plan import PartSpan, plan_parts
from omsd.engine.context import (
    AT_COPY,
    AT_DESTINATION,
    AT_SOURCE,
    GaveUpError,
    ShardContext,
    ShardFailedError,
)
from omsd.engine.digest import combine, digest_for
from omsd.engine.stream import BodyTap
from omsd.ports.objectstore import (
    Checksums,
    CopySource,
    ObjectHead,
    PartReceipt,
    PutOptions,
    PutReceipt,
    Reading,
)

# Kinds that one part's retry cannot mend: the object as a whole is begun again, or failed.
_WHOLE_OBJECT_KINDS = frozenset({StoreErrorKind.PRECONDITION, StoreErrorKind.NO_SUCH_UPLOAD})


class RangeSource(Protocol):
    """What parts are read from: a store, or a file of our own."""

    async def read(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> Reading: ...


class MultipartCopy:
    """Copies one large object in parts. Use once.

    copied_from: the service fills the parts itself from this object; None = they are streamed, from `source`, or else from the
    context's source.
    """

    def __init__(
        self,
        context: ShardContext,
        head: ObjectHead,
        target_key: str,
        *,
        copied_from: CopySource | None = None,
        source: RangeSource | None = None,
    ) -> None:
        self._ctx = context
        self._copied_from = copied_from
        self._source: RangeSource = source or context.source
        self._head = head
        self._target_key = target_key
        self._upload_id = ""
        self._sent_bytes = 0

    async def run(self, options: PutOptions) -> tuple[Checksums, PutReceipt]:
        """The destination object exists; returns its CRC64 and the destination's answer.

        The CRC64 is that of the bytes streamed, or of a copy inside the service what the source publishes.

        Raises StoreError if the object may be tried anew, GaveUpError if not. The upload is aborted then, also when the caller is
        cancelled.
        """
        abilities, settings = self._ctx.destination.abilities, self._ctx.settings
        spans = plan_parts(
            self._head.size_bytes,
            part_bytes=settings.part_bytes if self._copied_from is None else settings.copy_part_bytes,
            min_part_bytes=abilities.min_part_bytes,
            max_part_bytes=abilities.max_part_bytes,
            max_parts=abilities.max_parts,
        )
        with AT_DESTINATION:
            self._upload_id = await self._ctx.destination.create_upload(self._target_key, options)
        upload = OpenUpload(self._target_key, self._upload_id)
        try:
            await self._ctx.uploads.opened(upload)
            receipts = await self._send_parts(spans)
            sums = self._head.checksums
            if self._copied_from is None:
                sums = combine([(receipt.checksums, receipt.size_bytes) for receipt in receipts])
            receipt = await self._complete(receipts, sums)
        except BaseException:
            await shielded(self._abort(upload), deadline_s=self._ctx.settings.cleanup_deadline_s)
            raise
        finally:
            self._ctx.meter.settle(self._sent_bytes)
        await self._ctx.uploads.closed(upload)
        return sums, receipt

    async def _send_parts(self, spans: tuple[PartSpan, ...]) -> list[PartReceipt]:
        receipts: dict[int, PartReceipt] = {}
        todo = iter(spans)
        try:
            async with asyncio.TaskGroup() as work:
                for number in range(min(self._ctx.settings.part_copiers, len(spans))):
                    work.create_task(
                        self._drain_spans(todo, receipts), name=f"parts {number} of {self._target_key}"
                    )
        except* (StoreError, GaveUpError, ShardFailedError) as group:
            raise _first(group) from None
        return [receipts[span.part_number] for span in spans]

    async def _drain_spans(self, todo: Iterator[PartSpan], receipts: dict[int, PartReceipt]) -> None:
        for span in todo:
            receipts[span.part_number] = await self._send_part(span)

    async def _send_part(self, span: PartSpan) -> PartReceipt:
        attempt = 0
        while True:
            try:
                return await self._send_part_once(span)
            except StoreError as error:
                if error.kind in _WHOLE_OBJECT_KINDS:
                    raise
                await self._ctx.raise_if_decisive(error)
                attempt += 1
                if not await self._ctx.backed_off(error, attempt):
                    raise GaveUpError(error) from error

    async def _send_part_once(self, span: PartSpan) -> PartReceipt:
        if self._copied_from is not None:
            return await self._copy_part(span, self._copied_from)
        return await self._stream_part(span)

    async def _copy_part(self, span: PartSpan, source: CopySource) -> PartReceipt:
        ctx = self._ctx
        pacer = ctx.pacers.destination
        await pacer.acquire()
        succeeded = False
        try:
            with AT_COPY:
                receipt = await ctx.destination.copy_part(
                    self._target_key, self._upload_id, span.part_number, source, span.offset, span.size_bytes
                )
            succeeded = True
            ctx.meter.add(span.size_bytes)
            self._sent_bytes += span.size_bytes
            return receipt
        finally:
            pacer.release(succeeded=succeeded)

    async def _stream_part(self, span: PartSpan) -> PartReceipt:
        ctx = self._ctx
        await ctx.pacers.acquire()
        succeeded = False
        digest = digest_for(self._head.checksums, ctx.destination.abilities)
        try:
            with AT_SOURCE:
                reading = await self._source.read(
                    self._head.key, offset=span.offset, length=span.size_bytes, if_match=self._head.etag
                )
            tap = BodyTap(reading, digest, ctx.meter, ctx.throttle)
            try:
                with AT_DESTINATION:
                    receipt = await ctx.destination.put_part(
                        self._target_key, self._upload_id, span.part_number, tap, span.size_bytes, Checksums()
                    )
                    sums = digest.checksums()
                    if equal_crc64(receipt.checksums, sums) is False:
                        raise StoreError(
                            StoreErrorKind.INTEGRITY,
                            f"CRC64 of part {span.part_number} of {self._target_key!r} is not that of the bytes sent",
                        )
            finally:
                tap.close()
                await reading.close()
            succeeded = True
            self._sent_bytes += span.size_bytes
            return PartReceipt(receipt.part_number, receipt.etag, span.size_bytes, sums)
        finally:
            if not succeeded:
                ctx.meter.settle(digest.size_bytes)
            ctx.pacers.release(succeeded=succeeded)

    async def _complete(self, receipts: list[PartReceipt], sums: Checksums) -> PutReceipt:
        """Complete; an answer that was lost is settled by looking at what is there."""
        attempt = 0
        while True:
            try:
                with AT_DESTINATION:
                    return await self._ctx.destination.complete_upload(
                        self._target_key, self._upload_id, receipts, sums
                    )
            except StoreError as error:
                if error.kind is StoreErrorKind.NO_SUCH_UPLOAD and attempt > 0:
                    return await self._look(error, sums)
                if error.kind in (StoreErrorKind.NO_SUCH_UPLOAD, StoreErrorKind.INTEGRITY):
                    raise
                await self._ctx.raise_if_decisive(error)
                attempt += 1
                if not await self._ctx.backed_off(error, attempt):
                    raise GaveUpError(error) from error

    async def _look(self, error: StoreError, sums: Checksums) -> PutReceipt:
        """The receipt of the object if an earlier Complete made it after all, else the error."""
        try:
            with AT_DESTINATION:
                head = await self._ctx.destination.head(self._target_key)
        except StoreError:
            raise error from None
        if head.size_bytes != self._head.size_bytes or equal_crc64(head.checksums, sums) is False:
            raise error
        return PutReceipt(head.etag, head.checksums)

    async def _abort(self, upload: OpenUpload) -> None:
        """The upload is gone. If it cannot be, it stays in the ledger as open and is aborted with the next lease."""
        for attempt in range(1, 4):
            try:
                await self._ctx.destination.abort_upload(upload.key, upload.upload_id)
            except StoreError as error:
                error.side = Side.DESTINATION
                if not error.retryable or attempt == 3:
                    return
                await self._ctx.sleep(self._ctx.settings.retry_base_s * attempt)
            else:
                await self._ctx.uploads.closed(upload)
                return


def _first(group: BaseExceptionGroup[StoreError | GaveUpError | ShardFailedError]) -> Exception:
    """The error to act on: one that ends the task goes before any other, one that asks for a new try comes last."""
    leaves: list[Exception] = []
    stack: list[BaseException] = [group]
    while stack:
        error = stack.pop(0)
        if isinstance(error, BaseExceptionGroup):
            stack.extend(error.exceptions)
        elif isinstance(error, Exception):
            leaves.append(error)
    order = (ShardFailedError, GaveUpError)
    return min(
        leaves,
        key=lambda leaf: next((n for n, kind in enumerate(order) if isinstance(leaf, kind)), len(order)),
    )
