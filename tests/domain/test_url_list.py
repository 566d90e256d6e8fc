"""Lines of URL lists, good and bad."""

from __future__ import annotations

import pytest

from omsd.domain.url_list import BadUrlLineError, UrlLine, parse_url_line


@pytest.mark.parametrize(
    ("line", "url", "key"),
    [
        (b"http://h/a\tb", "http://h/a", "b"),
        (
            b"https://h:8443/%E4%B8%AD%20x?q=1&s=%2F\tdir/%C3%BC+1%25.txt",
            "https://h:8443/%E4%B8%AD%20x?q=1&s=%2F",
            "dir/\u00fc+1%.txt",
        ),
        (b"http://[::1]/a\t" + b"k" * 1024, "http://[::1]/a", "k" * 1024),
        (b"http://h\t" + "\u4e2d".encode(), "http://h", "\u4e2d"),
    ],
)
def test_a_line_is_a_url_and_a_name(line: bytes, url: str, key: str) -> None:
    assert parse_url_line(line) == UrlLine(url, key)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"http://h/a", "one tab"),
        (b"http://h/a b", "one tab"),
        (b"http://h/a\tb\tc", "one tab"),
        (b"\tb", "not URL-encoded"),
        (b"http://h/a\t", "is empty"),
        (b"http://h/a\t" + b"k" * 1025, "more than 1024"),
        (b"http://h/a\t%zz", "hexadecimal digits"),
        (b"http://h/a\t%ff", "not UTF-8"),
        (b"http://h/a b\tc", "not URL-encoded"),
        (b"http://h/%zz\tc", "not URL-encoded"),
        (b"http://h/\xc3\xbc\tc", "not URL-encoded"),
        (b"ftp://h/a\tb", "http:// or https://"),
        (b"/a\tb", "http:// or https://"),
        (b"http:///a\tb", "http:// or https://"),
        (b"http://u:pw@h/a\tb", "user or a password"),
        (b"http://h:99999/a\tb", "not URL-encoded"),
        (b"http://[::1/a\tb", "not URL-encoded"),
    ],
)
def test_any_other_line_is_refused_without_being_repeated(line: bytes, reason: str) -> None:
    with pytest.raises(BadUrlLineError) as caught:
        parse_url_line(line)
    assert caught.value.code == "TRF.0016"
    assert reason in caught.value.message
    assert "pw" not in caught.value.message.replace("password", "")
