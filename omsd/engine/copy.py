"""One object: decide, stream, verify, retry. Multipart objects go on in multipart.py."""

from __future__ import annotations

from dataclasses import dataclass, replace

from omsd.domain.caveats import Caveat
from omsd.domain.errors import Failure, Side, StoreError, StoreErrorKind, failure_of
from omsd.domain.model import Outcome, OverwriteMode
from omsd.domain.overwrite import Action, decide, equal_crc64
from omsd.domain.plan import map_key
from omsd.domain.shards import LargeObject
from omsd.domain.storage import is_archive_class
from omsd.engine.context import AT_DESTINATION, AT_SOURCE, GaveUpError, ShardContext
from omsd.engine.digest import digest_for
from omsd.engine.multipart import MultipartCopy
from omsd.engine.outfit import Outfitter, refuses_tags
from omsd.engine.proof import Prover, check_source
from omsd.engine.records import changing, failed_of, record_of, success_of, with_caveats
from omsd.engine.restore import Deferred, ask_for_restore, defer
from omsd.engine.servercopy import ServerCopier
from omsd.engine.stream import BodyTap, BytesBody, PacedBody
from omsd.engine.unsized import SizedReading
from omsd.engine.uploads import settle_doubt
from omsd.ports.objectstore import (
    Checksums,
    ListedObject,
    ObjectHead,
    PutOptions,
    PutReceipt,
    Reading,
    RestoreState,
)

# A source object that changes more often than this while it is copied is failed: it is a log being written, not data at rest.
_MAX_RESTARTS = 4


Final = Outcome | Deferred | LargeObject


@dataclass(slots=True)
class Candidate:
    """An object to copy. listed: None if only its name is known. decided: the listings of both ends already said copy.

    tagged: its tags go with it, unless the destination refused them. sent_tags: they went with the last try.
    caveats: what is left out of what is written now.
    """

    key: str
    position: int
    listed: ListedObject | None = None
    decided: bool = False
    tagged: bool = True
    sent_tags: bool = False
    caveats: tuple[Caveat, ...] = ()

    @property
    def listed_bytes(self) -> int:
        """The size it was counted with when it was listed."""
        return self.listed.size_bytes if self.listed is not None else 0


class ObjectCopier:
    """Copies objects of one shard; may be used by many tasks at once."""

    def __init__(self, context: ShardContext) -> None:
        self._ctx = context
        self._spec = context.spec
        self._prover = Prover(context)
        self._server = ServerCopier(context, self._prover.prove)
        self._outfitter = Outfitter(context)

    async def copy(self, candidate: Candidate) -> Final:
        """The final record of the object, or that it is put off, or that it needs a shard of its own.

        Raises ShardFailedError if the task cannot go on; StoreErrors become the record.
        """
        target_key = map_key(self._spec.save_prefix, candidate.key)
        if len(target_key.encode()) > self._ctx.destination.abilities.max_key_bytes:
            return failed_of(
                candidate.key,
                candidate.listed,
                Failure(
                    "TRF.0060",
                    f"the destination key has more than {self._ctx.destination.abilities.max_key_bytes} bytes",
                ),
            )
        outcome = await self._until_final(candidate, target_key)
        if self._ctx.doubts:
            await settle_doubt(self._ctx, target_key)
        return outcome

    async def _until_final(self, candidate: Candidate, target_key: str) -> Final:
        attempt = 0
        restarts = self._ctx.large.restarts if self._ctx.large is not None else 0
        current = candidate
        while True:
            try:
                outcome = await self._once(current, target_key)
                if current.caveats and isinstance(outcome, Outcome):
                    return with_caveats(outcome, current.caveats)
                return outcome
            except GaveUpError as end:
                if end.error.kind is StoreErrorKind.ARCHIVED:
                    return await self._archived(current, end.error)
                return _failed(current, end.error)
            except StoreError as error:
                await self._ctx.raise_if_decisive(error)
                if error.kind is StoreErrorKind.ARCHIVED:
                    return await self._archived(current, error)
                if self._is_about_tags(current, error):
                    current = replace(current, tagged=False)
                    continue
                if error.kind is StoreErrorKind.PRECONDITION and error.side is Side.SOURCE:
                    restarts += 1
                    if restarts > _MAX_RESTARTS:
                        return failed_of(current.key, current.listed, changing(restarts))
                    current = Candidate(candidate.key, candidate.position)
                    continue
                attempt += 1
                if not await self._ctx.backed_off(error, attempt):
                    return _failed(current, error)

    def _is_about_tags(self, candidate: Candidate, error: StoreError) -> bool:
        """Was a write refused that may succeed without tags? What the service lacks is not sent again."""
        if not (self._spec.migrate_metadata and candidate.sent_tags and refuses_tags(error)):
            return False
        if error.kind is StoreErrorKind.UNSUPPORTED:
            self._ctx.notes.lacks.add(Caveat.TAGS_NOT_WRITTEN)
        return True

    async def _archived(self, candidate: Candidate, error: StoreError) -> Outcome | Deferred:
        if not self._spec.restore_archived:
            return _failed(candidate, error)
        asked = await ask_for_restore(self._ctx, candidate.key)
        return failed_of(candidate.key, candidate.listed, asked) if isinstance(asked, Failure) else asked

    async def _once(self, candidate: Candidate, target_key: str) -> Final:
        listed = candidate.listed
        if listed is None:
            with AT_SOURCE:
                head = await self._ctx.source.head(candidate.key)
            listed = ListedObject(
                candidate.key, head.size_bytes, head.last_modified_s, head.etag, head.storage_class
            )
            if self._ctx.restore_since_s and head.restore is RestoreState.ONGOING:
                put_off = defer(self._ctx, candidate.key)
                return failed_of(listed.key, listed, put_off) if isinstance(put_off, Failure) else put_off
        if not candidate.decided:
            outcome = await self._unless_needed(candidate.key, listed, target_key)
            if outcome is not None:
                return outcome
        if self._needs_shard(listed):
            # Here it is known how long its restore has been waited for.
            if self._ctx.restore_since_s or self._may_be_archived(listed.storage_class):
                await self._refuse_archived(listed.key, listed.etag)
            return LargeObject(listed.key, listed.size_bytes)
        if self._ctx.server_copying is not None and self._may_copy():
            outcome = await self._copy_in_service(candidate, listed, target_key)
            if outcome is not None:
                return outcome
        if listed.size_bytes > self._ctx.settings.single_put_max_bytes:
            return await self._copy_parts(candidate, listed, target_key)
        return await self._copy_single(candidate, listed, target_key)

    def _needs_shard(self, listed: ListedObject) -> bool:
        """Is it so large that other workers should help, and an interruption must not cost all of it?"""
        return (
            listed.size_bytes > self._ctx.settings.large_bytes
            and self._ctx.large is None
            and not self._server.takes_whole(listed)
        )

    def _may_be_archived(self, storage_class: str) -> bool:
        return is_archive_class(self._spec.source.cloud_type, storage_class)

    async def _refuse_archived(self, key: str, etag: str) -> None:
        """Raise ARCHIVED if it cannot be read; some buckets let archived objects be read as they are."""
        with AT_SOURCE:
            probe = await self._ctx.source.read(key, offset=0, length=1, if_match=etag)
            await probe.close()

    def _may_copy(self) -> bool:
        """An upload that was begun by streaming is gone on with that way."""
        large = self._ctx.large
        return large is None or large.kept is None or large.kept.plan.copied

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
        return record_of(listed, decision.action, decision.reason, encrypts=self._spec.encrypt_kms)

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

    async def _options_for(self, candidate: Candidate, head: ObjectHead, sums: Checksums) -> PutOptions:
        options, candidate.caveats = await self._outfitter.options_for(head, sums, tagged=candidate.tagged)
        candidate.sent_tags = bool(options.tags)
        return options

    async def _prove_tags(self, candidate: Candidate, target_key: str) -> None:
        if candidate.sent_tags and not await self._outfitter.tags_are_kept(target_key):
            candidate.caveats += (Caveat.TAGS_NOT_WRITTEN,)

    async def _copy_in_service(
        self, candidate: Candidate, listed: ListedObject, target_key: str
    ) -> Outcome | None:
        """None if the object must be streamed."""
        copied = await self._server.copy(
            listed, target_key, lambda head: self._options_for(candidate, head, head.checksums)
        )
        if copied is None:
            return None
        head, stored = copied
        await self._prove_tags(candidate, target_key)
        return success_of(listed, head.size_bytes, head, Checksums(), stored)

    async def _copy_single(self, candidate: Candidate, listed: ListedObject, target_key: str) -> Outcome:
        await self._ctx.pacers.acquire()
        succeeded = False
        try:
            with AT_SOURCE:
                reading = await self._ctx.source.read(listed.key, if_match=listed.etag)
            if reading.size_bytes < 0:
                reading = SizedReading(reading, listed.size_bytes)
            try:
                if self._goes_whole(reading):
                    outcome = await self._put_whole(candidate, reading, listed, target_key)
                else:
                    outcome = await self._put_stream(candidate, reading, listed, target_key)
            finally:
                await reading.close()
            succeeded = True
            return outcome
        finally:
            self._ctx.pacers.release(succeeded=succeeded)

    def _goes_whole(self, reading: Reading) -> bool:
        """Small ones, and those whose checksum the destination would verify if only it were known before the first byte."""
        settings, abilities = self._ctx.settings, self._ctx.destination.abilities
        if reading.size_bytes > settings.single_put_max_bytes:
            return False
        if reading.size_bytes <= settings.whole_max_bytes:
            return True
        known = reading.head.checksums
        nvme_unknown = abilities.verifies_crc64_nvme and known.crc64_nvme is None
        xz_unknown = abilities.verifies_crc64_xz and known.crc64_xz is None
        return nvme_unknown or xz_unknown

    async def _put_whole(
        self, candidate: Candidate, reading: Reading, listed: ListedObject, target_key: str
    ) -> Outcome:
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
            options = await self._options_for(candidate, head, sums)
            with AT_DESTINATION:
                receipt = await self._put_paced(target_key, data, options)
            if equal_crc64(receipt.checksums, sums) and not self._spec.encrypt_kms:
                # What the prover would say of most objects, at a tenth of its price.
                stored = receipt.checksums
            else:
                stored = await self._prover.prove(target_key, len(data), sums, receipt, head)
        await self._prove_tags(candidate, target_key)
        return success_of(listed, len(data), head, sums, stored)

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

    async def _put_stream(
        self, candidate: Candidate, reading: Reading, listed: ListedObject, target_key: str
    ) -> Outcome:
        """Pipe the body through; the proof comes with the answer, or by looking."""
        ctx = self._ctx
        head = reading.head
        digest = digest_for(head.checksums, ctx.destination.abilities)
        tap = BodyTap(reading, digest, ctx.meter, ctx.throttle)
        options = await self._options_for(candidate, head, head.checksums)
        try:
            with AT_DESTINATION:
                receipt = await ctx.destination.put(target_key, tap, reading.size_bytes, options)
            sums = digest.checksums()
            stored = await self._prover.prove(target_key, reading.size_bytes, sums, receipt, head)
        finally:
            tap.close()
            ctx.meter.settle(digest.size_bytes)
        await self._prove_tags(candidate, target_key)
        return success_of(listed, reading.size_bytes, head, sums, stored)

    async def _copy_parts(self, candidate: Candidate, listed: ListedObject, target_key: str) -> Outcome:
        with AT_SOURCE:
            head = await self._ctx.source.head(listed.key)
            if listed.etag and head.etag != listed.etag:
                raise StoreError(StoreErrorKind.PRECONDITION, f"{listed.key!r} changed after it was listed")
        if self._may_be_archived(head.storage_class):
            # Before an upload is opened for nothing.
            await self._refuse_archived(head.key, head.etag)
        copy = MultipartCopy(self._ctx, head, target_key)
        options = await self._options_for(candidate, head, Checksums())
        sums, receipt = await copy.run(options)
        stored = await self._prover.prove(target_key, head.size_bytes, sums, receipt, head)
        await self._prove_tags(candidate, target_key)
        return success_of(listed, head.size_bytes, head, sums, stored)


def _failed(candidate: Candidate, error: StoreError) -> Outcome:
    return failed_of(candidate.key, candidate.listed, failure_of(error, error.side or Side.SOURCE))
