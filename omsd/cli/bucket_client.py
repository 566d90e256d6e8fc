"""The gRPC client of questions about buckets and of the catalogue. Errors come as CallError, ready to be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omsd.cli.client import Client, ServerAddress
from omsd.pb.v1 import bucket_pb2, catalog_pb2, service_pb2_grpc

if TYPE_CHECKING:
    from omsd.pb.v1.service_pb2_grpc import BucketServiceAsyncStub, CatalogServiceAsyncStub


class BucketClient(Client):
    """Calls about buckets and the catalogue. Every call raises CallError."""

    def __init__(self, server: ServerAddress, project_id: str, *, timeout_s: float = 30.0) -> None:
        super().__init__(server, project_id, timeout_s=timeout_s)
        self._buckets: BucketServiceAsyncStub = service_pb2_grpc.BucketServiceStub(self._channel)
        self._catalog: CatalogServiceAsyncStub = service_pb2_grpc.CatalogServiceStub(self._channel)

    async def buckets(self, request: bucket_pb2.ListBucketsRequest) -> bucket_pb2.ListBucketsResponse:
        """The account's buckets."""
        request.project_id = self._project_id
        return await self._call(self._buckets.ListBuckets, request)

    async def objects(
        self, request: bucket_pb2.ListBucketObjectsRequest
    ) -> bucket_pb2.ListBucketObjectsResponse:
        """A page of one level of a bucket."""
        request.project_id = self._project_id
        return await self._call(self._buckets.ListBucketObjects, request)

    async def region(self, request: bucket_pb2.GetBucketRegionRequest) -> bucket_pb2.GetBucketRegionResponse:
        """Where a bucket is."""
        request.project_id = self._project_id
        return await self._call(self._buckets.GetBucketRegion, request)

    async def prefix(self, request: bucket_pb2.CheckPrefixRequest) -> bucket_pb2.CheckPrefixResponse:
        """Does any key begin with the prefix?"""
        request.project_id = self._project_id
        return await self._call(self._buckets.CheckPrefix, request)

    async def cdn_info(self, request: bucket_pb2.GetCdnInfoRequest) -> bucket_pb2.GetCdnInfoResponse:
        """Does a CDN give the bucket's objects?"""
        request.project_id = self._project_id
        return await self._call(self._buckets.GetCdnInfo, request)

    async def url_list(self, request: bucket_pb2.CheckUrlListRequest) -> bucket_pb2.CheckUrlListResponse:
        """Is a URL list file fit for a task?"""
        request.project_id = self._project_id
        return await self._call(self._buckets.CheckUrlList, request)

    async def versions(self) -> catalog_pb2.ListApiVersionsResponse:
        """The versions of the OMS API."""
        request = catalog_pb2.ListApiVersionsRequest(project_id=self._project_id)
        return await self._call(self._catalog.ListApiVersions, request)

    async def version(self, version: str) -> catalog_pb2.ApiVersion:
        """One version."""
        request = catalog_pb2.GetApiVersionRequest(project_id=self._project_id, version=version)
        return await self._call(self._catalog.GetApiVersion, request)

    async def clouds(self, end: str) -> catalog_pb2.ListCloudTypesResponse:
        """The clouds at an end, src or dst."""
        request = catalog_pb2.ListCloudTypesRequest(project_id=self._project_id, type=end)
        return await self._call(self._catalog.ListCloudTypes, request)

    async def regions(self, cloud_type: str | None = None) -> catalog_pb2.ListRegionsResponse:
        """The regions of each cloud, or of one."""
        request = catalog_pb2.ListRegionsRequest(project_id=self._project_id, cloud_type=cloud_type)
        return await self._call(self._catalog.ListRegions, request)

    async def quotas(self) -> catalog_pb2.ListQuotasResponse:
        """Limits and how much of them is used."""
        request = catalog_pb2.ListQuotasRequest(project_id=self._project_id)
        return await self._call(self._catalog.ListQuotas, request)
