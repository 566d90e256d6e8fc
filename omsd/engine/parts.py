"""One part of an object on its way into an open upload: streamed, or copied by the service; tried again until it is there."""

from __future__ import annotations

from typing import Protocol

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.overwrite import equal_crc64
from omsd.domain.plan import PartSpan
from omsd.domain.shards import OpenUpload
from omsd.engine.context import AT_COPY, AT_DESTINATION, AT_SOURCE, GaveUpError, ShardContext
from omsd.engine.digest import digest_for
from omsd.engine.stream import BodyTap
from omsd.ports.objectstore import Checksums, CopySource, ObjectHead, PartReceipt, Reading

# Kinds that one part's retry cannot mend: the object as a whole is begun again, or failed.
WHOLE_OBJECT_KINDS = frozenset({StoreErrorKind.PRECONDITION, StoreErrorKind.NO_SUCH_UPLOAD})


class RangeSource(Protocol):
    """What parts are read from: a store, or a file of our own."""

    async def read(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> Reading:
        """Open a range of the object, if it still has this ETag."""


class PartSender:
    """Fills one upload from one version of an object. copied_from: the service fills the parts itself."""

    def __init__(
        self,
        context: ShardContext,
        head: ObjectHead,
        upload: OpenUpload,
        *,
        copied_from: CopySource | None,
        source: RangeSource | None = None,
    ) -> None:
        self._ctx = context
        self._head = head
        self._upload = upload
        self._copied_from = copied_from
        self._source: RangeSource = source or context.source

    async def send(self, span: PartSpan) -> PartReceipt:
        """The part is stored; its bytes are on the meter as moving.

        Raises StoreError if the object as a whole may be tried anew, GaveUpError if the part was tried as often as it may be.
        """
        attempt = 0
        while True:
            try:
                if self._copied_from is not None:
                    return await self._copy(span, self._copied_from)
                return await self._stream(span)
            except StoreError as error:
                if error.kind in WHOLE_OBJECT_KINDS:
                    raise
                await self._ctx.raise_if_decisive(error)
                attempt += 1
                if not await self._ctx.backed_off(error, attempt):
                    raise GaveUpError(error) from error

    async def _copy(self, span: PartSpan, source: CopySource) -> PartReceipt:
        ctx, upload = self._ctx, self._upload
        pacer = ctx.pacers.destination
        await pacer.acquire()
        succeeded = False
        try:
            with AT_COPY:
                receipt = await ctx.destination.copy_part(
                    upload.key, upload.upload_id, span.part_number, source, span.offset, span.size_bytes
                )
            succeeded = True
            ctx.meter.add(span.size_bytes)
            return receipt
        finally:
            pacer.release(succeeded=succeeded)

    async def _stream(self, span: PartSpan) -> PartReceipt:
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
                receipt = await self._put(span, tap)
                sums = digest.checksums()
                if equal_crc64(receipt.checksums, sums) is False:
                    with AT_DESTINATION:
                        raise StoreError(
                            StoreErrorKind.INTEGRITY,
                            f"CRC64 of part {span.part_number} of {self._upload.key!r} is not that of the bytes sent",
                        )
            finally:
                tap.close()
                await reading.close()
            succeeded = True
            return PartReceipt(receipt.part_number, receipt.etag, span.size_bytes, sums)
        finally:
            if not succeeded:
                ctx.meter.settle(digest.size_bytes)
            ctx.pacers.release(succeeded=succeeded)

    async def _put(self, span: PartSpan, body: BodyTap) -> PartReceipt:
        upload = self._upload
        with AT_DESTINATION:
            return await self._ctx.destination.put_part(
                upload.key, upload.upload_id, span.part_number, body, span.size_bytes, Checksums()
            )
