"""Archived source objects: their restore is asked for, and they are put off until it is done. Nobody waits here."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.errors import Failure, Side, StoreError, failure_of
from omsd.engine.context import AT_SOURCE, ShardContext
from omsd.ports.objectstore import RestoreState

# A readable copy lives so long: enough for a task that is paused over a weekend.
_DAYS = 7
# The longest wait between two questions, as a multiple of the shortest.
_MAX_REST_FACTOR = 3.0
_INTELLIGENT_TIERING = "INTELLIGENT_TIERING"


@dataclass(frozen=True, slots=True)
class Deferred:
    """Its restore is under way: a later shard asks again."""

    key: str


async def ask_for_restore(ctx: ShardContext, key: str) -> Deferred | Failure:
    """The object's restore is under way, or it has failed for good. Raises ShardFailedError if the task cannot go on."""
    attempt = 0
    while True:
        try:
            with AT_SOURCE:
                head = await ctx.source.head(key)
                put_off = defer(ctx, key)
                if head.restore is not RestoreState.ONGOING and isinstance(put_off, Deferred):
                    # Intelligent tiering moves the object itself back and refuses a number of days.
                    days = 0 if head.storage_class.upper() == _INTELLIGENT_TIERING else _DAYS
                    await ctx.source.restore(key, days=days)
            return put_off
        except StoreError as error:
            await ctx.raise_if_decisive(error)
            attempt += 1
            if not await ctx.backed_off(error, attempt):
                told = failure_of(error, error.side or Side.SOURCE).message
                return Failure("TRF.0201", f"the archived object could not be restored: {told}")


def defer(ctx: ShardContext, key: str) -> Deferred | Failure:
    """Put the object off, unless it has been waited for as long as it may."""
    deadline_s = ctx.settings.restore_deadline_s
    if ctx.restore_since_s and ctx.now_s() - ctx.restore_since_s > deadline_s:
        return Failure(
            "TRF.0202",
            f"the object is not restored {deadline_s / 3600:g} hours after that was asked for; retry the failed objects"
            " when it is, or raise [limits] restore_deadline_h",
        )
    return Deferred(key)


def next_rest_s(ctx: ShardContext) -> float:
    """Seconds until the next question: the longer a restore takes, the rarer; with jitter, so that shards spread."""
    poll_s = ctx.settings.restore_poll_s
    age_s = ctx.now_s() - ctx.restore_since_s if ctx.restore_since_s else 0.0
    return min(max(poll_s, age_s / 4), poll_s * _MAX_REST_FACTOR) * (0.8 + 0.4 * ctx.random01())
