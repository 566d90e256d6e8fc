"""What callers may ask of a cloud beside a task: each question with its answer, as data. Workers answer them."""

from __future__ import annotations

from dataclasses import dataclass, field

from omsd.domain.errors import Failure, StoreError, StoreErrorKind
from omsd.domain.group_plan import ListsWanted, StretchWanted
from omsd.domain.model import CloudType, Credentials, Location

_SIZE_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
NO_SIZE = "--"


@dataclass(frozen=True, slots=True)
class Fault:
    """A StoreError on its way between processes."""

    kind: StoreErrorKind
    message: str
    provider_code: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, error: StoreError) -> Fault:
        """What of the error travels."""
        return cls(error.kind, error.message, error.provider_code, error.request_id)

    def error(self) -> StoreError:
        """The error again."""
        return StoreError(
            self.kind, self.message, provider_code=self.provider_code, request_id=self.request_id
        )


@dataclass(frozen=True, slots=True)
class ListBuckets:
    """at: the account's service; its bucket is ""."""

    at: Location
    credentials: Credentials = field(repr=False)


@dataclass(frozen=True, slots=True)
class BucketNames:
    """In the order of the service."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindRegion:
    """at: the bucket, at any region of its cloud."""

    at: Location
    credentials: Credentials = field(repr=False)


@dataclass(frozen=True, slots=True)
class RegionFound:
    """region: as requests spell it."""

    region: str


@dataclass(frozen=True, slots=True)
class ListFolder:
    """One level of a bucket: what is directly below the folder ("" or ending in "/") and behind the name `behind`."""

    at: Location
    credentials: Credentials = field(repr=False)
    folder: str
    behind: str
    limit: int


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """name: the whole key; a folder's ends in "/". size_bytes: None for folders."""

    name: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class FolderPage:
    """In the listing order of the service. more: there are entries behind these."""

    entries: tuple[FolderEntry, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class FindPrefix:
    """Does any key begin with this?"""

    at: Location
    credentials: Credentials = field(repr=False)
    prefix: str


@dataclass(frozen=True, slots=True)
class PrefixFound:
    """exists: at least one key begins with it."""

    exists: bool


@dataclass(frozen=True, slots=True)
class CheckCdn:
    """cdn_url: scheme://host[:port]. keys: to be fetched; none = a few of the worker's choice."""

    at: Location
    credentials: Credentials = field(repr=False)
    cdn_url: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckedKey:
    """is_found: the CDN gave it. is_same: what it gave is the source's object. is_at_source: the source has it at all.

    note: why it is not the same, "" if it is.
    """

    key: str
    is_found: bool
    is_same: bool
    is_at_source: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class CdnChecked:
    """is_of_vendor: the CDN belongs to the source's cloud, as far as its host and headers tell.

    domain_fault: no key could be asked for at all: the domain cannot be reached, or must not be.
    """

    keys: tuple[CheckedKey, ...] = ()
    is_of_vendor: bool = False
    domain_fault: Fault | None = None

    @property
    def is_download_available(self) -> bool:
        """Did every key that the source has come through the CDN as it is, and at least one?"""
        at_source = [key for key in self.keys if key.is_at_source]
        return bool(at_source) and all(key.is_same for key in at_source)


@dataclass(frozen=True, slots=True)
class CheckUrlList:
    """at: the bucket of the list file. urls_num: how many of its first URLs are asked for."""

    at: Location
    credentials: Credentials = field(repr=False)
    key: str
    urls_num: int


@dataclass(frozen=True, slots=True)
class BadUrlLine:
    """offset: of its first byte in the file."""

    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """status: HTTP, 0 if there was no answer. size_bytes -1: not told. note: why it cannot be had, "" if it can."""

    url: str
    key: str
    status: int
    size_bytes: int
    note: str


@dataclass(frozen=True, slots=True)
class UrlListChecked:
    """bad: the first wrong lines. failure: why a task cannot use the file."""

    size_bytes: int
    good_num: int
    bad_num: int
    bad: tuple[BadUrlLine, ...]
    urls: tuple[CheckedUrl, ...]
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class MeasureStretch:
    """How far does the next task of a group reach? Answered by a Stretch."""

    at: Location
    credentials: Credentials = field(repr=False)
    wanted: StretchWanted


@dataclass(frozen=True, slots=True)
class FindListFiles:
    """The next list files of a folder. Answered by Lists."""

    at: Location
    credentials: Credentials = field(repr=False)
    wanted: ListsWanted


Question = (
    ListBuckets
    | FindRegion
    | ListFolder
    | FindPrefix
    | CheckCdn
    | CheckUrlList
    | MeasureStretch
    | FindListFiles
)


def size_text(size_bytes: int | None) -> str:
    """A size as the API reference shows it: `73.59 MB`, `--` for folders; units of 1024."""
    if size_bytes is None:
        return NO_SIZE
    size, unit = float(size_bytes), 0
    # 1023.995 would be shown as 1024.00.
    while round(size, 2) >= 1024 and unit < len(_SIZE_UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size_bytes} B" if unit == 0 else f"{size:.2f} {_SIZE_UNITS[unit]}"


# What vendors' CDNs are known by: suffixes of their hosts, headers that they alone send.
_CDN_HOSTS = {
    CloudType.ALIYUN: ("alicdn.com", "alikunlun.com", "kunlunaq.com", "kunluncan.com", "aliyuncs.com"),
    CloudType.AWS: ("cloudfront.net", "amazonaws.com", "amazonaws.com.cn"),
    CloudType.TENCENT: ("dnsv1.com", "cdn.myqcloud.com", "file.myqcloud.com", "myqcloud.com"),
    CloudType.HUAWEI: ("cdnhwc1.com", "cdnhwc2.com", "cdnhwc3.com", "myhuaweicloud.com"),
    CloudType.BAIDU: ("bdydns.com", "bcebos.com"),
    CloudType.QINIU: ("qiniudns.com", "clouddn.com", "qiniucs.com"),
    CloudType.KINGSOFT: ("ksyuncdn.com", "ksyuncs.com"),
    CloudType.GOOGLE: ("googleapis.com",),
    CloudType.UCLOUD: ("ufileos.com",),
    CloudType.QINGCLOUD: ("qingstor.com", "qsstor.com"),
}
_CDN_HEADERS = {
    CloudType.ALIYUN: "eagleid",
    CloudType.AWS: "x-amz-cf-id",
    CloudType.TENCENT: "x-nws-log-uuid",
    CloudType.HUAWEI: "x-hcs-proxy-type",
    CloudType.BAIDU: "ohc-cache-hit",
    CloudType.QINIU: "x-qiniu-zone",
}


def is_cdn_of(cloud: CloudType, host: str, header_names: frozenset[str]) -> bool:
    """Is a CDN of this host, which answered with these headers (lower case), the cloud's own? Custom domains that say nothing are not."""
    if _CDN_HEADERS.get(cloud) in header_names:
        return True
    return any(host == suffix or host.endswith(f".{suffix}") for suffix in _CDN_HOSTS.get(cloud, ()))
