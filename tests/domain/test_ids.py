from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.ids import next_task_id, task_name

FROM_2001_TO_2286 = st.integers(min_value=10**12, max_value=10**13 - 1)


@given(st.lists(FROM_2001_TO_2286, max_size=50))
def test_ids_only_grow_however_the_clock_jumps(clock: list[int]) -> None:
    last = 0
    for now_ms in clock:
        given_id = next_task_id(last, now_ms)
        assert given_id > last
        last = given_id


@given(FROM_2001_TO_2286)
def test_ids_have_fifteen_digits(now_ms: int) -> None:
    assert len(str(next_task_id(0, now_ms))) == 15


def test_a_second_task_of_a_millisecond_gets_the_next_id() -> None:
    first = next_task_id(0, 1_760_000_000_000)
    assert (first, next_task_id(first, 1_760_000_000_000)) == (176_000_000_000_000, 176_000_000_000_001)


def test_a_name_tells_buckets_local_time_and_number() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 67_890, tzinfo=UTC)
    assert task_name("from", "to", at, 7) == "from-to-20260102030405067_7"
