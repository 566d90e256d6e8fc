"""Spooled object lists: appended behind what is committed, torn and damaged ones are told apart from good ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from omsd.domain.model import ConsistencyCheck, ListPart, Outcome, OutcomeKind, TaskId
from omsd.domain.object_lists import HEADER, lines_of
from omsd.engine.spoolread import SpoolDamagedError, SpooledList
from omsd.ports.listspool import Lines
from omsd.ports.taskstore import TaskStoreError
from omsd.store.spool import FileSpool

TASK = TaskId(7)
METHOD = ConsistencyCheck.CRC64


def outcomes(*keys: str) -> list[Outcome]:
    return [Outcome(key, 5, OutcomeKind.SUCCESS, 1.0) for key in keys]


async def append(spool: FileSpool, part: ListPart, *keys: str) -> ListPart:
    (grown,) = await spool.append([Lines(TASK, 1, part, METHOD, outcomes(*keys))])
    return grown


async def text_of(spool: FileSpool, part: ListPart) -> str:
    spooled = await SpooledList.open(spool.path_of(TASK, 1, part), part)
    try:
        return spooled.read(0, spooled.size_bytes).decode()
    finally:
        spooled.close()


def read(spool: FileSpool, part: ListPart) -> bytes:
    return Path(spool.path_of(TASK, 1, part)).read_bytes()


def write(spool: FileSpool, part: ListPart, data: bytes) -> None:
    Path(spool.path_of(TASK, 1, part)).write_bytes(data)


def exists(spool: FileSpool, part: ListPart) -> bool:
    return Path(spool.path_of(TASK, 1, part)).exists()


def first() -> ListPart:
    return ListPart(OutcomeKind.SUCCESS, 1)


async def test_blocks_become_one_list_behind_a_header(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path)
    part = await append(spool, await append(spool, first(), "a", "b"), "c")
    assert part.lines_num == 3
    assert await text_of(spool, part) == HEADER + lines_of(outcomes("a", "b", "c"), METHOD)


async def test_what_was_never_committed_is_overwritten(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path)
    committed = await append(spool, first(), "a")
    await append(spool, committed, "lost with the commit, and longer than what comes next")
    again = await append(FileSpool(tmp_path), committed, "b")
    assert await text_of(spool, again) == HEADER + lines_of(outcomes("a", "b"), METHOD)
    assert len(read(spool, again)) == again.size_bytes


async def test_any_span_can_be_read(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path)
    part = first()
    for number in range(5):
        part = await append(spool, part, *(f"key-{number}-{n}" for n in range(number + 1)))
    whole = (await text_of(spool, part)).encode()
    spooled = await SpooledList.open(spool.path_of(TASK, 1, part), part)
    for offset in range(0, len(whole), 37):
        for length in (1, 40, 200, len(whole)):
            length = min(length, len(whole) - offset)
            assert spooled.read(offset, length) == whole[offset : offset + length]
    spooled.close()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def blank(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a bit of the text": lambda path: flip(path, 40),
    "a bit of a length": lambda path: flip(path, 3),
    "a bit of a guard": lambda path: flip(path, 8),
    "a bit of the last block": lambda path: flip(path, -1),
    "the end is torn off": lambda path: os.truncate(path, path.stat().st_size - 1),
    "the last block is missing": lambda path: os.truncate(path, 100),
    "nothing but zeros": blank,
    "the file is gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_found_before_anything_is_uploaded(tmp_path: Path, damage: str) -> None:
    spool = FileSpool(tmp_path)
    part = await append(spool, await append(spool, first(), "a", "b"), "c")
    DAMAGES[damage](Path(spool.path_of(TASK, 1, part)))
    with pytest.raises(SpoolDamagedError):
        await text_of(spool, part)


async def test_a_block_in_another_place_is_damage(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path)
    one = await append(spool, first(), "a")
    two = await append(spool, one, "b")
    three = await append(spool, two, "c")
    data = read(spool, three)
    b, c = data[one.size_bytes : two.size_bytes], data[two.size_bytes :]
    assert len(b) == len(c)
    write(spool, three, data[: one.size_bytes] + c + b)
    with pytest.raises(SpoolDamagedError):
        await text_of(spool, three)


async def test_lines_behind_a_file_that_became_too_short_do_not_hide_it(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path)
    committed = await append(spool, await append(spool, first(), "a"), "b")
    os.truncate(spool.path_of(TASK, 1, committed), 50)
    grown = await append(spool, committed, "c")
    with pytest.raises(SpoolDamagedError):
        await text_of(spool, grown)


async def test_files_go_one_by_one_or_with_the_task(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path)
    part = await append(spool, first(), "a")
    other = await append(spool, replace(first(), kind=OutcomeKind.FAILED), "b")
    assert await spool.task_ids() == (TASK,)
    await spool.remove([spool.path_of(TASK, 1, part)])
    assert not exists(spool, part)
    await spool.remove([spool.path_of(TASK, 1, other), spool.path_of(TASK, 1, other)])
    assert await spool.task_ids() == ()
    await append(spool, first(), "a")
    await spool.discard(TASK)
    await spool.discard(TASK)
    assert await spool.task_ids() == ()


async def test_a_disk_that_refuses_is_an_error_of_the_store_that_names_the_directory(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("in the way")
    with pytest.raises(TaskStoreError, match=str(tmp_path)):
        await append(FileSpool(tmp_path), first(), "a")
