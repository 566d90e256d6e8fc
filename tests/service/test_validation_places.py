"""Where a task reads and writes: clouds, regions, endpoints, buckets, and what may not be copied into itself."""

from __future__ import annotations

from typing import Any

import pytest

from omsd.domain.model import CloudType
from omsd.service.locations import parse_endpoint
from omsd.service.validation import ValidationPolicy, validate_create
from tests.service.validation_requests import create, fields_of, made, refused


@pytest.mark.parametrize("node", ["src_node", "dst_node"])
def test_an_unknown_cloud_is_refused_with_the_known_ones(node: str) -> None:
    error = refused(**{f"{node}__cloud_type": "MinIO"})
    assert (error.code, fields_of(error)) == ("OMS.1003", [f"{node}.cloud_type"])
    assert "Tencent" in error.message


def test_without_a_cloud_the_source_is_aliyun_and_the_destination_huawei() -> None:
    spec = made(src_node__cloud_type=None, dst_node__cloud_type="").spec
    assert (spec.source.cloud_type, spec.destination.cloud_type) == (CloudType.ALIYUN, CloudType.HUAWEI)
    assert made(dst_node__cloud_type="hec").spec.destination.cloud_type is CloudType.HUAWEI


@pytest.mark.parametrize(
    ("node", "cloud", "code"), [("src_node", "AWS", "OMS.0079"), ("dst_node", "HEC", "OMS.0080")]
)
def test_an_unknown_region_is_refused_unless_an_endpoint_is_known(node: str, cloud: str, code: str) -> None:
    changes = {f"{node}__cloud_type": cloud, f"{node}__endpoint": None}
    error = refused(**changes, **{f"{node}__region": "mars-1"})
    assert (error.code, fields_of(error)) == (code, [f"{node}.region"])
    configured = ValidationPolicy(
        known_endpoints=frozenset({(CloudType.AWS, "mars-1"), (CloudType.HUAWEI, "mars-1")})
    )
    validate_create(create(**changes, **{f"{node}__region": "mars-1"}), configured)
    made(**{f"{node}__region": "mars-1"})


def test_a_misspelt_region_is_answered_with_the_closest() -> None:
    assert "us-east-1" in refused(src_node__endpoint=None, src_node__region="us-east1").message


def test_a_destination_region_that_is_not_served_is_refused_with_those_that_are() -> None:
    policy = ValidationPolicy(served_regions=frozenset({"eu-west-1", "eu-west-2"}))
    error = refused(policy)
    assert (error.code, fields_of(error)) == ("OMS.0080", ["dst_node.region"])
    assert "eu-west-1, eu-west-2" in error.message
    validate_create(create(dst_node__region="eu-west-2"), policy)


def test_the_vendors_other_spelling_of_a_region_is_the_same_region() -> None:
    node = {"src_node__cloud_type": "Aliyun", "src_node__endpoint": None}
    assert made(**node, src_node__region="oss-cn-hangzhou").spec.source.region == "cn-hangzhou"


@pytest.mark.parametrize(
    "bucket", ["Upper", "under_score", "-a-", "a..b", "a/b", "a b", "a?b", "a#b", "bücket", "a\nb"]
)
@pytest.mark.parametrize("node", ["src_node", "dst_node"])
def test_a_bucket_name_its_cloud_does_not_take_is_refused(node: str, bucket: str) -> None:
    error = refused(**{f"{node}__bucket": bucket, f"{node}__endpoint": None})
    assert (error.code, fields_of(error)) == ("OMS.1003", [f"{node}.bucket"])


@pytest.mark.parametrize(
    ("bucket", "taken"),
    [("Upper_score", True), ("a/b", False), ("a b", False), ("a\r\nb", False), ("...", True)],
)
def test_servers_behind_an_endpoint_of_their_own_may_have_other_bucket_names(
    bucket: str, taken: bool
) -> None:
    if taken:
        made(src_node__bucket=bucket)
    else:
        assert refused(src_node__bucket=bucket).code == "OMS.1003"


@pytest.mark.parametrize("bucket", [".", "..", "/"])
def test_a_bucket_is_never_a_path(bucket: str) -> None:
    assert refused(src_node__cloud_type="Qiniu", src_node__bucket=bucket).code == "OMS.1003"


def test_tencent_needs_its_app_id_on_both_ends() -> None:
    error = refused(src_node__cloud_type="Tencent")
    assert (error.code, fields_of(error)) == ("OMS.0057", ["src_node.app_id"])
    assert (
        made(src_node__cloud_type="Tencent", src_node__app_id="1250000000").spec.source.app_id == "1250000000"
    )
    error = refused(dst_node__cloud_type="Tencent")
    assert (error.code, fields_of(error)) == ("OMS.0058", ["dst_node.bucket"])
    made(dst_node__cloud_type="Tencent", dst_node__bucket="to-1250000000")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:18333", "http://127.0.0.1:18333"),
        ("HTTPS://S3.Example.com/", "https://s3.example.com"),
        ("https://s3.example.com:443", "https://s3.example.com"),
        ("http://h:80", "http://h"),
        ("http://h:443", "http://h:443"),
        ("http://my_minio:9000", "http://my_minio:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("http://[::1", None),
        ("http://[1::2::3]", None),
        ("ftp://h", None),
        ("//h", None),
        ("h:9000", None),
        ("http://", None),
        ("http://h:0", None),
        ("http://h:65536", None),
        ("http://h:", None),
        ("http://h/path", None),
        ("http://h?", None),
        ("http://h#f", None),
        ("http://user:S3CR3T@h", None),
        ("http://h\n", None),
        ("http://-h", None),
    ],
)
def test_an_endpoint_is_a_scheme_a_host_and_perhaps_a_port(text: str, url: str | None) -> None:
    assert parse_endpoint(text) == url
    if url is None:
        error = refused(dst_node__endpoint=text)
        assert error.code == "OMS.1003"
        assert set(fields_of(error)) == {"dst_node.endpoint"}
    else:
        assert made(dst_node__endpoint=text).spec.destination.endpoint_url == url


def test_a_bucket_is_not_copied_onto_itself() -> None:
    error = refused(dst_node__bucket="from-here")
    assert (error.code, fields_of(error)) == ("OMS.0058", ["dst_node.bucket"])
    made(dst_node__bucket="from-here", dst_node__endpoint="http://127.0.0.1:8334")
    made(dst_node__bucket="from-here", dst_node__save_prefix="copy/")
    catalogued = {"src_node__endpoint": None, "dst_node__endpoint": None, "dst_node__bucket": "from-here"}
    assert refused(**catalogued).code == "OMS.0058"
    assert (
        refused(**catalogued | {"dst_node__endpoint": "https://S3.us-east-1.amazonaws.com:443/"}).code
        == "OMS.0058"
    )
    made(**catalogued, dst_node__region="us-west-2")


@pytest.mark.parametrize(
    ("prefixes", "save_prefix", "loops"),
    [
        (("",), "copy/", True),
        (("data/",), "data/copy/", True),
        (("data/",), "copy/", False),
        (("d",), "dd", True),
        (("copy/data/x", "data/"), "copy/", True),
        (("a", "b"), "c", False),
    ],
)
def test_a_bucket_copied_into_itself_must_not_find_its_own_copies(
    prefixes: tuple[str, ...], save_prefix: str, loops: bool
) -> None:
    changes: dict[str, Any] = {
        "task_type": "prefix",
        "src_node__object_key": prefixes,
        "dst_node__bucket": "from-here",
        "dst_node__save_prefix": save_prefix,
    }
    if loops:
        error = refused(**changes)
        assert (error.code, fields_of(error)) == ("OMS.0058", ["dst_node.save_prefix"])
    else:
        made(**changes)
