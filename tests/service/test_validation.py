"""What a creation of a task must and may have: each field, its default, and its refusal; no refusal shows a secret."""

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
from omsd.service.requests import BandwidthRule, CreateTask, DstNode, ListFile, SourceCdn, SrcNode
from omsd.service.validation import validate_create, validate_start
from tests.service.validation_requests import (
    ANY,
    SECRETS,
    create,
    fields_of,
    made,
    refusal_of,
    refused,
    start,
)


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


def all_texts(value: object) -> list[str]:
    return [str(value), repr(value)]


def test_neither_a_validated_call_nor_a_request_shows_its_secrets() -> None:
    shown = (
        all_texts(made())
        + all_texts(validate_start(start(), made().spec))
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
