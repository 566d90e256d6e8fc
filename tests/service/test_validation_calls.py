"""Calls about tasks that there are: starts, lists, limits and batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from omsd.domain.model import Credentials, Priority
from omsd.service.identifiers import validate_request_id
from omsd.service.requests import BandwidthRule, BatchUpdateTasks, ListTasks
from omsd.service.validation import (
    ValidatedBatch,
    ValidatedList,
    validate_bandwidth,
    validate_batch,
    validate_create,
    validate_list,
    validate_start,
)
from tests.service.validation_requests import ANY, SECRETS, create, fields_of, made, refusal_of, start

OPEN_ALL_DAY = BandwidthRule(start="00:00", end="23:59", max_bandwidth=2**20)


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
