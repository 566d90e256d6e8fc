"""What is declared beside each field of each call holds, whatever the value: taken inside, refused outside before anything is touched.

The tables of the product are the tables of these tests: a field that is declared is tested.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omsd.domain.catalogue import is_supported_protocol, regions
from omsd.domain.errors import Refusal, RequestError
from omsd.domain.model import CloudType
from omsd.service.barred import Barred
from omsd.service.limits import BUCKET_NAMES, OTHER_BUCKET_NAMES, Count, Limit, Limits, Number, Text
from omsd.service.needs import Needed
from omsd.service.requests import BandwidthRule, Dialect, ListFile, SourceCdn
from tests.service.every_call import CALLS
from tests.service.untouched import Alone, Call
from tests.service.validation_requests import create

FAST = settings(max_examples=12)
# Refused when set, whatever their value, or with a narrower rule beside the length.
_NOT_YET = "OMS.0064"
_RULED = ("bucket", "bucket_name", "endpoint", "region", "cloud_type", "json_auth_file", "data_center")
_RULED_TOO = (
    *("list_file_num", "src_node.region", "object_keys[]", "domain", "behind_filename", "list_file_key"),
    *("authentication_key", "start_time", "end_time", "app_id", "topic_urn", "trigger_conditions"),
)


def of(limits_of: Any) -> list[Any]:
    return [
        pytest.param(call, path, limit, id=f"{call.name}-{path}")
        for call in CALLS
        for path, limit in limits_of(call).items()
    ]


def kinds(*wanted: type) -> Any:
    return lambda call: {path: limit for path, limit in call.limits.items() if isinstance(limit, wanted)}


def described(error: RequestError, field: str) -> str:
    return " ".join(v.description for v in error.violations if v.field == field)


def refused(call: Call, request: Any, code: str, field: str) -> RequestError:
    """The call is refused for this field with this code; nobody was reached."""
    error = call.refusal(request)
    assert error is not None, f"{field} was taken"
    assert error.refusal is Refusal.INVALID
    assert error.code == code, error
    assert field in [violation.field for violation in error.violations], error
    assert described(error, field)
    return error


def test_the_calls_are_right_before_a_field_is_changed() -> None:
    assert [call.name for call in CALLS if call.refusal(call.base)] == []


def inside(limit: Limit) -> st.SearchStrategy[Any]:
    match limit:
        case Number(minimum, maximum):
            near = st.sampled_from([minimum, minimum + 1, maximum - 1, maximum])
            return near | st.integers(minimum, maximum)
        case Count(maximum):
            return st.sampled_from([1, maximum - 1, maximum]).map(lambda n: tuple(range(1, n + 1)))
        case Text():
            lengths = st.sampled_from([max(1, limit.minimum), limit.maximum - 1, limit.maximum])
            return (lengths | st.integers(max(1, limit.minimum), limit.maximum)).map(lambda n: "1" * n)
    raise AssertionError


def outside(limit: Limit) -> st.SearchStrategy[Any]:
    match limit:
        case Number(minimum, maximum):
            return (
                st.sampled_from([minimum - 1, maximum + 1])
                | st.integers(max_value=minimum - 1)
                | st.integers(min_value=maximum + 1)
            )
        case Count(maximum):
            return st.integers(maximum + 1, maximum + 40).map(lambda n: tuple(range(1, n + 1)))
        case Text():
            longer = (st.just(1) | st.integers(1, 3000)).map(lambda n: "1" * (limit.maximum + n))
            return longer | st.just("") if limit.minimum else longer
    raise AssertionError


def shaped(path: str, value: Any) -> Any:
    """Numbers of an array become texts, or rules, where those are wanted."""
    if not isinstance(value, tuple) or path == "ids":
        return value
    if path != "bandwidth_policy":
        return tuple(map(str, value))
    minutes = [f"{number // 60:02}:{number % 60:02}" for number in range(len(value) + 1)]
    return tuple(BandwidthRule(start=a, end=b, max_bandwidth=10 * 2**20) for a, b in pairwise(minutes))


@pytest.mark.parametrize(("call", "path", "limit"), of(kinds(Text, Number, Count)))
@FAST
@given(data=st.data())
def test_inside_of_its_limit_a_value_is_taken(
    call: Call, path: str, limit: Limit, data: st.DataObject
) -> None:
    value = shaped(path, data.draw(inside(limit)))
    error = call.refusal(call.with_value(path, value))
    if error is None:
        return
    assert path.endswith((*_RULED, *_RULED_TOO)) or error.code == _NOT_YET, error
    # For some other rule then, which says so in other words.
    said = described(error, call.field(path))
    assert f"{limit.maximum}, has" not in said
    assert f"to {limit.maximum} characters" not in said
    assert "entries" not in said


@pytest.mark.parametrize(("call", "path", "limit"), of(kinds(Text, Number, Count)))
@FAST
@given(data=st.data())
def test_outside_of_its_limit_a_value_is_refused_with_its_code(
    call: Call, path: str, limit: Limit, data: st.DataObject
) -> None:
    value = shaped(path, data.draw(outside(limit)))
    if value == "" and limit.code == "OMS.1003" and not isinstance(limit, Text):
        return
    error = refused(call, call.with_value(path, value), limit.code, call.field(path))
    assert str(limit.maximum) in described(error, call.field(path))


def forbidding(call: Call) -> Limits:
    return {p: x for p, x in call.limits.items() if isinstance(x, Text) and x.forbidden}


def lettered(call: Call) -> Limits:
    return {p: x for p, x in call.limits.items() if isinstance(x, Text) and x.charset is not None}


@pytest.mark.parametrize(("call", "path", "limit"), of(forbidding))
@FAST
@given(data=st.data())
def test_a_forbidden_character_anywhere_is_refused(
    call: Call, path: str, limit: Text, data: st.DataObject
) -> None:
    before, bad, after = (data.draw(st.text(max_size=20)), data.draw(st.sampled_from(limit.forbidden)), "x")
    refused(call, call.with_value(path, before + bad + after), limit.forbidden_code, call.field(path))


@pytest.mark.parametrize(("call", "path", "limit"), of(lettered))
@FAST
@given(data=st.data())
def test_a_character_beyond_the_declared_ones_is_refused(
    call: Call, path: str, limit: Text, data: st.DataObject
) -> None:
    charset = limit.charset
    assert charset is not None
    bad = st.characters() | st.sampled_from("\r\n\0 \t\x7f\u00e9")
    value = "1" + data.draw(bad.filter(lambda one: not charset.pattern.fullmatch(one)))
    error = refused(call, call.with_value(path, value), limit.code, call.field(path))
    assert charset.wording in described(error, call.field(path))


@pytest.mark.parametrize(("call", "path", "choices"), of(lambda call: call.choices))
def test_every_declared_name_is_taken_in_any_case(call: Call, path: str, choices: Any) -> None:
    for name in choices:
        for written in (name, name.lower(), name.upper(), name.swapcase()):
            error = call.refusal(call.with_value(path, written))
            # What is known and not built yet says so; some names want another field beside them.
            if error is not None:
                assert "must be one of" not in described(error, call.field(path)), error


@pytest.mark.parametrize(("call", "path", "choices"), of(lambda call: call.choices))
@FAST
@given(data=st.data())
def test_any_other_name_is_refused_and_the_right_ones_are_told(
    call: Call, path: str, choices: Any, data: st.DataObject
) -> None:
    known = {name.lower() for name in choices}
    near = st.sampled_from(sorted(choices)).map(lambda name: name + "x")
    other = data.draw(
        (near | st.text(min_size=1, max_size=40)).filter(lambda text: text.lower() not in known)
    )
    error = refused(call, call.with_value(path, other), "OMS.1003", call.field(path))
    assert all(name in described(error, call.field(path)) for name in choices)


def needs_of(*, conditional: bool) -> list[Any]:
    return [
        pytest.param(call, needed, id=f"{call.name}-{needed.field}")
        for call in CALLS
        for needed in call.needs
        if needed.when is not None or not conditional
    ]


def blank_values(call: Call, needed: Needed) -> tuple[object, ...]:
    """Absent, and empty where a text or an array stands; a list file always has its fields."""
    if "list_file." in needed.field or needed.field.endswith("[]"):
        return ("",)
    if needed.may_be_empty:
        return (None,)
    held = call.held(needed.field)
    return (None, type(held)()) if isinstance(held, str | tuple) else (None,)


@pytest.mark.parametrize(("call", "needed"), needs_of(conditional=False))
def test_what_is_mandatory_is_asked_for_where_it_is_mandatory(call: Call, needed: Needed) -> None:
    contexts = sorted(needed.when.values) if needed.when is not None else [None]
    for context in contexts:
        for blank in blank_values(call, needed):
            request = call.with_value(needed.field, blank)
            if needed.when is not None:
                request = call.having(request, needed.when.field, context)
            if needed.instead:
                request = call.having(request, needed.instead, None)
            error = call.refusal(request)
            assert error is not None
            said = {v.field: v.description for v in error.violations}
            assert said.get(call.field(needed.field)) == needed.wording, error
            if len(error.violations) == 1:
                assert error.code == needed.code


ELSEWHERE = {"task_type": "prefix", "dialect": Dialect.V2}


@pytest.mark.parametrize(("call", "needed"), needs_of(conditional=True))
def test_what_is_mandatory_beside_one_value_is_not_beside_another(call: Call, needed: Needed) -> None:
    assert needed.when is not None
    request = call.with_value(needed.field, "" if needed.field.endswith("[]") else None)
    if needed.when.field in ELSEWHERE:
        request = call.having(request, needed.when.field, ELSEWHERE[needed.when.field])
    error = call.refusal(request)
    assert error is None or call.field(needed.field) not in [v.field for v in error.violations]


BARRED = [pytest.param(call, bar, id=f"{call.name}-{bar.field}") for call in CALLS for bar in call.barred]
# Values of fields that have no limits.
PARTS = {
    "source_cdn": SourceCdn(domain="h"),
    "src_node.list_file": ListFile(list_file_key="a", obs_bucket="lists"),
    "ids": (1,),
}


def set_values(bar: Barred) -> Iterable[object]:
    """Values the field must not have."""
    if bar.when is not None and bar.when.field == bar.field:
        return sorted({written for name in bar.when.values for written in (name, name.upper(), name.lower())})
    return [PARTS.get(bar.field, "x")]


@pytest.mark.parametrize(("call", "bar"), BARRED)
def test_what_must_be_left_out_is_refused_and_said_what_to_send(call: Call, bar: Barred) -> None:
    elsewhere = bar.when if bar.when is not None and bar.when.field != bar.field else None
    known = call.choices.get(elsewhere.field, ()) if elsewhere is not None else ()
    contexts: list[str | None] = [
        name for name in known if elsewhere is not None and name.lower() in elsewhere.values
    ]
    for context in contexts or [None]:
        for value in set_values(bar):
            request = call.with_value(bar.field, value)
            if elsewhere is not None:
                request = call.having(request, elsewhere.field, context)
            error = call.refusal(request)
            assert error is not None
            said = [v.description for v in error.violations if v.field == call.field(bar.field)]
            assert bar.wording in said, error
            if len(error.violations) == 1:
                assert error.code == bar.code


# Fields without a length of their own: they are true or false, or hold others, or have a table of names.
UNLIMITED = frozenset({"dialect", "smn_config", "source_cdn", "list_file", "prefix", "bandwidth_policy"})


def test_every_text_and_number_of_every_request_is_declared() -> None:
    missing = [
        f"{call.name}: {path}"
        for call in CALLS
        if is_dataclass(call.base) and not isinstance(call.base, Alone)
        for path in paths_of(call.base)
        if not declared(call, path)
    ]
    assert missing == []


def paths_of(request: Any, at: str = "") -> list[str]:
    found: list[str] = []
    for field in fields(request):
        value = getattr(request, field.name)
        if is_dataclass(value):
            found += paths_of(value, f"{at}{field.name}.")
        elif not str(field.type).startswith("bool") and field.name not in UNLIMITED:
            found.append(at + field.name)
    return found


def declared(call: Call, path: str) -> bool:
    """In a table of this call, or of the one that shares its request."""
    calls = [one for one in CALLS if type(one.base) is type(call.base)]
    known = {one.renamed(p) for one in calls for p in (*one.limits, *one.choices)}
    return path in known or path + "[]" in known


CLOUDS = [cloud for cloud in CloudType if is_supported_protocol(cloud)]
NAMES = st.text("ab9.-", max_size=70) | st.text("aA_./ \n", max_size=5) | st.text(max_size=70)


@pytest.mark.parametrize("cloud", CLOUDS)
@settings(max_examples=60)
@given(bucket=NAMES.filter(bool))
def test_a_bucket_is_taken_if_its_name_is_one_of_its_cloud(cloud: CloudType, bucket: str) -> None:
    rule = BUCKET_NAMES.get(cloud, OTHER_BUCKET_NAMES)
    assert rule.charset is not None
    right = rule.minimum <= len(bucket) <= rule.maximum and rule.charset.pattern.fullmatch(bucket)
    request = create(
        src_node__cloud_type=cloud,
        src_node__region=regions(cloud)[0].region_id,
        src_node__endpoint=None,
        src_node__bucket=bucket,
    )
    error = next(one for one in CALLS if one.name == "create").refusal(request)
    named = [] if error is None else [v.field for v in error.violations]
    assert ("src_node.bucket" in named) == (not right)


MINUTES = st.integers(0, 24 * 60 - 1)


def minutes_of(start: int, end: int) -> set[int]:
    """The minutes of a daily window, which may cross midnight; its end is not in it, unless that is the day's."""
    length = (end - start) % 1440 + (end == 1439)
    return {(start + n) % 1440 for n in range(length)}


@settings(max_examples=150)
@given(st.lists(st.tuples(MINUTES, MINUTES).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=5))
def test_windows_are_taken_unless_two_of_them_share_a_minute(windows: list[tuple[int, int]]) -> None:
    call = next(one for one in CALLS if one.name == "bandwidth")
    rules = tuple(
        BandwidthRule(start=f"{a // 60:02}:{a % 60:02}", end=f"{b // 60:02}:{b % 60:02}", max_bandwidth=2**21)
        for a, b in windows
    )
    shared = any(
        minutes_of(*one) & minutes_of(*other)
        for place, one in enumerate(windows)
        for other in windows[place + 1 :]
    )
    error = call.refusal(Alone(bandwidth_policy=rules))
    assert (error is not None) == shared
    if error is not None:
        assert error.code == "OMS.0085"
        assert error.violations[0].field.startswith("bandwidth_policy[")
