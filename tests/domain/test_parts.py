"""Parts of large objects: who has which, and what need not be sent again."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.model import ShardId, TaskId
from omsd.domain.parts import PartQueue, spans_of, stored_parts
from omsd.domain.plan import PartSpan, cut_parts, plan_large, plan_part_bytes, plan_split
from omsd.domain.shards import LargeObject, SentPart, Shard, ShardKind, UploadPlan

LARGE = LargeObject("k", 100)
LEAD = Shard(ShardId(1), TaskId(1), 1, ShardKind.PARTS, attempt=1, large=LARGE)
GIB = 1024**3


def sent(number: int, size: int = 10, etag: str = "e") -> SentPart:
    return SentPart(number, size, f"{etag}{number}")


def listed(*parts: SentPart) -> dict[int, tuple[str, int]]:
    return {part.part_number: (part.etag, part.size_bytes) for part in parts}


def test_a_part_counts_only_if_ledger_and_destination_agree_on_it() -> None:
    plan = UploadPlan("v", 45, 10)
    recorded = [sent(1), sent(2), sent(3), sent(4, size=9), sent(5, size=5), sent(6)]
    there = listed(sent(1), sent(2, etag="other"), sent(3, size=9), sent(4, size=9), sent(5, size=5), sent(6))
    # 1 and 5 agree; 2 has another ETag, 3 another size; 4 is not as the plan says; 6 is behind the end.
    assert stored_parts(recorded, there, plan) == {1: sent(1), 5: sent(5, size=5)}


def test_what_only_one_of_them_knows_does_not_count() -> None:
    plan = UploadPlan("v", 30, 10)
    assert stored_parts([sent(1)], listed(sent(2)), plan) == {}
    assert stored_parts([], listed(sent(1), sent(2), sent(3)), plan) == {}


@given(
    st.integers(1, 400),
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 400)), max_size=8),
)
def test_splits_of_splits_send_each_part_once(
    size_bytes: int, part_bytes: int, cuts: list[tuple[int, int]]
) -> None:
    """Any shard of the object may be split anywhere, as often as somebody wants."""
    plan = UploadPlan("v", size_bytes, part_bytes)
    whole = cut_parts(size_bytes, part_bytes)
    shards = [LEAD]
    for which, number in cuts:
        shard = shards[which % len(shards)]
        mine = [span.part_number for span in spans_of(shard, plan)]
        if len(mine) > 1 and mine[0] <= number < mine[-1]:
            kept, drafts = plan_split(shard, (str(number),))
            shards[which % len(shards)] = kept
            shards += [
                replace(LEAD, shard_id=ShardId(len(shards) + 1), after=d.after, until=d.until, large=d.large)
                for d in drafts
            ]
    spans = sorted((span for shard in shards for span in spans_of(shard, plan)), key=lambda s: s.offset)
    assert tuple(spans) == whole
    assert [shard.leads for shard in shards].count(True) == 1
    assert all(shard.large == LARGE for shard in shards)


@given(st.integers(0, 60), st.integers(0, 300))
def test_what_is_given_away_and_what_is_kept_are_all_parts(number: int, least_bytes: int) -> None:
    spans = [PartSpan(n, 10 * n, 10) for n in range(1, number + 1)]
    queue = PartQueue(spans)
    boundary = queue.give_away(least_bytes=least_bytes)
    kept = [span.part_number for span in iter(queue.take, None)]
    if boundary is None:
        assert kept == [span.part_number for span in spans]
        assert number < 2 or 10 * (number // 2) < least_bytes
    else:
        assert kept == list(range(1, boundary + 1))
        given_bytes = 10 * (number - boundary)
        assert given_bytes >= max(least_bytes, 10)
        # Never more than half: whoever has begun keeps at least as much.
        assert len(kept) >= number - boundary


@given(st.integers(1, 5 * 1024 * GIB), st.integers(5 * 1024**2, 5 * GIB))
def test_no_object_up_to_5_tib_needs_more_than_10000_parts_or_one_above_5_gib(size: int, wished: int) -> None:
    part_bytes = plan_part_bytes(
        size, part_bytes=wished, min_part_bytes=5 * 1024**2, max_part_bytes=5 * GIB, max_parts=10_000
    )
    assert part_bytes <= 5 * GIB
    assert -(-size // part_bytes) <= 10_000


def test_a_large_object_begins_as_one_shard_that_knows_of_earlier_attempts() -> None:
    (draft,) = plan_large([LARGE], attempt=2)
    assert (draft.kind, draft.large, draft.after, draft.until, draft.attempt) == (
        ShardKind.PARTS,
        LARGE,
        "",
        "",
        2,
    )
