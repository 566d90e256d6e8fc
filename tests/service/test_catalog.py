"""Versions, clouds, regions and quotas."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from omsd.domain.catalogue import account_url, endpoint_url, home_region, is_supported_protocol, regions
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.model import CloudType, TaskState
from omsd.domain.quotas import CreationKind, Quotas
from omsd.ports.taskchanges import NoteCreation
from omsd.service.catalog import CatalogService, ConfiguredEndpoint
from omsd.service.quotas import QuotaKeeper
from omsd.store.syncs import SqliteSyncStore
from tests.fakes.clock import FakeClock
from tests.fakes.executor import World
from tests.service.harness import PROJECT, Control, control_process, create_request

PRIVATE = ConfiguredEndpoint(CloudType.AWS, "office", "http://10.0.0.1:9000")
OTHER_HOST = ConfiguredEndpoint(CloudType.AWS, "eu-west-3", "https://s3.example.com")


def catalog() -> CatalogService:
    nothing: Any = None
    keeper = QuotaKeeper(nothing, Quotas(), UTC)
    return CatalogService(
        nothing,
        nothing,
        endpoints=(PRIVATE, OTHER_HOST),
        max_parallel_tasks=3,
        quotas=keeper,
        sync_tasks=nothing,
    )


def test_versions_are_v1_and_v2() -> None:
    found = {version.version_id: version for version in catalog().versions()}
    assert {key: (value.status, value.path) for key, value in found.items()} == {
        "v1": ("SUPPORTED", "/v1/"),
        "v2": ("CURRENT", "/v2/"),
    }
    assert catalog().version("v2") == found["v2"]


@pytest.mark.parametrize(
    ("asked", "code", "refusal"),
    [
        ("v3", "OMS.1009", Refusal.NOT_FOUND),
        ("", "OMS.1004", Refusal.INVALID),
        ("v" * 11, "OMS.1003", Refusal.INVALID),
    ],
)
def test_a_version_that_does_not_exist_is_refused(asked: str, code: str, refusal: Refusal) -> None:
    with pytest.raises(RequestError) as caught:
        catalog().version(asked)
    assert (caught.value.code, caught.value.refusal) == (code, refusal)


def test_source_clouds_are_the_documented_ones_in_their_order() -> None:
    found = catalog().cloud_types("src")
    assert list(found.documented) == [
        *("AWS", "Aliyun", "Qiniu", "QingCloud", "Tencent", "Baidu", "KingsoftCloud", "Azure", "UCloud"),
        *("HuaweiCloud", "URLSource", "Google"),
    ]
    assert {info.cloud for info in found.clouds} == set(CloudType)
    unsupported = {info.cloud for info in found.clouds if not info.is_supported}
    assert unsupported == {CloudType.AZURE, CloudType.URL_SOURCE}


def test_the_documented_destination_is_huawei_cloud_and_every_driver_is_told_beside_it() -> None:
    found = catalog().cloud_types("DST")
    assert found.documented == (CloudType.HUAWEI,)
    assert found.clouds[0].cloud is CloudType.HUAWEI
    assert {info.cloud for info in found.clouds} == set(CloudType) - {CloudType.URL_SOURCE}


@pytest.mark.parametrize(("end", "code"), [("", "OMS.1004"), ("both", "OMS.1003")])
def test_another_type_is_refused(end: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        catalog().cloud_types(end)
    assert (caught.value.code, caught.value.violations[0].field) == (code, "type")


def test_regions_are_the_catalogue_and_the_configuration() -> None:
    found = {entry.cloud: entry.regions for entry in catalog().cloud_regions()}
    assert set(found) == set(CloudType) - {CloudType.URL_SOURCE}
    for cloud, infos in found.items():
        known = [region.region_id for region in regions(cloud)]
        assert [info.region_id for info in infos][: len(known)] == known
        assert all(info.description for info in infos)
        assert all(bool(info.url) is is_supported_protocol(cloud) for info in infos)
    aws = {info.region_id: info for info in found[CloudType.AWS]}
    assert (aws["eu-west-1"].description, aws["eu-west-1"].url, aws["eu-west-1"].is_configured) == (
        "Europe (Ireland)",
        "https://s3.eu-west-1.amazonaws.com",
        False,
    )
    assert (aws["office"].url, aws["office"].is_configured) == ("http://10.0.0.1:9000", True)
    assert (aws["eu-west-3"].url, aws["eu-west-3"].is_configured) == ("https://s3.example.com", True)
    assert aws["eu-west-3"].description == "Europe (Paris)"


def test_regions_of_one_cloud() -> None:
    (found,) = catalog().cloud_regions("hec")
    assert found.cloud is CloudType.HUAWEI
    with pytest.raises(RequestError) as caught:
        catalog().cloud_regions("Mars")
    assert (caught.value.code, caught.value.violations[0].field) == ("OMS.1003", "cloud_type")


@pytest.mark.parametrize("cloud", [cloud for cloud in CloudType if is_supported_protocol(cloud)])
def test_every_cloud_has_a_home_to_ask_about_its_accounts(cloud: CloudType) -> None:
    assert account_url(cloud) or endpoint_url(cloud, home_region(cloud))


async def test_quotas_are_counted_in_the_store_and_survive_a_restart(tmp_path: Path) -> None:
    world, clock = World({"a": 1}), FakeClock()
    async with control_process(tmp_path, world, clock=clock, max_parallel_tasks=1) as control:
        assert await counted(control) == (0, 0, 0, 0, 0, 0, 0)
        first = await control.service.create(PROJECT, create_request())
        await control.reach(first.task_id, TaskState.MIGRATING)
        for project in (PROJECT, PROJECT, "another"):
            await control.service.create(project, create_request())
        gone = await control.service.create(PROJECT, create_request())
        await control.service.stop(PROJECT, gone.task_id)
        await control.service.delete(PROJECT, gone.task_id)
        await control.store.commit([NoteCreation(PROJECT, CreationKind.GROUP, int(clock.now_s() * 1000))])
        await control.settle()
        assert await counted(control) == (1, 2, 4, 1, 2, 4, 0)
        assert await counted(control, "another") == (0, 1, 1, 0, 1, 1, 0)
    async with control_process(tmp_path, world, clock=clock, max_parallel_tasks=1) as control:
        await control.reach(first.task_id, TaskState.MIGRATING)
        assert await counted(control) == (1, 2, 4, 1, 2, 4, 0)
        clock.advance(24 * 60 * 60)
        assert await counted(control) == (1, 2, 0, 0, 2, 0, 0)


async def counted(control: Control, project: str = PROJECT) -> tuple[int, ...]:
    """Used, of each quota; the limits are as configured."""
    service = CatalogService(
        control.store,
        control.clock,
        endpoints=(),
        max_parallel_tasks=7,
        quotas=control.quotas,
        sync_tasks=SqliteSyncStore(control.store.real),
    )
    quotas = await service.quotas(project)
    assert [(quota.name, quota.limit) for quota in quotas] == [
        ("MaxParallelTaskNum", 7),
        ("WaitingTaskNum", 1500),
        ("CreatedTaskNum", 1500),
        ("CreatedGroupNum", 100),
        ("V1WaitingTaskNum", 50),
        ("V1CreatedTaskNum", 200),
        ("SyncTaskNum", 5),
    ]
    return tuple(quota.used for quota in quotas)
