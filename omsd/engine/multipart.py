"""One large object through a multipart upload: opened or gone on with, filled by several tasks, completed or aborted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from omsd.aio import shielded
from omsd.domain.errors import Side, StoreError, StoreErrorKind, failure_of
from omsd.domain.parts import PartQueue, stored_parts
from omsd.domain.plan import PartSpan, cut_parts, plan_part_bytes
from omsd.domain.shards import KeptUpload, OpenUpload, SentPart, UploadPlan
from omsd.engine.context import AT_DESTINATION, GaveUpError, ShardContext, ShardFailedError
from omsd.engine.digest import combine
from omsd.engine.largework import LargeWork, PartsElsewhereError
from omsd.engine.parts import PartSender, RangeSource
from omsd.engine.uploads import abort_upload, complete_upload, look, open_upload
from omsd.ports.objectstore import Checksums, CopySource, ObjectHead, PartReceipt, PutOptions, PutReceipt


class MultipartCopy:
    """Copies one large object in parts. Use once.

    copied_from: the service fills the parts itself from this object; None = they are streamed, from `source`, or else from the
    context's source. An upload of more parts than are on their way at once is one that later leases may go on with, and in a PARTS
    shard others beside this one.
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
        self._large = context.large
        self._copied_from = copied_from
        self._source = source
        self._head = head
        self._target_key = target_key

    async def run(self, options: PutOptions) -> tuple[Checksums, PutReceipt]:
        """The destination object exists; returns its CRC64 and the destination's answer.

        The CRC64 is that of the bytes streamed, or of a copy inside the service what the source publishes.

        Raises StoreError if the object may be tried anew, GaveUpError if not. The upload is aborted then, and when the caller is
        cancelled; but one that others may go on with stays then, and as long as they do: PartsElsewhereError.
        """
        plan = self._plan()
        if self._large is not None:
            return await self._go_on(self._large, plan, options)
        if self._outlives_lease(plan):
            return await self._go_on_alone(plan, options)
        upload = await open_upload(self._ctx, self._target_key, options)
        return await self._fill(upload, cut_parts(plan.size_bytes, plan.part_bytes))

    def _outlives_lease(self, plan: UploadPlan) -> bool:
        """Would an interruption cost more than the parts that are on their way at once? Our own files are read again as a whole."""
        in_flight_bytes = self._ctx.settings.part_copiers * plan.part_bytes
        return self._ctx.keeps_uploads and self._source is None and plan.size_bytes > in_flight_bytes

    def _plan(self) -> UploadPlan:
        abilities, settings = self._ctx.destination.abilities, self._ctx.settings
        part_bytes = plan_part_bytes(
            self._head.size_bytes,
            part_bytes=settings.part_bytes if self._copied_from is None else settings.copy_part_bytes,
            min_part_bytes=abilities.min_part_bytes,
            max_part_bytes=abilities.max_part_bytes,
            max_parts=abilities.max_parts,
        )
        restarts = self._large.restarts if self._large is not None else 0
        copied = self._copied_from is not None
        return UploadPlan(self._head.etag, self._head.size_bytes, part_bytes, copied, restarts)

    async def _fill(self, upload: OpenUpload, spans: Sequence[PartSpan]) -> tuple[Checksums, PutReceipt]:
        """An upload of this lease alone."""
        receipts: dict[int, PartReceipt] = {}
        try:
            await self._send(upload, PartQueue(spans), receipts, recorded=False)
            result = await self._complete(upload, receipts)
        except BaseException:
            await shielded(abort_upload(self._ctx, upload), deadline_s=self._ctx.settings.cleanup_deadline_s)
            raise
        finally:
            self._ctx.meter.settle(sum(receipt.size_bytes for receipt in receipts.values()))
        await self._ctx.uploads.closed(upload)
        return result

    async def _go_on_alone(self, plan: UploadPlan, options: PutOptions) -> tuple[Checksums, PutReceipt]:
        """An upload that nobody else fills, as long as this lease lasts."""
        # In a first lease there is nothing to go on with.
        again = self._ctx.redo_since_s is not None
        large = LargeWork(None, await self._ctx.uploads.kept(self._target_key) if again else None)
        result = await self._go_on(large, plan, options)
        if large.kept is not None:
            await self._ctx.uploads.closed(large.kept.upload)
        return result

    async def _go_on(
        self, large: LargeWork, plan: UploadPlan, options: PutOptions
    ) -> tuple[Checksums, PutReceipt]:
        """An upload that outlives the lease. Its end is told together with the object's."""
        if large.kept is not None and not _is_for(large.kept.plan, plan):
            await self._give_up(large, restart=large.kept.plan.etag != plan.etag)
            plan = self._plan()
        receipts: dict[int, PartReceipt] = {}
        if large.kept is not None:
            plan = large.kept.plan
            done = await self._reconciled(large.kept)
            if done is None:
                sums = self._sums({part.part_number: _receipt(part) for part in large.kept.parts}, plan)
                if sums is not None:
                    found = await look(self._ctx, self._target_key, plan.size_bytes, sums)
                    if found is not None:
                        large.completed = True
                        return sums, found
                await self._give_up(large, restart=False)
            else:
                receipts = {number: _receipt(part) for number, part in done.items()}
        if large.kept is None:
            upload = await open_upload(self._ctx, self._target_key, options, plan)
            large.opened(upload, plan)
        assert large.kept is not None
        try:
            todo = [span for span in large.spans(plan) if span.part_number not in receipts]
            await self._send(large.kept.upload, large.begin(todo), receipts, recorded=True)
            if not large.alone or self._sums(receipts, plan) is None:
                raise PartsElsewhereError
            if self._large is not None:
                # Should the answer to what comes now be lost, all parts that are recorded prove the object (see look()).
                await self._ctx.uploads.tell()
            result = await self._complete(large.kept.upload, receipts)
        except (StoreError, GaveUpError) as error:
            changed = isinstance(error, StoreError) and error.kind is StoreErrorKind.PRECONDITION
            await self._give_up(large, restart=changed)
            raise
        large.completed = True
        return result

    async def _give_up(self, large: LargeWork, *, restart: bool) -> None:
        """The upload is gone, unless others still fill it: they will meet what this one met, and end."""
        if not large.alone:
            raise PartsElsewhereError
        if large.kept is not None:
            await shielded(
                abort_upload(self._ctx, large.kept.upload),
                deadline_s=self._ctx.settings.cleanup_deadline_s,
            )
        large.closed()
        large.restarts += restart

    async def _reconciled(self, kept: KeptUpload) -> dict[int, SentPart] | None:
        """The parts that the ledger and the destination agree on; None if the upload is not there.

        None of them where parts may not be listed: then all are sent again.
        """
        if not kept.parts:
            return {}
        attempt = 0
        while True:
            try:
                with AT_DESTINATION:
                    listed = await self._ctx.destination.list_parts(kept.upload.key, kept.upload.upload_id)
            except StoreError as error:
                if error.kind is StoreErrorKind.NO_SUCH_UPLOAD:
                    return None
                await self._ctx.raise_if_decisive(error)
                attempt += 1
                if not await self._ctx.backed_off(error, attempt):
                    if not error.retryable:
                        return {}
                    raise ShardFailedError(failure_of(error, Side.DESTINATION), decisive=False) from error
            else:
                there = {part.part_number: (part.etag, part.size_bytes) for part in listed}
                return stored_parts(kept.parts, there, kept.plan)

    async def _send(
        self, upload: OpenUpload, queue: PartQueue, receipts: dict[int, PartReceipt], *, recorded: bool
    ) -> None:
        sender = PartSender(self._ctx, self._head, upload, copied_from=self._copied_from, source=self._source)
        await send_parts(self._ctx, sender, upload, queue, receipts, recorded=recorded)

    def _sums(self, receipts: dict[int, PartReceipt], plan: UploadPlan) -> Checksums | None:
        """Of the whole object; None if parts are missing."""
        parts = [receipts.get(span.part_number) for span in cut_parts(plan.size_bytes, plan.part_bytes)]
        there = [part for part in parts if part is not None]
        if len(there) < len(parts):
            return None
        if plan.copied:
            return self._head.checksums
        return combine([(part.checksums, part.size_bytes) for part in there])

    async def _complete(
        self, upload: OpenUpload, receipts: dict[int, PartReceipt]
    ) -> tuple[Checksums, PutReceipt]:
        ordered = [receipts[number] for number in sorted(receipts)]
        sums = self._head.checksums
        if self._copied_from is None:
            sums = combine([(receipt.checksums, receipt.size_bytes) for receipt in ordered])
        return sums, await complete_upload(self._ctx, upload, ordered, sums)


async def send_parts(
    ctx: ShardContext,
    sender: PartSender,
    upload: OpenUpload,
    queue: PartQueue,
    receipts: dict[int, PartReceipt],
    *,
    recorded: bool,
) -> None:
    """What is in the queue is stored; receipts: also if it fails, those that are. recorded: the ledger is told of each."""

    async def drain() -> None:
        while (span := queue.take()) is not None:
            receipt = receipts[span.part_number] = await sender.send(span)
            if recorded:
                await ctx.uploads.sent(upload, (_sent(receipt),))
                ctx.meter.settle(span.size_bytes)

    try:
        async with asyncio.TaskGroup() as work:
            for number in range(min(ctx.settings.part_copiers, len(queue))):
                work.create_task(drain(), name=f"parts {number} of {upload.key}")
    except* (StoreError, GaveUpError, ShardFailedError) as group:
        raise _first(group) from None


def _is_for(kept: UploadPlan, wanted: UploadPlan) -> bool:
    """May an upload with the one plan be gone on with, where the other is wanted?"""
    return (kept.etag, kept.size_bytes, kept.copied) == (wanted.etag, wanted.size_bytes, wanted.copied)


def _receipt(part: SentPart) -> PartReceipt:
    return PartReceipt(
        part.part_number, part.etag, part.size_bytes, Checksums(part.crc64_xz, part.crc64_nvme)
    )


def _sent(receipt: PartReceipt) -> SentPart:
    sums = receipt.checksums
    return SentPart(receipt.part_number, receipt.size_bytes, receipt.etag, sums.crc64_xz, sums.crc64_nvme)


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
