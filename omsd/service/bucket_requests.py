"""Questions about buckets as a caller wrote them: raw values under the documented names, None where a field was absent."""

from __future__ import annotations

from dataclasses import dataclass, field

from omsd.service.requests import ListFile, SourceCdn


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFields:
    """What all of them have. security_token and endpoint are ours where the reference has none."""

    cloud_type: str | None = None
    ak: str | None = field(default=None, repr=False)
    sk: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    json_auth_file: str | None = field(default=None, repr=False)
    app_id: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListBuckets(AccountFields):
    """region is ours: whose service is asked."""

    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListBucketObjects(AccountFields):
    """page_size 0 means 100. file_path "" is the root."""

    bucket_name: str | None = None
    data_center: str | None = None
    file_path: str | None = None
    page_size: int | None = None
    behind_filename: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetBucketRegion(AccountFields):
    """region is ours: whose service is asked first."""

    bucket_name: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPrefix(AccountFields):
    """file_name: the prefix."""

    bucket_name: str | None = None
    file_name: str | None = None
    data_center: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckUrlList(AccountFields):
    """Ours. region: of the bucket of the list file. check_num: how many URLs are asked for, default 5."""

    region: str | None = None
    list_file: ListFile | None = None
    check_num: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixKeyInfo:
    """keys: to be fetched through the CDN."""

    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCdnInfo(AccountFields):
    """prefix None: a few keys of the first are fetched."""

    bucket: str | None = None
    region: str | None = None
    prefix: PrefixKeyInfo | None = None
    source_cdn: SourceCdn | None = None
