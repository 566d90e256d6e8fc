from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.errors import RequestError
from omsd.domain.model import (
    BandwidthWindow,
    CloudType,
    ConsistencyCheck,
    Credentials,
    ListFileRef,
    Location,
    OverwriteMode,
    Priority,
    StoragePolicy,
    TaskSpec,
    TaskType,
)
from omsd.service.identifiers import validate_request_id
from omsd.service.locations import parse_endpoint
from omsd.service.requests import (
    BandwidthRule,
    BatchUpdateTasks,
    CreateTask,
    DstNode,
    ListFile,
    ListTasks,
    SourceCdn,
    SrcNode,
)
from omsd.service.validation import (
    ValidatedBatch,
    ValidatedList,
    ValidatedTask,
    ValidationPolicy,
    validate_bandwidth,
    validate_batch,
    validate_create,
    validate_list,
    validate_start,
)
from tests.service.validation_requests import SECRETS, create, fields_of, refusal_of, start

ANY = ValidationPolicy()
OPEN_ALL_DAY = BandwidthRule(start="00:00", end="23:59", max_bandwidth=2**20)


def made(**changes: Any) -> ValidatedTask:
    return validate_create(create(**changes), ANY)


def refused(policy: ValidationPolicy = ANY, **changes: Any) -> RequestError:
    return refusal_of(lambda: validate_create(create(**changes), policy))


def test_a_creation_without_options_gets_the_documented_defaults() -> None:
    task = made()
    assert task.spec == TaskSpec(
        source=Location(CloudType.AWS, "us-east-1", "from-here", "http://127.0.0.1:8333"),
        destination=Location(CloudType.AWS, "us-east-1", "to-there", "http://127.0.0.1:8333"),
        task_type=TaskType.OBJECT,
        object_keys=("name",),
        overwrite_mode=OverwriteMode.SIZE_LAST_MODIFIED,
        consistency_check=ConsistencyCheck.SIZE_LAST_MODIFIED,
        storage_policy=StoragePolicy.STANDARD,
        record_failed_objects=True,
    )
    assert (task.priority, task.windows) == (Priority.MEDIUM, ())
    assert task.credentials.source == Credentials(*SECRETS[:3])
    assert task.credentials.destination == Credentials(*SECRETS[3:])


def test_every_option_of_a_creation_reaches_the_task() -> None:
    task = made(
        task_type="PREFIX",
        src_node__object_key=("a/", "b"),
        dst_node__save_prefix="to/",
        description="nightly",
        migrate_since=1_700_000_000,
        enable_metadata_migration=True,
        enable_failed_object_recording=False,
        object_overwrite_mode="full_overwrite",
        consistency_check="CRC64",
        task_priority="high",
        bandwidth_policy=(BandwidthRule(start="22:00", end="06:00", max_bandwidth=2**20),),
    )
    assert task.spec.task_type is TaskType.PREFIX
    assert task.spec.object_keys == ("a/", "b")
    assert task.spec.save_prefix == "to/"
    assert task.spec.description == "nightly"
    assert task.spec.migrate_since_s == 1_700_000_000
    assert task.spec.migrate_metadata
    assert not task.spec.record_failed_objects
    assert task.spec.overwrite_mode is OverwriteMode.FULL_OVERWRITE
    assert task.spec.consistency_check is ConsistencyCheck.CRC64
    assert task.priority is Priority.HIGH
    assert task.windows == (BandwidthWindow(1320, 360, 2**20),)


@pytest.mark.parametrize("path", ["ak", "sk", "bucket", "region"])
@pytest.mark.parametrize("node", ["src_node", "dst_node"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_mandatory_field_is_named(node: str, path: str, value: str | None) -> None:
    error = refused(**{f"{node}__{path}": value})
    assert (error.code, fields_of(error)) == ("OMS.1004", [f"{node}.{path}"])


def test_a_creation_without_anything_names_all_that_is_missing() -> None:
    error = refusal_of(lambda: validate_create(CreateTask(), ANY))
    assert error.code == "OMS.1004"
    nodes = {
        f"{node}.{name}" for node in ("src_node", "dst_node") for name in ("ak", "sk", "bucket", "region")
    }
    assert set(fields_of(error)) == nodes | {"src_node.object_key"}


def test_all_wrong_fields_come_in_one_refusal_with_the_code_of_the_first() -> None:
    error = refused(description="<b>", migrate_since=-1, dst_node__bucket="", task_priority="NOW")
    assert error.code == "OMS.0078"
    assert set(fields_of(error)) == {"description", "migrate_since", "dst_node.bucket", "task_priority"}


def test_hundreds_of_wrong_fields_make_a_short_message() -> None:
    error = refused(src_node__object_key=("",) * 500)
    assert len(error.violations) == 50
    assert "495 more" in error.message
    assert len(error.message) < 1024


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source_cdn", SourceCdn()),
        ("task_type", "URL_LIST"),
        ("src_node.json_auth_file", "{}"),
        ("consistency_check", "no_check"),
        ("consistency_check", "transmission"),
        ("src_node.cloud_type", "Azure"),
        ("src_node.cloud_type", "URLSource"),
        ("dst_node.cloud_type", "azure"),
    ],
)
def test_what_is_not_built_yet_is_refused_by_name(field: str, value: object) -> None:
    error = refused(**{field.replace(".", "__"): value})
    assert (error.code, fields_of(error)) == ("OMS.0064", [field])
    assert "not supported by this server yet" in error.message


LISTED = ListFile(list_file_key="hw/keys.txt", obs_bucket="lists", list_file_num="1")


def test_a_list_task_keeps_where_its_keys_are_written() -> None:
    for keys in (None, (), ("",)):
        spec = made(task_type="LIST", src_node__object_key=keys, src_node__list_file=LISTED).spec
        assert (spec.task_type, spec.object_keys) == (TaskType.LIST, ())
        assert spec.list_file == ListFileRef("lists", "hw/keys.txt")
    folder = replace(LISTED, list_file_key="hw/")
    spec = made(task_type="list", src_node__object_key=None, src_node__list_file=folder).spec
    assert spec.list_file == ListFileRef("lists", "hw/")
    assert made().spec.list_file is None


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"src_node__list_file": None}, "OMS.0057", "src_node.list_file"),
        ({"src_node__object_key": ("a",)}, "OMS.0057", "src_node.object_key"),
        ({"task_type": "object", "src_node__object_key": ("a",)}, "OMS.0057", "src_node.list_file"),
        ({"task_type": "prefix"}, "OMS.0057", "src_node.list_file"),
        (
            {"src_node__list_file": ListFile(obs_bucket="lists")},
            "OMS.1004",
            "src_node.list_file.list_file_key",
        ),
        (
            {"src_node__list_file": ListFile(list_file_key="a.txt")},
            "OMS.1004",
            "src_node.list_file.obs_bucket",
        ),
        (
            {"src_node__list_file": replace(LISTED, obs_bucket="l")},
            "OMS.1003",
            "src_node.list_file.obs_bucket",
        ),
        (
            {"src_node__list_file": replace(LISTED, obs_bucket="l/x")},
            "OMS.1003",
            "src_node.list_file.obs_bucket",
        ),
        (
            {"src_node__list_file": replace(LISTED, list_file_num="two")},
            "OMS.1003",
            "src_node.list_file.list_file_num",
        ),
    ],
)
def test_a_list_task_that_contradicts_itself_is_refused(
    changes: dict[str, Any], code: str, field: str
) -> None:
    wanted: dict[str, Any] = {
        "task_type": "list",
        "src_node__object_key": None,
        "src_node__list_file": LISTED,
    }
    error = refused(**(wanted | changes))
    assert (error.code, fields_of(error)) == (code, [field])


def test_a_list_task_copies_into_its_own_bucket_only_under_another_name() -> None:
    wanted: dict[str, Any] = {
        "task_type": "list", "src_node__object_key": None, "src_node__list_file": LISTED, "dst_node__bucket": "from-here",
    }  # fmt: skip
    assert refused(**wanted).code == "OMS.0058"
    made(**wanted, dst_node__save_prefix="copy/")


def test_options_sent_with_their_default_are_taken() -> None:
    made(
        enable_kms=False,
        enable_restore=False,
        enable_requester_pays=False,
        dst_storage_policy="standard",
        consistency_check="size_last_modified",
        bandwidth_policy=(),
        src_node__json_auth_file="",
        description="",
        request_id="",
    )


@pytest.mark.parametrize(
    "field",
    ["task_type", "object_overwrite_mode", "consistency_check", "dst_storage_policy", "task_priority"],
)
def test_an_unknown_choice_is_refused_with_the_known_ones(field: str) -> None:
    error = refused(**{field: "S3CR3T"})
    assert (error.code, fields_of(error)) == ("OMS.1003", [field])
    assert "must be one of" in error.message


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


@pytest.mark.parametrize("keys", [None, ()])
def test_without_keys_a_prefix_task_takes_the_whole_bucket_and_an_object_task_is_refused(
    keys: tuple[str, ...] | None,
) -> None:
    assert made(task_type="prefix", src_node__object_key=keys).spec.object_keys == ("",)
    error = refused(src_node__object_key=keys)
    assert (error.code, fields_of(error)) == ("OMS.1004", ["src_node.object_key"])


def test_an_empty_name_is_no_object() -> None:
    error = refused(src_node__object_key=("a", ""))
    assert (error.code, fields_of(error)) == ("OMS.1003", ["src_node.object_key[1]"])
    assert made(task_type="prefix", src_node__object_key=("a", "")).spec.object_keys == ("a", "")


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (0, 0),
        (1_700_000_000, 1_700_000_000),
        (99_999_999_999, 99_999_999_999),
        (1_700_000_000_999, 1_700_000_000),
    ],
)
def test_migrate_since_is_in_seconds_or_recognisably_in_milliseconds(sent: int, seconds: int) -> None:
    assert made(migrate_since=sent).spec.migrate_since_s == seconds


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


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"start": None}, "OMS.1004", "start"),
        ({"end": ""}, "OMS.1004", "end"),
        ({"max_bandwidth": None}, "OMS.1004", "max_bandwidth"),
        ({"start": "8:00"}, "OMS.0087", "start"),
        ({"end": "24:00"}, "OMS.0087", "end"),
        ({"end": "00:00"}, "OMS.0087", "end"),
        ({"max_bandwidth": 0}, "OMS.0084", "max_bandwidth"),
    ],
)
def test_a_wrong_bandwidth_rule_is_named_with_its_position(
    change: dict[str, Any], code: str, field: str
) -> None:
    good = BandwidthRule(start="23:59", end="00:00", max_bandwidth=2**20)
    rules = (good, replace(OPEN_ALL_DAY, end="12:00", **{k: v for k, v in change.items() if k != "end"}))
    if "end" in change:
        rules = (good, replace(rules[1], end=change["end"]))
    for call in (
        lambda: validate_bandwidth(rules),
        lambda: validate_create(create(bandwidth_policy=rules), ANY),
    ):
        error = refusal_of(call)
        assert (error.code, fields_of(error)) == (code, [f"bandwidth_policy[1].{field}"])


def test_overlapping_rules_are_named() -> None:
    rules = tuple(
        BandwidthRule(start=start, end=end, max_bandwidth=2**20)
        for start, end in [("08:00", "10:00"), ("10:00", "12:00"), ("23:00", "08:01")]
    )
    error = refusal_of(lambda: validate_bandwidth(rules))
    assert (error.code, fields_of(error)) == ("OMS.0085", ["bandwidth_policy[2]"])
    assert "bandwidth_policy[0]" in error.message
    assert len(validate_bandwidth(rules[:2])) == 2


def test_an_empty_policy_removes_all_limits_and_a_missing_one_is_refused() -> None:
    assert validate_bandwidth(()) == ()
    assert refusal_of(lambda: validate_bandwidth(None)).code == "OMS.1004"


SPEC = made().spec


def test_a_start_brings_fresh_keys() -> None:
    started = validate_start(start(src_security_token="t", migrate_failed_object=True), SPEC)
    assert started.credentials.source == Credentials(SECRETS[0], SECRETS[1], "t")
    assert started.credentials.destination == Credentials(SECRETS[3], SECRETS[4])
    assert started.failed_only
    assert not validate_start(start(), SPEC).failed_only


@pytest.mark.parametrize("field", ["src_ak", "src_sk", "dst_ak", "dst_sk"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_start_without_a_key_is_refused(field: str, value: str | None) -> None:
    error = refusal_of(lambda: validate_start(start(**{field: value}), SPEC))
    assert (error.code, fields_of(error)) == ("OMS.1004", [field])


@pytest.mark.parametrize("field", ["json_auth_file", "source_cdn_authentication_key"])
def test_a_start_with_what_is_not_built_yet_is_refused(field: str) -> None:
    error = refusal_of(lambda: validate_start(start(**{field: "x"}), SPEC))
    assert (error.code, fields_of(error)) == ("OMS.0064", [field])


def test_a_list_call_has_the_documented_defaults() -> None:
    assert validate_list(ListTasks()) == ValidatedList(0, 10, None, "", "")
    asked = ListTasks(limit=1, offset=7, status=6, group_id="g", task_name="n")
    assert validate_list(asked) == ValidatedList(7, 1, 6, "g", "n")


@pytest.mark.parametrize(
    ("call", "code", "field"),
    [
        (BatchUpdateTasks(task_priority="LOW"), "OMS.1004", "ids"),
        (BatchUpdateTasks(ids=(), task_priority="LOW"), "OMS.1004", "ids"),
        (BatchUpdateTasks(ids=(1,), group_id="g", task_priority="LOW"), "OMS.1003", "ids"),
        (BatchUpdateTasks(ids=(1,)), "OMS.1004", "bandwidth_policy"),
        (BatchUpdateTasks(ids=(1,), task_priority="NOW"), "OMS.1003", "task_priority"),
        (
            BatchUpdateTasks(ids=(1,), bandwidth_policy=(OPEN_ALL_DAY, OPEN_ALL_DAY)),
            "OMS.0085",
            "bandwidth_policy[1]",
        ),
    ],
)
def test_a_batch_that_cannot_be_done_is_refused(call: BatchUpdateTasks, code: str, field: str) -> None:
    error = refusal_of(lambda: validate_batch(call))
    assert (error.code, fields_of(error)) == (code, [field])


def test_a_batch_changes_only_what_it_names() -> None:
    one = validate_batch(BatchUpdateTasks(ids=(2, 1, 2), task_priority="low"))
    assert one == ValidatedBatch("", (2, 1), None, Priority.LOW)  # type: ignore[arg-type]
    other = validate_batch(BatchUpdateTasks(group_id="g", bandwidth_policy=()))
    assert other == ValidatedBatch("g", (), (), None)


def test_a_request_id_is_optional() -> None:
    assert (validate_request_id(None), validate_request_id(""), validate_request_id("a-1")) == ("", "", "a-1")


def all_texts(value: object) -> list[str]:
    return [str(value), repr(value)]


def test_neither_a_validated_call_nor_a_request_shows_its_secrets() -> None:
    shown = (
        all_texts(made())
        + all_texts(validate_start(start(), SPEC))
        + all_texts(create())
        + all_texts(start())
    )
    assert not [secret for secret in SECRETS for text in shown if secret in text]


SOURCE_FIELDS = [f"src_node__{f.name}" for f in fields(SrcNode) if f.name not in ("object_key", "list_file")]
OTHER_FIELDS = ["description", "task_type", "task_priority", "request_id", "object_overwrite_mode"]
TEXT_FIELDS = SOURCE_FIELDS + [f"dst_node__{f.name}" for f in fields(DstNode)] + OTHER_FIELDS


@given(st.dictionaries(st.sampled_from(TEXT_FIELDS), st.sampled_from(["", "\n", "<", "/x" * 600, "é", "@"])))
def test_no_refusal_repeats_a_secret_even_one_in_the_wrong_field(endings: dict[str, str]) -> None:
    request = create(**{path: f"https://S3CR3T:S3CR3T{ending}" for path, ending in endings.items()})
    try:
        validate_create(request, ANY)
    except RequestError as error:
        for text in [*all_texts(error), *all_texts(error.violations), error.message]:
            assert "s3cr3t" not in text.lower()


def test_options_reach_the_task() -> None:
    plain = made().spec
    assert (plain.encrypt_kms, plain.restore_archived, plain.source.requester_pays) == (False, False, False)
    wanted = made(
        enable_kms=True,
        enable_restore=True,
        enable_requester_pays=True,
        dst_storage_policy="src_storage_mapping",
    ).spec
    assert wanted.encrypt_kms
    assert wanted.restore_archived
    assert (wanted.source.requester_pays, wanted.destination.requester_pays) == (True, False)
    assert wanted.storage_policy is StoragePolicy.SRC_STORAGE_MAPPING
