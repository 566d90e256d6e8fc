"""One object: decide, stream, verify, retry. Multipart objects go on in multipart.py."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.errors import Failure, Side, StoreError, StoreErrorKind, failure_of
from omsd.domain.model import CrcOrigin, Outcome, OutcomeKind, OverwriteMode, Verdict
from omsd.domain.overwrite import Action, decide, equal_crc64
from omsd.domain.plan import map_key
from omsd.engine.context import AT_DESTINATION, AT_SOURCE, GaveUpError, ShardContext
from omsd.engine.digest import digest_for
from omsd.engine.multipart import MultipartCopy
from omsd.engine.servercopy import ServerCopier
from omsd.engine.stream import BodyTap, BytesBody, PacedBody
from omsd.ports.objectstore import (
    Checksums,
    ListedObject,
    ObjectHead,
    PutOptions,
    PutReceipt,
    Reading,
)

# A source object that changes more often than this while it is copied is failed: it is a log being written, not data at rest.
_MAX_RESTARTS = 4


# As plain numbers: arithmetic of flags costs a microsecond per object.
_PUBLISHED, _STREAMED, _STORED = map(int, (CrcOrigin.SOURCE, CrcOrigin.STREAM, CrcOrigin.DESTINATION))
_SUCCEEDED, _MATCH, _SKIP, _DONE = OutcomeKind.SUCCESS, Verdict.MATCH, Action.SKIP, Action.DONE


@dataclass(slots=True)
class Candidate:
    """An object to copy. listed: None if only its name is known. decided: the listings of both ends already said copy."""

    key: str
    position: int
    listed: ListedObject | None = None
    decided: bool = False

    @property
    def listed_bytes(self) -> int:
        """The size it was counted with when it was listed."""
        return self.listed.size_bytes if self.listed is not None else 0


def options_for(head: ObjectHead, sums: Checksums, *, metadata: bool) -> PutOptions:
    """What the destination object is written with: the content type always, the other metadata when asked for."""
    if not metadata:
        return PutOptions(content_type=head.content_type, checksums=sums)
    return PutOptions(
        content_type=head.content_type, headers=head.headers, user_metadata=head.user_metadata, checksums=sums
    )


class ObjectCopier:
    """Copies objects of one shard; may be used by many tasks at once."""

    def __init__(self, context: ShardContext) -> None:
        self._ctx = context
        self._spec = context.spec
        self._server = ServerCopier(context, self._proven, self._copy_options)

    async def copy(self, candidate: Candidate) -> Outcome:
        """The final record of the object. Raises ShardFailedError if the task cannot go on; StoreErrors become the record."""
        target_key = map_key(self._spec.save_prefix, candidate.key)
        if len(target_key.encode()) > self._ctx.destination.abilities.max_key_bytes:
            return _failed(
                candidate,
                Failure(
                    "TRF.0060",
                    f"the destination key has more than {self._ctx.destination.abilities.max_key_bytes} bytes",
                ),
            )
        attempt = restarts = 0
        current = candidate
        while True:
            try:
                return await self._once(current, target_key)
            except GaveUpError as end:
                return _failed(current, failure_of(end.error, end.error.side or Side.SOURCE))
            except StoreError as error:
                await self._ctx.raise_if_decisive(error)
                if error.kind is StoreErrorKind.PRECONDITION and error.side is Side.SOURCE:
                    restarts += 1
                    if restarts > _MAX_RESTARTS:
                        return _failed(current, _changing(restarts))
                    current = Candidate(candidate.key, candidate.position)
                    continue
                attempt += 1
                if not await self._ctx.backed_off(error, attempt):
                    return _failed(current, failure_of(error, error.side or Side.SOURCE))

    async def _once(self, candidate: Candidate, target_key: str) -> Outcome:
        listed = candidate.listed
        if listed is None:
            with AT_SOURCE:
                head = await self._ctx.source.head(candidate.key)
            listed = ListedObject(
                candidate.key, head.size_bytes, head.last_modified_s, head.etag, head.storage_class
            )
        if not candidate.decided:
            outcome = await self._unless_needed(candidate.key, listed, target_key)
            if outcome is not None:
                return outcome
        copied = await self._server.copy(listed, target_key)
        if copied is not None:
            head, stored = copied
            return _success(listed, head.size_bytes, head, Checksums(), stored)
        if listed.size_bytes > self._ctx.settings.single_put_max_bytes:
            return await self._copy_parts(listed, target_key)
        return await self._copy_single(listed, target_key)

    def _copy_options(self, head: ObjectHead) -> PutOptions:
        return options_for(head, head.checksums, metadata=self._spec.migrate_metadata)

    async def _unless_needed(self, key: str, listed: ListedObject, target_key: str) -> Outcome | None:
        """The record of an object that need not be copied, by looking at the destination; None if it must be."""
        target = await self._target(target_key)
        decision = decide(
            listed,
            target,
            self._spec.overwrite_mode,
            migrate_since_s=self._spec.migrate_since_s,
            redo_since_s=self._ctx.redo_since_s,
        )
        if decision.action is Action.NEED_CRC64:
            with AT_SOURCE:
                source_sums = (await self._ctx.source.head(key)).checksums
            target_sums = target.checksums if target is not None else Checksums()
            decision = decide(
                listed,
                target,
                self._spec.overwrite_mode,
                migrate_since_s=self._spec.migrate_since_s,
                redo_since_s=self._ctx.redo_since_s,
                source_crc64=source_sums,
                target_crc64=target_sums,
            )
        return record_of(listed, decision.action, decision.reason)

    async def _target(self, target_key: str) -> ObjectHead | None:
        if self._spec.overwrite_mode is OverwriteMode.FULL_OVERWRITE and self._ctx.redo_since_s is None:
            return None
        try:
            with AT_DESTINATION:
                return await self._ctx.destination.head(target_key)
        except StoreError as error:
            if error.kind is StoreErrorKind.NO_SUCH_KEY:
                return None
            raise

    async def _copy_single(self, listed: ListedObject, target_key: str) -> Outcome:
        await self._ctx.pacers.acquire()
        succeeded = False
        try:
            with AT_SOURCE:
                reading = await self._ctx.source.read(listed.key, if_match=listed.etag)
            try:
                if self._goes_whole(reading):
                    outcome = await self._put_whole(reading, listed, target_key)
                else:
                    outcome = await self._put_stream(reading, listed, target_key)
            finally:
                await reading.close()
            succeeded = True
            return outcome
        finally:
            self._ctx.pacers.release(succeeded=succeeded)

    def _goes_whole(self, reading: Reading) -> bool:
        """Small ones, and those whose checksum the destination would verify if only it were known before the first byte."""
        settings, abilities = self._ctx.settings, self._ctx.destination.abilities
        if not 0 <= reading.size_bytes <= settings.single_put_max_bytes:
            return False
        if reading.size_bytes <= settings.whole_max_bytes:
            return True
        known = reading.head.checksums
        nvme_unknown = abilities.verifies_crc64_nvme and known.crc64_nvme is None
        xz_unknown = abilities.verifies_crc64_xz and known.crc64_xz is None
        return nvme_unknown or xz_unknown

    async def _put_whole(self, reading: Reading, listed: ListedObject, target_key: str) -> Outcome:
        """Read all, check against what the source publishes, put with the checksum that the destination verifies."""
        ctx = self._ctx
        head = reading.head
        async with ctx.budget.reserve(reading.size_bytes):
            # Its time is booked before it is read, and one after the other: bodies that crept in side by side would all come late.
            await ctx.throttle.incoming.admit(reading.size_bytes)
            with AT_SOURCE:
                data = await reading.read_all(reading.size_bytes)
                digest = digest_for(head.checksums, ctx.destination.abilities)
                digest.update(data)
                sums = digest.checksums()
                check_source(head, sums)
            ctx.meter.moved_total_bytes += len(data)
            options = options_for(head, sums, metadata=self._spec.migrate_metadata)
            with AT_DESTINATION:
                receipt = await self._put_paced(target_key, data, options)
            stored = await self._proven(target_key, len(data), sums, receipt, head)
        return _success(listed, len(data), head, sums, stored)

    async def _put_paced(self, target_key: str, data: bytes, options: PutOptions) -> PutReceipt:
        """Put what was read whole; under a limit no faster than that."""
        gate = self._ctx.throttle.outgoing
        if not gate.limited or len(data) <= gate.quantum_bytes:
            await gate.admit(len(data))
            return await self._ctx.destination.put(target_key, data, len(data), options)
        body = PacedBody(BytesBody(data), gate)
        try:
            return await self._ctx.destination.put(target_key, body, len(data), options)
        finally:
            body.close()

    async def _put_stream(self, reading: Reading, listed: ListedObject, target_key: str) -> Outcome:
        """Pipe the body through; the proof comes with the answer, or by looking."""
        ctx = self._ctx
        head = reading.head
        digest = digest_for(head.checksums, ctx.destination.abilities)
        tap = BodyTap(reading, digest, ctx.meter, ctx.throttle)
        options = options_for(head, head.checksums, metadata=self._spec.migrate_metadata)
        try:
            with AT_DESTINATION:
                receipt = await ctx.destination.put(target_key, tap, reading.size_bytes, options)
            sums = digest.checksums()
            stored = await self._proven(target_key, reading.size_bytes, sums, receipt, head)
        finally:
            tap.close()
            ctx.meter.settle(digest.size_bytes)
        return _success(listed, reading.size_bytes, head, sums, stored)

    async def _copy_parts(self, listed: ListedObject, target_key: str) -> Outcome:
        with AT_SOURCE:
            head = await self._ctx.source.head(listed.key)
            if listed.etag and head.etag != listed.etag:
                raise StoreError(StoreErrorKind.PRECONDITION, f"{listed.key!r} changed after it was listed")
        copy = MultipartCopy(self._ctx, head, target_key)
        sums, receipt = await copy.run(options_for(head, Checksums(), metadata=self._spec.migrate_metadata))
        stored = await self._proven(target_key, head.size_bytes, sums, receipt, head)
        return _success(listed, head.size_bytes, head, sums, stored)

    async def verify(
        self, target_key: str, size_bytes: int, sums: Checksums, receipt: PutReceipt
    ) -> Checksums:
        """What the destination says it has, or an INTEGRITY error. Asks it only if its answer proved nothing."""
        stored = receipt.checksums
        agreed = equal_crc64(stored, sums)
        if agreed:
            return stored
        if agreed is None:
            head = await self._ctx.destination.head(target_key)
            stored = head.checksums
            agreed = equal_crc64(stored, sums)
            if head.size_bytes != size_bytes:
                raise StoreError(
                    StoreErrorKind.INTEGRITY,
                    f"{target_key!r} has {head.size_bytes} bytes after {size_bytes} were written",
                )
        if agreed is False:
            raise StoreError(
                StoreErrorKind.INTEGRITY, f"CRC64 of {target_key!r} is not that of the bytes sent"
            )
        # What is published agrees, or nothing is: then the size decides, and the object is newer than its source by being just written.
        return stored

    async def _proven(
        self, target_key: str, size_bytes: int, sums: Checksums, receipt: PutReceipt, source: ObjectHead
    ) -> Checksums:
        """verify() after a stored object, and the source's own CRC64; an object that fails is removed.

        Left where it is, it would pass for a good one in a later comparison by size and time.
        """
        try:
            with AT_SOURCE:
                check_source(source, sums)
            with AT_DESTINATION:
                return await self.verify(target_key, size_bytes, sums, receipt)
        except StoreError as error:
            if error.kind is StoreErrorKind.INTEGRITY:
                with AT_DESTINATION:
                    await self._ctx.destination.delete(target_key)
            raise


def record_of(listed: ListedObject, action: Action, reason: str) -> Outcome | None:
    """The record of an object that is not copied; None if it is to be copied."""
    if action is _SKIP:
        return Outcome(
            listed.key, listed.size_bytes, OutcomeKind.SKIPPED, listed.last_modified_s, reason=reason
        )
    if action is _DONE:
        return Outcome(
            listed.key,
            listed.size_bytes,
            _SUCCEEDED,
            listed.last_modified_s,
            _MATCH,
            reason=reason,
        )
    return None


def check_source(head: ObjectHead, sums: Checksums) -> None:
    """Raise INTEGRITY if the source publishes another CRC64 than that of the bytes read."""
    if equal_crc64(head.checksums, sums) is False:
        raise StoreError(
            StoreErrorKind.INTEGRITY,
            f"the bytes read of {head.key!r} do not have the CRC64 that the source publishes",
        )


def _success(
    listed: ListedObject, size_bytes: int, head: ObjectHead, sums: Checksums, stored: Checksums
) -> Outcome:
    xz, xz_from = _told(sums.crc64_xz, head.checksums.crc64_xz, stored.crc64_xz)
    nvme, nvme_from = _told(sums.crc64_nvme, head.checksums.crc64_nvme, stored.crc64_nvme)
    return Outcome(
        listed.key,
        size_bytes,
        _SUCCEEDED,
        head.last_modified_s,
        _MATCH,
        xz,
        nvme,
        crc64_xz_from=xz_from,
        crc64_nvme_from=nvme_from,
    )


def _told(streamed: int | None, published: int | None, stored: int | None) -> tuple[int, int]:
    """The CRC64 and who told it; only values that agree come this far."""
    value, origins = -1, 0
    for told, origin in ((stored, _STORED), (published, _PUBLISHED), (streamed, _STREAMED)):
        if told is not None:
            value, origins = told, origins | origin
    return value, origins


def _failed(candidate: Candidate, failure: Failure) -> Outcome:
    listed = candidate.listed
    return Outcome(
        candidate.key,
        candidate.listed_bytes,
        OutcomeKind.FAILED,
        listed.last_modified_s if listed is not None else 0.0,
        error_code=failure.code,
        reason=failure.message,
    )


def _changing(restarts: int) -> Failure:
    return Failure(
        "TRF.0157",
        f"the source object changed {restarts} times while it was copied; retry when it is at rest",
    )
