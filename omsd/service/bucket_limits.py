"""The documented limits of the fields of questions about buckets. Source: API reference 5.5; read like limits.py."""

from __future__ import annotations

from types import MappingProxyType

from omsd.service.limits import DIGITS, NAME, PRINTABLE, Count, Limits, Number, Text

MAX_PAGE = 100
# What is asked of a CDN or a list of URLs if the call does not say how many.
DEFAULT_CHECKED_URLS = 5

_ACCOUNT: dict[str, Text] = {
    "cloud_type": Text(100),
    "ak": Text(100, charset=PRINTABLE),
    "sk": Text(100, charset=PRINTABLE),
    "security_token": Text(16_384, charset=PRINTABLE),
    "json_auth_file": Text(65_535),
    "app_id": Text(255, charset=NAME),
    "endpoint": Text(1024, charset=PRINTABLE),
}
_REGION = Text(100, charset=NAME)
_BUCKET = Text(100)
_KEY = Text(1024)

LIST_BUCKETS_LIMITS: Limits = MappingProxyType({**_ACCOUNT, "region": _REGION})

LIST_OBJECTS_LIMITS: Limits = MappingProxyType(
    {
        **_ACCOUNT,
        "bucket_name": _BUCKET,
        "data_center": _REGION,
        "file_path": Text(1023),
        "page_size": Number(0, MAX_PAGE),
        "behind_filename": _KEY,
    }
)

BUCKET_REGION_LIMITS: Limits = MappingProxyType({**_ACCOUNT, "bucket_name": _BUCKET, "region": _REGION})

PREFIX_LIMITS: Limits = MappingProxyType(
    {**_ACCOUNT, "bucket_name": _BUCKET, "data_center": _REGION, "file_name": _KEY}
)

CDN_LIMITS: Limits = MappingProxyType(
    {
        **_ACCOUNT,
        "bucket": _BUCKET,
        "region": _REGION,
        "prefix.keys": Count(100),
        "prefix.keys[]": Text(2048),
        "source_cdn.domain": Text(1024),
        "source_cdn.authentication_key": Text(255),
    }
)

URL_LIST_LIMITS: Limits = MappingProxyType(
    {
        **_ACCOUNT,
        "region": _REGION,
        "list_file.obs_bucket": Text(1024),
        "list_file.list_file_key": _KEY,
        "list_file.list_file_num": Text(65_535, charset=DIGITS),
        "check_num": Number(0, 100),
    }
)
