"""What a role allows, and that every operation of both APIs is known to be a change or none."""

from __future__ import annotations

import pytest

from omsd.domain.access import (
    ANYBODY,
    CHANGING_OPERATIONS,
    OPEN_OPERATIONS,
    READING_OPERATIONS,
    AuthMethod,
    Grant,
    Principal,
    Project,
    Role,
    authorize,
    changes,
)
from omsd.domain.attempts import FailureLimiter, network_of
from omsd.domain.errors import Refusal, RequestError

P1, P2 = Project("p1", "one", "d"), Project("p2", "two", "d")


def principal(*grants: Grant, stated: str = "") -> Principal:
    return Principal("maria", "d", AuthMethod.TOKEN, grants, stated_project=stated)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OPERATOR])
def test_admins_and_operators_may_change_their_projects_and_no_other(role: Role) -> None:
    caller = principal(Grant(P1, role))
    authorize(caller, "p1", change=False)
    authorize(caller, "p1", change=True)
    authorize(caller, "", change=False)
    for change in (False, True):
        assert refusal(caller, "p2", change=change) == "OMS.0206"
        assert refusal(caller, "P1", change=change) == "OMS.0206"


def test_a_reader_reads_and_changes_nothing() -> None:
    caller = principal(Grant(P1, Role.READ_ONLY), Grant(P2, Role.OPERATOR))
    authorize(caller, "p1", change=False)
    authorize(caller, "p2", change=True)
    assert refusal(caller, "p1", change=True) == "OMS.0205"


def test_a_user_without_any_role_may_nothing() -> None:
    for project_id in ("p1", ""):
        assert refusal(principal(), project_id, change=False) == "OMS.0206"


def test_a_signed_project_header_must_be_the_project_of_the_request() -> None:
    caller = principal(Grant(P1, Role.OPERATOR), Grant(P2, Role.OPERATOR), stated="p1")
    authorize(caller, "p1", change=True)
    assert refusal(caller, "p2", change=False) == "OMS.0206"


def test_where_nobody_is_asked_every_project_is_everybodys() -> None:
    authorize(ANYBODY, "whatever", change=True)


def refusal(caller: Principal, project_id: str, *, change: bool) -> str:
    with pytest.raises(RequestError) as caught:
        authorize(caller, project_id, change=change)
    assert caught.value.refusal is Refusal.FORBIDDEN
    return caught.value.code


def test_an_operation_nobody_has_thought_of_is_guarded_as_a_change() -> None:
    assert changes("CreateSomethingNew")
    assert all(map(changes, CHANGING_OPERATIONS))
    assert not any(map(changes, OPEN_OPERATIONS | READING_OPERATIONS))
    assert not (OPEN_OPERATIONS & READING_OPERATIONS)
    assert not (CHANGING_OPERATIONS & (READING_OPERATIONS | OPEN_OPERATIONS))


def test_failures_block_a_source_until_they_have_leaked_away() -> None:
    limiter = FailureLimiter(per_minute=3)
    for second in range(3):
        assert not limiter.blocked("a", second)
        limiter.charge("a", second)
    assert limiter.blocked("a", 3)
    assert not limiter.blocked("b", 3)
    assert not limiter.blocked("a", 3 + 20)
    assert not limiter.blocked("a", 1000)


def test_an_attempt_that_succeeded_is_given_back() -> None:
    limiter = FailureLimiter(per_minute=1)
    limiter.charge("a", 0)
    assert limiter.blocked("a", 0)
    limiter.refund("a", 0)
    assert not limiter.blocked("a", 0)
    assert len(limiter) == 0


def test_memory_is_bounded_and_those_that_failed_last_are_kept() -> None:
    limiter = FailureLimiter(per_minute=1, max_sources=100)
    for number in range(1000):
        limiter.charge(f"a{number}", 0)
    assert len(limiter) == 100
    assert limiter.blocked("a999", 0)
    assert not limiter.blocked("a0", 0)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("unix", "unix"),
    ],
)
def test_an_ipv6_machine_counts_with_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
