"""Sources are split so that every key belongs to exactly one task, whatever the answers look like."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.group import PlanPosition
from omsd.domain.group_plan import (
    Lists,
    ListsWanted,
    MemberDraft,
    Stretch,
    StretchWanted,
    TaskTarget,
    advance,
    next_wanted,
    nothing_found,
)
from omsd.domain.listing import BYTEWISE, DIRECTORY, sort_key
from omsd.domain.model import CloudType, ListFileRef, Location, TaskSpec, TaskType
from omsd.domain.plan import plan_shards
from omsd.domain.selection import is_covered, reduce_prefixes

LOCATION = Location(CloudType.AWS, "r", "b")
SPEC = TaskSpec(LOCATION, LOCATION, TaskType.PREFIX, ("",))
LIST_SPEC = TaskSpec(LOCATION, LOCATION, TaskType.LIST, (), list_file=ListFileRef("lists", "folder/"))
TARGET = TaskTarget(3, 1000)

texts = st.text(alphabet="ab/-", min_size=1, max_size=4)


def measure(keys: list[str], order: str, wanted: StretchWanted, *, at_most: int) -> Stretch:
    """What a worker answers that lists so many keys at once."""
    found = [
        key
        for key in sorted(keys, key=lambda key: sort_key(order, key))
        if key.startswith(wanted.prefix)
        and (not wanted.after or sort_key(order, key) > sort_key(order, wanted.after))
    ]
    taken = found[: min(at_most, wanted.objects_num)]
    while sum(map(len, taken)) > wanted.size_bytes and len(taken) > 1:
        taken.pop()
    return Stretch(
        taken[-1] if taken else wanted.after, len(taken), sum(map(len, taken)), over=len(taken) == len(found)
    )


def split(
    spec: TaskSpec, keys: list[str], order: str, target: TaskTarget, at_most: int
) -> tuple[list[MemberDraft], list[PlanPosition]]:
    position, drafts, seen = PlanPosition(), list[MemberDraft](), [PlanPosition()]
    while not position.over:
        wanted = next_wanted(spec, position, target)
        assert isinstance(wanted, StretchWanted)
        assert wanted.objects_num > 0
        assert wanted.size_bytes > 0
        position, made = advance(spec, position, measure(keys, order, wanted, at_most=at_most), target)
        drafts += made
        seen.append(position)
    return drafts, seen


def takers(spec: TaskSpec, key: str, order: str) -> int:
    """How many ranges of a task name the key."""
    number = 0
    for draft in plan_shards(spec):
        behind = not draft.after or sort_key(order, key) > sort_key(order, draft.after)
        before = not draft.until or sort_key(order, key) <= sort_key(order, draft.until)
        number += key.startswith(draft.prefix) and behind and before
    return number


@given(
    st.sets(texts, max_size=25),
    st.lists(st.text(alphabet="ab/-", max_size=2), min_size=1, max_size=4),
    st.sampled_from([BYTEWISE, DIRECTORY]),
    st.integers(1, 6),
    st.integers(1, 30),
    st.integers(1, 5),
)
def test_every_key_belongs_to_exactly_one_task(
    keys: set[str], prefixes: list[str], order: str, objects: int, size: int, at_most: int
) -> None:
    spec = replace(SPEC, object_keys=tuple(prefixes))
    drafts, seen = split(spec, sorted(keys), order, TaskTarget(objects, size), at_most)
    wanted = [key for key in keys if is_covered(reduce_prefixes(prefixes), key)]
    for key in keys:
        expected = int(key in wanted)
        assert sum(takers(draft.spec, key, order) for draft in drafts) == expected, (key, drafts)
    assert sum(draft.expected_num for draft in drafts) == len(wanted)
    assert sum(draft.expected_size_bytes for draft in drafts) == sum(map(len, wanted))
    assert all(0 < draft.expected_num <= objects for draft in drafts)
    assert bool(drafts) == bool(wanted)
    # Only the end is measured for no task, and what was measured is never lost on the way.
    assert seen[-1].found_num == 0
    assert all(position.over is (position is seen[-1]) for position in seen)


def test_what_an_answer_did_not_reach_is_asked_next() -> None:
    position, made = advance(SPEC, PlanPosition(), Stretch("b", 2, 20, over=False), TARGET)
    assert made == ()
    assert (position.after, position.found_num, position.begin_after) == ("b", 2, "")
    assert next_wanted(SPEC, position, TARGET) == StretchWanted("", "b", 1, 980)
    position, (draft,) = advance(SPEC, position, Stretch("c", 1, 5, over=False), TARGET)
    assert (draft.spec.after, draft.spec.until, draft.expected_num, draft.expected_size_bytes) == (
        "",
        "c",
        3,
        25,
    )
    assert position == PlanPosition(0, "c", 0, "c")


def test_an_answer_that_found_nothing_and_is_not_the_end_keeps_the_place() -> None:
    position, made = advance(SPEC, PlanPosition(0, "k", 0, "j", 2, 2), Stretch("", 0, 0, over=False), TARGET)
    assert made == ()
    assert position.after == "k"


def test_an_empty_source_makes_no_task() -> None:
    position, made = advance(SPEC, PlanPosition(), Stretch("", 0, 0, over=True), TARGET)
    assert position.over
    assert made == ()
    assert nothing_found(SPEC).code == "TRF.0012"
    assert nothing_found(LIST_SPEC).code == "TRF.0013"


def test_list_files_become_a_task_each() -> None:
    assert next_wanted(LIST_SPEC, PlanPosition(after="folder/a"), TARGET) == ListsWanted(
        "folder/", "folder/a", 100
    )
    answer = Lists(("folder/b.txt", "folder/c.txt"), "folder/d", over=False)
    position, made = advance(LIST_SPEC, PlanPosition(), answer, TARGET)
    assert [draft.spec.list_file for draft in made] == [
        ListFileRef("lists", "folder/b.txt"),
        ListFileRef("lists", "folder/c.txt"),
    ]
    assert (position.after, position.over) == ("folder/d", False)


def test_a_single_list_file_need_not_be_asked_for() -> None:
    spec = replace(LIST_SPEC, task_type=TaskType.URL_LIST, list_file=ListFileRef("lists", "urls.txt"))
    answer = next_wanted(spec, PlanPosition(), TARGET)
    assert answer == Lists(("urls.txt",), "urls.txt", over=True)
    position, (draft,) = advance(spec, PlanPosition(), answer, TARGET)
    assert position.over
    assert draft.spec == spec


def test_a_bounded_task_is_planned_as_ranges_with_its_ends() -> None:
    spec = replace(SPEC, object_keys=("a/", "b/", "c/"), after="a/5", until="c/7")
    assert [(draft.prefix, draft.after, draft.until) for draft in plan_shards(spec)] == [
        ("a/", "a/5", ""),
        ("b/", "", ""),
        ("c/", "", "c/7"),
    ]
    (only,) = plan_shards(replace(SPEC, after="x", until="y"))
    assert (only.after, only.until) == ("x", "y")


def test_a_group_of_lists_must_have_a_list_file() -> None:
    with pytest.raises(ValueError, match="without list files"):
        next_wanted(replace(LIST_SPEC, list_file=None), PlanPosition(), TARGET)
