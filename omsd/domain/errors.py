"""The error tree and the stable codes; what an error is, never how it is shown.

Two families: RequestError answers a caller (OMS codes), StoreError is what a storage service did (becomes a TRF code).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OmsdError(Exception):
    """Base of every error of ours. `code` is a stable OMS or TRF code; str(error) is fit for operators, never secret."""

    code: str = "OMS.1001"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field of a request: dotted path as the caller wrote it (`src_node.bucket`) and what would be right."""

    field: str
    description: str


class Refusal(StrEnum):
    """How a request was refused; the APIs map it to their status, the code stays the OMS code."""

    INVALID = "invalid"  # the request is wrong whatever the state
    STATE = "state"  # the operation does not fit the state of the thing
    NOT_FOUND = "not_found"
    QUOTA = "quota"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    BUSY = "busy"  # repeat later
    INTERNAL = "internal"


class RequestError(OmsdError):
    """A call that is refused: nothing was created or changed."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        refusal: Refusal = Refusal.INVALID,
        violations: tuple[Violation, ...] = (),
    ) -> None:
        super().__init__(message, code=code)
        self.refusal = refusal
        self.violations = violations

    @classmethod
    def of_field(cls, code: str, field: str, description: str) -> RequestError:
        """A refusal because of one field; the message names it."""
        return cls(code, f"{field}: {description}", violations=(Violation(field, description),))


class StoreErrorKind(StrEnum):
    """What a storage service (or the way to it) did, by meaning."""

    NO_SUCH_KEY = "no_such_key"
    NO_SUCH_BUCKET = "no_such_bucket"
    NO_SUCH_UPLOAD = "no_such_upload"
    PRECONDITION = "precondition"  # If-Match failed: the object changed
    PERMISSION = "permission"
    UNAUTHENTICATED = "unauthenticated"  # unknown or wrong AK/SK
    EXPIRED = "expired"  # temporary credentials ran out
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"  # 5xx and kin
    NETWORK = "network"  # refused, reset, DNS, TLS
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"  # fewer or more bytes than announced
    INTEGRITY = "integrity"  # a checksum did not agree
    MALFORMED = "malformed"  # an answer that breaks the protocol
    NO_SPACE = "no_space"
    ARCHIVED = "archived"
    KEY_TOO_LONG = "key_too_long"
    UNSUPPORTED = "unsupported"
    INVALID = "invalid"  # any other refusal
    FORBIDDEN_ADDRESS = "forbidden_address"  # our own network policy refused the address
    ENCRYPTION = "encryption"  # the service will not or cannot encrypt as asked
    ACCOUNT = "account"  # the account is frozen or expired
    BALANCE = "balance"  # the account owes money


RETRYABLE_KINDS = frozenset(
    {
        StoreErrorKind.THROTTLED,
        StoreErrorKind.UNAVAILABLE,
        StoreErrorKind.NETWORK,
        StoreErrorKind.TIMEOUT,
        StoreErrorKind.TRUNCATED,
        StoreErrorKind.INTEGRITY,
        StoreErrorKind.MALFORMED,
    }
)


class Side(StrEnum):
    """Which end of a migration an error came from."""

    SOURCE = "source"
    DESTINATION = "destination"


class StoreError(OmsdError):
    """A storage service refused or failed.

    provider_code: the service's own code (`SlowDown`), "" if none. request_id: the service's id of the request, for its support desk.
    retry_after_s: what the service asked for, None if it did not. side is set by the engine, which knows which end it called.
    """

    code = "TRF.0001"

    def __init__(
        self,
        kind: StoreErrorKind,
        message: str,
        *,
        status: int = 0,
        provider_code: str = "",
        request_id: str = "",
        retry_after_s: float | None = None,
        side: Side | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.provider_code = provider_code
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.side = side

    @property
    def retryable(self) -> bool:
        """May the same request succeed when it is sent again?"""
        return self.kind in RETRYABLE_KINDS


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an object, a shard or a task failed, as data: a documented code and a message that says what to do."""

    code: str
    message: str


# Kinds that mean: no object of this task can succeed, stop the task. ENCRYPTION only of a destination: at a source each object may have
# a key of its own.
DECISIVE_KINDS = frozenset(
    {
        StoreErrorKind.NO_SUCH_BUCKET,
        StoreErrorKind.UNAUTHENTICATED,
        StoreErrorKind.EXPIRED,
        StoreErrorKind.NO_SPACE,
        StoreErrorKind.FORBIDDEN_ADDRESS,
        StoreErrorKind.ENCRYPTION,
        StoreErrorKind.ACCOUNT,
        StoreErrorKind.BALANCE,
    }
)

_SOURCE_CODES = {
    StoreErrorKind.NO_SUCH_KEY: "TRF.0156",
    StoreErrorKind.NO_SUCH_BUCKET: "TRF.0155",
    StoreErrorKind.UNAUTHENTICATED: "TRF.0151",
    StoreErrorKind.EXPIRED: "TRF.0151",
    StoreErrorKind.PERMISSION: "TRF.0152",
    StoreErrorKind.THROTTLED: "TRF.0159",
    StoreErrorKind.ARCHIVED: "TRF.0160",
    StoreErrorKind.UNAVAILABLE: "TRF.0157",
    StoreErrorKind.NETWORK: "TRF.0157",
    StoreErrorKind.TIMEOUT: "TRF.0157",
    StoreErrorKind.TRUNCATED: "TRF.0157",
    StoreErrorKind.INTEGRITY: "TRF.0157",
    StoreErrorKind.MALFORMED: "TRF.0157",
    StoreErrorKind.FORBIDDEN_ADDRESS: "TRF.0157",
    StoreErrorKind.PRECONDITION: "TRF.0157",
    StoreErrorKind.NO_SPACE: "TRF.0157",
    StoreErrorKind.ENCRYPTION: "TRF.0152",
    StoreErrorKind.ACCOUNT: "TRF.0154",
    StoreErrorKind.BALANCE: "TRF.0154",
}

_DESTINATION_CODES = {
    StoreErrorKind.NO_SUCH_KEY: "TRF.0059",
    StoreErrorKind.NO_SUCH_UPLOAD: "TRF.0059",
    StoreErrorKind.NO_SUCH_BUCKET: "TRF.0058",
    StoreErrorKind.UNAUTHENTICATED: "TRF.0057",
    StoreErrorKind.EXPIRED: "TRF.0057",
    StoreErrorKind.PERMISSION: "TRF.0051",
    StoreErrorKind.NO_SPACE: "TRF.0055",
    StoreErrorKind.KEY_TOO_LONG: "TRF.0060",
    StoreErrorKind.THROTTLED: "TRF.0061",
    StoreErrorKind.UNAVAILABLE: "TRF.0061",
    StoreErrorKind.NETWORK: "TRF.0061",
    StoreErrorKind.TIMEOUT: "TRF.0061",
    StoreErrorKind.TRUNCATED: "TRF.0061",
    StoreErrorKind.INTEGRITY: "TRF.0061",
    StoreErrorKind.MALFORMED: "TRF.0061",
    StoreErrorKind.FORBIDDEN_ADDRESS: "TRF.0061",
    StoreErrorKind.PRECONDITION: "TRF.0062",
    StoreErrorKind.ARCHIVED: "TRF.0160",
    StoreErrorKind.ENCRYPTION: "TRF.0158",
    StoreErrorKind.ACCOUNT: "TRF.0053",
    StoreErrorKind.BALANCE: "TRF.0063",
}

# What to do when the cause is gone, as said of a task.
START_AGAIN = "start the task again"
RETRY_FAILED = "retry the failed objects"

_ADVICE = {
    StoreErrorKind.NO_SUCH_BUCKET: f"check the bucket name, or create the bucket, and {START_AGAIN}",
    StoreErrorKind.UNAUTHENTICATED: f"{START_AGAIN} with a valid AK/SK",
    StoreErrorKind.EXPIRED: f"the temporary credentials ran out; {START_AGAIN} with fresh ones",
    StoreErrorKind.PERMISSION: f"grant the AK the needed permission on the bucket and its objects, then {START_AGAIN}",
    StoreErrorKind.NO_SPACE: f"free or enlarge the bucket's space, then {START_AGAIN}",
    StoreErrorKind.THROTTLED: f"lower the load on the bucket or ask for a higher limit, then {RETRY_FAILED}",
    StoreErrorKind.ARCHIVED: f"restore the object first, then {RETRY_FAILED}",
    StoreErrorKind.FORBIDDEN_ADDRESS: "allow the address under [network] in the configuration if it is meant",
    StoreErrorKind.NO_SUCH_KEY: f"check that the object is there and that nothing else moves or deletes it, then {RETRY_FAILED}",
    StoreErrorKind.NO_SUCH_UPLOAD: f"check that nothing else aborts uploads in the bucket, then {RETRY_FAILED}",
    StoreErrorKind.PRECONDITION: f"the object is being changed by others; {RETRY_FAILED} when it is at rest",
    StoreErrorKind.UNAVAILABLE: f"the service has trouble; {RETRY_FAILED} later",
    StoreErrorKind.NETWORK: f"check the endpoint, DNS, routes and TLS from this machine, then {START_AGAIN}",
    StoreErrorKind.TIMEOUT: f"the service or the way to it is too slow; check the network, then {RETRY_FAILED}",
    StoreErrorKind.TRUNCATED: f"the connection breaks bodies off; check the network and proxies, then {RETRY_FAILED}",
    StoreErrorKind.INTEGRITY: f"what was stored or read is not what was sent; check the network and disks, then {RETRY_FAILED}",
    StoreErrorKind.MALFORMED: f"check that the endpoint is that of the storage service and not of a proxy, then {START_AGAIN}",
    StoreErrorKind.KEY_TOO_LONG: "choose a shorter destination prefix",
    StoreErrorKind.UNSUPPORTED: "the service does not offer this; create the task without the option that needs it",
    StoreErrorKind.INVALID: "check bucket, region, endpoint and options of the task; the service refused the request as it is",
    StoreErrorKind.ENCRYPTION: "choose a destination in a region with KMS and grant the AK the use of the key, or create the task"
    " without enable_kms",
    StoreErrorKind.ACCOUNT: f"the account is frozen or expired; have it activated, then {START_AGAIN}",
    StoreErrorKind.BALANCE: f"settle the account's bills, then {START_AGAIN}",
}

_SOURCE_ADVICE = {
    StoreErrorKind.KEY_TOO_LONG: "check the key: the source can have no object of that name",
    StoreErrorKind.ENCRYPTION: f"grant the AK the use of the key that the object is encrypted with, then {RETRY_FAILED}",
}


def told_to_caller(failure: Failure) -> str:
    """The failure's message where it refuses a call: nothing was created, so there is nothing to start or to retry."""
    return failure.message.replace(START_AGAIN, "repeat the call").replace(RETRY_FAILED, "repeat the call")


def failure_of(error: StoreError, side: Side) -> Failure:
    """The documented TRF code of a storage error on one side, with the service's own words and what to do."""
    table = _SOURCE_CODES if side is Side.SOURCE else _DESTINATION_CODES
    code = table.get(error.kind, "TRF.0001")
    detail = f"{side} {error.message}"
    if error.provider_code and error.provider_code not in detail:
        detail += f" [{error.provider_code}]"
    if error.request_id:
        detail += f" (request id {error.request_id})"
    advice = _SOURCE_ADVICE.get(error.kind) if side is Side.SOURCE else None
    advice = advice or _ADVICE.get(error.kind)
    return Failure(code, f"{detail}; {advice}" if advice else detail)
