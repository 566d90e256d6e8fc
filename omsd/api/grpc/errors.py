"""What a refused or failed call answers: google.rpc.Status with the OMS code as ErrorInfo.reason. Nothing internal gets out."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2, status_pb2

from omsd.domain.errors import Refusal, RequestError

DOMAIN = "omsd"
INTERNAL_CODE = "OMS.1001"
RETRY_DELAY_S = 1
# The status travels in a header, and clients refuse headers over 8 KiB by default.
MESSAGE_MAX = 1000
STATUS_MAX_BYTES = 5000

_STATUS_OF = {
    Refusal.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Refusal.STATE: grpc.StatusCode.FAILED_PRECONDITION,
    Refusal.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Refusal.QUOTA: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Refusal.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Refusal.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Refusal.BUSY: grpc.StatusCode.UNAVAILABLE,
    Refusal.INTERNAL: grpc.StatusCode.INTERNAL,
}


def status_of(error: Exception, request_id: str) -> status_pb2.Status:
    """The status of a call that raised; an error that is not meant for callers shows only where to look."""
    if not isinstance(error, RequestError):
        return _status(
            grpc.StatusCode.INTERNAL,
            f"internal service error; the server's log has it under request id {request_id}",
            error_details_pb2.ErrorInfo(
                reason=INTERNAL_CODE, domain=DOMAIN, metadata={"request_id": request_id}
            ),
        )
    info = error_details_pb2.ErrorInfo(reason=error.code, domain=DOMAIN, metadata={"request_id": request_id})
    status = _status(_STATUS_OF[error.refusal], error.message, info)
    if error.refusal is Refusal.BUSY:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.seconds = RETRY_DELAY_S
        status.details.add().Pack(retry)
    wrong = error_details_pb2.BadRequest()
    for violation in error.violations:
        added = wrong.field_violations.add(field=violation.field, description=violation.description)
        if status.ByteSize() + wrong.ByteSize() > STATUS_MAX_BYTES:
            wrong.field_violations.remove(added)
            break
    if wrong.field_violations:
        status.details.add().Pack(wrong)
    return status


def _status(code: grpc.StatusCode, message: str, info: error_details_pb2.ErrorInfo) -> status_pb2.Status:
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=message[:MESSAGE_MAX])
    status.details.add().Pack(info)
    return status
