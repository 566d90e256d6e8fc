"""One object that is named, not listed: for a synchronization event. The rules are those of every copy, and some more for events."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from omsd.domain.errors import Side, StoreError, StoreErrorKind, failure_of
from omsd.domain.model import Outcome, OutcomeKind, OverwriteMode
from omsd.domain.overwrite import TIME_GRANULARITY_S, equal_crc64
from omsd.domain.plan import map_key
from omsd.domain.shards import LargeObject, OpenUpload, UploadIntent
from omsd.engine.context import AT_DESTINATION, AT_SOURCE, ShardContext, ShardFailedError
from omsd.engine.copy import Candidate, ObjectCopier
from omsd.engine.records import failed_of
from omsd.engine.restore import Deferred
from omsd.engine.settings import EngineSettings
from omsd.engine.stale import abort_stale
from omsd.engine.uploads import settle_doubt
from omsd.ports.objectstore import ObjectHead

# The code of a source object that does not exist; no other error has it.
_NO_SUCH_OBJECT = "TRF.0156"
# Failures that no further attempt mends: the key is too long, the object is archived, or not restored in time.
FINAL_CODES = frozenset({"TRF.0060", "TRF.0160", "TRF.0202"})


def settings_for_events(settings: EngineSettings) -> EngineSettings:
    """Few quick attempts: the queue of events has the patience, and a bad key must not hold a place meanwhile.

    There are no shards here, so large objects are not handed over to one.
    """
    return replace(settings, max_attempts=3, busy_attempts=3, retry_cap_s=1.0, large_bytes=sys.maxsize)


class SingleCopy:
    """names: keys to try, one after another, until one exists. deletes: none exists, so none shall at the destination."""

    def __init__(
        self,
        context: ShardContext,
        names: Sequence[str],
        stale_uploads: Sequence[OpenUpload],
        intents: Sequence[UploadIntent] = (),
        *,
        deletes: bool,
    ) -> None:
        self._ctx = context
        self._names = names
        self._stale_uploads = stale_uploads
        self._intents = intents
        self._deletes = deletes

    async def run(self) -> Outcome | Deferred:
        """The record of the object, whatever goes wrong is in it; or that its restore is waited for."""
        key = self._names[0]
        try:
            await self._ctx.learn()
            await abort_stale(self._ctx, self._stale_uploads)
            # Asked when the object has been copied: then the creation has had time to arrive, and others to fill what is theirs.
            self._ctx.doubts.update((intent.key, intent) for intent in self._intents)
            outcome = await self._first_that_exists()
            for doubtful in list(self._ctx.doubts):
                await settle_doubt(self._ctx, doubtful)
            return outcome
        except ShardFailedError as error:
            return failed_of(key, None, error.failure)
        except StoreError as error:
            return failed_of(key, None, failure_of(error, error.side or Side.SOURCE))

    async def _first_that_exists(self) -> Outcome | Deferred:
        for key in self._names:
            outcome = await _copy(self._ctx, key)
            if isinstance(outcome, Deferred):
                return outcome
            if outcome.error_code != _NO_SUCH_OBJECT:
                return await self._unless_stale(outcome)
        # A bucket that is gone says of each object that it is gone; nothing is concluded from that.
        with AT_SOURCE:
            await self._ctx.source.check()
        if not self._deletes:
            return Outcome(self._names[0], 0, OutcomeKind.SKIPPED, reason="gone at the source")
        deleted = [key for key in self._names if await self._delete(key)]
        if not deleted:
            return Outcome(self._names[0], 0, OutcomeKind.SKIPPED, reason="gone at both ends")
        return Outcome(deleted[0], 0, OutcomeKind.SUCCESS, reason="deleted as at the source")

    async def _delete(self, key: str) -> bool:
        """Is the object gone at the destination, which had it?"""
        target_key = map_key(self._ctx.spec.save_prefix, key)
        with AT_DESTINATION:
            try:
                await self._ctx.destination.head(target_key)
            except StoreError as error:
                if error.kind is StoreErrorKind.NO_SUCH_KEY:
                    return False
                raise
            await self._ctx.destination.delete(target_key)
        return True

    async def _unless_stale(self, outcome: Outcome) -> Outcome | Deferred:
        """The outcome, or that of a second copy if the first may have passed over a change.

        Objects are followed here within moments: a copy and the next change of its source may have one and the same second, and
        then size and time tell nothing. What was not copied is looked at again; if nothing else proves it the same, it is copied.
        """
        passed_over = outcome.reason and outcome.kind is not OutcomeKind.FAILED
        if not passed_over or self._ctx.spec.overwrite_mode is OverwriteMode.NO_OVERWRITE:
            return outcome
        with AT_SOURCE:
            source = await self._ctx.source.head(outcome.key)
        with AT_DESTINATION:
            target = await self._ctx.destination.head(map_key(self._ctx.spec.save_prefix, outcome.key))
        if _are_proven_same(source, target):
            return outcome
        always = replace(self._ctx.spec, overwrite_mode=OverwriteMode.FULL_OVERWRITE)
        return await _copy(replace(self._ctx, spec=always, redo_since_s=None), outcome.key)


async def _copy(context: ShardContext, key: str) -> Outcome | Deferred:
    final = await ObjectCopier(context).copy(Candidate(key, 0))
    if isinstance(final, LargeObject):
        raise TypeError(f"{key!r} was handed over to a shard, which a single copy does not have")
    return final


def _are_proven_same(source: ObjectHead, target: ObjectHead) -> bool:
    """By a clear distance in time, by CRC64, or by an ETag that both services gave."""
    if source.size_bytes != target.size_bytes:
        return False
    agreed = equal_crc64(source.checksums, target.checksums)
    if agreed is not None:
        return agreed
    if source.etag and source.etag == target.etag:
        return True
    return target.last_modified_s - source.last_modified_s > TIME_GRANULARITY_S
