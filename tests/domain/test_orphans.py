"""Which uploads are ours though nobody told us their id: never a stranger's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.orphans import lost_ones, suspects
from omsd.domain.shards import OpenUpload, UploadIntent

NOW = 1_700_000_000.0
INTENT = UploadIntent("k", NOW, known=("before",))


def upload(name: str, key: str = "k", at_s: float = NOW) -> OpenUpload:
    return OpenUpload(key, name, at_s)


def test_a_suspect_has_the_key_was_not_there_before_and_began_in_time() -> None:
    ours = upload("new")
    others = [
        upload("before"),
        upload("longer key", "k2"),
        upload("long after", at_s=NOW + 3600),
        upload("long before", at_s=NOW - 3600),
        upload("at no time", at_s=0.0),
    ]
    assert suspects(INTENT, [*others, ours]) == (ours,)


def test_nothing_is_suspect_where_uploads_could_not_be_listed_before() -> None:
    blind = UploadIntent("k", 0.0)
    assert suspects(blind, [upload("new"), upload("at no time", at_s=0.0)]) == ()


@given(st.integers(1, 5), st.integers(0, 8))
def test_more_empty_uploads_than_tries_prove_nothing(attempts: int, number: int) -> None:
    intent = UploadIntent("k", NOW, attempts=attempts)
    empty = [upload(f"u{n}") for n in range(number)]
    found = lost_ones(intent, empty)
    assert found == (tuple(empty) if number <= attempts else ())
