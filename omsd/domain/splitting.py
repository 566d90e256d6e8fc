"""A shard that gives a part of itself away: what it keeps, and the shards for the rest."""

from __future__ import annotations

from dataclasses import replace

from omsd.domain.events import ShardSplit, SpanSplit
from omsd.domain.plan import ShardDraft, plan_split
from omsd.domain.shards import Shard


def has_split(shard: Shard, split: ShardSplit | SpanSplit) -> bool:
    """Does the shard end where the split says already?"""
    if isinstance(split, ShardSplit):
        return shard.until == split.boundaries[0]
    return shard.manifest is not None and shard.manifest.end == split.at


def split_shard(shard: Shard, split: ShardSplit | SpanSplit) -> tuple[Shard, tuple[ShardDraft, ...]]:
    """What the shard keeps, and the rest: together they name the same keys, each once.

    The drafts have the attempts before this lease: one of those may have written objects of theirs that were never reported.
    """
    if isinstance(split, ShardSplit):
        return plan_split(shard, split.boundaries)
    span = shard.manifest
    if span is None or not span.start < split.at < span.end:
        raise ValueError(f"shard {shard.shard_id} cannot be split at {split.at}")
    draft = ShardDraft(shard.kind, manifest=replace(span, start=split.at), attempt=shard.attempt - 1)
    return replace(shard, manifest=replace(span, end=split.at)), (draft,)
