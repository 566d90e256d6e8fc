"""Every kind of failure, on either side, has a documented code and says what to do."""

from __future__ import annotations

import pytest

from omsd.domain.errors import Side, StoreError, failure_of
from omsd.domain.errors import StoreErrorKind as K

# API reference, end of section 7: source, destination.
CODES = {
    K.NO_SUCH_KEY: ("TRF.0156", "TRF.0059"),
    K.NO_SUCH_BUCKET: ("TRF.0155", "TRF.0058"),
    K.NO_SUCH_UPLOAD: ("TRF.0001", "TRF.0059"),
    K.PRECONDITION: ("TRF.0157", "TRF.0062"),
    K.PERMISSION: ("TRF.0152", "TRF.0051"),
    K.UNAUTHENTICATED: ("TRF.0151", "TRF.0057"),
    K.EXPIRED: ("TRF.0151", "TRF.0057"),
    K.THROTTLED: ("TRF.0159", "TRF.0061"),
    K.UNAVAILABLE: ("TRF.0157", "TRF.0061"),
    K.NETWORK: ("TRF.0157", "TRF.0061"),
    K.TIMEOUT: ("TRF.0157", "TRF.0061"),
    K.TRUNCATED: ("TRF.0157", "TRF.0061"),
    K.INTEGRITY: ("TRF.0157", "TRF.0061"),
    K.MALFORMED: ("TRF.0157", "TRF.0061"),
    K.NO_SPACE: ("TRF.0157", "TRF.0055"),
    K.ARCHIVED: ("TRF.0160", "TRF.0160"),
    K.KEY_TOO_LONG: ("TRF.0001", "TRF.0060"),
    K.UNSUPPORTED: ("TRF.0001", "TRF.0001"),
    K.INVALID: ("TRF.0001", "TRF.0001"),
    K.FORBIDDEN_ADDRESS: ("TRF.0157", "TRF.0061"),
    K.ENCRYPTION: ("TRF.0152", "TRF.0158"),
    K.ACCOUNT: ("TRF.0154", "TRF.0053"),
    K.BALANCE: ("TRF.0154", "TRF.0063"),
}
VERBS = (
    "allow",
    "ask for",
    "check",
    "choose",
    "create",
    "free",
    "grant",
    "lower",
    "restore",
    "retry",
    "settle",
    "start",
)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("kind", list(K))
def test_every_failure_has_its_code_and_says_what_to_do(kind: K, side: Side) -> None:
    said = StoreError(kind, "GetObject a/b: said", provider_code="SomeCode", request_id="R1")
    failure = failure_of(said, side)
    assert failure.code == CODES[kind][side is Side.DESTINATION]
    told, _, advice = failure.message.partition("; ")
    assert told == f"{side} GetObject a/b: said [SomeCode] (request id R1)"
    assert any(verb in advice for verb in VERBS), advice


def test_the_advice_is_for_the_end_that_refused() -> None:
    refused = StoreError(K.ENCRYPTION, "KMS.DisabledException")
    assert "enable_kms" in failure_of(refused, Side.DESTINATION).message
    assert "encrypted with" in failure_of(refused, Side.SOURCE).message
    too_long = StoreError(K.KEY_TOO_LONG, "HeadObject")
    assert "prefix" in failure_of(too_long, Side.DESTINATION).message
    assert "prefix" not in failure_of(too_long, Side.SOURCE).message
