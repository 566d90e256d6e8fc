"""What this server knows and allows: versions, clouds, regions, limits. No cloud is asked."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.catalogue import endpoint_url, is_supported_protocol, parse_cloud_type, regions
from omsd.domain.errors import Refusal, RequestError, Side
from omsd.domain.model import CloudType, TaskState
from omsd.domain.quotas import CreationKind
from omsd.ports.clock import Clock
from omsd.ports.syncstore import SyncStore
from omsd.ports.taskstore import TaskStore
from omsd.service.choices import ENDS
from omsd.service.findings import Findings
from omsd.service.limits import API_VERSION_LIMITS
from omsd.service.needs import NAMED
from omsd.service.quotas import RUNNING, QuotaKeeper
from omsd.service.requests import Dialect

# The order of the API reference (5.6.1), which forgets Google.
_DOCUMENTED_CLOUDS = (
    CloudType.AWS,
    CloudType.ALIYUN,
    CloudType.QINIU,
    CloudType.QINGCLOUD,
    CloudType.TENCENT,
    CloudType.BAIDU,
    CloudType.KINGSOFT,
    CloudType.AZURE,
    CloudType.UCLOUD,
    CloudType.HUAWEI,
    CloudType.URL_SOURCE,
    CloudType.GOOGLE,
)


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """path: of its REST form. updated: UTC, as documented."""

    version_id: str
    path: str
    status: str
    updated: str


_VERSIONS = (
    ApiVersion("v1", "/v1/", "SUPPORTED", "2020-01-01T12:00:00Z"),
    ApiVersion("v2", "/v2/", "CURRENT", "2020-01-01T12:00:00Z"),
)


@dataclass(frozen=True, slots=True)
class CloudInfo:
    """is_supported: this server can be told to use it now."""

    cloud: CloudType
    is_supported: bool


@dataclass(frozen=True, slots=True)
class CloudTypes:
    """documented: what the API reference gives as the answer. clouds: what can stand there in truth."""

    documented: tuple[CloudType, ...]
    clouds: tuple[CloudInfo, ...]


@dataclass(frozen=True, slots=True)
class ConfiguredEndpoint:
    """An [[endpoint]] of the configuration."""

    cloud: CloudType
    region: str
    url: str


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """url: what is used, "" if there is no driver."""

    region_id: str
    description: str
    url: str
    is_configured: bool


@dataclass(frozen=True, slots=True)
class CloudRegions:
    """The catalogued regions in the vendor's order, then those that only the configuration knows."""

    cloud: CloudType
    regions: tuple[RegionInfo, ...]


@dataclass(frozen=True, slots=True)
class Quota:
    """limit 0: counted, not limited."""

    name: str
    limit: int
    used: int
    description: str


class CatalogService:
    """Every call raises RequestError if it is refused."""

    def __init__(
        self,
        store: TaskStore,
        clock: Clock,
        *,
        endpoints: tuple[ConfiguredEndpoint, ...],
        max_parallel_tasks: int,
        quotas: QuotaKeeper,
        sync_tasks: SyncStore,
    ) -> None:
        self._store = store
        self._clock = clock
        self._configured = {(entry.cloud, entry.region): entry.url for entry in endpoints}
        self._max_parallel_tasks = max_parallel_tasks
        self._quotas = quotas
        self._sync_tasks = sync_tasks

    def versions(self) -> tuple[ApiVersion, ...]:
        """The versions of the OMS API. Source: API reference 5.1.1."""
        return _VERSIONS

    def version(self, version_id: str) -> ApiVersion:
        """One of them. Source: API reference 5.1.2."""
        findings = Findings()
        findings.need(NAMED, version_id, at="version")
        findings.check(API_VERSION_LIMITS, version_id, at="version")
        findings.raise_if_any()
        for known in _VERSIONS:
            if known.version_id == version_id.lower():
                return known
        names = ", ".join(known.version_id for known in _VERSIONS)
        raise RequestError(
            "OMS.1009", f"version: there is no such version; known are {names}", refusal=Refusal.NOT_FOUND
        )

    def cloud_types(self, end: str) -> CloudTypes:
        """The clouds that can be at an end, `src` or `dst`. Source: API reference 5.6.1."""
        findings = Findings()
        findings.need(NAMED, end, at="type")
        side = findings.choose("type", end, ENDS, Side.SOURCE)
        findings.raise_if_any()
        if side is Side.SOURCE:
            return CloudTypes(_DOCUMENTED_CLOUDS, tuple(map(_info, _DOCUMENTED_CLOUDS)))
        others = [cloud for cloud in _DOCUMENTED_CLOUDS if cloud is not CloudType.URL_SOURCE]
        # The documented service writes to one cloud only; this one to all.
        first = CloudType.HUAWEI
        return CloudTypes((first,), tuple(map(_info, sorted(others, key=lambda cloud: cloud is not first))))

    def cloud_regions(self, cloud_type: str = "") -> tuple[CloudRegions, ...]:
        """The regions of each cloud, or of one. Source: API reference 5.7.1."""
        only = parse_cloud_type(cloud_type)
        if cloud_type and only is None:
            right = "must be one of " + ", ".join(_DOCUMENTED_CLOUDS)
            raise RequestError.of_field("OMS.1003", "cloud_type", right)
        found = [self._regions_of(cloud) for cloud in _DOCUMENTED_CLOUDS if only is None or cloud is only]
        return tuple(entry for entry in found if entry.regions or only is not None)

    async def quotas(self, project_id: str) -> tuple[Quota, ...]:
        """The limits of the project, and how much of each is used. Source: API reference 5.2.3, 5.3.1, 6.10."""
        quotas, now_ms = self._quotas.quotas, int(self._clock.now_s() * 1000)
        machine = self._max_parallel_tasks
        waiting_num = await self._store.count_in(project_id, (TaskState.WAITING,))
        created_num = await self._quotas.created_num(project_id, CreationKind.TASK, now_ms)
        sync_num = sum(task.project_id == project_id for task in await self._sync_tasks.tasks())
        return (
            Quota(
                "MaxParallelTaskNum",
                min(quotas.parallel_tasks or machine, machine),
                await self._store.count_in(project_id, RUNNING),
                f"tasks of the project that run at once; of all projects together {machine}; more wait",
            ),
            Quota(
                "WaitingTaskNum",
                quotas.waiting_tasks,
                waiting_num,
                "tasks of the project that wait",
            ),
            Quota(
                "CreatedTaskNum",
                quotas.tasks_per_day,
                created_num,
                "tasks of the project created in the last 24 hours, deleted ones too; not those of task groups",
            ),
            Quota(
                "CreatedGroupNum",
                quotas.groups_per_day,
                await self._quotas.created_num(project_id, CreationKind.GROUP, now_ms),
                "task groups of the project created in the last 24 hours, deleted ones too",
            ),
            Quota(
                "V1WaitingTaskNum",
                self._quotas.waiting_limit(Dialect.V1).num,
                waiting_num,
                "as WaitingTaskNum; at the limit no task is created through V1",
            ),
            Quota(
                "V1CreatedTaskNum",
                self._quotas.daily_limit(Dialect.V1).num,
                created_num,
                "as CreatedTaskNum; at the limit no task is created through V1",
            ),
            Quota("SyncTaskNum", quotas.sync_tasks, sync_num, "synchronization tasks of the project"),
        )

    def _regions_of(self, cloud: CloudType) -> CloudRegions:
        catalogued = {region.region_id: region.description for region in regions(cloud)}
        beyond = sorted(
            region for owner, region in self._configured if owner is cloud and region not in catalogued
        )
        known = catalogued | {region: f"{region} (configured)" for region in beyond}
        return CloudRegions(
            cloud,
            tuple(
                RegionInfo(
                    region,
                    description,
                    self._configured.get((cloud, region)) or endpoint_url(cloud, region) or "",
                    (cloud, region) in self._configured,
                )
                for region, description in known.items()
            ),
        )


def _info(cloud: CloudType) -> CloudInfo:
    return CloudInfo(cloud, is_supported_protocol(cloud))
