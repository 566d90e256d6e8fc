"""CatalogService: each rpc is one call of the catalog service, with its messages mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from grpc import aio

from omsd.pb.v1 import catalog_pb2, service_pb2_grpc
from omsd.service.catalog import ApiVersion, CloudRegions, CloudTypes, Quota
from omsd.service.identifiers import validate_project_id

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = aio.ServicerContext[Any, Any]


class CatalogCalls(Protocol):
    """What is needed of service.catalog.CatalogService; every call raises RequestError if it is refused."""

    def versions(self) -> tuple[ApiVersion, ...]: ...
    def version(self, version_id: str) -> ApiVersion: ...
    def cloud_types(self, end: str) -> CloudTypes: ...
    def cloud_regions(self, cloud_type: str = "") -> tuple[CloudRegions, ...]: ...
    async def quotas(self, project_id: str) -> tuple[Quota, ...]: ...


class CatalogServicer(service_pb2_grpc.CatalogServiceServicer):
    """Errors leave as exceptions; the interceptor turns them into a status."""

    def __init__(self, catalog: CatalogCalls) -> None:
        self._catalog = catalog

    async def ListApiVersions(
        self, request: catalog_pb2.ListApiVersionsRequest, context: Context
    ) -> catalog_pb2.ListApiVersionsResponse:
        validate_project_id(request.project_id)
        return catalog_pb2.ListApiVersionsResponse(versions=map(_version_to_pb, self._catalog.versions()))

    async def GetApiVersion(
        self, request: catalog_pb2.GetApiVersionRequest, context: Context
    ) -> catalog_pb2.ApiVersion:
        validate_project_id(request.project_id)
        return _version_to_pb(self._catalog.version(request.version))

    async def ListCloudTypes(
        self, request: catalog_pb2.ListCloudTypesRequest, context: Context
    ) -> catalog_pb2.ListCloudTypesResponse:
        validate_project_id(request.project_id)
        found = self._catalog.cloud_types(request.type)
        return catalog_pb2.ListCloudTypesResponse(
            cloud_types=found.documented,
            clouds=[
                catalog_pb2.CloudInfo(cloud_type=info.cloud, is_supported=info.is_supported)
                for info in found.clouds
            ],
        )

    async def ListRegions(
        self, request: catalog_pb2.ListRegionsRequest, context: Context
    ) -> catalog_pb2.ListRegionsResponse:
        validate_project_id(request.project_id)
        found = self._catalog.cloud_regions(request.cloud_type)
        return catalog_pb2.ListRegionsResponse(clouds=map(_regions_to_pb, found))

    async def ListQuotas(
        self, request: catalog_pb2.ListQuotasRequest, context: Context
    ) -> catalog_pb2.ListQuotasResponse:
        quotas = await self._catalog.quotas(validate_project_id(request.project_id))
        return catalog_pb2.ListQuotasResponse(
            quotas=[
                catalog_pb2.Quota(
                    type=quota.name, quota=quota.limit, used=quota.used, description=quota.description
                )
                for quota in quotas
            ]
        )


def _version_to_pb(version: ApiVersion) -> catalog_pb2.ApiVersion:
    return catalog_pb2.ApiVersion(
        id=version.version_id,
        links=[catalog_pb2.Link(href=version.path, rel="self")],
        status=version.status,
        updated=version.updated,
    )


def _regions_to_pb(found: CloudRegions) -> catalog_pb2.CloudRegions:
    return catalog_pb2.CloudRegions(
        service_name=found.cloud,
        region_list=[
            catalog_pb2.Region(
                cloud_type=found.cloud,
                value=region.region_id,
                description=region.description,
                endpoint=region.url,
                is_configured=region.is_configured,
            )
            for region in found.regions
        ],
    )
