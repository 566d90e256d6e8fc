"""The short way to read a head agrees with the parser wherever it dares to answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omsd.wire.errors import WireError
from omsd.wire.parse import AnswerParser, read_plain_head

HEAD = (
    b'HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nETag: "0123"\r\nServer: SeaweedFS 30GB 4.48\r\n'
    b"X-Amz-Meta-Owner: a: b  c\r\nContent-Length: 5\r\n\r\n"
)
PIECES = (
    *(b"\r\n", b"\r", b"\n", b" ", b"\t", b":", b": ", b"\0", b"\xe9", b"X: 1\r\n", b"content-length: 7\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Upgrade: h2c\r\n",
        b"HTTP/1.0",
        b"100",
        b"304",
        b"999",
        b"9",
        b"hello",
    ),
)


def by_the_parser(data: bytes) -> tuple[int, dict[str, str], bytes, str] | None:
    parser = AnswerParser()
    try:
        rest = parser.read_head(data)
    except WireError:
        return None
    assert parser.head is not None
    assert rest is not None
    return parser.head.status, parser.head.headers, rest, parser.version


def test_an_ordinary_head_is_read_at_once() -> None:
    plain = read_plain_head(HEAD + b"hello")
    assert plain is not None
    head, rest = plain
    assert (head.status, head.headers, rest, "1.1") == by_the_parser(HEAD + b"hello")
    assert head.headers["x-amz-meta-owner"] == "a: b  c"


def test_a_head_that_is_met_often_is_read_as_before() -> None:
    often = HEAD.replace(b"Accept-Ranges", b"X-Often")
    for number in range(1000):
        data = often.replace(b"0123", b"%d" % number).replace(b"200 OK", b"206 Partial") + b"hello"
        plain = read_plain_head(data)
        assert plain is not None
        assert (plain[0].status, plain[0].headers, plain[1], "1.1") == by_the_parser(data)
    # Other names are no worse read for it.
    for other in (HEAD, often.replace(b"X-Often", b"X-OFTEN"), often.replace(b"X-Often: bytes\r\n", b"")):
        plain = read_plain_head(other)
        assert plain is not None
        assert plain[0].headers == (by_the_parser(other) or (0, {}))[1]


@pytest.fixture(scope="module")
def known_head() -> bytes:
    """HEAD, met so often that there is a short way for it."""
    for _ in range(1000):
        read_plain_head(HEAD)
    return HEAD


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(HEAD)),
            st.integers(0, 20),
            st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)),
        ),
        max_size=3,
    )
)
def test_a_head_that_was_tampered_with_is_read_as_the_parser_reads_it_or_left_to_it(
    known_head: bytes,
    changes: list[tuple[int, int, bytes]],
) -> None:
    data = known_head
    for at, cut, piece in changes:
        data = data[:at] + piece + data[at + cut :]
    plain = read_plain_head(data + b"hello")
    if plain is not None:
        head, rest = plain
        assert (head.status, head.headers, rest, "1.1") == by_the_parser(data + b"hello")


@pytest.mark.parametrize(
    "head",
    [
        HEAD[:-2],
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD.replace(b"200", b"100"),
        HEAD.replace(b"Content-Length: 5\r\n", b""),
        HEAD.replace(b"Length: 5", b"Length: +5"),
        HEAD.replace(b"ETag", b"Content-Length"),
        HEAD.replace(b"Accept-Ranges: bytes", b"Transfer-Encoding: chunked"),
        HEAD.replace(b"Accept-Ranges: bytes", b"Upgrade: h2c"),
        HEAD.replace(b"ETag", b"E Tag"),
        HEAD.replace(b"ETag: ", b"ETag:   "),
        HEAD.replace(b"0123", b"01\r23"),
        HEAD.replace(b"0123", b"01\n23"),
        HEAD.replace(b"0123", b"01\xe923"),
        HEAD.replace(b"\r\nETag", b"\r\n ETag"),
        HEAD.replace(b"bytes\r\n", b"bytes \r\n"),
        HEAD.replace(b"0123", b"0" * 65536),
        HEAD.replace(b"ETag", b"".join(b"X-%d: 1\r\n" % n for n in range(256)) + b"ETag"),
    ],
)
def test_whatever_is_not_ordinary_is_left_to_the_parser(known_head: bytes, head: bytes) -> None:
    assert read_plain_head(known_head) is not None
    assert read_plain_head(head) is None
