"""Calls of task groups against the documented limits, and what is refused before anything is stored."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from omsd.domain.errors import RequestError
from omsd.domain.group import GroupState
from omsd.domain.model import TaskType
from omsd.service import requests
from omsd.service.group_limits import CREATE_GROUP_LIMITS, LIST_GROUP_LIMITS, START_GROUP_LIMITS
from omsd.service.group_requests import CreateTaskGroup, ListTaskGroups, RetryTaskGroup, StartTaskGroup
from omsd.service.group_validation import (
    validate_create_group,
    validate_list_groups,
    validate_retry_group,
    validate_start_group,
)
from omsd.service.identifiers import validate_group_id
from omsd.service.limits import Number, Text
from omsd.service.locations import ValidationPolicy
from tests.service.group_harness import create_group, create_list_group
from tests.service.validation_requests import refusal_of, with_value

ANYWHERE = ValidationPolicy()


def valid(request: CreateTaskGroup) -> TaskType:
    return validate_create_group(request, ANYWHERE).spec.task_type


@pytest.mark.parametrize(
    ("written", "meant"),
    [(None, TaskType.PREFIX), ("prefix", TaskType.PREFIX), ("PREFIX", TaskType.PREFIX)],
)
def test_types_are_taken_in_any_case(written: str | None, meant: TaskType) -> None:
    assert valid(create_group(task_type=written)) is meant


def test_a_list_group_has_its_list_files_in_its_spec() -> None:
    group = validate_create_group(create_list_group("in/"), ANYWHERE)
    assert group.spec.task_type is TaskType.LIST
    assert group.spec.list_file is not None
    assert group.spec.list_file.key == "in/"


URL_SOURCE = requests.SrcNode(
    cloud_type="URLSource", list_file=requests.ListFile(list_file_key="u/", obs_bucket="l")
)


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        (create_group(task_type="object"), "OMS.1003", "task_type"),
        (create_group(task_type="URL_LIST", src_node=URL_SOURCE), "OMS.0064", "task_type"),
        (create_group(task_type="URL_LIST"), "OMS.0057", "src_node.cloud_type"),
        (create_group(task_type="LIST"), "OMS.0057", "src_node.list_file"),
        (create_group(smn_config=requests.SmnConfig(topic_urn="u")), "OMS.1004", "smn_config.topic_urn"),
        (create_group(source_cdn=requests.SourceCdn(domain="d")), "OMS.0064", "source_cdn"),
        (create_group(description='a "b"'), "OMS.0078", "description"),
        (create_group(consistency_check="no_check"), "OMS.0064", "consistency_check"),
        (create_group(object_overwrite_mode="maybe"), "OMS.1003", "object_overwrite_mode"),
        (create_group(src_node=None), "OMS.1004", "src_node.bucket"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(request_: CreateTaskGroup, code: str, field: str) -> None:
    error = refusal_of(lambda: validate_create_group(request_, ANYWHERE))
    assert error.code == code
    assert field in {violation.field for violation in error.violations}


def test_all_wrong_fields_are_told_at_once_and_no_secret_is() -> None:
    request = create_group(smn_config=requests.SmnConfig(topic_urn="u"), description="<", migrate_since=-1)
    error = refusal_of(lambda: validate_create_group(request, ANYWHERE))
    assert {"smn_config.topic_urn", "description", "migrate_since"} <= {
        wrong.field for wrong in error.violations
    }
    assert "SRCSECRET" not in str(error)
    assert "SRCSECRET" not in repr(request)


@pytest.mark.parametrize(
    ("path", "limit"),
    [(path, limit) for path, limit in CREATE_GROUP_LIMITS.items() if isinstance(limit, Text)],
)
def test_every_limit_of_a_creation_holds(path: str, limit: Text) -> None:
    request = with_value(create_group(), path, "x" * (limit.maximum + 1))
    error = refusal_of(lambda: validate_create_group(request, ANYWHERE))
    assert any(path.split("[", maxsplit=1)[0] in violation.field for violation in error.violations), error


@pytest.mark.parametrize(
    ("path", "limit"),
    [(path, limit) for path, limit in LIST_GROUP_LIMITS.items() if isinstance(limit, Number)],
)
def test_every_limit_of_a_page_holds_at_both_ends(path: str, limit: Number) -> None:
    for value in (limit.minimum, limit.maximum):
        validate_list_groups(replace(ListTaskGroups(), **{path: value}))
    for value in (limit.minimum - 1, limit.maximum + 1):
        request = replace(ListTaskGroups(), **{path: value})
        assert refusal_of(lambda request=request: validate_list_groups(request)).code == limit.code


def test_a_page_has_the_documented_defaults() -> None:
    page = validate_list_groups(ListTaskGroups())
    assert (page.offset, page.limit, page.state) == (0, 10, None)
    assert validate_list_groups(ListTaskGroups(status=0)).state is GroupState.WAITING


def test_a_start_needs_the_keys_of_both_ends() -> None:
    spec = validate_create_group(create_group(), ANYWHERE).spec
    error = refusal_of(lambda: validate_start_group(StartTaskGroup(), spec))
    assert [wrong.field for wrong in error.violations] == ["dst_ak", "dst_sk", "src_ak", "src_sk"]
    keys = validate_start_group(
        StartTaskGroup(src_ak="a", src_sk="b", dst_ak="c", dst_sk="d", dst_security_token="t"), spec
    )
    assert (keys.source.access_key, keys.destination.security_token) == ("a", "t")


def test_a_retry_takes_both_keys_of_an_end_or_none() -> None:
    nothing = validate_retry_group(RetryTaskGroup())
    assert (nothing.source, nothing.destination, nothing.failed_only) == (None, None, False)
    half = refusal_of(lambda: validate_retry_group(RetryTaskGroup(src_ak="a", dst_security_token="t")))
    assert [wrong.field for wrong in half.violations] == ["src_sk", "dst_ak", "dst_sk"]
    one = validate_retry_group(RetryTaskGroup(dst_ak="c", dst_sk="d", migrate_failed_object=True))
    assert one.source is None
    assert one.destination is not None
    assert one.failed_only
    with pytest.raises(RequestError, match="json_auth_file"):
        validate_retry_group(RetryTaskGroup(json_auth_file="{}"))


@pytest.mark.parametrize("path", list(START_GROUP_LIMITS))
def test_keys_of_a_retry_have_the_documented_lengths(path: str) -> None:
    limit = START_GROUP_LIMITS[path]
    assert isinstance(limit, Text)
    request = replace(RetryTaskGroup(), **{path: "x" * (limit.maximum + 1)})
    error = refusal_of(lambda: validate_retry_group(request))
    assert path in {wrong.field for wrong in error.violations}
    assert path in {field.name for field in fields(RetryTaskGroup)}


def test_a_group_must_be_named() -> None:
    assert refusal_of(lambda: validate_group_id("")).code == "OMS.1004"
    assert refusal_of(lambda: validate_group_id("x" * 1025)).code == "OMS.1003"
    assert validate_group_id("g") == "g"
