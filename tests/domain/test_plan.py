from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.errors import OmsdError
from omsd.domain.model import CloudType, Location, TaskSpec, TaskType
from omsd.domain.plan import (
    KEYS_PER_SHARD,
    ShardDraft,
    cut_parts,
    map_key,
    plan_part_bytes,
    plan_restored,
    plan_retry,
    plan_shards,
)
from omsd.domain.shards import ShardKind

MIB = 1024**2
GIB = 1024**3
S3 = {"part_bytes": 16 * MIB, "min_part_bytes": 5 * MIB, "max_part_bytes": 5 * GIB, "max_parts": 10_000}
KEYS = st.text(alphabet="ab/-", max_size=5)


def spec(task_type: TaskType, keys: tuple[str, ...]) -> TaskSpec:
    place = Location(CloudType.AWS, "us-east-1", "bucket")
    return TaskSpec(place, place, task_type, keys)


@given(
    st.integers(min_value=0, max_value=10**6),
    st.integers(min_value=1, max_value=10**5),
    st.integers(min_value=1, max_value=1000),
    st.integers(min_value=0, max_value=10**5),
    st.integers(min_value=1, max_value=200),
)
def test_parts_cover_each_byte_once_within_the_limits(
    size: int, wished: int, smallest: int, room: int, count: int
) -> None:
    largest = smallest + room
    limits = {"part_bytes": wished, "min_part_bytes": smallest, "max_part_bytes": largest, "max_parts": count}
    if size > largest * count:
        with pytest.raises(OmsdError, match="too large"):
            plan_part_bytes(size, **limits)
        return
    parts = cut_parts(size, plan_part_bytes(size, **limits))
    assert len(parts) <= count
    assert [part.part_number for part in parts] == list(range(1, len(parts) + 1))
    position = 0
    for part in parts:
        assert part.offset == position
        assert 0 < part.size_bytes <= largest
        position += part.size_bytes
    assert position == size
    clamped = min(max(wished, smallest), largest)
    if clamped * count >= size > clamped:
        assert parts[0].size_bytes == clamped
    assert all(part.size_bytes == parts[0].size_bytes >= smallest for part in parts[:-1])


@pytest.mark.parametrize(
    ("size", "count", "first", "last"),
    [
        (0, 0, None, None),
        (1, 1, 1, 1),
        (16 * MIB - 1, 1, 16 * MIB - 1, 16 * MIB - 1),
        (16 * MIB, 1, 16 * MIB, 16 * MIB),
        (16 * MIB + 1, 2, 16 * MIB, 1),
        (160_000 * MIB, 10_000, 16 * MIB, 16 * MIB),
        (160_000 * MIB + 1, 9412, 17 * MIB, 13 * MIB + 1),
        (50_000 * GIB, 10_000, 5 * GIB, 5 * GIB),
    ],
)
def test_parts_at_the_borders_of_s3(size: int, count: int, first: int | None, last: int | None) -> None:
    parts = cut_parts(size, plan_part_bytes(size, **S3))
    assert len(parts) == count
    if parts:
        assert (parts[0].size_bytes, parts[-1].size_bytes) == (first, last)


def test_an_object_beyond_ten_thousand_parts_of_5_gib_is_refused_by_name_of_the_limit() -> None:
    with pytest.raises(OmsdError, match="10000 parts"):
        plan_part_bytes(50_000 * GIB + 1, **S3)


@pytest.mark.parametrize("key", ["a", "/a", "a//b", "./x", ""])
def test_the_save_prefix_goes_in_front_verbatim(key: str) -> None:
    assert map_key("to", key) == "to" + key
    assert map_key("", key) == key


@given(st.lists(KEYS, min_size=1, max_size=8), KEYS)
def test_prefix_shards_name_each_object_exactly_once(prefixes: list[str], key: str) -> None:
    shards = plan_shards(spec(TaskType.PREFIX, tuple(prefixes)))
    wanted = any(key.startswith(prefix) for prefix in prefixes)
    assert sum(key.startswith(shard.prefix) for shard in shards) == int(wanted)
    assert {shard.kind for shard in shards} == {ShardKind.RANGE}


@given(st.lists(KEYS.filter(bool), min_size=1, max_size=8), KEYS)
def test_object_shards_name_each_object_exactly_once(names: list[str], key: str) -> None:
    shards = plan_shards(spec(TaskType.OBJECT, tuple(names)))
    wanted = key in names or any(name.endswith("/") and key.startswith(name) for name in names)
    found = sum(key in s.keys if s.kind is ShardKind.KEYS else key.startswith(s.prefix) for s in shards)
    assert found == int(wanted)


def test_the_whole_bucket_is_one_range() -> None:
    whole = (ShardDraft(ShardKind.RANGE, prefix=""),)
    assert plan_shards(spec(TaskType.PREFIX, ("",))) == whole
    assert plan_shards(spec(TaskType.PREFIX, ("a", "", "b"))) == whole


def test_folders_become_ranges_and_other_names_keys_in_the_order_given() -> None:
    shards = plan_shards(spec(TaskType.OBJECT, ("z", "dir/", "dir/x", "a", "z", "dir", "dir-2")))
    assert shards == (
        ShardDraft(ShardKind.RANGE, prefix="dir/"),
        ShardDraft(ShardKind.KEYS, keys=("z", "a", "dir", "dir-2")),
    )


@pytest.mark.parametrize("count", [0, 1, KEYS_PER_SHARD, KEYS_PER_SHARD + 1, 3 * KEYS_PER_SHARD])
def test_a_retry_cuts_its_keys_into_full_shards(count: int) -> None:
    keys = [f"k{number}" for number in range(count)]
    shards = plan_retry(keys)
    assert [key for shard in shards for key in shard.keys] == keys
    assert all(len(shard.keys) == KEYS_PER_SHARD for shard in shards[:-1])
    assert all(0 < len(shard.keys) <= KEYS_PER_SHARD for shard in shards)


def test_a_retry_keeps_a_key_that_failed_twice() -> None:
    (shard,) = plan_retry(["b", "a", "b"])
    assert shard.keys == ("b", "a", "b")
    (shard,) = plan_restored(["b", "b"], 7.0)
    assert (shard.keys, shard.restore_since_s) == (("b", "b"), 7.0)


def test_a_list_task_is_not_planned_from_its_keys() -> None:
    with pytest.raises(OmsdError, match="list"):
        plan_shards(spec(TaskType.LIST, ()))
