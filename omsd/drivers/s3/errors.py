"""What went wrong, by meaning: one table from provider codes, statuses and wire errors to StoreErrorKind."""

from __future__ import annotations

import time
from collections.abc import Mapping

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.drivers.s3.dates import http_date_to_unix_s
from omsd.drivers.s3.xml import ErrorBody
from omsd.ports.objectstore import PutOptions
from omsd.wire import WireError, WireErrorKind

_K = StoreErrorKind
_MAX_MESSAGE = 300

_OF_CODE = {
    "NoSuchKey": _K.NO_SUCH_KEY,
    "NoSuchObject": _K.NO_SUCH_KEY,
    "NoSuchVersion": _K.NO_SUCH_KEY,
    "SymlinkTargetNotExist": _K.NO_SUCH_KEY,
    "NoSuchBucket": _K.NO_SUCH_BUCKET,
    "BucketNotExists": _K.NO_SUCH_BUCKET,
    "NoSuchUpload": _K.NO_SUCH_UPLOAD,
    "PreconditionFailed": _K.PRECONDITION,
    "AccessDenied": _K.PERMISSION,
    "AllAccessDisabled": _K.ACCOUNT,
    "AccountProblem": _K.ACCOUNT,
    "InArrearOrInsufficientBalance": _K.BALANCE,
    "AccessForbidden": _K.PERMISSION,
    "Forbidden": _K.PERMISSION,
    "UserDisable": _K.ACCOUNT,
    "InvalidAccessKeyId": _K.UNAUTHENTICATED,
    "InvalidAccessKey": _K.UNAUTHENTICATED,
    "SignatureDoesNotMatch": _K.UNAUTHENTICATED,
    "InvalidSecurity": _K.UNAUTHENTICATED,
    "InvalidToken": _K.UNAUTHENTICATED,
    "InvalidSecurityToken": _K.UNAUTHENTICATED,
    "NotSignedUp": _K.UNAUTHENTICATED,
    "ExpiredToken": _K.EXPIRED,
    "TokenRefreshRequired": _K.EXPIRED,
    "SecurityTokenExpired": _K.EXPIRED,
    "RequestTimeTooSkewed": _K.UNAVAILABLE,
    "RequestExpired": _K.UNAVAILABLE,
    "SlowDown": _K.THROTTLED,
    "Throttling": _K.THROTTLED,
    "ThrottlingException": _K.THROTTLED,
    "TooManyRequests": _K.THROTTLED,
    "RequestLimitExceeded": _K.THROTTLED,
    "QpsLimitExceeded": _K.THROTTLED,
    "BandwidthLimitExceeded": _K.THROTTLED,
    "DownloadTrafficRateLimitExceeded": _K.THROTTLED,
    "UploadTrafficRateLimitExceeded": _K.THROTTLED,
    "MetaOperationQpsLimitExceeded": _K.THROTTLED,
    "TotalQpsLimitExceeded": _K.THROTTLED,
    "ActiveRequestLimitExceeded": _K.THROTTLED,
    "ServiceUnavailable": _K.UNAVAILABLE,
    "InternalError": _K.UNAVAILABLE,
    "OperationAborted": _K.UNAVAILABLE,
    "RequestTimeout": _K.TIMEOUT,
    "BadDigest": _K.INTEGRITY,
    "InvalidDigest": _K.INTEGRITY,
    "XAmzContentSHA256Mismatch": _K.INTEGRITY,
    "XAmzContentChecksumMismatch": _K.INTEGRITY,
    "IncompleteBody": _K.TRUNCATED,
    "KeyTooLongError": _K.KEY_TOO_LONG,
    "KeyTooLong": _K.KEY_TOO_LONG,
    "InvalidObjectState": _K.ARCHIVED,
    "NotImplemented": _K.UNSUPPORTED,
    "MethodNotAllowed": _K.UNSUPPORTED,
    "QuotaExceeded": _K.NO_SPACE,
    "QuotaExceed": _K.NO_SPACE,
    "InsufficientCapacity": _K.NO_SPACE,
    "InsufficientStorageSpace": _K.NO_SPACE,
    "XMinioStorageFull": _K.NO_SPACE,
    "KMSNotConfigured": _K.ENCRYPTION,
    "InvalidEncryptionAlgorithmError": _K.ENCRYPTION,
    "ServerSideEncryptionConfigurationNotFoundError": _K.ENCRYPTION,
}

_OF_STATUS = {
    401: _K.UNAUTHENTICATED,
    403: _K.PERMISSION,
    404: _K.NO_SUCH_KEY,
    408: _K.TIMEOUT,
    412: _K.PRECONDITION,
    429: _K.THROTTLED,
    501: _K.UNSUPPORTED,
    507: _K.NO_SPACE,
}

_OF_WIRE = {
    WireErrorKind.CONNECT: _K.NETWORK,
    WireErrorKind.DNS: _K.NETWORK,
    WireErrorKind.TLS: _K.NETWORK,
    WireErrorKind.RESET: _K.NETWORK,
    WireErrorKind.FORBIDDEN_ADDRESS: _K.FORBIDDEN_ADDRESS,
    WireErrorKind.TIMEOUT_CONNECT: _K.TIMEOUT,
    WireErrorKind.TIMEOUT_FIRST_BYTE: _K.TIMEOUT,
    WireErrorKind.STALLED: _K.TIMEOUT,
    WireErrorKind.TRUNCATED: _K.TRUNCATED,
    WireErrorKind.OVERLONG: _K.TRUNCATED,
    WireErrorKind.PROTOCOL: _K.MALFORMED,
    WireErrorKind.HEADERS_TOO_LARGE: _K.MALFORMED,
}

_REQUEST_ID_HEADERS = (
    "x-amz-request-id",
    "x-obs-request-id",
    "x-oss-request-id",
    "x-cos-request-id",
    "x-bce-request-id",
    "x-kss-request-id",
    "x-qs-request-id",
    "x-reqid",
    "x-guploader-uploadid",
)


def kind_of(status: int, code: str) -> StoreErrorKind:
    """What an answer means: the provider's code if it is known, else the status."""
    kind = _OF_CODE.get(code)
    if kind is not None:
        return kind
    if code.startswith("KMS."):
        return _K.THROTTLED if "Throttl" in code else _K.ENCRYPTION
    if status in _OF_STATUS:
        return _OF_STATUS[status]
    # A code of this kind without an entry above is still about load: vendors add such codes freely.
    if status >= 500:
        return _K.THROTTLED if "LimitExceeded" in code or "SlowDown" in code else _K.UNAVAILABLE
    return _K.INVALID


def request_id_of(headers: Mapping[str, str]) -> str:
    """The service's id of the request, "" if it gave none."""
    for name in _REQUEST_ID_HEADERS:
        if value := headers.get(name):
            return value
    return ""


def retry_after_s(headers: Mapping[str, str], *, now_s: float) -> float | None:
    """How long the service asked us to wait; None if it did not, or not in a way that can be read."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, http_date_to_unix_s(value) - now_s)
    except ValueError:
        return None


def of_answer(
    what: str,
    status: int,
    headers: Mapping[str, str],
    body: ErrorBody,
    *,
    missing: StoreErrorKind = StoreErrorKind.NO_SUCH_KEY,
) -> StoreError:
    """The error of an answer. what: the call and its key, for the message. missing: what a 404 without a code means."""
    kind = missing if status == 404 and body.code not in _OF_CODE else kind_of(status, body.code)
    said = f"{body.code}: {body.message[:_MAX_MESSAGE]}" if body.code else f"HTTP status {status}"
    return StoreError(
        kind,
        f"{what}: {said.rstrip(': ')}",
        status=status,
        provider_code=body.code,
        request_id=request_id_of(headers) or body.request_id,
        retry_after_s=retry_after_s(headers, now_s=time.time()),
    )


def of_wire(what: str, error: WireError) -> StoreError:
    """The error of an exchange that did not come to its end."""
    return StoreError(_OF_WIRE.get(error.kind, _K.NETWORK), f"{what}: {error}")


def told_of_encryption(error: StoreError, options: PutOptions) -> StoreError:
    """The refusal of a write that asked for KMS, as one of encryption if it speaks of it or of a feature that is missing."""
    said = f"{error.provider_code} {error.message}".lower()
    speaks = "kms" in said or "encrypt" in said
    refused = error.kind in (_K.INVALID, _K.PERMISSION) and speaks
    if not options.encrypt_kms or not (refused or (error.kind is _K.UNSUPPORTED and not options.tags)):
        return error
    return StoreError(
        _K.ENCRYPTION,
        error.message,
        status=error.status,
        provider_code=error.provider_code,
        request_id=error.request_id,
    )
