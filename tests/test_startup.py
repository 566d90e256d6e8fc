"""What a process loads before it works: start-up is paid by every daemon, every worker that is replaced, every command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

API = {"grpc", "grpc_health", "grpc_reflection", "grpc_status", "google.protobuf", "omsd.pb"}
STORE = {"aiosqlite", "sqlite3", "cryptography", "omsd.store"}
COMMANDS = {"typer", "rich", "pygments", "omsd.cli"}
BYTES = {"awscrt", "fastcrc", "httptools", "omsd.drivers", "omsd.engine", "omsd.wire"}
NEVER = {"botocore", "aiobotocore", "attr", "omsd.demo", "moto", "pkg_resources", "setuptools"}


def loaded_by(module: str) -> set[str]:
    """The modules of a fresh interpreter that has imported one of ours, by full name and by package."""
    code = f"import sys, {module}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    ("module", "not_needed"),
    [
        pytest.param("omsd.workerparts", API | STORE | COMMANDS | NEVER, id="a worker"),
        pytest.param(
            "omsd.daemon", COMMANDS | BYTES | NEVER | {"omsd.workerparts"}, id="the control process"
        ),
        pytest.param(
            "omsd.cli.omsctl",
            API | STORE | BYTES | NEVER | {"rich", "pygments", "structlog", "msgspec", "omsd.config"},
            id="omsctl --help",
        ),
    ],
)
def test_a_process_does_not_load_what_it_does_not_use(module: str, not_needed: set[str]) -> None:
    assert module in (loaded := loaded_by(module))
    assert not loaded & not_needed


def test_rich_is_kept_from_the_logger_alone() -> None:
    code = "import sys, omsd.telemetry.logging; assert 'rich' not in sys.modules; import rich.console"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
