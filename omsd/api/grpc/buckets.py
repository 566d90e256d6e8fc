"""BucketService: each rpc is one call of the bucket service, with its messages mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from google.protobuf.message import Message
from grpc import aio

from omsd.api.grpc.mapping import cdn_from_pb
from omsd.domain.questions import UrlListChecked, size_text
from omsd.pb.v1 import bucket_pb2, service_pb2_grpc, types_pb2
from omsd.service import bucket_requests as asked
from omsd.service.buckets import BucketRegion, CdnInfo, ObjectPage
from omsd.service.identifiers import validate_project_id
from omsd.service.requests import ListFile

if TYPE_CHECKING:
    # Generic in the stubs only.
    Context = aio.ServicerContext[Any, Any]

_ACCOUNT = ("cloud_type", "ak", "sk", "security_token", "json_auth_file", "app_id", "endpoint")


class BucketCalls(Protocol):
    """What is needed of service.buckets.BucketService; every call raises RequestError if it is refused."""

    async def list_buckets(self, request: asked.ListBuckets) -> tuple[str, ...]: ...
    async def list_objects(self, request: asked.ListBucketObjects) -> ObjectPage: ...
    async def bucket_region(self, request: asked.GetBucketRegion) -> BucketRegion: ...
    async def has_prefix(self, request: asked.CheckPrefix) -> bool: ...
    async def cdn_info(self, request: asked.GetCdnInfo) -> CdnInfo: ...
    async def check_url_list(self, request: asked.CheckUrlList) -> UrlListChecked: ...


class BucketServicer(service_pb2_grpc.BucketServiceServicer):
    """Errors leave as exceptions; the interceptor turns them into a status."""

    def __init__(self, buckets: BucketCalls) -> None:
        self._buckets = buckets

    async def ListBuckets(
        self, request: bucket_pb2.ListBucketsRequest, context: Context
    ) -> bucket_pb2.ListBucketsResponse:
        validate_project_id(request.project_id)
        wanted = asked.ListBuckets(**_given(request, "region"))
        return bucket_pb2.ListBucketsResponse(buckets=await self._buckets.list_buckets(wanted))

    async def ListBucketObjects(
        self, request: bucket_pb2.ListBucketObjectsRequest, context: Context
    ) -> bucket_pb2.ListBucketObjectsResponse:
        validate_project_id(request.project_id)
        names = ("bucket_name", "data_center", "file_path", "page_size", "behind_filename")
        page = await self._buckets.list_objects(asked.ListBucketObjects(**_given(request, *names)))
        return bucket_pb2.ListBucketObjectsResponse(
            next_page=page.next_marker is not None,
            next_marker=page.next_marker,
            records=[
                bucket_pb2.BucketRecord(
                    name=entry.name, size=size_text(entry.size_bytes), size_bytes=entry.size_bytes
                )
                for entry in page.entries
            ],
        )

    async def GetBucketRegion(
        self, request: bucket_pb2.GetBucketRegionRequest, context: Context
    ) -> bucket_pb2.GetBucketRegionResponse:
        validate_project_id(request.project_id)
        wanted = asked.GetBucketRegion(**_given(request, "bucket_name", "region"))
        found = await self._buckets.bucket_region(wanted)
        return bucket_pb2.GetBucketRegionResponse(
            id=found.region_id, name=found.name, support=found.is_supported
        )

    async def CheckPrefix(
        self, request: bucket_pb2.CheckPrefixRequest, context: Context
    ) -> bucket_pb2.CheckPrefixResponse:
        validate_project_id(request.project_id)
        wanted = asked.CheckPrefix(**_given(request, "bucket_name", "file_name", "data_center"))
        return bucket_pb2.CheckPrefixResponse(exist=await self._buckets.has_prefix(wanted))

    async def GetCdnInfo(
        self, request: bucket_pb2.GetCdnInfoRequest, context: Context
    ) -> bucket_pb2.GetCdnInfoResponse:
        validate_project_id(request.project_id)
        wanted = asked.GetCdnInfo(
            **_given(request, "bucket", "region"),
            prefix=asked.PrefixKeyInfo(keys=tuple(request.prefix.keys))
            if request.HasField("prefix")
            else None,
            source_cdn=cdn_from_pb(request.source_cdn) if request.HasField("source_cdn") else None,
        )
        info = await self._buckets.cdn_info(wanted)
        return bucket_pb2.GetCdnInfoResponse(
            is_same_cloud_type=info.is_same_cloud,
            is_download_available=info.is_download_available,
            checked_keys=[
                bucket_pb2.CheckedKey(
                    key=key.key, is_etag_matching=key.is_same, is_object_existing=key.is_found, note=key.note
                )
                for key in info.checked.keys
            ],
        )

    async def CheckUrlList(
        self, request: bucket_pb2.CheckUrlListRequest, context: Context
    ) -> bucket_pb2.CheckUrlListResponse:
        validate_project_id(request.project_id)
        file = ListFile(
            list_file_key=request.list_file.list_file_key, obs_bucket=request.list_file.obs_bucket
        )
        wanted = asked.CheckUrlList(**_given(request, "region", "check_num"), list_file=file)
        return _checked_to_pb(await self._buckets.check_url_list(wanted))


def _checked_to_pb(found: UrlListChecked) -> bucket_pb2.CheckUrlListResponse:
    failure = found.failure
    return bucket_pb2.CheckUrlListResponse(
        is_valid=failure is None,
        error_reason=(
            types_pb2.ErrorReason(error_code=failure.code, error_msg=failure.message) if failure else None
        ),
        size_bytes=found.size_bytes,
        url_num=found.good_num,
        bad_line_num=found.bad_num,
        bad_lines=[bucket_pb2.BadUrlLine(offset=line.offset, reason=line.reason) for line in found.bad],
        checked_urls=[
            bucket_pb2.CheckedUrl(
                url=url.url,
                object_key=url.key,
                is_available=not url.note,
                status=url.status,
                size_bytes=url.size_bytes if url.size_bytes >= 0 else None,
                note=url.note,
            )
            for url in found.urls
        ],
    )


def _given(message: Message, *names: str) -> dict[str, Any]:
    """The values of the account's fields and of these, as written; a message need not have all of the account's."""
    known = message.DESCRIPTOR.fields_by_name
    wanted = [name for name in (*_ACCOUNT, *names) if name in known]
    return {name: getattr(message, name) if message.HasField(name) else None for name in wanted}
