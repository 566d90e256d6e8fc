"""Questions about buckets: what is asked of workers, and what is refused before or after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from omsd.domain.errors import Refusal, RequestError, StoreError, StoreErrorKind
from omsd.domain.model import CloudType, Credentials, Location
from omsd.domain.questions import (
    BucketNames,
    CdnChecked,
    CheckCdn,
    CheckedKey,
    CheckUrlList,
    Fault,
    FindPrefix,
    FindRegion,
    FolderEntry,
    FolderPage,
    ListBuckets,
    ListFolder,
    PrefixFound,
    Question,
    RegionFound,
    is_cdn_of,
    size_text,
)
from omsd.service import bucket_requests as asked
from omsd.service.bucket_limits import (
    BUCKET_REGION_LIMITS,
    CDN_LIMITS,
    LIST_BUCKETS_LIMITS,
    LIST_OBJECTS_LIMITS,
    PREFIX_LIMITS,
    URL_LIST_LIMITS,
)
from omsd.service.bucket_validation import (
    validate_bucket_region,
    validate_cdn,
    validate_list_buckets,
    validate_list_objects,
    validate_prefix,
    validate_url_list,
)
from omsd.service.buckets import BucketService
from omsd.service.limits import Count, Limits, Number, Text
from omsd.service.locations import ValidationPolicy
from omsd.service.requests import ListFile, SourceCdn
from tests.service.validation_requests import fields_of, refusal_of, with_value

ANY = ValidationPolicy()
KEYS = Credentials("AK", "SK-s3cr3t")
ACCOUNT: dict[str, Any] = {"cloud_type": "AWS", "ak": "AK", "sk": "SK-s3cr3t"}
CDN = SourceCdn(domain="cdn.example.com", protocol="https", authentication_type="NONE")

BUCKETS = asked.ListBuckets(**ACCOUNT)
OBJECTS = asked.ListBucketObjects(
    **ACCOUNT, bucket_name="bucket", data_center="eu-west-3", file_path="a/", page_size=10, behind_filename=""
)
REGION = asked.GetBucketRegion(**ACCOUNT, bucket_name="bucket")
PREFIX = asked.CheckPrefix(**ACCOUNT, bucket_name="bucket", data_center="eu-west-3", file_name="p")
CDN_INFO = asked.GetCdnInfo(
    **ACCOUNT, bucket="bucket", region="eu-west-3", source_cdn=CDN, prefix=asked.PrefixKeyInfo(keys=("k",))
)
CALLS: list[tuple[Any, Callable[[Any, ValidationPolicy], Question], Limits, str]] = [
    (BUCKETS, validate_list_buckets, LIST_BUCKETS_LIMITS, ""),
    (OBJECTS, validate_list_objects, LIST_OBJECTS_LIMITS, "data_center"),
    (REGION, validate_bucket_region, BUCKET_REGION_LIMITS, ""),
    (PREFIX, validate_prefix, PREFIX_LIMITS, "data_center"),
    (CDN_INFO, validate_cdn, CDN_LIMITS, "region"),
]
URL_LIST = asked.CheckUrlList(
    **ACCOUNT, region="eu-west-3", list_file=ListFile(obs_bucket="bucket", list_file_key="l.txt"), check_num=1
)
CALLS.append((URL_LIST, validate_url_list, URL_LIST_LIMITS, "region"))


class Worker:
    """Answers every question with what it was given, and keeps the last one."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.question: Question | None = None

    async def ask(self, question: Question, answer_type: type[Any], *, deadline_s: float) -> Any:
        self.question = question
        if isinstance(self.answer, Exception):
            raise self.answer
        assert isinstance(self.answer, answer_type)
        return self.answer


def service(answer: object) -> tuple[BucketService, Worker]:
    worker = Worker(answer)
    return BucketService(worker, ANY, deadline_s=1), worker


def test_valid_calls_become_questions() -> None:
    place = Location(CloudType.AWS, "eu-west-3", "bucket")
    home = Location(CloudType.AWS, "us-east-1", "bucket")
    assert validate_list_buckets(BUCKETS, ANY) == ListBuckets(Location(CloudType.AWS, "us-east-1", ""), KEYS)
    assert validate_list_objects(OBJECTS, ANY) == ListFolder(place, KEYS, "a/", "", 10)
    assert validate_bucket_region(REGION, ANY) == FindRegion(home, KEYS)
    assert validate_prefix(PREFIX, ANY) == FindPrefix(place, KEYS, "p")
    assert validate_url_list(URL_LIST, ANY) == CheckUrlList(place, KEYS, "l.txt", 1)
    assert validate_url_list(with_value(URL_LIST, "check_num", None), ANY).urls_num == 5
    assert validate_cdn(CDN_INFO, ANY) == CheckCdn(place, KEYS, "https://cdn.example.com", ("k",))


def test_the_cloud_is_aliyun_where_the_reference_gives_that_default_and_mandatory_elsewhere() -> None:
    for call, validate, _, _ in CALLS:
        without = with_value(with_value(call, "cloud_type", None), "endpoint", "https://h")
        if isinstance(call, asked.ListBucketObjects | asked.GetCdnInfo):
            error = refusal_of(lambda v=validate, w=without: v(w, ANY))  # type: ignore[misc]
            assert (error.code, fields_of(error)) == ("OMS.1004", ["cloud_type"])
        else:
            is_list = isinstance(call, asked.CheckUrlList)
            default = CloudType.HUAWEI if is_list else CloudType.ALIYUN
            assert validate(without, ANY).at.cloud_type is default


def test_hec_is_huawei_cloud_in_any_case() -> None:
    call = with_value(with_value(PREFIX, "cloud_type", "hec"), "data_center", "cn-north-4")
    assert validate_prefix(call, ANY).at.cloud_type is CloudType.HUAWEI


def test_page_size_0_is_100_and_a_path_gets_its_slash() -> None:
    call = with_value(with_value(OBJECTS, "page_size", 0), "file_path", "a/b")
    question = validate_list_objects(call, ANY)
    assert (question.limit, question.folder) == (100, "a/b/")
    assert validate_list_objects(with_value(OBJECTS, "file_path", ""), ANY).folder == ""


def limit_cases() -> Iterator[object]:
    for call, validate, limits, _ in CALLS:
        for path, limit in limits.items():
            match limit:
                case Text():
                    values: list[object] = ["x" * (limit.maximum + 1)]
                case Number():
                    values = [limit.minimum - 1, limit.maximum + 1]
                case Count():
                    values = [tuple(map(str, range(limit.maximum + 1)))]
            for value in values:
                name = f"{type(call).__name__}-{path}-{str(value)[:3]}"
                yield pytest.param(call, validate, path, value, limit.code, id=name)


@pytest.mark.parametrize(("call", "validate", "path", "value", "code"), list(limit_cases()))
def test_a_value_beyond_its_documented_limit_is_refused(
    call: Any, validate: Callable[..., object], path: str, value: object, code: str
) -> None:
    error = refusal_of(lambda: validate(with_value(call, path, value), ANY))
    assert path.replace("[]", "[0]") in fields_of(error)
    found = next(v for v in error.violations if v.field == path.replace("[]", "[0]"))
    assert found.description
    assert error.code == code or error.violations[0] is not found


WRONG: list[tuple[Any, str, object, str, str]] = [
    *((call, "ak", None, "OMS.1004", "ak") for call, *_ in CALLS),
    *((call, "sk", "", "OMS.1004", "sk") for call, *_ in CALLS),
    *((call, "cloud_type", "Mars", "OMS.1003", "cloud_type") for call, *_ in CALLS),
    *((call, "cloud_type", "Azure", "OMS.0064", "cloud_type") for call, *_ in CALLS),
    *((call, "cloud_type", "URLSource", "OMS.0064", "cloud_type") for call, *_ in CALLS),
    *((call, "endpoint", "ftp://h", "OMS.1003", "endpoint") for call, *_ in CALLS),
    *((call, "endpoint", "http://u:p@h", "OMS.1003", "endpoint") for call, *_ in CALLS),
    *((call, "ak", "a\nb", "OMS.1003", "ak") for call, *_ in CALLS),
    *((call, "json_auth_file", "{}", "OMS.0064", "json_auth_file") for call, *_ in CALLS),
    *((call, field, "mars-1", "OMS.0079", field) for call, _, _, field in CALLS if field),
    *((call, field, None, "OMS.1004", field) for call, _, _, field in CALLS if field),
    (BUCKETS, "region", "mars-1", "OMS.0079", "region"),
    (BUCKETS, "cloud_type", "Tencent", "OMS.1004", "app_id"),
    (OBJECTS, "bucket_name", None, "OMS.1004", "bucket_name"),
    (OBJECTS, "bucket_name", "a/b", "OMS.1003", "bucket_name"),
    (OBJECTS, "file_path", None, "OMS.1004", "file_path"),
    (OBJECTS, "page_size", None, "OMS.1004", "page_size"),
    (OBJECTS, "behind_filename", None, "OMS.1004", "behind_filename"),
    (OBJECTS, "behind_filename", "b/c", "OMS.1003", "behind_filename"),
    (REGION, "bucket_name", "", "OMS.1004", "bucket_name"),
    (PREFIX, "file_name", None, "OMS.1004", "file_name"),
    (CDN_INFO, "bucket", None, "OMS.1004", "bucket"),
    (CDN_INFO, "source_cdn", None, "OMS.1004", "source_cdn"),
    (CDN_INFO, "source_cdn.domain", "", "OMS.1004", "source_cdn.domain"),
    (CDN_INFO, "source_cdn.protocol", None, "OMS.1004", "source_cdn.protocol"),
    (CDN_INFO, "source_cdn.protocol", "ftp", "OMS.1003", "source_cdn.protocol"),
    (CDN_INFO, "source_cdn.domain", "https://h", "OMS.0081", "source_cdn.domain"),
    (CDN_INFO, "source_cdn.domain", "h/path", "OMS.0081", "source_cdn.domain"),
    (CDN_INFO, "source_cdn.domain", "u:p@h", "OMS.0081", "source_cdn.domain"),
    (CDN_INFO, "source_cdn.domain", "h\r\nX: y", "OMS.0081", "source_cdn.domain"),
    (CDN_INFO, "source_cdn.authentication_type", "X", "OMS.1003", "source_cdn.authentication_type"),
    (URL_LIST, "list_file", None, "OMS.1004", "list_file.obs_bucket"),
    (URL_LIST, "list_file.list_file_key", "", "OMS.1004", "list_file.list_file_key"),
    (URL_LIST, "list_file.list_file_key", "dir/", "OMS.1003", "list_file.list_file_key"),
    (CDN_INFO, "prefix", asked.PrefixKeyInfo(keys=("a", "")), "OMS.1004", "prefix.keys[1]"),
]


@pytest.mark.parametrize(("call", "path", "value", "code", "field"), WRONG)
def test_each_bad_field_is_refused_with_its_documented_code(
    call: Any, path: str, value: object, code: str, field: str
) -> None:
    validate = next(v for known, v, _, _ in CALLS if known is call)
    error = refusal_of(lambda: validate(with_value(call, path, value), ANY))
    assert (error.code, fields_of(error)[0]) == (code, field)
    assert "SK-s3cr3t" not in error.message


@pytest.mark.parametrize(
    ("kind", "needs_key"),
    [
        ("QINIU_PRIVATE_AUTHENTICATION", False),
        ("ksyun_private_authentication", False),
        *((f"ALIYUN_OSS_{letter}", True) for letter in "ABC"),
        *((f"TENCENT_COS_{letter}", True) for letter in "ABCD"),
        ("AZURE_SAS_TOKEN", True),
    ],
)
def test_signed_forms_of_cdn_urls_are_refused_clearly(kind: str, needs_key: bool) -> None:
    call = with_value(CDN_INFO, "source_cdn.authentication_type", kind)
    error = refusal_of(lambda: validate_cdn(call, ANY))
    assert (error.code == "OMS.1032") is needs_key
    assert "source_cdn.authentication_type" in fields_of(error)
    assert "not supported by this server yet" in error.message
    with_key = with_value(call, "source_cdn.authentication_key", "cdn-s3cr3t")
    error = refusal_of(lambda: validate_cdn(with_key, ANY))
    assert (error.code, fields_of(error)) == ("OMS.0064", ["source_cdn.authentication_type"])
    assert "cdn-s3cr3t" not in error.message


def test_a_configured_region_is_known() -> None:
    call = with_value(PREFIX, "data_center", "mars-1")
    policy = ValidationPolicy(known_endpoints=frozenset({(CloudType.AWS, "mars-1")}))
    assert validate_prefix(call, policy).at.region == "mars-1"


async def test_answers_reach_the_caller() -> None:
    buckets, _ = service(BucketNames(("b", "a")))
    assert await buckets.list_buckets(BUCKETS) == ("b", "a")
    entries = (FolderEntry("a/b/", None), FolderEntry("a/c", 5))
    for more, following in ((True, "a/c"), (False, None)):
        buckets, _ = service(FolderPage(entries, more))
        page = await buckets.list_objects(OBJECTS)
        assert (page.entries, page.next_marker) == (entries, following)
    buckets, _ = service(PrefixFound(True))
    assert await buckets.has_prefix(PREFIX) is True


async def test_a_region_is_named_and_said_to_be_supported_or_not() -> None:
    buckets, _ = service(RegionFound("eu-west-3"))
    found = await buckets.bucket_region(REGION)
    assert (found.region_id, found.name, found.is_supported) == ("eu-west-3", "Europe (Paris)", True)
    buckets, _ = service(RegionFound("mars-1"))
    found = await buckets.bucket_region(REGION)
    assert (found.region_id, found.name, found.is_supported) == ("mars-1", "mars-1", False)


@pytest.mark.parametrize(
    ("checked", "available"),
    [
        ((), False),
        ((CheckedKey("a", True, True, True),), True),
        ((CheckedKey("a", True, True, True), CheckedKey("b", False, False, False)), True),
        ((CheckedKey("a", True, True, True), CheckedKey("b", True, False, True)), False),
        ((CheckedKey("a", True, False, False),), False),
    ],
)
async def test_a_cdn_serves_if_all_that_the_source_has_comes_as_it_is(
    checked: tuple[CheckedKey, ...], available: bool
) -> None:
    buckets, _ = service(CdnChecked(checked))
    assert (await buckets.cdn_info(CDN_INFO)).is_download_available is available


async def test_refusals_of_clouds_name_the_field_and_the_code_of_the_call() -> None:
    calls: list[tuple[Callable[[BucketService], Any], str, str, str]] = [
        (lambda s: s.list_buckets(BUCKETS), "OMS.0153", "", "cloud_type"),
        (lambda s: s.list_objects(OBJECTS), "OMS.0153", "bucket_name", "data_center"),
        (lambda s: s.bucket_region(REGION), "OMS.0155", "bucket_name", "cloud_type"),
        (lambda s: s.has_prefix(PREFIX), "OMS.1014", "bucket_name", "data_center"),
        (lambda s: s.cdn_info(CDN_INFO), "OMS.1014", "bucket", "region"),
    ]
    for call, code, bucket_field, way_field in calls:
        for kind, field in (
            (StoreErrorKind.UNAUTHENTICATED, "ak"),
            (StoreErrorKind.PERMISSION, "ak"),
            (StoreErrorKind.EXPIRED, "security_token"),
            (StoreErrorKind.NO_SUCH_BUCKET, bucket_field or way_field),
            (StoreErrorKind.NETWORK, way_field),
            (StoreErrorKind.TIMEOUT, way_field),
            (StoreErrorKind.FORBIDDEN_ADDRESS, way_field),
        ):
            error = await refused(call, StoreError(kind, "it said no", provider_code="Code", request_id="R1"))
            assert (error.code, error.violations[0].field) == (code, field)
            assert "it said no [Code] (request id R1)" in error.message
            assert error.refusal is Refusal.INVALID


async def test_a_cdn_domain_that_fails_is_oms_0081() -> None:
    checked = CdnChecked(domain_fault=Fault(StoreErrorKind.NETWORK, "refused"))
    error = await refused(lambda s: s.cdn_info(CDN_INFO), checked)
    assert (error.code, error.violations[0].field) == ("OMS.0081", "source_cdn.domain")


async def refused(call: Callable[[BucketService], Any], answer: object) -> RequestError:
    buckets, _ = service(answer)
    with pytest.raises(RequestError) as caught:
        await call(buckets)
    return caught.value


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "--"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KB"),
        (77_164_708, "73.59 MB"),
        (1024**2 - 1, "1.00 MB"),
        (5 * 1024**4, "5.00 TB"),
        (2**63, "8192.00 PB"),
    ],
)
def test_sizes_look_as_in_the_reference(size: int | None, text: str) -> None:
    assert size_text(size) == text


def test_a_cdn_is_its_vendors_by_host_or_header() -> None:
    nothing: frozenset[str] = frozenset()
    assert is_cdn_of(CloudType.AWS, "d1.cloudfront.net", nothing)
    assert is_cdn_of(CloudType.ALIYUN, "cdn.example.com", frozenset({"eagleid"}))
    assert not is_cdn_of(CloudType.AWS, "cloudfront.net.example.com", nothing)
    assert not is_cdn_of(CloudType.AWS, "evilcloudfront.net", nothing)
    assert not is_cdn_of(CloudType.AWS, "cdn.example.com", frozenset({"eagleid"}))


def test_no_secret_is_in_a_question_that_is_printed() -> None:
    for call, validate, _, _ in CALLS:
        assert "s3cr3t" not in repr(call)
        assert "s3cr3t" not in repr(validate(call, ANY))
