"""omsd's own commands that need no daemon."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omsd import __version__
from omsd.cli.main import app


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.delenv("OMSD_CONFIG", raising=False)
    return CliRunner()


def test_check_config_prints_what_would_hold(runner: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "omsd.toml"
    path.write_text("[server]\nworkers = 3\n")
    done = runner.invoke(
        app,
        ["check-config", "--config", str(path), "--state-dir", str(tmp_path), "--log-level", "debug"],
        env={"OMSD_SERVER__MAX_PARALLEL_TASKS": "2"},
    )
    assert done.exit_code == 0
    printed = tomllib.loads(done.stdout)
    assert (printed["server"]["workers"], printed["server"]["max_parallel_tasks"]) == (3, 2)
    assert (printed["server"]["state_dir"], printed["log"]["level"]) == (str(tmp_path), "debug")


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_a_configuration_that_cannot_be_used_exits_2_with_a_line_for_each_problem(
    runner: CliRunner, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "omsd.toml"
    path.write_text("[server]\nwokers = 3\n[nats]\n")
    done = runner.invoke(app, [command, "--config", str(path), "--grpc-listen", "0.0.0.0:1"])
    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert "did you mean 'workers'?" in lines[0]
    assert "unknown section [nats]" in lines[1]
    assert "--grpc-listen" in lines[2]


def test_version_is_that_of_the_package(runner: CliRunner) -> None:
    assert runner.invoke(app, ["version"]).stdout == f"omsd {__version__}\n"
