"""The mandatory fields of every call, also those that are so only beside certain others, as data; findings.py checks them.

Source: API reference 5.2 to 5.5. Paths are those of limits.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.model import CloudType, TaskType
from omsd.service.choices import CDN_KEY_NEEDED, DATA_TYPES, TRIGGERS
from omsd.service.requests import Dialect
from omsd.service.sync_limits import MAX_EVENTS

_PLAIN = "is mandatory and must not be empty"


@dataclass(frozen=True, slots=True)
class When:
    """The field has one of these values, in any case; default: what it has when it is absent."""

    field: str
    values: frozenset[str]
    default: str = ""


@dataclass(frozen=True, slots=True)
class Needed:
    """A field that must have a value; "" is the value itself, of `[]` each entry. when: only then. instead: another field will do.

    may_be_empty: "" and an array without entries are values. beside: only if one of these fields has a value.
    """

    field: str
    code: str = "OMS.1004"
    wording: str = _PLAIN
    when: When | None = None
    instead: str = ""
    may_be_empty: bool = False
    beside: tuple[str, ...] = ()


Needs = tuple[Needed, ...]

# Of what is named by its id or name alone, as the caller's project, or the group that a call is about.
NAMED: Needs = (Needed(""),)
LOGIN_NEEDS: Needs = (Needed("user"),)
# Where a user's password is at two places, both are read before.
IAM_USER_NEEDS: Needs = (Needed("name"), Needed("password"))

NODE_NEEDS: Needs = (Needed("bucket"), Needed("region"), Needed("ak"), Needed("sk"))
_OBJECT_TASK = When("task_type", frozenset({TaskType.OBJECT.value}), TaskType.OBJECT.value)
_LIST_TASK = When("task_type", frozenset({TaskType.LIST.value}), TaskType.OBJECT.value)
_V1 = When("dialect", frozenset({Dialect.V1.value}))
_TENCENT_SOURCE = When("src_node.cloud_type", frozenset({CloudType.TENCENT.value}))
CREATE_NEEDS: Needs = (
    Needed("thread_num", when=_V1),
    Needed("enable_kms", wording="is mandatory", when=_V1),
    Needed(
        "src_node.object_key",
        wording="is mandatory for tasks of type object: the names to migrate",
        when=_OBJECT_TASK,
    ),
    Needed(
        "src_node.object_key[]",
        "OMS.1003",
        "must not be empty; for the whole bucket use task_type prefix",
        _OBJECT_TASK,
    ),
    Needed(
        "src_node.list_file",
        "OMS.0057",
        "is mandatory for tasks of type list: bucket and key of the object list file",
        _LIST_TASK,
    ),
    Needed(
        "src_node.app_id", "OMS.0057", "is mandatory for Tencent: the APPID of the account", _TENCENT_SOURCE
    ),
)
SMN_NEEDS: Needs = (
    Needed("topic_urn"),
    Needed("trigger_conditions", wording="is mandatory: SUCCESS, FAILURE or both"),
    Needed("trigger_conditions[]", "OMS.1003", "must be one of " + ", ".join(TRIGGERS)),
)
LIST_FILE_NEEDS: Needs = (Needed("obs_bucket"), Needed("list_file_key"))
POLICY_NEEDS: Needs = (
    Needed("", wording="is mandatory; an array without entries removes all limits", may_be_empty=True),
)
RULE_NEEDS: Needs = (Needed("max_bandwidth"), Needed("start"), Needed("end"))

START_NEEDS: Needs = (Needed("dst_ak"), Needed("dst_sk"))
# For sources that are read with keys, which all are but URL lists.
START_SOURCE_NEEDS: Needs = (Needed("src_ak"), Needed("src_sk"))

# A retry of a group takes the stored keys of an end, or all of these.
RETRY_GROUP_NEEDS: Needs = tuple(
    Needed(f"{end}_{key}", beside=(f"{end}_{other}", f"{end}_security_token"))
    for end in ("src", "dst")
    for key, other in (("ak", "sk"), ("sk", "ak"))
)

BATCH_NEEDS: Needs = (
    Needed("ids", wording="either ids or group_id is mandatory", instead="group_id"),
    Needed(
        "bandwidth_policy",
        wording="bandwidth_policy or task_priority is mandatory",
        instead="task_priority",
        may_be_empty=True,
    ),
)

_UNLESS_COUNTED = "is mandatory unless totalcount=true is given"
V1_LIST_NEEDS: Needs = (Needed("start", wording=_UNLESS_COUNTED), Needed("limit", wording=_UNLESS_COUNTED))

EVENT_NEEDS: Needs = (Needed("", wording=f"is mandatory: 1 to {MAX_EVENTS} URL-encoded names"),)
STATISTICS_NEEDS: Needs = (
    Needed("data_type", wording="is mandatory: one or more of " + ", ".join(DATA_TYPES)),
    Needed("data_type[]", "OMS.1003", "must be one of " + ", ".join(DATA_TYPES)),
)

# In every question about buckets; where a region is not asked for, the cloud's first one will do.
ACCOUNT_NEEDS: Needs = (
    Needed("ak"),
    Needed("sk"),
    Needed(
        "app_id",
        wording="is mandatory for Tencent: the APPID of the account",
        when=When("cloud_type", frozenset({CloudType.TENCENT.value})),
    ),
)
LIST_OBJECTS_NEEDS: Needs = (
    *ACCOUNT_NEEDS,
    Needed("cloud_type"),
    Needed("data_center"),
    Needed("bucket_name"),
    Needed("file_path", wording="is mandatory", may_be_empty=True),
    Needed("page_size", wording="is mandatory"),
    Needed("behind_filename", wording="is mandatory", may_be_empty=True),
)
BUCKET_REGION_NEEDS: Needs = (*ACCOUNT_NEEDS, Needed("bucket_name"))
PREFIX_NEEDS: Needs = (
    *ACCOUNT_NEEDS,
    Needed("data_center"),
    Needed("bucket_name"),
    Needed("file_name", wording="is mandatory", may_be_empty=True),
)
URL_LIST_NEEDS: Needs = (
    *ACCOUNT_NEEDS,
    Needed("region"),
    Needed("list_file.obs_bucket"),
    Needed("list_file.list_file_key"),
)
_KEYED = When(
    "source_cdn.authentication_type", frozenset(name for name, needed in CDN_KEY_NEEDED.items() if needed)
)
CDN_NEEDS: Needs = (
    *ACCOUNT_NEEDS,
    Needed("cloud_type"),
    Needed("region"),
    Needed("bucket"),
    Needed("source_cdn", wording="is mandatory"),
    Needed("source_cdn.domain"),
    Needed("source_cdn.protocol"),
    Needed("source_cdn.authentication_key", "OMS.1032", "is mandatory for this authentication_type", _KEYED),
    Needed("prefix.keys[]"),
)
