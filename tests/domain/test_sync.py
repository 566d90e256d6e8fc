"""Synchronization tasks: names of events, the table of states."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.errors import RequestError
from omsd.domain.model import CloudType, Location, TaskSpec, TaskType
from omsd.domain.sync import (
    KeyNames,
    SyncCall,
    SyncNumber,
    SyncState,
    SyncTask,
    SyncTaskId,
    check_takes_events,
    parse_key,
    step,
)

PLACE = Location(CloudType.AWS, "r", "b")


def task(state: SyncState) -> SyncTask:
    spec = TaskSpec(PLACE, PLACE, TaskType.OBJECT, ())
    return SyncTask(SyncNumber(1), SyncTaskId("id"), "p", spec, state, 5, 6)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("test%2F001.txt", KeyNames("test/001.txt")),
        ("test%2f001.txt", KeyNames("test/001.txt")),
        ("test%2B001.txt", KeyNames("test+001.txt")),
        ("test+001.txt", KeyNames("test 001.txt", "test+001.txt")),
        ("a%20b", KeyNames("a b")),
        ("a+%2B", KeyNames("a +", "a++")),
        ("%E6%97%A5", KeyNames("日")),
        ("日/plain", KeyNames("日/plain")),
        ("100%25", KeyNames("100%")),
    ],
)
def test_names_are_decoded_as_in_forms_and_a_plus_is_kept_beside(text: str, names: KeyNames) -> None:
    assert parse_key(text) == names


@pytest.mark.parametrize("text", ["100%", "%2", "%zz", "%ff", "a%00b"])
def test_what_is_not_url_encoded_utf8_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_key(text)


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1))
def test_any_key_comes_back_from_its_encoding(key: str) -> None:
    assert parse_key(quote(key, safe="")) == KeyNames(key)


@given(st.text("a +", min_size=1))
def test_names_that_may_mean_the_same_object_are_in_one_lane(text: str) -> None:
    names = parse_key(text.replace(" ", "%20"))
    for key in (names.key, names.literal or names.key):
        assert parse_key(quote(key)).lane == names.lane


@pytest.mark.parametrize(
    ("state", "call", "after"),
    [
        (SyncState.SYNCHRONIZING, SyncCall.STOP, SyncState.STOPPED),
        (SyncState.SYNCHRONIZING, SyncCall.START, "OMS.0065"),
        (SyncState.SYNCHRONIZING, SyncCall.DELETE, "OMS.0063"),
        (SyncState.STOPPED, SyncCall.STOP, "OMS.0066"),
        (SyncState.STOPPED, SyncCall.START, SyncState.SYNCHRONIZING),
        (SyncState.STOPPED, SyncCall.DELETE, None),
    ],
)
def test_every_call_in_every_state(state: SyncState, call: SyncCall, after: SyncState | str | None) -> None:
    """The table of the API reference; a string is the code of the refusal."""
    if isinstance(after, str) and not isinstance(after, SyncState):
        with pytest.raises(RequestError) as caught:
            step(task(state), call, 100)
        assert caught.value.code == after
        return
    moved = step(task(state), call, 100)
    assert (moved.state if moved is not None else None) == after
    if call is SyncCall.START and moved is not None:
        assert (moved.last_started_ms, moved.created_ms) == (100, 5)


def test_only_a_running_task_takes_events() -> None:
    check_takes_events(task(SyncState.SYNCHRONIZING))
    with pytest.raises(RequestError) as caught:
        check_takes_events(task(SyncState.STOPPED))
    assert caught.value.code == "OMS.2002"
