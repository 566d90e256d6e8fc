"""Storage classes of every cloud as policies, archive classes, and what a destination lacks."""

from __future__ import annotations

import pytest

from omsd.domain.model import CloudType, StoragePolicy
from omsd.domain.storage import is_archive_class, nearest_policy, policy_of_class

STANDARD, IA, ARCHIVE, DEEP = (
    StoragePolicy.STANDARD,
    StoragePolicy.IA,
    StoragePolicy.ARCHIVE,
    StoragePolicy.DEEP_ARCHIVE,
)
# clouds.md 4.2, by cloud and policy.
TABLE = {
    CloudType.AWS: {
        STANDARD: "STANDARD REDUCED_REDUNDANCY INTELLIGENT_TIERING EXPRESS_ONEZONE OUTPOSTS FSX_OPENZFS FSX_ONTAP",
        IA: "STANDARD_IA ONEZONE_IA GLACIER_IR",
        ARCHIVE: "GLACIER",
        DEEP: "DEEP_ARCHIVE",
    },
    CloudType.HUAWEI: {
        STANDARD: "STANDARD INTELLIGENT_TIERING",
        IA: "WARM STANDARD_IA",
        ARCHIVE: "COLD GLACIER",
        DEEP: "DEEP_ARCHIVE",
    },
    CloudType.ALIYUN: {
        STANDARD: "Standard STANDARD",
        IA: "IA STANDARD_IA",
        ARCHIVE: "Archive GLACIER",
        DEEP: "ColdArchive DeepColdArchive",
    },
    CloudType.TENCENT: {
        STANDARD: "STANDARD MAZ_STANDARD INTELLIGENT_TIERING MAZ_INTELLIGENT_TIERING",
        IA: "STANDARD_IA MAZ_STANDARD_IA COLD",
        ARCHIVE: "ARCHIVE MAZ_ARCHIVE",
        DEEP: "DEEP_ARCHIVE",
    },
    CloudType.GOOGLE: {
        STANDARD: "STANDARD MULTI_REGIONAL REGIONAL",
        IA: "NEARLINE DURABLE_REDUCED_AVAILABILITY COLDLINE",
        ARCHIVE: "ARCHIVE",
    },
    CloudType.AZURE: {STANDARD: "Hot Smart", IA: "Cool Cold", ARCHIVE: "Archive"},
    CloudType.BAIDU: {
        STANDARD: "STANDARD MAZ_STANDARD",
        IA: "STANDARD_IA MAZ_STANDARD_IA COLD MAZ_COLD",
        ARCHIVE: "ARCHIVE",
    },
    CloudType.QINIU: {
        STANDARD: "STANDARD",
        IA: "LINE GLACIER_IR",
        ARCHIVE: "GLACIER",
        DEEP: "DEEP_ARCHIVE",
    },
    CloudType.KINGSOFT: {
        STANDARD: "STANDARD",
        IA: "STANDARD_IA DEEP_IA",
        ARCHIVE: "ARCHIVE",
        DEEP: "COLD_ARCHIVE DEEP_COLD_ARCHIVE",
    },
    CloudType.QINGCLOUD: {STANDARD: "STANDARD", IA: "STANDARD_IA"},
    CloudType.UCLOUD: {STANDARD: "STANDARD", IA: "IA STANDARD_IA", ARCHIVE: "ARCHIVE"},
}
CASES = [
    (cloud, name, policy)
    for cloud, rows in TABLE.items()
    for policy, names in rows.items()
    for name in names.split()
]


@pytest.mark.parametrize(("cloud", "name", "policy"), CASES)
def test_each_class_means_its_policy(cloud: CloudType, name: str, policy: StoragePolicy) -> None:
    assert policy_of_class(cloud, name) is policy


@pytest.mark.parametrize("cloud", list(CloudType))
def test_no_class_is_standard_and_a_strange_one_is_unknown(cloud: CloudType) -> None:
    assert policy_of_class(cloud, "") is STANDARD
    assert policy_of_class(cloud, "LUKEWARM") is None
    assert not is_archive_class(cloud, "LUKEWARM")
    assert not is_archive_class(cloud, "STANDARD")


@pytest.mark.parametrize(
    ("cloud", "name", "archived"),
    [
        (CloudType.AWS, "GLACIER", True),
        (CloudType.AWS, "DEEP_ARCHIVE", True),
        (CloudType.AWS, "GLACIER_IR", False),
        (CloudType.HUAWEI, "COLD", True),
        (CloudType.TENCENT, "COLD", False),
        (CloudType.ALIYUN, "ColdArchive", True),
        (CloudType.GOOGLE, "ARCHIVE", False),
    ],
)
def test_which_classes_may_need_a_restore(cloud: CloudType, name: str, archived: bool) -> None:
    assert is_archive_class(cloud, name) is archived


@pytest.mark.parametrize(
    ("wanted", "offered", "found"),
    [
        (DEEP, {STANDARD, IA, ARCHIVE, DEEP}, DEEP),
        (DEEP, {STANDARD, IA, ARCHIVE}, ARCHIVE),
        (ARCHIVE, {STANDARD, DEEP}, STANDARD),
        (IA, {STANDARD, ARCHIVE}, STANDARD),
        (STANDARD, {STANDARD}, STANDARD),
    ],
)
def test_what_is_lacking_becomes_warmer_never_colder(
    wanted: StoragePolicy, offered: set[StoragePolicy], found: StoragePolicy
) -> None:
    assert nearest_policy(wanted, frozenset(offered)) is found
