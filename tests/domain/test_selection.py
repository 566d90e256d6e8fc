from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.domain.selection import is_covered, is_too_old, reduce_prefixes

PREFIXES = st.lists(st.text(alphabet="ab/\x00\U0001f600", max_size=4), max_size=8)


@given(PREFIXES, st.text(alphabet="ab/\x00\U0001f600", max_size=6))
def test_reduced_prefixes_cover_the_same_keys(prefixes: list[str], key: str) -> None:
    assert is_covered(reduce_prefixes(prefixes), key) == any(key.startswith(prefix) for prefix in prefixes)


@given(PREFIXES)
def test_no_reduced_prefix_covers_another(prefixes: list[str]) -> None:
    reduced = reduce_prefixes(prefixes)
    assert not any(a.startswith(b) for a in reduced for b in reduced if a is not b)
    assert set(reduced) <= set(prefixes)


@pytest.mark.parametrize(
    ("last_modified_s", "since_s", "too_old"),
    [(99.9, 100, True), (100.0, 100, False), (100.9, 100, False), (0.0, 0, False), (5.0, 0, False)],
)
def test_migrate_since_keeps_the_objects_of_that_very_second(
    last_modified_s: float, since_s: int, too_old: bool
) -> None:
    assert is_too_old(last_modified_s, since_s) is too_old
