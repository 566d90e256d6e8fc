"""Object list files: any cut of a file gives each line once, whatever pieces the bytes come in; what is no list is refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omsd.domain.errors import Failure, StoreError, StoreErrorKind
from omsd.domain.events import SpanSplit
from omsd.domain.manifest import (
    MAX_FILE_BYTES,
    MAX_LINE_CHARACTERS,
    BadLineError,
    Line,
    LineCutter,
    ListFileError,
    ListsFound,
    check_file,
    check_metadata,
    failure_of_list,
    key_of,
    name_of_bad,
    plan_manifests,
)
from omsd.domain.model import ListFile, ShardId, TaskId
from omsd.domain.shards import ManifestSpan, Shard, ShardKind
from omsd.domain.splitting import has_split, split_shard

FILES = st.lists(
    st.sampled_from([b"a", b"key/%20", b"\n", b"\r\n", b"\r", b"\xc3\xa9", b"\xef\xbb\xbf"])
).map(b"".join)


def lines_of(data: bytes, start: int, end: int, piece_bytes: int = 1 << 30) -> list[Line]:
    """The lines of one span, its bytes read in pieces of at most this size."""
    cutter = LineCutter(start, end, len(data))
    found: list[Line] = []
    while not cutter.over:
        wanted = cutter.wanted_bytes(piece_bytes)
        assert 0 < wanted <= len(data) - cutter.read_offset
        found += cutter.feed(data[cutter.read_offset : cutter.read_offset + wanted])
    return found


@given(FILES, st.data())
@example(b"a\nb\nc", None)
def test_any_spans_read_in_any_pieces_give_each_line_exactly_once(
    data: bytes, draw: st.DataObject | None
) -> None:
    wanted = [text for text in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if text.removesuffix(b"\r")]
    places = range(1, len(data))
    cuts = sorted(draw.draw(st.sets(st.sampled_from(places)))) if draw and places else list(places)
    piece_bytes = draw.draw(st.integers(1, 9)) if draw else 1
    ends = [*cuts, len(data)]
    found = [
        line
        for start, end in zip([0, *cuts], ends, strict=True)
        for line in lines_of(data, start, end, piece_bytes)
    ]
    assert [line.text for line in found] == [text.removesuffix(b"\r") for text in wanted]
    for line in found:
        assert line.text in data[line.offset : line.next_offset]
    # A checkpoint is where a line ends: whoever goes on there sees exactly the rest.
    for place, line in enumerate(found):
        assert lines_of(data, line.next_offset, len(data), piece_bytes) == found[place + 1 :]


@given(FILES, st.integers(0, 40), st.integers(1, 40), st.integers(1, 5))
def test_an_end_that_comes_nearer_meanwhile_takes_only_lines_that_were_not_given_out(
    data: bytes, after_lines: int, distance: int, piece_bytes: int
) -> None:
    whole = lines_of(data, 0, len(data))
    cutter = LineCutter(0, len(data), len(data))
    kept: list[Line] = []
    at = len(data)
    while not cutter.over:
        for line in cutter.feed(data[cutter.read_offset : cutter.read_offset + piece_bytes]):
            kept.append(line)
            if len(kept) == after_lines + 1:
                at = cutter.end = min(len(data), line.offset + distance)
    assert kept + lines_of(data, at, len(data)) == whole


def test_the_borders_of_lines_are_found_in_the_bytes() -> None:
    data = b"\xef\xbb\xbfone\r\n\n  two \n\r\nthree"
    assert [(line.text, line.offset, line.next_offset) for line in lines_of(data, 0, len(data))] == [
        (b"one", 0, 8),
        (b"  two ", 9, 16),
        (b"three", 18, 23),
    ]


def test_behind_the_end_of_a_span_little_more_is_read_than_its_last_line() -> None:
    data = b"x" * 100 + b"\n" + b"y" * 1_000_000
    cutter = LineCutter(0, 50, len(data))
    assert list(cutter.feed(data[: cutter.wanted_bytes(1 << 20)])) == [Line(0, 101, b"x" * 100)]
    assert cutter.over
    assert cutter.read_offset < 10_000


@pytest.mark.parametrize("character", ["x", "é", "\U0001f600"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_has_at_most_65535_characters_however_many_bytes(character: str, end: bytes) -> None:
    longest = (character * MAX_LINE_CHARACTERS).encode()
    for before in (b"", b"a\n", b"\xef\xbb\xbf"):
        data = before + longest + end
        assert lines_of(data, 0, len(data), 50_000)[-1].text == longest
        data = before + longest + character.encode() + end
        with pytest.raises(ListFileError) as caught:
            lines_of(data, 0, len(data), 50_000)
        assert caught.value.code == "TRF.0018"


def test_a_line_without_an_end_is_refused_before_it_is_held_whole() -> None:
    cutter = LineCutter(0, MAX_FILE_BYTES, MAX_FILE_BYTES)
    assert list(cutter.feed(b"x" * 200_000)) == []
    with pytest.raises(ListFileError, match="byte 0 "):
        list(cutter.feed(b"x" * 100_000))


def test_lines_before_one_that_is_too_long_are_given_out() -> None:
    cutter = LineCutter(0, 300_000, 300_000)
    lines = cutter.feed(b"a\nb\n" + b"x" * 70_000 + b"\n")
    assert [next(lines).text, next(lines).text] == [b"a", b"b"]
    with pytest.raises(ListFileError, match="byte 4 "):
        next(lines)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), min_size=1))
def test_a_key_comes_back_from_its_url_encoding(key: str) -> None:
    assert key_of(quote(key, safe="").encode()) == key_of(quote(key).encode()) == key


def test_what_needs_no_encoding_may_stand_as_it_is() -> None:
    assert key_of("a+b é/c d".encode()) == "a+b é/c d"


@pytest.mark.parametrize("text", [b"%", b"a%2", b"%zz", b"%2%20", b"%ff", b"\xff", b"%c3x"])
def test_a_line_that_is_not_url_encoded_names_no_key(text: bytes) -> None:
    with pytest.raises(BadLineError) as caught:
        key_of(text)
    assert caught.value.code == "TRF.0014"


@pytest.mark.parametrize("character", ["x", "\u00e9", "%20"])
def test_a_line_longer_than_any_key_fails_alone_under_its_beginning(character: str) -> None:
    assert len(key_of((character * 1024).encode())) == 1024
    text = (character * 1025).encode()
    with pytest.raises(BadLineError) as caught:
        key_of(text)
    assert caught.value.code == "TRF.0060"
    assert len(name_of_bad(text * 9)) == 1025


@pytest.mark.parametrize("name", ["a.csv", "txt", "a.txt.gz", "folder/", ".tx"])
def test_only_txt_files_are_lists(name: str) -> None:
    with pytest.raises(ListFileError) as caught:
        check_file(ListFile(name, 1, ""))
    assert caught.value.code == "TRF.0014"
    check_file(ListFile(name + ".TXT", 1, ""))


def test_a_list_has_at_most_100_mb() -> None:
    check_file(ListFile("a.txt", MAX_FILE_BYTES, ""))
    with pytest.raises(ListFileError) as caught:
        check_file(ListFile("a.txt", MAX_FILE_BYTES + 1, ""))
    assert caught.value.code == "TRF.0014"


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [("", ""), ("text/html", ""), ("binary/octet-stream", ""), ("text/plain", "gzip"), ("text/plainer", "")],
)
def test_a_list_is_plain_text_without_encoding(content_type: str, encoding: str) -> None:
    for good in ("text/plain", "Text/Plain; charset=utf-8"):
        check_metadata("a.txt", good, "")
    with pytest.raises(ListFileError) as caught:
        check_metadata("a.txt", content_type, encoding)
    assert caught.value.code == "TRF.0019"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (StoreErrorKind.NO_SUCH_KEY, "TRF.0013"),
        (StoreErrorKind.NO_SUCH_BUCKET, "TRF.0013"),
        (StoreErrorKind.PERMISSION, "TRF.0013"),
        (StoreErrorKind.UNAUTHENTICATED, "TRF.0013"),
        (StoreErrorKind.PRECONDITION, "TRF.0013"),
        (StoreErrorKind.ARCHIVED, "TRF.0301"),
        (StoreErrorKind.THROTTLED, "TRF.0061"),
        (StoreErrorKind.NETWORK, "TRF.0061"),
    ],
)
def test_a_list_that_cannot_be_read_has_the_documented_code(kind: StoreErrorKind, code: str) -> None:
    failure = failure_of_list(StoreError(kind, "the service said so"), "lists/a.txt")
    assert failure.code == code


def test_each_file_with_something_in_it_is_planned() -> None:
    found = ListsFound((ListFile("a.txt", 7, "e"), ListFile("b.txt", 0, "f"), ListFile("c.txt", 9, "")))
    drafts = plan_manifests(found)
    assert [draft.manifest for draft in drafts] == [
        ManifestSpan("a.txt", "e", 7, 0, 7),
        ManifestSpan("c.txt", "", 9, 0, 9),
    ]
    assert {draft.kind for draft in drafts} == {ShardKind.MANIFEST}


def test_lists_that_cannot_be_used_are_no_plan() -> None:
    with pytest.raises(ListFileError) as caught:
        plan_manifests(ListsFound(failure=Failure("TRF.0301", "restore it")))
    assert (caught.value.code, caught.value.message) == ("TRF.0301", "restore it")


def test_a_split_span_is_cut_in_two_that_have_all_of_it() -> None:
    span = ManifestSpan("a.txt", "e", 100, 10, 90)
    shard = Shard(ShardId(3), TaskId(1), 1, ShardKind.MANIFEST, attempt=2, manifest=span)
    split = SpanSplit(1, 50)  # type: ignore[arg-type]
    assert not has_split(shard, split)
    kept, (draft,) = split_shard(shard, split)
    assert kept.manifest == ManifestSpan("a.txt", "e", 100, 10, 50)
    assert draft.manifest == ManifestSpan("a.txt", "e", 100, 50, 90)
    assert draft.attempt == 1
    assert has_split(kept, split)


@pytest.mark.parametrize("at", [0, 10, 90, 100])
def test_a_span_is_cut_inside_only(at: int) -> None:
    shard = Shard(
        ShardId(3), TaskId(1), 1, ShardKind.MANIFEST, manifest=ManifestSpan("a.txt", "e", 100, 10, 90)
    )
    with pytest.raises(ValueError, match="cannot be split"):
        split_shard(shard, SpanSplit(1, at))  # type: ignore[arg-type]
