"""Every limit of limits.py, at it and beyond it, taken from the data itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from omsd.domain.model import CloudType, Location, TaskSpec, TaskType
from omsd.service.identifiers import validate_request_id
from omsd.service.limits import (
    BANDWIDTH_LIMITS,
    BATCH_LIMITS,
    BUCKET_NAMES,
    CREATE_LIMITS,
    DESCRIPTION_LIMITS,
    LIST_FILE_LIMITS,
    LIST_LIMITS,
    REQUEST_ID_LIMITS,
    START_LIMITS,
    Count,
    Limit,
    Limits,
    Number,
    Text,
)
from omsd.service.requests import BandwidthRule, BatchUpdateTasks, Dialect, ListFile, ListTasks
from omsd.service.validation import (
    ValidationPolicy,
    validate_bandwidth,
    validate_batch,
    validate_create,
    validate_list,
    validate_start,
)
from tests.service.validation_requests import create, fields_of, refusal_of, start, with_value

PLACE = Location(CloudType.AWS, "us-east-1", "bucket")
SPEC = TaskSpec(PLACE, PLACE, TaskType.PREFIX, ("",))

Call = Callable[[str, object], object]


def call_create(path: str, value: object) -> object:
    return validate_create(with_value(create(), path, value), ValidationPolicy())


def call_create_v1(path: str, value: object) -> object:
    wanted = create(dialect=Dialect.V1, thread_num=1, enable_kms=False)
    return validate_create(with_value(wanted, path, value), ValidationPolicy())


def call_list_file(path: str, value: object) -> object:
    file = with_value(ListFile(list_file_key="a.txt", obs_bucket="lists"), path, value)
    wanted = create(task_type="list", src_node__object_key=None, src_node__list_file=file)
    return validate_create(wanted, ValidationPolicy())


def call_start(path: str, value: object) -> object:
    return validate_start(with_value(start(), path, value), SPEC)


def call_list(path: str, value: object) -> object:
    return validate_list(with_value(ListTasks(), path, value))


def call_batch(path: str, value: object) -> object:
    base = BatchUpdateTasks(task_priority="HIGH", ids=None if path == "group_id" else (1,))
    return validate_batch(with_value(base, path, value))


def call_bandwidth(path: str, value: object) -> object:
    return bandwidth(path, value, Dialect.V2)


def call_bandwidth_v1(path: str, value: object) -> object:
    return bandwidth(path, value, Dialect.V1)


def bandwidth(path: str, value: object, dialect: Dialect) -> object:
    if path == "":
        assert isinstance(value, tuple)
        minutes = [f"{place:02d}" for place in range(len(value) + 1)]
        rules = [
            BandwidthRule(start=f"00:{a}", end=f"00:{b}", max_bandwidth=2**24) for a, b in pairwise(minutes)
        ]
        return validate_bandwidth(tuple(rules), dialect=dialect)
    rule = BandwidthRule(start="08:00", end="09:00")
    return validate_bandwidth((with_value(rule, path.removeprefix("[]."), value),), dialect=dialect)


def call_request_id(_: str, value: object) -> object:
    assert isinstance(value, str)
    return validate_request_id(value)


TABLES: list[tuple[Limits, Call, str]] = [
    (CREATE_LIMITS, call_create, ""),
    (LIST_FILE_LIMITS, call_list_file, "src_node.list_file."),
    (START_LIMITS, call_start, ""),
    (LIST_LIMITS, call_list, ""),
    (BATCH_LIMITS, call_batch, ""),
    (DESCRIPTION_LIMITS[Dialect.V2], call_create, ""),
    (DESCRIPTION_LIMITS[Dialect.V1], call_create_v1, ""),
    (BANDWIDTH_LIMITS[Dialect.V2], call_bandwidth, "bandwidth_policy"),
    (BANDWIDTH_LIMITS[Dialect.V1], call_bandwidth_v1, "bandwidth_policy"),
    (REQUEST_ID_LIMITS, call_request_id, "request_id"),
]

# Refused when set, whatever their length, or held to a narrower rule of their own.
NEVER_ACCEPTED_AT_THE_LIMIT = {
    "src_node.json_auth_file",
    "json_auth_file",
    "source_cdn_authentication_key",
    "src_node.bucket",
    "dst_node.bucket",
    "obs_bucket",
}


def text(path: str, length: int) -> str:
    if path == "list_file_num":
        return "1" * length
    return "http://h".ljust(length, "h") if path.endswith("endpoint") else "x" * length


def values(path: str, limit: Limit) -> Iterator[tuple[object, bool]]:
    """Values at and beyond a limit; is each within it?"""
    match limit:
        case Text():
            yield text(path, limit.maximum), True
            yield text(path, limit.maximum - 1), True
            yield text(path, limit.maximum + 1), False
        case Number():
            yield limit.minimum, True
            yield limit.maximum, True
            yield limit.minimum - 1, False
            yield limit.maximum + 1, False
        case Count():
            yield tuple(range(1, limit.maximum + 1)), True
            yield tuple(range(1, limit.maximum + 2)), False


def cases() -> Iterator[object]:
    for limits, call, at in TABLES:
        for path, limit in limits.items():
            for number, (value, inside) in enumerate(values(path, limit)):
                if inside and path in NEVER_ACCEPTED_AT_THE_LIMIT:
                    continue
                if path == "src_node.object_key":
                    value = tuple(str(entry) for entry in value)  # type: ignore[attr-defined]
                name = f"{call.__name__}-{path}-{number}"
                yield pytest.param(call, at, path, limit, value, inside, id=name)


@pytest.mark.parametrize(("call", "at", "path", "limit", "value", "inside"), list(cases()))
def test_a_value_is_taken_up_to_its_limit_and_refused_beyond(
    call: Call, at: str, path: str, limit: Limit, value: object, inside: bool
) -> None:
    if inside:
        call(path, value)
        return
    error = refusal_of(lambda: call(path, value))
    assert error.code == limit.code
    field = at + path.replace("[]", "[0]")
    assert field in fields_of(error)
    maximum = str(limit.maximum)
    assert any(maximum in v.description for v in error.violations if v.field == field)


TEXTS = [
    (call, path, limit)
    for limits, call, _ in TABLES
    for path, limit in limits.items()
    if isinstance(limit, Text)
]


@pytest.mark.parametrize(("call", "path", "limit"), [case for case in TEXTS if case[2].forbidden])
def test_every_forbidden_character_is_refused(call: Call, path: str, limit: Text) -> None:
    for character in limit.forbidden:
        error = refusal_of(lambda character=character: call(path, f"a{character}b"))  # type: ignore[misc]
        assert (error.code, fields_of(error)) == (limit.forbidden_code, [path])
    call(path, "".join(c for c in "fine: plain 'text' (with) umlauts é" if c not in limit.forbidden))


@pytest.mark.parametrize(
    ("call", "path"), [(call, path) for call, path, limit in TEXTS if limit.charset is not None]
)
@pytest.mark.parametrize("value", ["a\nb", "a b", "a\r\nX-Header: 1", "é", "a\x00"])
def test_what_ends_up_in_a_header_or_a_host_has_no_control_characters(
    call: Call, path: str, value: str
) -> None:
    assert refusal_of(lambda: call(path, value)).code == "OMS.1003"


@pytest.mark.parametrize("cloud", BUCKET_NAMES)
def test_bucket_names_have_the_length_their_cloud_takes(cloud: CloudType) -> None:
    shortest, longest = BUCKET_NAMES[cloud].minimum, BUCKET_NAMES[cloud].maximum
    for length in (shortest, longest):
        validate_create(
            create(src_node__cloud_type=cloud.value, src_node__bucket="b" * length), ValidationPolicy()
        )
    for length in (shortest - 1, longest + 1):
        wrong = create(src_node__cloud_type=cloud.value, src_node__bucket="b" * length)
        error = refusal_of(lambda wrong=wrong: validate_create(wrong, ValidationPolicy()))  # type: ignore[misc]
        assert (error.code, fields_of(error)) == ("OMS.1003", ["src_node.bucket"])
        assert str(shortest) in error.message
