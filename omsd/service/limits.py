"""The documented limits of every field of a call, as data beside its name; findings.py checks them in one place.

A path names a field as the caller writes it; `[]` means every entry of an array. Source: API reference, 5.2
and 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from omsd.domain.model import CloudType
from omsd.service.requests import Dialect

LONG_MAX = 2**63 - 1
MAX_BANDWIDTH_RULES = 5
MAX_TRIGGERS = 2
DEFAULT_PAGE = 10


@dataclass(frozen=True, slots=True)
class Charset:
    """The characters a text may have, and how to say so."""

    pattern: re.Pattern[str]
    wording: str


@dataclass(frozen=True, slots=True)
class Text:
    """minimum and maximum in characters. forbidden: characters that are refused, with a code of their own."""

    maximum: int
    minimum: int = 0
    charset: Charset | None = None
    forbidden: str = ""
    forbidden_code: str = "OMS.0078"
    code: str = "OMS.1003"


@dataclass(frozen=True, slots=True)
class Number:
    """Both ends included."""

    minimum: int
    maximum: int
    code: str = "OMS.1003"


@dataclass(frozen=True, slots=True)
class Count:
    """The most entries an array may have."""

    maximum: int
    code: str = "OMS.1003"


Limit = Text | Number | Count
Limits = Mapping[str, Limit]

# Keys and regions become part of signed headers: a line break would be a header of the caller's choice.
PRINTABLE = Charset(re.compile(r"[\x21-\x7e]*"), "printable ASCII characters without spaces")
DIGITS = Charset(re.compile(r"[0-9]*"), "digits")
NAME = Charset(re.compile(r"[A-Za-z0-9._-]*"), "letters, digits, dots, hyphens and underscores")

_KEY = Text(100, charset=PRINTABLE)
_TOKEN = Text(16_384, charset=PRINTABLE)
_REGION = Text(100, charset=NAME)
_BUCKET = Text(1024)
_ENDPOINT = Text(1024, charset=PRINTABLE)
_REQUEST_ID = Text(64, charset=PRINTABLE)

REQUEST_ID_LIMITS: Limits = MappingProxyType({"": _REQUEST_ID})
PROJECT_ID_LIMITS: Limits = MappingProxyType({"": Text(1024)})
API_VERSION_LIMITS: Limits = MappingProxyType({"": Text(10)})

CREATE_LIMITS: Limits = MappingProxyType(
    {
        "src_node.region": _REGION,
        "src_node.ak": _KEY,
        "src_node.sk": _KEY,
        "src_node.json_auth_file": Text(65_535),
        "src_node.security_token": _TOKEN,
        "src_node.app_id": Text(255, charset=NAME),
        "src_node.bucket": _BUCKET,
        "src_node.object_key": Count(500),
        "src_node.object_key[]": Text(1024),
        "src_node.endpoint": _ENDPOINT,
        "dst_node.ak": _KEY,
        "dst_node.sk": _KEY,
        "dst_node.security_token": _TOKEN,
        "dst_node.bucket": _BUCKET,
        "dst_node.region": _REGION,
        "dst_node.save_prefix": Text(1024),
        "dst_node.endpoint": _ENDPOINT,
        "thread_num": Number(0, 50, code="OMS.0059"),
        "migrate_since": Number(0, LONG_MAX),
        "request_id": _REQUEST_ID,
    }
)

SMN_LIMITS: Limits = MappingProxyType(
    {
        "topic_urn": Text(1024),
        "trigger_conditions": Count(MAX_TRIGGERS),
        "message_template_name": Text(255, charset=NAME),
    }
)

LIST_FILE_LIMITS: Limits = MappingProxyType(
    {
        "list_file_key": Text(1024),
        "obs_bucket": _BUCKET,
        "list_file_num": Text(65_535, charset=DIGITS),
    }
)

DESCRIPTION_LIMITS: Mapping[Dialect, Limits] = MappingProxyType(
    {
        Dialect.V2: MappingProxyType({"description": Text(255, forbidden='^<>&"')}),
        Dialect.V1: MappingProxyType({"description": Text(255, forbidden="<>()\"'&")}),
    }
)


def _bandwidth_limits(minimum: int, maximum: int) -> Limits:
    return MappingProxyType(
        {
            "": Count(MAX_BANDWIDTH_RULES, code="OMS.0083"),
            "[].max_bandwidth": Number(minimum, maximum, code="OMS.0084"),
        }
    )


# The 5 MB/s of V1 are of either kind: its examples count in millions.
BANDWIDTH_LIMITS: Mapping[Dialect, Limits] = MappingProxyType(
    {
        Dialect.V2: _bandwidth_limits(1_048_576, 209_715_200),
        Dialect.V1: _bandwidth_limits(5_000_000, 10_737_418_240),
    }
)

START_LIMITS: Limits = MappingProxyType(
    {
        "dst_ak": _KEY,
        "dst_sk": _KEY,
        "src_ak": _KEY,
        "src_sk": _KEY,
        "src_security_token": _TOKEN,
        "dst_security_token": _TOKEN,
        "json_auth_file": Text(65_535),
        "source_cdn_authentication_key": Text(255),
    }
)

LIST_LIMITS: Limits = MappingProxyType(
    {
        "limit": Number(1, 100, code="OMS.0051"),
        "offset": Number(0, 2_147_483_647, code="OMS.0051"),
        "status": Number(1, 7, code="OMS.0052"),
        "group_id": Text(100),
        "task_name": Text(255),
    }
)

V1_LIST_LIMITS: Limits = MappingProxyType(
    {
        "start": LIST_LIMITS["offset"],
        "limit": LIST_LIMITS["limit"],
        "state": Number(0, 5, code="OMS.0052"),
    }
)

BATCH_LIMITS: Limits = MappingProxyType(
    {
        "group_id": Text(36),
        "ids": Count(20),
        "ids[]": Number(0, 9_999_999_999_999_999),
    }
)

_STRICT_BUCKET = Charset(
    re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]*[a-z0-9]"),
    "lower-case letters, digits, dots, hyphens, with a letter or digit at both ends",
)
_ANY_BUCKET = Charset(
    re.compile(r"(?!\.{1,2}$)[^\x00-\x20\x7f/\\?#]+"),
    "what a bucket name may have: no slashes, spaces, ? and #, nor dots alone",
)
# Clouds whose rule for bucket names is known; Google's length is that of names with dots, and it takes underscores.
BUCKET_NAMES: Mapping[CloudType, Text] = MappingProxyType(
    {
        CloudType.ALIYUN: Text(63, 3, _STRICT_BUCKET),
        CloudType.AWS: Text(63, 3, _STRICT_BUCKET),
        CloudType.HUAWEI: Text(63, 3, _STRICT_BUCKET),
        CloudType.KINGSOFT: Text(63, 3, _STRICT_BUCKET),
        CloudType.BAIDU: Text(63, 3, _STRICT_BUCKET),
        CloudType.QINGCLOUD: Text(63, 6, _STRICT_BUCKET),
        CloudType.GOOGLE: Text(222, 3, _ANY_BUCKET),
    }
)
# Of other clouds. Behind an endpoint of one's own stand servers that take these characters, whatever the cloud.
OTHER_BUCKET_NAMES = Text(1024, 1, _ANY_BUCKET)
