"""Questions about buckets become domain types here, or are refused with the documented code and the names of all wrong fields."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from omsd.domain.catalogue import home_region
from omsd.domain.model import CloudType, Credentials, Location
from omsd.domain.questions import CheckCdn, CheckUrlList, FindPrefix, FindRegion, ListBuckets, ListFolder
from omsd.service import bucket_requests as asked
from omsd.service.barred import ACCOUNT_BARRED, CDN_BARRED, Bars
from omsd.service.bucket_limits import (
    BUCKET_REGION_LIMITS,
    CDN_LIMITS,
    DEFAULT_CHECKED_URLS,
    LIST_BUCKETS_LIMITS,
    LIST_OBJECTS_LIMITS,
    MAX_PAGE,
    PREFIX_LIMITS,
    URL_LIST_LIMITS,
)
from omsd.service.choices import CDN_AUTHENTICATIONS, CDN_PROTOCOLS, NO_CDN_AUTHENTICATION
from omsd.service.findings import Findings, value_at
from omsd.service.limits import Limits
from omsd.service.locations import AskedPlace, ValidationPolicy, check_place, parse_endpoint
from omsd.service.needs import (
    ACCOUNT_NEEDS,
    BUCKET_REGION_NEEDS,
    CDN_NEEDS,
    LIST_OBJECTS_NEEDS,
    PREFIX_NEEDS,
    URL_LIST_NEEDS,
    Needs,
)
from omsd.service.requests import ListFile, SourceCdn

SEPARATOR = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """How a call names its place, and what is declared of its fields. bucket_field "": an account is asked about."""

    region_field: str
    bucket_field: str = ""
    default_cloud: CloudType = CloudType.ALIYUN
    limits: Limits = field(repr=False)
    needs: Needs = field(repr=False)
    barred: Bars = field(default=ACCOUNT_BARRED, repr=False)


_BUCKETS = _Shape(region_field="region", limits=LIST_BUCKETS_LIMITS, needs=ACCOUNT_NEEDS)
_OBJECTS = _Shape(
    region_field="data_center",
    bucket_field="bucket_name",
    limits=LIST_OBJECTS_LIMITS,
    needs=LIST_OBJECTS_NEEDS,
)
_REGION = _Shape(
    region_field="region",
    bucket_field="bucket_name",
    limits=BUCKET_REGION_LIMITS,
    needs=BUCKET_REGION_NEEDS,
)
_PREFIX = _Shape(
    region_field="data_center", bucket_field="bucket_name", limits=PREFIX_LIMITS, needs=PREFIX_NEEDS
)
_CDN = _Shape(
    region_field="region", bucket_field="bucket", limits=CDN_LIMITS, needs=CDN_NEEDS, barred=CDN_BARRED
)
_URL_LIST = _Shape(
    region_field="region",
    bucket_field="list_file.obs_bucket",
    default_cloud=CloudType.HUAWEI,
    limits=URL_LIST_LIMITS,
    needs=URL_LIST_NEEDS,
)


def validate_list_buckets(request: asked.ListBuckets, policy: ValidationPolicy) -> ListBuckets:
    """The question. Raises RequestError with every wrong field."""
    findings = Findings()
    at, credentials = _place(findings, request, _BUCKETS, policy)
    findings.raise_if_any()
    return ListBuckets(at, credentials)


def validate_list_objects(request: asked.ListBucketObjects, policy: ValidationPolicy) -> ListFolder:
    """The question; a path without a slash at its end gets one. Raises RequestError with every wrong field."""
    findings = Findings()
    at, credentials = _place(findings, request, _OBJECTS, policy)
    path, behind = request.file_path or "", request.behind_filename or ""
    if path and not path.endswith(SEPARATOR):
        path += SEPARATOR
    if behind and not behind.startswith(path):
        findings.add("OMS.1003", "behind_filename", "must be the next_marker of a page of the same file_path")
    findings.raise_if_any()
    return ListFolder(at, credentials, path, behind, request.page_size or MAX_PAGE)


def validate_bucket_region(request: asked.GetBucketRegion, policy: ValidationPolicy) -> FindRegion:
    """The question. Raises RequestError with every wrong field."""
    findings = Findings()
    at, credentials = _place(findings, request, _REGION, policy)
    findings.raise_if_any()
    return FindRegion(at, credentials)


def validate_prefix(request: asked.CheckPrefix, policy: ValidationPolicy) -> FindPrefix:
    """The question; the prefix "" is any key. Raises RequestError with every wrong field."""
    findings = Findings()
    at, credentials = _place(findings, request, _PREFIX, policy)
    findings.raise_if_any()
    return FindPrefix(at, credentials, request.file_name or "")


def validate_cdn(request: asked.GetCdnInfo, policy: ValidationPolicy) -> CheckCdn:
    """The question. Raises RequestError with every wrong field."""
    findings = Findings()
    at, credentials = _place(findings, request, _CDN, policy)
    url = _cdn_url(findings, request.source_cdn)
    keys = request.prefix.keys if request.prefix is not None else ()
    findings.raise_if_any()
    return CheckCdn(at, credentials, url, keys)


def validate_url_list(request: asked.CheckUrlList, policy: ValidationPolicy) -> CheckUrlList:
    """The question. Raises RequestError with every wrong field."""
    findings = Findings()
    file = request.list_file or ListFile()
    at, credentials = _place(findings, replace(request, list_file=file), _URL_LIST, policy)
    if file.list_file_key.endswith(SEPARATOR):
        findings.add("OMS.1003", "list_file.list_file_key", "must be one file, not a folder")
    findings.raise_if_any()
    urls_num = DEFAULT_CHECKED_URLS if request.check_num is None else request.check_num
    return CheckUrlList(at, credentials, file.list_file_key, urls_num)


def _place(
    findings: Findings, request: asked.AccountFields, shape: _Shape, policy: ValidationPolicy
) -> tuple[Location, Credentials]:
    findings.check(shape.limits, request)
    findings.need(shape.needs, request)
    findings.bar(shape.barred, request)
    place = AskedPlace(
        cloud_type=request.cloud_type,
        default_cloud=shape.default_cloud,
        region=value_at(request, shape.region_field),
        region_field=shape.region_field,
        bucket=value_at(request, shape.bucket_field) if shape.bucket_field else None,
        bucket_field=shape.bucket_field,
        app_id=request.app_id,
        endpoint=request.endpoint,
    )
    location = check_place(findings, place, policy)
    if not location.region and not location.endpoint_url:
        location = Location(
            location.cloud_type, home_region(location.cloud_type), location.bucket, "", location.app_id
        )
    return location, Credentials(request.ak or "", request.sk or "", request.security_token or "")


def _cdn_url(findings: Findings, cdn: SourceCdn | None) -> str:
    """scheme://host[:port] of the CDN; what is wrong with it is among the findings."""
    if cdn is None:
        return ""
    kind = "source_cdn.authentication_type"
    findings.choose(kind, cdn.authentication_type, CDN_AUTHENTICATIONS, NO_CDN_AUTHENTICATION)
    protocol = findings.choose("source_cdn.protocol", cdn.protocol, CDN_PROTOCOLS, "https")
    url = parse_endpoint(f"{protocol}://{cdn.domain}") if cdn.domain else ""
    if url is None:
        findings.add(
            "OMS.0081", "source_cdn.domain", "must be host or host:port, without protocol, path or query"
        )
    return url or ""
