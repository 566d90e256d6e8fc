"""The division of bandwidth: never above a limit, no waste, fair, the same whatever the order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.bandwidth import BandwidthLimits, Share, TaskLimit, divide
from omsd.domain.model import GroupId, TaskId

RATES = st.integers(min_value=0, max_value=1000)
LIMITS = st.none() | st.integers(min_value=1, max_value=1000)
GROUPS = st.sampled_from([None, GroupId("a"), GroupId("b")])
TASKS = st.dictionaries(st.integers(1, 6).map(TaskId), st.builds(TaskLimit, LIMITS, GROUPS), max_size=5)
HIERARCHIES = st.builds(
    BandwidthLimits, LIMITS, st.dictionaries(st.sampled_from([GroupId("a"), GroupId("b")]), LIMITS), TASKS
)
DEMANDS = st.dictionaries(
    st.tuples(st.integers(1, 6).map(TaskId), st.integers(1, 3)), st.none() | RATES, min_size=1, max_size=9
)


def levels(limits: BandwidthLimits, shares: list[Share]) -> list[tuple[int, list[Share]]]:
    """Every limit there is, and the shares below it."""

    def group_of(share: Share) -> GroupId | None:
        return limits.tasks.get(share[0], TaskLimit()).group_id

    found = [(limits.machine_bytes_per_s, shares)]
    found += [
        (limit, [share for share in shares if group_of(share) == group])
        for group, limit in limits.groups.items()
    ]
    found += [
        (task.limit_bytes_per_s, [share for share in shares if share[0] == task_id])
        for task_id, task in limits.tasks.items()
    ]
    return [(limit, below) for limit, below in found if limit is not None and below]


def total(grants: dict[Share, int | None], shares: list[Share]) -> int:
    """Of shares under a limit, which are all limited."""
    sizes = [grants[share] for share in shares]
    assert None not in sizes
    return sum(size for size in sizes if size is not None)


@given(HIERARCHIES, DEMANDS)
def test_no_level_is_ever_above_its_limit(limits: BandwidthLimits, demands: dict[Share, int | None]) -> None:
    grants = divide(limits, demands)
    assert grants.keys() == demands.keys()
    for limit, below in levels(limits, list(demands)):
        assert total(grants, below) <= limit


@given(HIERARCHIES, DEMANDS)
def test_nobody_gets_less_than_it_could_while_something_is_left(
    limits: BandwidthLimits, demands: dict[Share, int | None]
) -> None:
    grants = divide(limits, demands)
    used_up = [below for limit, below in levels(limits, list(demands)) if total(grants, below) == limit]
    for share, grant in grants.items():
        assert grant is None or any(share in below for below in used_up)


@given(HIERARCHIES, DEMANDS)
def test_no_bandwidth_lies_with_who_does_not_want_it_while_another_does(
    limits: BandwidthLimits, demands: dict[Share, int | None]
) -> None:
    grants = divide(limits, demands)
    for limit, below in levels(limits, list(demands)):
        wishes = [demands[share] for share in below]
        others = [edge for edge, members in levels(limits, list(demands)) if members != below]
        if others or total(grants, below) < limit:
            continue
        # This limit is the only one: what is granted beyond a wish is granted to nobody who would be short of his.
        short = any(
            (grants[share] or 0) < (wish if wish is not None else limit)
            for share, wish in zip(below, wishes, strict=True)
        )
        beyond = any(
            wish is not None and (grants[share] or 0) > wish
            for share, wish in zip(below, wishes, strict=True)
        )
        assert not (short and beyond)


@given(st.integers(1, 1000), st.lists(RATES, min_size=1, max_size=6))
def test_under_one_limit_who_wants_little_gets_it_and_the_rest_share_equally(
    limit: int, wishes: list[int]
) -> None:
    demands: dict[Share, int | None] = {(TaskId(n), 1): wish for n, wish in enumerate(wishes)}
    grants = {share[0]: size or 0 for share, size in divide(BandwidthLimits(limit), demands).items()}
    if sum(wishes) <= limit:
        assert all(grants[TaskId(n)] >= wish for n, wish in enumerate(wishes))
        return
    # Max-min: nobody who is short has less than another, but for the byte that cannot be divided.
    short = [grants[TaskId(n)] for n, wish in enumerate(wishes) if grants[TaskId(n)] < wish]
    assert all(grants[TaskId(n)] <= wish for n, wish in enumerate(wishes))
    assert all(size >= max(grants.values()) - 1 for size in short)


@given(HIERARCHIES, DEMANDS, st.randoms(use_true_random=False))
def test_the_order_in_which_demands_came_makes_no_difference(
    limits: BandwidthLimits, demands: dict[Share, int | None], rng: object
) -> None:
    shuffled = list(demands.items())
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert divide(limits, dict(shuffled)) == divide(limits, demands)


def test_machine_group_and_task_each_hold() -> None:
    group = GroupId("g")
    limits = BandwidthLimits(
        100, {group: 60}, {TaskId(1): TaskLimit(10, group), TaskId(2): TaskLimit(None, group)}
    )
    everything: dict[Share, int | None] = {(TaskId(1), 1): None, (TaskId(2), 1): None, (TaskId(2), 2): None}
    assert divide(limits, everything) == {(TaskId(1), 1): 10, (TaskId(2), 1): 25, (TaskId(2), 2): 25}
    # A task of no group has an equal part beside the group, and what the group cannot use.
    assert divide(limits, {**everything, (TaskId(3), 1): None})[TaskId(3), 1] == 50
    assert divide(limits, {(TaskId(1), 1): None, (TaskId(3), 1): None})[TaskId(3), 1] == 90


def test_without_any_limit_grants_have_none() -> None:
    assert divide(BandwidthLimits(), {(TaskId(1), 1): 5, (TaskId(1), 2): None}) == {
        (TaskId(1), 1): None,
        (TaskId(1), 2): None,
    }
