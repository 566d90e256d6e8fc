"""Lines and names of object lists."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.errors import StoreErrorKind
from omsd.domain.model import (
    ConsistencyCheck,
    CrcOrigin,
    GroupId,
    ListPart,
    Outcome,
    OutcomeKind,
    TaskId,
    Verdict,
)
from omsd.domain.object_lists import (
    COLUMNS,
    HEADER,
    MAX_LINES,
    MAX_TEXT_BYTES,
    code_of,
    lines_of,
    list_key,
    next_part,
)


def columns(outcome: Outcome) -> dict[str, str]:
    (line,) = lines_of([outcome], ConsistencyCheck.CRC64).splitlines()
    return dict(zip(COLUMNS, line.split("\t"), strict=True))


def test_a_line_tells_the_check_and_where_each_checksum_came_from() -> None:
    outcome = Outcome(
        "a b/ü\t\n",
        12,
        OutcomeKind.SUCCESS,
        1_700_000_000.9,
        Verdict.MATCH,
        255,
        crc64_xz_from=CrcOrigin.SOURCE | CrcOrigin.STREAM | CrcOrigin.DESTINATION,
    )
    assert columns(outcome) == {
        "key": "a%20b/%C3%BC%09%0A",
        "size": "12",
        "last_modified": "2023-11-14T22:13:20Z",
        "check_method": "crc64",
        "check_result": "match",
        "crc64_xz": "00000000000000ff",
        "crc64_xz_from": "source+stream+destination",
        "crc64_nvme": "",
        "crc64_nvme_from": "",
        "error_code": "",
        "message": "",
    }


def test_a_failed_object_has_code_and_message_on_one_line() -> None:
    outcome = Outcome("k", 0, OutcomeKind.FAILED, error_code="TRF.0152", reason="no\tway\r\nat all")
    found = columns(outcome)
    assert (found["error_code"], found["message"], found["last_modified"]) == (
        "TRF.0152",
        "no way  at all",
        "",
    )
    assert (found["crc64_xz"], found["crc64_xz_from"]) == ("", "")


@given(st.lists(st.text(min_size=1), max_size=5))
def test_any_keys_come_back_from_their_lines(keys: list[str]) -> None:
    text = HEADER + lines_of(
        [Outcome(key, 1, OutcomeKind.SKIPPED) for key in keys], ConsistencyCheck.NO_CHECK
    )
    lines = text.removesuffix("\n").split("\n")[1:]
    assert [unquote(line.split("\t")[0]) for line in lines] == keys


def test_names_are_the_documented_ones_and_numbered_only_if_there_are_more() -> None:
    failed, success, skipped = OutcomeKind.FAILED, OutcomeKind.SUCCESS, OutcomeKind.SKIPPED
    task = TaskId(5)
    assert list_key(task, 1, failed, 1) == "oms/failed_object_lists/5/failed-objects-list.txt"
    assert list_key(task, 1, success, 2) == "oms/success_object_lists/5/success-objects-list-part-0002.txt"
    assert list_key(task, 3, skipped, 1) == "oms/skip_object_lists/5/skip-objects-list-run-3.txt"
    group = GroupId("g-1")
    folder = "oms/task_group/g-1/failed_object_lists/"
    assert list_key(task, 1, failed, 1, group) == f"{folder}5-failed-objects-list.txt"
    assert list_key(task, 2, failed, 3, group) == f"{folder}5-failed-objects-list-run-2-part-0003.txt"
    assert list_key(task, 1, success, 1, group) == list_key(task, 1, success, 1)
    assert list_key(task, 3, skipped, 12) == "oms/skip_object_lists/5/skip-objects-list-run-3-part-0012.txt"


def test_a_full_list_goes_on_in_another_file() -> None:
    kind = OutcomeKind.SUCCESS
    assert next_part(None, kind, settled_num=0) == ListPart(kind, 1)
    assert next_part(None, kind, settled_num=2) == ListPart(kind, 3)
    part = ListPart(kind, 4, 10, 10, MAX_LINES - 1)
    assert next_part(part, kind, settled_num=0) is part
    for full in (ListPart(kind, 4, 9, 9, MAX_LINES), ListPart(kind, 4, 9, MAX_TEXT_BYTES, 3)):
        assert next_part(full, kind, settled_num=0) == ListPart(kind, 5)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (StoreErrorKind.PERMISSION, "OMS.0307"),
        (StoreErrorKind.NO_SUCH_BUCKET, "OMS.0307"),
        (StoreErrorKind.UNAVAILABLE, "OMS.0304"),
        (StoreErrorKind.TIMEOUT, "OMS.0304"),
    ],
)
def test_a_refusal_and_a_failure_have_codes_of_their_own(kind: StoreErrorKind, code: str) -> None:
    assert code_of(kind) == code
