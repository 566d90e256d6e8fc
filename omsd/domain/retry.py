"""When a failed request may be sent again, and how many retries an endpoint can bear. No clock and no random here."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently.

    max_attempts: all sends of one request. base_s doubles per attempt up to cap_s. retry_after_cap_s: the most a
    service may ask for.
    """

    max_attempts: int = 8
    base_s: float = 0.2
    cap_s: float = 20.0
    retry_after_cap_s: float = 120.0


def next_delay(
    retryable: bool, attempt: int, retry_after_s: float | None, *, policy: RetryPolicy, random01: float
) -> float | None:
    """Seconds to wait before sending the request again, None to give up.

    attempt: sends so far, from 1. random01: a random number in [0, 1). Full jitter; a Retry-After is the
    least wait, with a little jitter on top so that those who were sent away together do not come back
    together.
    """
    if not retryable or attempt >= policy.max_attempts:
        return None
    # 2**32 seconds are beyond any cap, and large exponents overflow a float.
    backoff_s = min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, 32))
    delay_s = random01 * backoff_s
    if retry_after_s is None:
        return delay_s
    floor_s = min(max(retry_after_s, 0.0), policy.retry_after_cap_s)
    return max(delay_s, floor_s + random01 * policy.base_s)


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How many retries may be sent now: each request earns a fifth of one, each retry costs one.

    So retries stay below `per_request` of the requests plus `largest`, which is where a fresh budget starts.
    An empty budget means: wait for other requests to go through, not: fail.
    """

    tokens: float = 20.0
    largest: float = 20.0
    per_request: float = 0.2

    def after_request(self) -> RetryBudget:
        """The budget once a first send has been made."""
        if self.tokens >= self.largest:
            return self
        return replace(self, tokens=min(self.largest, self.tokens + self.per_request))

    def after_retry(self) -> RetryBudget | None:
        """The budget once a retry has been sent, None if it must not be sent now."""
        return replace(self, tokens=self.tokens - 1.0) if self.tokens >= 1.0 else None
