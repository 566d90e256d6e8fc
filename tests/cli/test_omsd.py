"""omsd's own commands that need no daemon."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omsd import __version__
from omsd.accounts.keyfile import TokenKeyFile
from omsd.cli.main import app
from omsd.domain.passwords import verify_password


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
    done = runner.invoke(app, [command, "--config", str(path), "--grpc-listen", "nowhere"])
    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert "did you mean 'workers'?" in lines[0]
    assert "unknown section [nats]" in lines[1]
    assert "--grpc-listen" in lines[2]


def test_a_password_is_hashed_without_being_an_argument(runner: CliRunner) -> None:
    done = runner.invoke(app, ["hash-password"], env={"OMSD_PASSWORD": "correct horse"})
    assert done.exit_code == 0
    assert verify_password("correct horse", done.stdout.strip())
    for environ in ({"OMSD_PASSWORD": ""}, {"OMSD_PASSWORD": "short"}):
        refused = runner.invoke(app, ["hash-password"], env=environ)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "password" in refused.stderr


def test_a_new_token_key_replaces_the_old_one(runner: CliRunner, tmp_path: Path) -> None:
    first = TokenKeyFile(tmp_path).current()
    done = runner.invoke(app, ["rotate-token-key", "--state-dir", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (0, "all tokens have ended\n")
    assert TokenKeyFile(tmp_path).current() != first
    (tmp_path / "file").write_text("")
    failed = runner.invoke(app, ["rotate-token-key", "--state-dir", str(tmp_path / "file")])
    assert failed.exit_code == 1
    assert "cannot be written" in failed.stderr


def test_check_config_reads_the_users_too(runner: CliRunner, tmp_path: Path) -> None:
    users, config = tmp_path / "users.toml", tmp_path / "omsd.toml"
    config.write_text(f'[auth]\nmethods = ["token"]\nusers_file = "{users}"\n')
    users.write_text('[[user]]\nname = "maria"\npasword = "x"\n')
    users.chmod(0o600)
    done = runner.invoke(app, ["check-config", "--config", str(config)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "unknown field `pasword` - at `$.user[0]`" in done.stderr
    users.write_text('[[user]]\nname = "maria"\n')
    assert runner.invoke(app, ["check-config", "--config", str(config)]).exit_code == 0


def test_version_is_that_of_the_package(runner: CliRunner) -> None:
    assert runner.invoke(app, ["version"]).stdout == f"omsd {__version__}\n"
