"""The names an enumerated field may have, in any case, as data; findings.py looks them up. Source: API reference 3, 5.2, 5.3, 5.5."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from omsd.domain.errors import Side
from omsd.domain.model import CloudType, ConsistencyCheck, OverwriteMode, Priority, StoragePolicy, TaskType
from omsd.domain.notices import NoticeLanguage, Trigger
from omsd.domain.sync import SyncState
from omsd.domain.sync_figures import DataType

# Looked up in the catalogue, which knows other names of them, too.
CLOUDS: tuple[str, ...] = tuple(CloudType)
SYNC_SOURCE_CLOUDS: tuple[str, ...] = tuple(
    cloud for cloud in CLOUDS if cloud not in (CloudType.GOOGLE, CloudType.URL_SOURCE)
)
TASK_TYPES: Mapping[str, TaskType] = {kind.value: kind for kind in TaskType}
GROUP_TYPES: Mapping[str, TaskType] = {
    kind.value.upper(): kind for kind in (TaskType.PREFIX, TaskType.LIST, TaskType.URL_LIST)
}
OVERWRITE_MODES: Mapping[str, OverwriteMode] = {mode.value: mode for mode in OverwriteMode}
CHECKS: Mapping[str, ConsistencyCheck] = {
    **{check.value: check for check in ConsistencyCheck},
    "transmission": ConsistencyCheck.NO_CHECK,
}
STORAGE_POLICIES: Mapping[str, StoragePolicy] = {policy.value: policy for policy in StoragePolicy}
PRIORITIES: Mapping[str, Priority] = {priority.value: priority for priority in Priority}
SYNC_STATES: Mapping[str, SyncState] = {state.value: state for state in SyncState}
DATA_TYPES: Mapping[str, DataType] = {kind.value: kind for kind in DataType}
# The reference has FAILURE and FAIL for the same.
TRIGGERS: Mapping[str, Trigger] = {
    "SUCCESS": Trigger.SUCCESS,
    "FAILURE": Trigger.FAILURE,
    "FAIL": Trigger.FAILURE,
}
LANGUAGES: Mapping[str, NoticeLanguage] = {language.value: language for language in NoticeLanguage}
ENDS: Mapping[str, Side] = MappingProxyType({"src": Side.SOURCE, "dst": Side.DESTINATION})
CDN_PROTOCOLS: Mapping[str, str] = {"http": "http", "https": "https"}

# Forms of CDN authentication, and whether the caller's key is needed for them.
CDN_KEY_NEEDED: Mapping[str, bool] = MappingProxyType(
    {
        "QINIU_PRIVATE_AUTHENTICATION": False,
        "KSYUN_PRIVATE_AUTHENTICATION": False,
        "ALIYUN_OSS_A": True,
        "ALIYUN_OSS_B": True,
        "ALIYUN_OSS_C": True,
        "AZURE_SAS_TOKEN": True,
        "TENCENT_COS_A": True,
        "TENCENT_COS_B": True,
        "TENCENT_COS_C": True,
        "TENCENT_COS_D": True,
    }
)
NO_CDN_AUTHENTICATION = "NONE"
CDN_AUTHENTICATIONS: Mapping[str, str] = {name: name for name in (NO_CDN_AUTHENTICATION, *CDN_KEY_NEEDED)}

# By path, as in limits.py.
Choices = Mapping[str, Collection[str]]

CREATE_CHOICES: Choices = MappingProxyType(
    {
        "src_node.cloud_type": CLOUDS,
        "dst_node.cloud_type": CLOUDS,
        "task_type": TASK_TYPES,
        "object_overwrite_mode": OVERWRITE_MODES,
        "consistency_check": CHECKS,
        "dst_storage_policy": STORAGE_POLICIES,
        "task_priority": PRIORITIES,
    }
)
CREATE_GROUP_CHOICES: Choices = MappingProxyType(
    {
        "src_node.cloud_type": CLOUDS,
        "dst_node.cloud_type": CLOUDS,
        "task_type": GROUP_TYPES,
        "object_overwrite_mode": OVERWRITE_MODES,
        "consistency_check": CHECKS,
        "dst_storage_policy": STORAGE_POLICIES,
    }
)
SMN_CHOICES: Choices = MappingProxyType({"trigger_conditions[]": TRIGGERS, "language": LANGUAGES})
BATCH_CHOICES: Choices = MappingProxyType({"task_priority": PRIORITIES})
CREATE_SYNC_CHOICES: Choices = MappingProxyType(
    {
        "src_node.cloud_type": SYNC_SOURCE_CLOUDS,
        "dst_node.cloud_type": CLOUDS,
        "object_overwrite_mode": OVERWRITE_MODES,
        "consistency_check": CHECKS,
        "dst_storage_policy": STORAGE_POLICIES,
    }
)
LIST_SYNC_CHOICES: Choices = MappingProxyType({"status": SYNC_STATES})
STATISTICS_CHOICES: Choices = MappingProxyType({"data_type[]": DATA_TYPES})
ACCOUNT_CHOICES: Choices = MappingProxyType({"cloud_type": CLOUDS})
CDN_CHOICES: Choices = MappingProxyType(
    {
        **ACCOUNT_CHOICES,
        "source_cdn.protocol": CDN_PROTOCOLS,
        "source_cdn.authentication_type": CDN_AUTHENTICATIONS,
    }
)
ENDS_CHOICES: Choices = MappingProxyType({"type": ENDS})
