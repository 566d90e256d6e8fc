"""BucketService and CatalogService as a caller meets them: every field of every rpc, errors, health, reflection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from omsd.api.grpc.server import GrpcServer, bucket_service, catalog_service
from omsd.domain.errors import Failure, Refusal, RequestError
from omsd.domain.questions import BadUrlLine, CheckedKey, UrlListChecked
from omsd.pb.v1 import bucket_pb2, catalog_pb2, types_pb2
from omsd.pb.v1.service_pb2_grpc import BucketServiceStub, CatalogServiceStub
from omsd.service import bucket_requests as asked
from omsd.service.requests import ListFile, SourceCdn
from tests.api.test_server import failure
from tests.fakes.bucket_service import FakeBucketService, FakeCatalog
from tests.fakes.task_service import FakeTaskService

ACCOUNT: dict[str, Any] = {
    "cloud_type": "AWS",
    "ak": "AK",
    "sk": "SK",
    "security_token": "T",
    "app_id": "7",
    "endpoint": "https://h",
}
SERVICES = ("omsd.v1.BucketService", "omsd.v1.CatalogService")


@pytest.fixture
def service() -> FakeBucketService:
    return FakeBucketService()


@pytest.fixture
async def channel(service: FakeBucketService) -> AsyncIterator[aio.Channel]:
    server = GrpcServer(
        FakeTaskService(), bucket_service(service), catalog_service(FakeCatalog()), listen="127.0.0.1:0"
    )
    address = await server.start()
    async with aio.insecure_channel(address) as channel:
        yield channel
    await server.stop(grace_s=0)


@pytest.fixture
def buckets(channel: aio.Channel) -> BucketServiceStub:
    return BucketServiceStub(channel)


@pytest.fixture
def catalog(channel: aio.Channel) -> CatalogServiceStub:
    return CatalogServiceStub(channel)


async def test_buckets_are_listed(buckets: BucketServiceStub, service: FakeBucketService) -> None:
    request = bucket_pb2.ListBucketsRequest(project_id="p", region="r", json_auth_file="{}", **ACCOUNT)
    assert list((await buckets.ListBuckets(request)).buckets) == ["one", "two"]
    assert service.calls == [asked.ListBuckets(region="r", json_auth_file="{}", **ACCOUNT)]


async def test_objects_come_in_pages_with_documented_sizes(
    buckets: BucketServiceStub, service: FakeBucketService
) -> None:
    fields: dict[str, Any] = {
        "bucket_name": "b",
        "data_center": "r",
        "file_path": "",
        "page_size": 1,
        "behind_filename": "",
        **ACCOUNT,
    }
    page = await buckets.ListBucketObjects(bucket_pb2.ListBucketObjectsRequest(project_id="p", **fields))
    assert page == bucket_pb2.ListBucketObjectsResponse(
        next_page=True, next_marker="d/", records=[bucket_pb2.BucketRecord(name="d/", size="--")]
    )
    assert service.calls == [asked.ListBucketObjects(**fields)]
    fields["behind_filename"] = "d/"
    page = await buckets.ListBucketObjects(bucket_pb2.ListBucketObjectsRequest(project_id="p", **fields))
    assert page == bucket_pb2.ListBucketObjectsResponse(
        records=[bucket_pb2.BucketRecord(name="a b", size="1.50 KB", size_bytes=1536)]
    )
    assert not page.HasField("next_marker")


async def test_what_was_not_sent_is_absent_not_empty(
    buckets: BucketServiceStub, service: FakeBucketService
) -> None:
    await buckets.ListBucketObjects(bucket_pb2.ListBucketObjectsRequest(project_id="p"))
    await buckets.GetCdnInfo(bucket_pb2.GetCdnInfoRequest(project_id="p"))
    assert service.calls == [asked.ListBucketObjects(), asked.GetCdnInfo()]


async def test_a_region_and_a_prefix_are_asked_for(
    buckets: BucketServiceStub, service: FakeBucketService
) -> None:
    where = bucket_pb2.GetBucketRegionRequest(project_id="p", bucket_name="b", region="r", **ACCOUNT)
    assert await buckets.GetBucketRegion(where) == bucket_pb2.GetBucketRegionResponse(
        id="eu-west-3", name="Europe (Paris)", support=True
    )
    fields: dict[str, Any] = {"bucket_name": "b", "file_name": "x/", "data_center": "r", **ACCOUNT}
    for service.exists in (True, False):
        answer = await buckets.CheckPrefix(bucket_pb2.CheckPrefixRequest(project_id="p", **fields))
        assert answer.exist is service.exists
    assert service.calls[0] == asked.GetBucketRegion(bucket_name="b", region="r", **ACCOUNT)
    assert service.calls[1] == asked.CheckPrefix(**fields)


async def test_a_cdn_is_asked_for(buckets: BucketServiceStub, service: FakeBucketService) -> None:
    service.checked = (CheckedKey("k", True, True, True), CheckedKey("l", True, False, True, "other bytes"))
    cdn = {"domain": "h", "protocol": "https", "authentication_type": "NONE", "authentication_key": "K"}
    request = bucket_pb2.GetCdnInfoRequest(
        project_id="p",
        bucket="b",
        region="r",
        prefix=bucket_pb2.PrefixKeyInfo(keys=["k", "l"]),
        source_cdn=types_pb2.SourceCdnReq(**cdn),
        **ACCOUNT,
    )
    assert await buckets.GetCdnInfo(request) == bucket_pb2.GetCdnInfoResponse(
        is_same_cloud_type=True,
        is_download_available=False,
        checked_keys=[
            bucket_pb2.CheckedKey(key="k", is_etag_matching=True, is_object_existing=True),
            bucket_pb2.CheckedKey(key="l", is_object_existing=True, note="other bytes"),
        ],
    )
    assert service.calls == [
        asked.GetCdnInfo(
            bucket="b",
            region="r",
            prefix=asked.PrefixKeyInfo(keys=("k", "l")),
            source_cdn=SourceCdn(**cdn),
            **ACCOUNT,
        )
    ]


async def test_a_url_list_is_asked_for(buckets: BucketServiceStub, service: FakeBucketService) -> None:
    file = types_pb2.ListFile(obs_bucket="b", list_file_key="l.txt")
    fields = {**ACCOUNT, "region": "r", "check_num": 3}
    request = bucket_pb2.CheckUrlListRequest(project_id="p", list_file=file, **fields)
    answer = await buckets.CheckUrlList(request)
    assert service.calls == [
        asked.CheckUrlList(list_file=ListFile(obs_bucket="b", list_file_key="l.txt"), **fields)
    ]
    assert answer == bucket_pb2.CheckUrlListResponse(
        is_valid=True,
        size_bytes=70,
        url_num=2,
        checked_urls=[
            bucket_pb2.CheckedUrl(
                url="http://h/a", object_key="a", is_available=True, status=200, size_bytes=5
            ),
            bucket_pb2.CheckedUrl(url="http://h/b", object_key="b", is_available=True, status=200),
        ],
    )
    bad = (BadUrlLine(7, "no tab"),)
    service.list_checked = UrlListChecked(70, 1, 1, bad, (), Failure("TRF.0016", "wrong"))
    answer = await buckets.CheckUrlList(request)
    assert answer == bucket_pb2.CheckUrlListResponse(
        error_reason=types_pb2.ErrorReason(error_code="TRF.0016", error_msg="wrong"),
        size_bytes=70,
        url_num=1,
        bad_line_num=1,
        bad_lines=[bucket_pb2.BadUrlLine(offset=7, reason="no tab")],
    )


async def test_the_catalogue_is_told(catalog: CatalogServiceStub) -> None:
    versions = await catalog.ListApiVersions(catalog_pb2.ListApiVersionsRequest(project_id="p"))
    version = await catalog.GetApiVersion(catalog_pb2.GetApiVersionRequest(project_id="p", version="v2"))
    assert list(versions.versions) == [version]
    assert (version.id, version.status, version.links[0].href, version.links[0].rel) == (
        "v2",
        "CURRENT",
        "/v2/",
        "self",
    )
    clouds = await catalog.ListCloudTypes(catalog_pb2.ListCloudTypesRequest(project_id="p", type="src"))
    assert list(clouds.cloud_types) == ["AWS"]
    assert [(info.cloud_type, info.is_supported) for info in clouds.clouds] == [
        ("AWS", True),
        ("Azure", False),
    ]
    regions = await catalog.ListRegions(catalog_pb2.ListRegionsRequest(project_id="p", cloud_type="AWS"))
    assert list(regions.clouds) == [
        catalog_pb2.CloudRegions(
            service_name="AWS",
            region_list=[
                catalog_pb2.Region(
                    cloud_type="AWS",
                    value="eu-west-3",
                    description="Europe (Paris)",
                    endpoint="https://s3",
                    is_configured=True,
                )
            ],
        )
    ]
    quotas = await catalog.ListQuotas(catalog_pb2.ListQuotasRequest(project_id="p"))
    assert quotas.quotas[0] == catalog_pb2.Quota(
        type="MaxParallelTaskNum", quota=5, used=2, description="running, asked by p"
    )


async def test_a_call_without_a_project_is_refused(
    buckets: BucketServiceStub, catalog: CatalogServiceStub
) -> None:
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: buckets.ListBuckets(bucket_pb2.ListBucketsRequest()),
        lambda: buckets.ListBucketObjects(bucket_pb2.ListBucketObjectsRequest()),
        lambda: buckets.GetBucketRegion(bucket_pb2.GetBucketRegionRequest()),
        lambda: buckets.CheckPrefix(bucket_pb2.CheckPrefixRequest()),
        lambda: buckets.GetCdnInfo(bucket_pb2.GetCdnInfoRequest()),
        lambda: catalog.ListApiVersions(catalog_pb2.ListApiVersionsRequest()),
        lambda: catalog.GetApiVersion(catalog_pb2.GetApiVersionRequest()),
        lambda: catalog.ListCloudTypes(catalog_pb2.ListCloudTypesRequest()),
        lambda: catalog.ListRegions(catalog_pb2.ListRegionsRequest()),
        lambda: catalog.ListQuotas(catalog_pb2.ListQuotasRequest()),
    ]
    for call in calls:
        error, details = await failure(call())
        info: Any = details["ErrorInfo"]
        wrong: Any = details["BadRequest"]
        assert (error.code(), info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "OMS.1004")
        assert [violation.field for violation in wrong.field_violations] == ["project_id"]


async def test_a_refusal_keeps_its_code_and_its_field(
    buckets: BucketServiceStub, service: FakeBucketService
) -> None:
    service.raises = RequestError.of_field("OMS.0153", "ak", "check the AK/SK")
    error, details = await failure(buckets.ListBuckets(bucket_pb2.ListBucketsRequest(project_id="p")))
    info: Any = details["ErrorInfo"]
    wrong: Any = details["BadRequest"]
    assert (error.code(), info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "OMS.0153")
    assert wrong.field_violations[0].field == "ak"
    service.raises = RequestError("OMS.2004", "busy", refusal=Refusal.BUSY)
    error, details = await failure(buckets.ListBuckets(bucket_pb2.ListBucketsRequest(project_id="p")))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "RetryInfo" in details


async def test_health_and_reflection_know_the_services(channel: aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in SERVICES:
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICES[0])

    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    listed, described = [answer async for answer in stub.ServerReflectionInfo(ask())]
    assert {*SERVICES} <= {service.name for service in listed.list_services_response.service}
    assert b"GetCdnInfo" in described.file_descriptor_response.file_descriptor_proto[0]
