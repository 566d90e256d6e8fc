"""Fields that a call must not have, beside certain others or at all, as data; findings.py checks them.

What is documented and not built is refused when it is set, never silently ignored. Paths are those of limits.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.model import ConsistencyCheck, TaskType
from omsd.service.choices import CDN_KEY_NEEDED, CHECKS, NO_CDN_AUTHENTICATION
from omsd.service.needs import When

NOT_YET = "not supported by this server yet; "


@dataclass(frozen=True, slots=True)
class Barred:
    """A field that must not have a value. when: only then. beside: only if one of these fields has a value.

    wording: what to send instead.
    """

    field: str
    wording: str
    code: str = "OMS.0064"
    when: When | None = None
    beside: tuple[str, ...] = ()


Bars = tuple[Barred, ...]

_LEAVE_OUT = NOT_YET + "leave it out"
_USE_HMAC = _LEAVE_OUT + "; for Google send the HMAC keys as ak and sk"
_URL_LIST = When("task_type", frozenset({TaskType.URL_LIST.value}))
_UNCHECKED = frozenset(name for name, check in CHECKS.items() if check is ConsistencyCheck.NO_CHECK)
_LISTLESS = frozenset({TaskType.OBJECT.value, TaskType.PREFIX.value})

CREATE_BARRED: Bars = (
    Barred("src_node.json_auth_file", _USE_HMAC),
    Barred("source_cdn", _LEAVE_OUT),
    Barred("task_type", NOT_YET + "use object, list or prefix", when=_URL_LIST),
    Barred(
        "consistency_check",
        NOT_YET + f"leave it out or send {ConsistencyCheck.SIZE_LAST_MODIFIED} or {ConsistencyCheck.CRC64}",
        when=When("consistency_check", _UNCHECKED),
    ),
    Barred(
        "src_node.list_file",
        "must be left out for tasks of type " + " and ".join(sorted(_LISTLESS)),
        "OMS.0057",
        When("task_type", _LISTLESS, TaskType.OBJECT.value),
    ),
)
# Refused until tasks of the type can be created: then it is split as LIST is, see domain/group_plan.py.
GROUP_TYPE_BARRED: Bars = (Barred("task_type", NOT_YET + "use PREFIX or LIST", when=_URL_LIST),)
START_BARRED: Bars = (
    Barred("json_auth_file", _LEAVE_OUT),
    Barred("source_cdn_authentication_key", _LEAVE_OUT),
)
BATCH_BARRED: Bars = (
    Barred("ids", "must be left out if group_id is given", "OMS.1003", beside=("group_id",)),
)
ACCOUNT_BARRED: Bars = (Barred("json_auth_file", _USE_HMAC),)
CDN_BARRED: Bars = (
    *ACCOUNT_BARRED,
    Barred(
        "source_cdn.authentication_type",
        NOT_YET + f"only {NO_CDN_AUTHENTICATION} can be checked",
        when=When("source_cdn.authentication_type", frozenset(CDN_KEY_NEEDED)),
    ),
)
