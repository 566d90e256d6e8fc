"""The two ends of a task as a caller named them: cloud, region, endpoint, bucket."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from difflib import get_close_matches

from omsd.domain.catalogue import (
    canonical_region,
    endpoint_url,
    is_supported_protocol,
    parse_cloud_type,
    regions,
)
from omsd.domain.model import CloudType, Location
from omsd.service.barred import NOT_YET
from omsd.service.choices import CLOUDS
from omsd.service.findings import Findings
from omsd.service.limits import BUCKET_NAMES, OTHER_BUCKET_NAMES
from omsd.service.needs import NODE_NEEDS
from omsd.service.notice_topics import NoticeTopics
from omsd.service.requests import DstNode, SrcNode

_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?)(?::([0-9]{1,5}))?/?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ValidationPolicy:
    """What this server was configured to serve.

    served_regions: destination regions, empty = all. known_endpoints: those with an [[endpoint]]
    of their own. notices: topics that may be told of the end of a task.
    """

    served_regions: frozenset[str] = frozenset()
    known_endpoints: frozenset[tuple[CloudType, str]] = frozenset()
    notices: NoticeTopics = field(default_factory=NoticeTopics)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPlace:
    """A bucket, or an account (bucket_field ""), as the call of a question names it; *_field: under these names.

    default_cloud: if none is named.
    """

    cloud_type: str | None
    default_cloud: CloudType
    region: str | None
    region_field: str
    bucket: str | None
    bucket_field: str
    app_id: str | None
    endpoint: str | None


def check_place(findings: Findings, place: AskedPlace, policy: ValidationPolicy) -> Location:
    """Where the question is asked; what is wrong with it is among the findings, and then the location is of no use."""
    cloud = _cloud(findings, "cloud_type", place.cloud_type, place.default_cloud)
    url = _endpoint(findings, "endpoint", place.endpoint)
    if place.bucket:
        _check_bucket(findings, place.bucket_field, place.bucket, cloud, own_endpoint=bool(place.endpoint))
    region = canonical_region(cloud, place.region or "")
    location = Location(cloud, region, place.bucket or "", url, place.app_id or "")
    if place.region and not is_known(location, policy):
        findings.add("OMS.0079", place.region_field, _unknown_region(location))
    return location


def check_source(findings: Findings, node: SrcNode, policy: ValidationPolicy) -> Location:
    """The source bucket; what is wrong with it is among the findings, and then the location is of no use."""
    cloud = _cloud(findings, "src_node.cloud_type", node.cloud_type, CloudType.ALIYUN)
    location = _location(findings, "src_node", node, cloud, node.app_id or "")
    if node.region and not is_known(location, policy):
        findings.add("OMS.0079", "src_node.region", _unknown_region(location))
    return location


def check_destination(findings: Findings, node: DstNode, policy: ValidationPolicy) -> Location:
    """The destination bucket; what is wrong with it is among the findings, and then the location is of no use."""
    cloud = _cloud(findings, "dst_node.cloud_type", node.cloud_type, CloudType.HUAWEI)
    location = _location(findings, "dst_node", node, cloud, "")
    if node.region:
        served = policy.served_regions
        if served and location.region not in served and node.region not in served:
            right = "must be one this server migrates into: " + ", ".join(sorted(served))
            findings.add("OMS.0080", "dst_node.region", right)
        elif not is_known(location, policy):
            findings.add("OMS.0080", "dst_node.region", _unknown_region(location))
    if cloud is CloudType.TENCENT and node.bucket and not re.search(r"-[0-9]+$", node.bucket):
        findings.add("OMS.0058", "dst_node.bucket", "must end in the APPID for Tencent: <name>-<appid>")
    return location


def check_list_bucket(findings: Findings, field: str, bucket: str, destination: DstNode) -> None:
    """The bucket of the object list files stands where the destination does, and follows the same rules."""
    cloud = parse_cloud_type(destination.cloud_type or CloudType.HUAWEI) or CloudType.HUAWEI
    _check_bucket(findings, field, bucket, cloud, own_endpoint=bool(destination.endpoint))


def is_same_bucket(one: Location, other: Location) -> bool:
    """Do both name one bucket of one service?"""
    if one.bucket != other.bucket:
        return False
    urls = [place.endpoint_url or endpoint_url(place.cloud_type, place.region) for place in (one, other)]
    if urls[0] is None and urls[1] is None:
        return (one.cloud_type, one.region) == (other.cloud_type, other.region)
    return urls[0] == urls[1]


def parse_endpoint(text: str) -> str | None:
    """The URL as scheme://host[:port] in lower case without a default port, None if it is anything else."""
    match = _URL.fullmatch(text.lower())
    if match is None:
        return None
    scheme, host, port = match[1], match[2], match[3]
    if host.startswith("[") and not _is_ipv6(host[1:-1]):
        return None
    if port is None or int(port) == _DEFAULT_PORTS[scheme]:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{int(port)}" if 0 < int(port) < 65536 else None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _cloud(findings: Findings, field: str, text: str | None, default: CloudType) -> CloudType:
    if not text:
        return default
    cloud = parse_cloud_type(text)
    if cloud is None:
        findings.add("OMS.1003", field, "must be one of " + ", ".join(CLOUDS))
        return default
    if not is_supported_protocol(cloud):
        supported = ", ".join(name for name in CloudType if is_supported_protocol(name))
        findings.add("OMS.0064", field, f"{cloud} is {NOT_YET}use one of {supported}")
    return cloud


def _location(
    findings: Findings, at: str, node: SrcNode | DstNode, cloud: CloudType, app_id: str
) -> Location:
    findings.need(NODE_NEEDS, node, at=at)
    url = _endpoint(findings, f"{at}.endpoint", node.endpoint)
    if node.bucket:
        _check_bucket(findings, f"{at}.bucket", node.bucket, cloud, own_endpoint=bool(node.endpoint))
    region = canonical_region(cloud, node.region or "")
    return Location(cloud, region, node.bucket or "", url, app_id)


def _endpoint(findings: Findings, field: str, text: str | None) -> str:
    if not text:
        return ""
    url = parse_endpoint(text) or ""
    if not url:
        right = "must be http://host[:port] or https://host[:port] without user, path or query"
        findings.add("OMS.1003", field, right)
    return url


def _check_bucket(
    findings: Findings, field: str, bucket: str, cloud: CloudType, *, own_endpoint: bool
) -> None:
    """Lengths are the cloud's; behind an endpoint of one's own stand servers that take other characters."""
    name = BUCKET_NAMES.get(cloud, OTHER_BUCKET_NAMES)
    charset = OTHER_BUCKET_NAMES.charset if own_endpoint else name.charset
    if not name.minimum <= len(bucket) <= name.maximum:
        right = f"must have {name.minimum} to {name.maximum} characters for {cloud}"
        findings.add(name.code, field, right)
    elif charset is not None and not charset.pattern.fullmatch(bucket):
        findings.add(name.code, field, f"must consist of {charset.wording}")


def is_known(location: Location, policy: ValidationPolicy) -> bool:
    """Is it known where the region's service is? True for clouds that are refused for another reason."""
    return (
        bool(location.endpoint_url)
        or not is_supported_protocol(location.cloud_type)
        or (location.cloud_type, location.region) in policy.known_endpoints
        or endpoint_url(location.cloud_type, location.region) is not None
    )


def _unknown_region(location: Location) -> str:
    known = [region.region_id for region in regions(location.cloud_type)]
    # Comparing is quadratic; nobody misspells a region into hundreds of characters.
    close = get_close_matches(location.region[:100], known, n=1)
    right = f"must be a region of {location.cloud_type} or have an endpoint"
    return f"{right}; the closest is {close[0]}" if close else f"{right}; for example {known[0]}"
