"""The unit and the sample configuration fit the daemon."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from omsd.accounts.usersfile import read_accounts
from omsd.config import Settings, load_settings
from omsd.domain.access import Role
from omsd.domain.passwords import NOBODYS_HASH

FOLDER = Path(__file__).resolve().parent.parent / "systemd"


@pytest.fixture
def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(FOLDER / "omsd.service")
    return parser["Service"]


@pytest.fixture
def sample() -> Settings:
    return load_settings(FOLDER / "omsd.toml", environ={})


def test_the_daemon_tells_when_it_is_ready(unit: configparser.SectionProxy) -> None:
    assert (unit["Type"], unit["NotifyAccess"]) == ("notify", "main")


def test_the_signal_goes_to_the_daemon_and_not_to_its_workers(unit: configparser.SectionProxy) -> None:
    assert (unit["KillMode"], unit["KillSignal"]) == ("mixed", "SIGTERM")


def test_stopping_has_more_time_than_the_drain(unit: configparser.SectionProxy, sample: Settings) -> None:
    default = load_settings(None, environ={})
    longest = max(default.limits.drain_grace_s, sample.limits.drain_grace_s)
    assert int(unit["TimeoutStopSec"]) >= longest + 30


def test_a_crash_is_followed_by_a_restart(unit: configparser.SectionProxy) -> None:
    assert unit["Restart"] == "on-failure"


def test_the_sample_lies_where_the_unit_reads_it(unit: configparser.SectionProxy, sample: Settings) -> None:
    assert unit["ExecStart"].endswith("/omsd serve --config /etc/omsd/omsd.toml")
    assert unit["ConfigurationDirectory"] == unit["RuntimeDirectory"] == unit["StateDirectory"] == "omsd"
    assert sample.server.state_dir == Path("/var/lib/omsd")


def test_a_reload_reads_the_users_again(unit: configparser.SectionProxy) -> None:
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_the_sample_of_users_can_be_used_and_lets_nobody_in_by_a_known_password(tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.touch(mode=0o600)
    users.write_text((FOLDER / "users.toml").read_text())
    accounts = read_accounts(users)
    assert {grant.role for user in accounts.users.values() for grant in user.grants} == set(Role)
    assert accounts.users["maria"].password_hash == NOBODYS_HASH


def test_the_state_is_nobody_elses(unit: configparser.SectionProxy) -> None:
    assert (unit["StateDirectoryMode"], unit["UMask"]) == ("0700", "0077")


def test_the_sample_shows_the_defaults(sample: Settings) -> None:
    default = load_settings(None, environ={"STATE_DIRECTORY": "/var/lib/omsd", "TZ": "UTC"})
    assert sample.server == default.server
    assert sample.limits == default.limits
    assert sample.groups == default.groups
    assert (sample.quotas, sample.http) == (default.quotas, default.http)
    assert sample.network == default.network
    assert (sample.tls, sample.auth) == (default.tls, default.auth)
    assert sample.log.level == default.log.level
