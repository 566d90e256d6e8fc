"""What a refused or failed call answers: the documented code as error_code, the status by what it means. Nothing internal gets out.

V1 callers get the older codes (S3M) and read the names of their own fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from omsd.api.rest.answers import ErrorBody
from omsd.api.rest.table import Version
from omsd.domain.errors import Refusal, RequestError

INTERNAL_CODE = "OMS.1001"
UNKNOWN_PATH_CODE = "OMS.1009"
WRONG_METHOD_CODE = "OMS.1008"
MESSAGE_MAX = 1024

_STATUS_OF = {
    Refusal.INVALID: 400,
    Refusal.STATE: 400,
    Refusal.QUOTA: 400,
    Refusal.UNAUTHENTICATED: 401,
    Refusal.FORBIDDEN: 403,
    Refusal.BUSY: 503,
    Refusal.INTERNAL: 500,
}

# Codes of V1 that have the last four digits of those of V2. Source: API reference 7.3.
_SAME_DIGITS = frozenset(
    f"{number:04}"
    for first, last in (
        (1, 2),
        (4, 5),
        (51, 70),
        (72, 88),
        (151, 163),
        (167, 169),
        (256, 256),
        (307, 308),
    )
    for number in range(first, last + 1)
)
# The others, by meaning. What stands in neither is told with its own code: OMS.1001 and OMS.2004 have no older one.
_V1_CODES: Mapping[str, str] = MappingProxyType(
    {
        "OMS.0077": "S3M.0076",
        "OMS.0089": "S3M.0055",
        "OMS.0205": "S3M.0072",
        "OMS.0206": "S3M.0056",
        "OMS.1002": "S3M.0061",
        "OMS.1003": "S3M.0064",
        "OMS.1004": "S3M.0064",
        "OMS.1005": "S3M.0068",
        "OMS.1006": "S3M.0067",
        "OMS.1008": "S3M.0005",
        "OMS.1009": "S3M.0256",
        "OMS.1010": "S3M.0061",
        "OMS.1014": "S3M.0153",
        "OMS.1020": "S3M.0154",
        "OMS.1021": "S3M.0075",
        "OMS.1032": "S3M.0057",
    }
)
# Fields that contradict the task type have a code of their own in V1.
_TYPE_FIELDS = ("src_node.object_key", "src_node.list_file", "src_node.cloud_type")
_MISMATCH = ("OMS.0057", "S3M.0088")

_V1_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "enable_kms": "enableKMS",
        "enable_restore": "auto_restore",
        "smn_config.topic_urn": "smnInfo.topicUrn",
        "smn_config.trigger_conditions": "smnInfo.triggerConditions",
        "smn_config": "smnInfo",
        "dst_node.save_prefix": "dst_node.object_key",
        "src_ak": "source_ak",
        "src_sk": "source_sk",
        "dst_ak": "target_ak",
        "dst_sk": "target_sk",
        "migrate_failed_object": "migration_failed_object",
        "offset": "start",
        "status": "state",
    }
)
_V1_NAME = re.compile(r"(?<![\w.])(" + "|".join(map(re.escape, _V1_NAMES)) + r")(?=[\[:.])")


def status_of(error: RequestError, *, missing_is_404: bool) -> int:
    """The status of a refusal; an unknown id is 404 only where the reference says so."""
    if error.refusal is Refusal.NOT_FOUND:
        return 404 if missing_is_404 else 400
    return _STATUS_OF[error.refusal]


def error_body(error: RequestError, version: Version) -> ErrorBody:
    """The body of a refusal in the form of a version."""
    code, message = error.code, error.message
    if version is Version.V1:
        code, message = v1_code(error), _V1_NAME.sub(lambda found: _V1_NAMES[found[1]], message)
    return ErrorBody(error_code=code, error_msg=message[:MESSAGE_MAX])


def internal_body(request_id: str) -> ErrorBody:
    """The body when something of ours broke: it shows only where to look."""
    text = f"internal service error; the server's log has it under request id {request_id}"
    return ErrorBody(error_code=INTERNAL_CODE, error_msg=text)


def v1_code(error: RequestError) -> str:
    """The older code of a refusal."""
    code = error.code
    if code == _MISMATCH[0] and any(v.field.startswith(_TYPE_FIELDS) for v in error.violations):
        return _MISMATCH[1]
    if code in _V1_CODES:
        return _V1_CODES[code]
    family, _, digits = code.partition(".")
    return f"S3M.{digits}" if family == "OMS" and digits in _SAME_DIGITS else code
