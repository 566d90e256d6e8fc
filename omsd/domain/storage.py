"""Storage classes: what a source's class is called as a storage policy, and which classes need a restore before reading."""

from __future__ import annotations

from omsd.domain.model import CloudType, StoragePolicy

_STANDARD, _IA = StoragePolicy.STANDARD, StoragePolicy.IA
_ARCHIVE, _DEEP = StoragePolicy.ARCHIVE, StoragePolicy.DEEP_ARCHIVE

# Names in upper case. A custom endpoint of any cloud may speak with S3's own names, so these hold everywhere.
_S3_NAMES = {
    "STANDARD": _STANDARD,
    "REDUCED_REDUNDANCY": _STANDARD,
    "INTELLIGENT_TIERING": _STANDARD,
    "STANDARD_IA": _IA,
    "GLACIER": _ARCHIVE,
    "DEEP_ARCHIVE": _DEEP,
}
_AWS = {
    "EXPRESS_ONEZONE": _STANDARD,
    "OUTPOSTS": _STANDARD,
    "FSX_OPENZFS": _STANDARD,
    "FSX_ONTAP": _STANDARD,
    "ONEZONE_IA": _IA,
    "GLACIER_IR": _IA,
}
_OF_CLOUD: dict[CloudType, dict[str, StoragePolicy]] = {
    CloudType.AWS: _AWS,
    CloudType.HUAWEI: {"WARM": _IA, "COLD": _ARCHIVE},
    CloudType.ALIYUN: {"IA": _IA, "ARCHIVE": _ARCHIVE, "COLDARCHIVE": _DEEP, "DEEPCOLDARCHIVE": _DEEP},
    CloudType.TENCENT: {
        "MAZ_STANDARD": _STANDARD,
        "MAZ_INTELLIGENT_TIERING": _STANDARD,
        "MAZ_STANDARD_IA": _IA,
        "COLD": _IA,
        "ARCHIVE": _ARCHIVE,
        "MAZ_ARCHIVE": _ARCHIVE,
    },
    CloudType.GOOGLE: {
        "MULTI_REGIONAL": _STANDARD,
        "REGIONAL": _STANDARD,
        "NEARLINE": _IA,
        "DURABLE_REDUCED_AVAILABILITY": _IA,
        "COLDLINE": _IA,
        "ARCHIVE": _ARCHIVE,
    },
    CloudType.AZURE: {
        "HOT": _STANDARD,
        "SMART": _STANDARD,
        "COOL": _IA,
        "COLD": _IA,
        "ARCHIVE": _ARCHIVE,
    },
    CloudType.BAIDU: {
        "MAZ_STANDARD": _STANDARD,
        "MAZ_STANDARD_IA": _IA,
        "COLD": _IA,
        "MAZ_COLD": _IA,
        "ARCHIVE": _ARCHIVE,
    },
    CloudType.QINIU: {"LINE": _IA, "GLACIER_IR": _IA},
    CloudType.KINGSOFT: {
        "DEEP_IA": _IA,
        "ARCHIVE": _ARCHIVE,
        "COLD_ARCHIVE": _DEEP,
        "DEEP_COLD_ARCHIVE": _DEEP,
    },
    CloudType.UCLOUD: {"IA": _IA, "ARCHIVE": _ARCHIVE},
}
# Their coldest classes are read as they are.
_NEVER_RESTORED = frozenset({CloudType.GOOGLE, CloudType.QINGCLOUD, CloudType.URL_SOURCE})
_FROM_COLD_TO_WARM = (_DEEP, _ARCHIVE, _IA, _STANDARD)


def policy_of_class(cloud: CloudType, storage_class: str) -> StoragePolicy | None:
    """The policy that means the same as a source's class; "" is the standard class. None: the class is not known."""
    name = storage_class.upper()
    if not name:
        return _STANDARD
    return _OF_CLOUD.get(cloud, {}).get(name) or _S3_NAMES.get(name)


def is_archive_class(cloud: CloudType, storage_class: str) -> bool:
    """May objects of this class have to be restored before they can be read?"""
    if cloud in _NEVER_RESTORED:
        return False
    return policy_of_class(cloud, storage_class) in (_ARCHIVE, _DEEP)


def nearest_policy(wanted: StoragePolicy, offered: frozenset[StoragePolicy]) -> StoragePolicy:
    """The wanted policy if the destination has it, else the coldest warmer one: data stays as readable as it was."""
    for policy in _FROM_COLD_TO_WARM[_FROM_COLD_TO_WARM.index(wanted) :]:
        if policy in offered:
            return policy
    return _STANDARD
