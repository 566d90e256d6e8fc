"""Words of the command line and texts on the screen, without a server."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from omsd.cli import progress, show
from omsd.cli.options import NoticeOptions
from omsd.cli.request import fill_smn_config, seconds_from, split_location, windows_from
from omsd.cli.session import UsageError
from omsd.pb.v1 import task_pb2, types_pb2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://b", ("b", "")),
        ("s3://b/", ("b", "")),
        ("s3://b/a/b/", ("b", "a/b/")),
        ("s3://b//x", ("b", "/x")),
        ("s3://b/a b+%20", ("b", "a b+%20")),
    ],
)
def test_a_location_is_bucket_and_prefix_unchanged(text: str, expected: tuple[str, str]) -> None:
    assert split_location(text) == expected


@pytest.mark.parametrize("text", ["b/x", "http://b/x", "s3:///x", ""])
def test_anything_else_is_not_a_location(text: str) -> None:
    with pytest.raises(UsageError, match="is not a location"):
        split_location(text)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("2000000", 2_000_000),
        ("20MB", 20_000_000),
        ("20M", 20_000_000),
        ("20MiB", 20 * 2**20),
        ("1.5mb/s", 1_500_000),
        ("1 GB", 10**9),
        ("1500k", 1_500_000),
    ],
)
def test_a_rate_is_bytes_per_second(rate: str, expected: int) -> None:
    (window,) = windows_from([f"08:00-18:30={rate}"])
    assert (window.start, window.end, window.max_bandwidth) == ("08:00", "18:30", expected)


@pytest.mark.parametrize("text", ["08:00-18:00", "8:00-9:00=1MB", "08:00-18:00=fast", "08:00-18:00=-1"])
def test_a_window_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write hh:mm-hh:mm=RATE"):
        windows_from([text])


def test_a_time_with_offset_is_unix_seconds() -> None:
    assert seconds_from("2026-01-01T01:00:00+01:00") == seconds_from("2026-01-01T00:00:00Z") == 1_767_225_600


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5.0 TiB"), (2**70, "1048576.0 PiB")],
)
def test_sizes_are_short(size: int, text: str) -> None:
    assert show.size_text(size) == text


@pytest.mark.parametrize(("ms", "text"), [(999, "0s"), (61_000, "1m01s"), (3_723_000, "1h02m03s")])
def test_durations_are_short(ms: int, text: str) -> None:
    assert show.duration_text(ms) == text


def test_json_has_every_field_with_numbers_as_numbers() -> None:
    task = task_pb2.Task(id=2**53 + 1, status=types_pb2.TASK_STATUS_SUCCEEDED, progress=0.5)
    task.src_node.object_key.append("a")
    written = show.to_json(task)
    assert set(written) == {field.name for field in task.DESCRIPTOR.fields}
    assert (written["id"], written["status"], written["progress"]) == (2**53 + 1, "SUCCEEDED", 0.5)
    assert (written["src_node"]["object_key"], written["dst_node"]) == (["a"], None)


def test_a_status_of_a_newer_server_is_shown_as_its_number() -> None:
    assert show.status_word(task_pb2.Task(status=42)) == "42"  # type: ignore[arg-type]


def test_on_a_terminal_the_bar_shows_objects_bytes_speed_and_time_left() -> None:
    out = io.StringIO()
    display = progress.open_display(Console(file=out, force_terminal=True, width=200))
    task = task_pb2.Task(
        status=types_pb2.TASK_STATUS_MIGRATING,
        progress=0.25,
        total_num=8,
        successful_num=2,
        total_size=4096,
        complete_size=1024,
        migrate_speed=2048,
        left_time=61_000,
        is_query_over=True,
    )
    display.update(task)
    display.close()
    for part in ("migrating", "25.0 %", "2 of 8", "1.0 KiB of 4.0 KiB", "2.0 KiB/s", "ETA 1m01s"):
        assert part in out.getvalue()


def test_help_is_there_without_loading_grpc_or_rich() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['omsctl', 'task', '--help']\n"
        "from omsd.cli.omsctl import run\n"
        "try:\n    run()\n"
        "finally:\n    print('LOADED', sorted({'grpc', 'rich.progress', 'omsd.config'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "LOADED []" in done.stdout


@pytest.mark.parametrize(
    ("ends", "expected"),
    [("success,failure", ["SUCCESS", "FAILURE"]), (" Fail ", ["FAIL"]), ("SUCCESS,", ["SUCCESS"])],
)
def test_the_ends_that_are_told(ends: str, expected: list[str]) -> None:
    request = task_pb2.CreateTaskRequest()
    fill_smn_config(request, NoticeOptions(notify_topic="urn", notify_on=ends))
    assert list(request.smn_config.trigger_conditions) == expected


@pytest.mark.parametrize("ends", ["", ",", "always", "success;failure"])
def test_other_ends_are_refused(ends: str) -> None:
    with pytest.raises(UsageError, match="--notify-on"):
        fill_smn_config(task_pb2.CreateTaskRequest(), NoticeOptions(notify_topic="urn", notify_on=ends))


def test_what_became_of_a_notice_in_words() -> None:
    task = task_pb2.Task(src_node=task_pb2.SrcNodeResp(), dst_node=task_pb2.DstNodeResp())
    assert "notice" not in dict(show.details(task))
    task.smn_info.CopyFrom(types_pb2.SmnInfo(notify_result=True))
    assert dict(show.details(task))["notice"] == "sent"
    pending = types_pb2.SmnInfo(is_pending=True, topic_name="team")
    assert show.notice_text(pending) == "being sent to team"
    failed = types_pb2.SmnInfo(
        topic_name="team", notify_error_message="OMS.0161", notify_error_detail="refused"
    )
    assert show.notice_text(failed) == "not sent to team: OMS.0161 refused"
