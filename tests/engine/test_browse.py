"""Levels of a bucket on a store that begins again with the folder it ended with, as S3 does."""

from __future__ import annotations

import pytest

from omsd.drivers.memory import MemoryStore
from omsd.engine.browse import list_folder
from omsd.ports.objectstore import PutOptions


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_no_folder_is_shown_twice_and_none_is_left_out(limit: int) -> None:
    store = MemoryStore()
    for key in ("a/1", "a/2", "a/3", "a/4", "b", "c/1", "c/2", "c/3", "d/1"):
        await store.put(key, b"x", 1, PutOptions())
    assert (await store.list_page("", after="a/", delimiter="/")).common_prefixes[0] == "a/"
    names: list[str] = []
    more = True
    while more:
        page = await list_folder(store, "", behind=names[-1] if names else "", limit=limit)
        names += [entry.name for entry in page.entries]
        more = page.more
        assert len(names) == len(set(names))
    assert names == ["a/", "b", "c/", "d/"]
