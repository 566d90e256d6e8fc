"""Log lines: shape, context, and nothing secret in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from omsd.telemetry.logging import bind_log_context, get_logger, setup_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    out = io.StringIO()
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_a_line_is_json_with_the_fixed_keys(stream: io.StringIO) -> None:
    setup_logging("info", "auto", stream)
    get_logger("omsd.test").info("task created", task_id=7)
    (line,) = lines(stream)
    assert str(line.pop("ts")).endswith("Z")
    assert line == {"event": "task created", "level": "info", "logger": "omsd.test", "task_id": 7}


def test_text_is_for_people(stream: io.StringIO) -> None:
    setup_logging("info", "text", stream)
    get_logger("omsd.test").info("task created", task_id=7)
    assert "task created" in stream.getvalue()
    assert "task_id=7" in stream.getvalue()
    assert "{" not in stream.getvalue()


def test_lines_of_libraries_have_the_same_shape(stream: io.StringIO) -> None:
    setup_logging("info", "json", stream)
    logging.getLogger("some.library").warning("slow %s", "answer")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("slow answer", "warning", "some.library")


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    setup_logging("warning", "json", stream)
    get_logger("omsd.test").info("not this")
    logging.getLogger("some.library").info("nor this")
    assert stream.getvalue() == ""


def test_setting_up_twice_does_not_write_twice(stream: io.StringIO) -> None:
    setup_logging("info", "json", stream)
    setup_logging("info", "json", stream)
    get_logger("omsd.test").info("once")
    assert len(lines(stream)) == 1


def test_the_bound_context_is_on_every_line_inside_it(stream: io.StringIO) -> None:
    setup_logging("info", "json", stream)
    with bind_log_context(request_id="r1", task_id=3):
        get_logger("omsd.test").info("inside")
    get_logger("omsd.test").info("outside")
    inside, outside = lines(stream)
    assert (inside["request_id"], inside["task_id"]) == ("r1", 3)
    assert "request_id" not in outside


@pytest.mark.parametrize(
    "key",
    [
        *("ak", "sk", "src_ak", "dst_sk", "access_key", "secret_key", "security_token", "Authorization"),
        *(
            "password",
            "json_auth_file",
            "source_cdn_authentication_key",
            "X-Amz-Security-Token",
            "credentials",
        ),
    ],
)
def test_values_under_secret_names_are_masked_at_any_depth(stream: io.StringIO, key: str) -> None:
    setup_logging("info", "json", stream)
    get_logger("omsd.test").info("call", **{key: "HUSH"}, deep=[{"node": {key: "HUSH"}}])
    assert "HUSH" not in stream.getvalue()
    assert stream.getvalue().count("***") == 2


@pytest.mark.parametrize(
    "key", ["task", "mask", "bucket", "key", "object_key", "risk", "etag", "token_count"]
)
def test_ordinary_names_are_not_masked(stream: io.StringIO, key: str) -> None:
    setup_logging("info", "json", stream)
    get_logger("omsd.test").info("call", **{key: "plain"})
    assert lines(stream)[0][key] == "plain"


@pytest.mark.parametrize(
    "text",
    [
        "GET http://h/b?X-Amz-Signature=HUSH&X-Amz-Credential=HUSH%2F2026",
        "headers {'Authorization': 'AWS4-HMAC-SHA256 Credential=HUSH'}",
        "connect to http://user:HUSH@host/ failed",
    ],
)
def test_secrets_inside_texts_are_masked(stream: io.StringIO, text: str) -> None:
    setup_logging("info", "json", stream)
    get_logger("omsd.test").info("library said", detail=text)
    logging.getLogger("some.library").warning(text)
    assert "HUSH" not in stream.getvalue()


def test_a_traceback_is_in_the_line_and_redacted(stream: io.StringIO) -> None:
    setup_logging("info", "json", stream)
    try:
        raise ValueError("bad url http://u:HUSH@h/")
    except ValueError:
        get_logger("omsd.test").exception("call failed")
    (line,) = lines(stream)
    assert "ValueError: bad url" in str(line["exception"])
    assert "HUSH" not in stream.getvalue()
