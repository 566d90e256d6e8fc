"""What callers may ask about buckets: validated here, asked by a worker, refusals of clouds turned into documented codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from omsd.domain.catalogue import is_supported_protocol, regions
from omsd.domain.errors import RequestError, StoreError, StoreErrorKind, Violation
from omsd.domain.questions import (
    BucketNames,
    CdnChecked,
    FolderEntry,
    FolderPage,
    PrefixFound,
    Question,
    RegionFound,
    UrlListChecked,
)
from omsd.ports.executor import Asker
from omsd.service import bucket_requests as asked
from omsd.service.bucket_validation import (
    validate_bucket_region,
    validate_cdn,
    validate_list_buckets,
    validate_list_objects,
    validate_prefix,
    validate_url_list,
)
from omsd.service.locations import ValidationPolicy, is_known

_LISTING = "OMS.0153"
_REGION = "OMS.0155"
_READING = "OMS.1014"
_WRITING = "OMS.1020"
_CDN_DOMAIN = "OMS.0081"

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """One level of a bucket. next_marker: behind_filename of the next page, None behind the last one."""

    entries: tuple[FolderEntry, ...]
    next_marker: str | None


@dataclass(frozen=True, slots=True)
class BucketRegion:
    """is_supported: a task can name this region as its source."""

    region_id: str
    name: str
    is_supported: bool


@dataclass(frozen=True, slots=True)
class CdnInfo:
    """is_same_cloud: the CDN belongs to the cloud of the bucket. is_download_available: every key that was checked came as it is."""

    is_same_cloud: bool
    is_download_available: bool
    checked: CdnChecked


class BucketService:
    """Every call raises RequestError if it is refused. Keys of callers are used for the call and then forgotten."""

    def __init__(self, asker: Asker, policy: ValidationPolicy, *, deadline_s: float) -> None:
        self._asker = asker
        self._policy = policy
        self._deadline_s = deadline_s

    async def list_buckets(self, request: asked.ListBuckets) -> tuple[str, ...]:
        """The names of the account's buckets. Source: API reference 5.5.3."""
        question = validate_list_buckets(request, self._policy)
        fields = {"": "endpoint" if request.endpoint else "cloud_type"}
        return (await self._ask(question, BucketNames, _LISTING, fields)).names

    async def list_objects(self, request: asked.ListBucketObjects) -> ObjectPage:
        """One level of a bucket, page by page. Source: API reference 5.5.1."""
        question = validate_list_objects(request, self._policy)
        fields = {"bucket": "bucket_name", "": "endpoint" if request.endpoint else "data_center"}
        page = await self._ask(question, FolderPage, _LISTING, fields)
        # A page without entries has no last name; the same place again leads nowhere, so it is the end.
        following = page.entries[-1].name if page.more and page.entries else None
        return ObjectPage(page.entries, following)

    async def bucket_region(self, request: asked.GetBucketRegion) -> BucketRegion:
        """Where a bucket is. Source: API reference 5.5.4."""
        question = validate_bucket_region(request, self._policy)
        fields = {"bucket": "bucket_name", "": "endpoint" if request.endpoint else "cloud_type"}
        found = await self._ask(question, RegionFound, _REGION, fields)
        cloud = question.at.cloud_type
        names = {region.region_id: region.description for region in regions(cloud)}
        place = replace(question.at, region=found.region)
        supported = is_supported_protocol(cloud) and is_known(place, self._policy)
        return BucketRegion(found.region, names.get(found.region, found.region), supported)

    async def has_prefix(self, request: asked.CheckPrefix) -> bool:
        """Does any key begin with the prefix? Source: API reference 5.5.5."""
        question = validate_prefix(request, self._policy)
        fields = {"bucket": "bucket_name", "": "endpoint" if request.endpoint else "data_center"}
        return (await self._ask(question, PrefixFound, _READING, fields)).exists

    async def cdn_info(self, request: asked.GetCdnInfo) -> CdnInfo:
        """Does a CDN give the bucket's objects as they are? Source: API reference 5.5.2."""
        question = validate_cdn(request, self._policy)
        fields = {"bucket": "bucket", "": "endpoint" if request.endpoint else "region"}
        checked = await self._ask(question, CdnChecked, _READING, fields)
        if checked.domain_fault is not None:
            fault = checked.domain_fault.error()
            raise RequestError.of_field(_CDN_DOMAIN, "source_cdn.domain", _description(fault))
        return CdnInfo(checked.is_of_vendor, checked.is_download_available, checked)

    async def check_url_list(self, request: asked.CheckUrlList) -> UrlListChecked:
        """Can a task use this URL list file? What is wrong with it is part of the answer; its bucket must be there."""
        question = validate_url_list(request, self._policy)
        fields = {"bucket": "list_file.obs_bucket", "": "endpoint" if request.endpoint else "region"}
        return await self._ask(question, UrlListChecked, _WRITING, fields)

    async def _ask(self, question: Question, answer_type: type[A], code: str, fields: Mapping[str, str]) -> A:
        """The answer. fields: the call's own name of the bucket, and under "" of the way to the service."""
        try:
            return await self._asker.ask(question, answer_type, deadline_s=self._deadline_s)
        except StoreError as error:
            raise _refusal(error, code, fields) from error


_FIELDS = {
    StoreErrorKind.UNAUTHENTICATED: "ak",
    StoreErrorKind.PERMISSION: "ak",
    StoreErrorKind.EXPIRED: "security_token",
}


_ADVICE = {
    StoreErrorKind.UNAUTHENTICATED: "check the AK/SK",
    StoreErrorKind.EXPIRED: "the temporary keys ran out; send fresh ones",
    StoreErrorKind.PERMISSION: "allow the AK to do this, or use another",
    StoreErrorKind.NO_SUCH_BUCKET: "check the bucket's name and region",
    StoreErrorKind.FORBIDDEN_ADDRESS: "the operator can allow the address under [network] in the configuration",
}


def _description(error: StoreError) -> str:
    """The service's own words, and what to do."""
    text = error.message
    if error.provider_code and error.provider_code not in text:
        text += f" [{error.provider_code}]"
    if error.request_id:
        text += f" (request id {error.request_id})"
    advice = _ADVICE.get(error.kind)
    return f"{text}; {advice}" if advice else text


def _refusal(error: StoreError, code: str, fields: Mapping[str, str]) -> RequestError:
    field = _FIELDS.get(error.kind, fields[""])
    if error.kind is StoreErrorKind.NO_SUCH_BUCKET:
        field = fields.get("bucket", field)
    description = _description(error)
    return RequestError(code, f"{field}: {description}", violations=(Violation(field, description),))
