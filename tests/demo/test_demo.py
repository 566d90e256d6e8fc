"""The demo tells the truth, and leaves nothing behind however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omsd.demo.errors import DemoError
from omsd.demo.processes import open_child, open_folder
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).resolve().parents[2]
RUN = "import sys; from omsd.demo.main import run_demo; sys.exit(run_demo(small=True))"


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A running small demo; its folder is inside tmp_path."""
    started = subprocess.Popen(
        [sys.executable, "-c", RUN],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield started
    started.kill()
    started.wait()
    assert started.stdout is not None
    started.stdout.close()


def users_of(folder: Path) -> list[str]:
    """Command lines of living processes that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def wait_for_line(demo: subprocess.Popen[str], start: str) -> None:
    """The demo has written a line that begins so."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith(start):
            return
    raise AssertionError(f"the demo ended before {start!r}")


def test_the_demo_moves_everything_and_cleans_up(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    output, _ = demo.communicate(timeout=4 * PATIENCE_S)
    assert demo.returncode == 0, output
    assert "183 of 183" in output
    assert list(tmp_path.iterdir()) == []
    assert users_of(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(
    demo: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    wait_for_line(demo, "1/5")
    assert users_of(tmp_path)
    demo.send_signal(number)
    output, _ = demo.communicate(timeout=2 * PATIENCE_S)
    assert demo.returncode == 130, output
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []
    assert users_of(tmp_path) == []


def test_who_presses_ctrl_c_again_and_again_hastens_nothing_and_breaks_nothing(
    demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    wait_for_line(demo, "1/5")
    deadline = time.monotonic() + 2 * PATIENCE_S
    while demo.poll() is None and time.monotonic() < deadline:
        demo.send_signal(signal.SIGINT)
        time.sleep(0.002)  # as fast as a key repeats, and faster
    output, _ = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode in (130, -signal.SIGINT), output
    assert list(tmp_path.iterdir()) == []
    assert users_of(tmp_path) == []


async def test_a_killed_demo_takes_its_programs_with_it(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    wait_for_line(demo, "1/5")
    assert users_of(tmp_path)
    demo.kill()
    demo.communicate()
    await until(lambda: not users_of(tmp_path), pause_s=0.05)


async def test_grandchildren_end_with_the_child(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    script = f"sh -c 'sleep 100; true' {marker} & wait"
    with open_child("sh", ["sh", "-c", script], tmp_path, grace_s=0) as child:
        await until(lambda: len(users_of(marker)) == 2, pause_s=0.01)
        assert child.running()
    assert not child.running()
    # It is killed; the kernel takes its time.
    await until(lambda: not users_of(marker), pause_s=0.01)


async def test_a_program_that_ends_early_is_shown_with_its_words(tmp_path: Path) -> None:
    with (
        open_child("sh", ["sh", "-c", "echo the reason; exit 3"], tmp_path) as child,
        pytest.raises(DemoError, match=r"(?s)sh ended with status 3.*the reason"),
    ):
        await child.until(_never)


async def _never() -> bool:
    await asyncio.sleep(0)
    return False


def test_the_folder_goes_also_after_a_failure() -> None:
    def fail() -> None:
        with open_folder() as folder:
            seen.append(folder)
            (folder / "file").write_text("x")
            raise DemoError("no")

    seen: list[Path] = []
    with pytest.raises(DemoError):
        fail()
    assert not seen[0].exists()
