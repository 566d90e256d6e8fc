from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.retry import RetryBudget, RetryPolicy, next_delay

POLICY = RetryPolicy(max_attempts=5, base_s=1.0, cap_s=6.0, retry_after_cap_s=30.0)
ALMOST_ONE = 0.999999


@pytest.mark.parametrize(("attempt", "most_s"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 6.0)])
def test_the_wait_doubles_up_to_the_cap_with_full_jitter(attempt: int, most_s: float) -> None:
    assert next_delay(True, attempt, None, policy=POLICY, random01=0.0) == 0.0
    assert next_delay(True, attempt, None, policy=POLICY, random01=ALMOST_ONE) == pytest.approx(
        most_s, rel=1e-3
    )


@pytest.mark.parametrize(("retryable", "attempt"), [(False, 1), (True, 5), (True, 6)])
def test_it_gives_up_on_what_cannot_be_retried_and_after_the_last_attempt(
    retryable: bool, attempt: int
) -> None:
    assert next_delay(retryable, attempt, 1.0, policy=POLICY, random01=0.5) is None


@pytest.mark.parametrize(
    ("asked_s", "least_s", "most_s"), [(10.0, 10.0, 11.0), (900.0, 30.0, 31.0), (-5.0, 0.0, 1.0)]
)
def test_retry_after_is_the_least_wait_but_bounded(asked_s: float, least_s: float, most_s: float) -> None:
    assert next_delay(True, 1, asked_s, policy=POLICY, random01=0.0) == least_s
    longest = next_delay(True, 1, asked_s, policy=POLICY, random01=ALMOST_ONE)
    assert longest == pytest.approx(most_s, rel=1e-3)


def test_a_short_retry_after_does_not_shorten_the_backoff() -> None:
    assert next_delay(True, 4, 0.1, policy=POLICY, random01=0.9) == pytest.approx(5.4)


def test_attempt_numbers_without_end_do_not_overflow() -> None:
    endless = RetryPolicy(max_attempts=10**9)
    assert next_delay(True, 10**6, None, policy=endless, random01=0.5) == endless.cap_s / 2


@given(st.lists(st.booleans(), max_size=400))
def test_retries_stay_within_a_fifth_of_the_requests_plus_the_floor(sends: list[bool]) -> None:
    budget = RetryBudget()
    requests = retries = 0
    for is_retry in sends:
        if not is_retry:
            budget, requests = budget.after_request(), requests + 1
        elif (spent := budget.after_retry()) is not None:
            budget, retries = spent, retries + 1
    assert retries <= 0.2 * requests + 20
    assert 0 <= budget.tokens <= budget.largest


def test_a_retry_is_refused_on_an_empty_budget_until_five_requests_were_made() -> None:
    budget = RetryBudget(tokens=0.0)
    assert budget.after_retry() is None
    for _ in range(5):
        budget = budget.after_request()
    assert budget.after_retry() is not None
