"""Settings: precedence, and errors that name what is wrong."""

from __future__ import annotations

import ipaddress
from datetime import UTC
from pathlib import Path

import pytest

from omsd.config import ConfigError, Settings, dump_settings, load_settings
from omsd.domain.model import CloudType

HOME = {"HOME": "/home/someone"}


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None, **flags: object) -> Settings:
    path = tmp_path / "omsd.toml"
    path.write_text(text)
    overrides = {name.replace("__", "."): value for name, value in flags.items()}
    return load_settings(path, environ if environ is not None else HOME, overrides)


def problems(tmp_path: Path, text: str, environ: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, environ, **flags)
    return "\n".join(caught.value.problems)


def test_without_any_configuration_the_defaults_hold() -> None:
    settings = load_settings(None, HOME)
    assert settings.server.grpc_listen == "127.0.0.1:7070"
    assert settings.server.max_parallel_tasks == 5
    assert settings.server.state_dir == Path("/home/someone/.local/state/omsd")
    assert settings.network.verify_tls is True
    assert settings.network.allowed_networks == ()
    assert settings.endpoint == ()


def test_flags_win_over_environment_and_environment_over_the_file(tmp_path: Path) -> None:
    text = '[server]\nworkers = 1\nmax_parallel_tasks = 1\n[log]\nlevel = "error"\n'
    environ = {**HOME, "OMSD_SERVER__WORKERS": "2", "OMSD_SERVER__MAX_PARALLEL_TASKS": "2"}
    settings = load(tmp_path, text, environ, server__workers="3", server__regions=None)
    assert (settings.server.workers, settings.server.max_parallel_tasks, settings.log.level) == (
        3,
        2,
        "error",
    )


def test_environment_texts_become_numbers_booleans_and_lists() -> None:
    environ = {
        **HOME,
        "OMSD_NETWORK__VERIFY_TLS": "false",
        "OMSD_NETWORK__ALLOW_PRIVATE": "loopback, 10.0.0.0/8",
        "OMSD_NETWORK__CONNECT_TIMEOUT_S": "2.5",
        "OMSD_CONFIG": "not a key: no double underscore",
    }
    network = load_settings(None, environ).network
    assert (network.verify_tls, network.connect_timeout_s) == (False, 2.5)
    assert ipaddress.ip_network("10.0.0.0/8") in network.allowed_networks
    assert ipaddress.ip_network("::1/128") in network.allowed_networks


def test_the_state_directory_of_systemd_is_the_default() -> None:
    environ = {**HOME, "STATE_DIRECTORY": "/var/lib/omsd:/var/lib/more"}
    assert load_settings(None, environ).server.state_dir == Path("/var/lib/omsd")


def test_the_time_zone_of_the_server_is_the_default() -> None:
    settings = load_settings(None, {**HOME, "TZ": "Europe/Berlin"})
    assert settings.server.time_zone == "Europe/Berlin"
    assert str(settings.server.zone) == "Europe/Berlin"
    assert load_settings(None, HOME, {"server.time_zone": "UTC"}).server.zone is UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nwokers = 1", "[server] wokers: unknown key 'wokers'; did you mean 'workers'?"),
        ("[limit]\n", "unknown section [limit]; did you mean 'limits'?"),
        ("[nats]\n", "unknown section [nats]"),
        ("server = 1", "server must be a section"),
        ('[server]\nworkers = "two"', '[server] workers = "two": Expected `int`, got `str`'),
        ("[server]\nworkers = true", "[server] workers = true: Expected `int`, got `bool`"),
        ("[server]\nmax_parallel_tasks = 0", "max_parallel_tasks = 0: Expected `int` >= 1"),
        ('[server]\ntime_zone = "Europe/Berln"', "did you mean 'Europe/Berlin'?"),
        ('[server]\nregions = [""]', "a region has 1 to 100 characters"),
        ("[limits]\npart_size_mib = 4", "part_size_mib = 4: Expected `int` >= 5"),
        ("[network]\nstall_timeout_s = 0", "stall_timeout_s = 0: Expected `float` > 0"),
        (
            '[network]\nallow_private = ["10.0.0.1/8"]',
            "has host bits set; wanted is a network like 10.0.0.0/8",
        ),
        ('[network]\nca_file = "/no/such/file"', 'ca_file = "/no/such/file": the file does not exist'),
        ('[network]\nca_file = ""', "a path is wanted"),
        ('[log]\nlevel = "chatty"', 'level = "chatty": must be one of debug, info, warning, error'),
        ("[log", "not valid TOML"),
        ('[tls]\ncert_file = "/dev/null"', "[tls] key_file is missing"),
        ('[sync]\nevents_key_file = "/dev/null"', "[sync] events_cert_file is missing"),
        ('[sync]\nevents_key_file = "/not/there"', "[sync] events_key_file"),
        ('[sync]\nevents_listen = "7071"', "must be host:port"),
        ('[sync]\nevents_listen = "unix:"', "path of a socket"),
        ("endpoint = 1", "endpoint must be written [[endpoint]]"),
        ("[[endpoint]]\nurll = 'x'", "number 1: unknown key 'urll'; did you mean 'url'?"),
        ("[[endpoint]]\nurl = 'http://h'", "number 1: region is missing"),
        (
            "[[endpoint]]\ncloud_type='aws'\nregion='r'\nurl='http://h'",
            'cloud_type = "aws": must be one of Aliyun',
        ),
        ("[[endpoint]]\ncloud_type='AWS'\nregion='r'\nurl='h:80'", "wanted is http(s)://host[:port]"),
        ("[[endpoint]]\ncloud_type='AWS'\nregion='r'\nurl='http://h/x'", "wanted is http(s)://host[:port]"),
        ("[[endpoint]]\ncloud_type='AWS'\nregion='r'\nurl='http://h:x'", "wanted is http(s)://host[:port]"),
        ("[[endpoint]]\ncloud_type='AWS'\nregion='r'\nurl='http://h'\n" * 2, "'r' is configured twice"),
        (
            "[[endpoint]]\ncloud_type='AWS'\nregion='r'\nurl='http://h'\nlist_version=3",
            "list_version = 3: must be one of 1, 2",
        ),
    ],
)
def test_what_is_wrong_is_named_and_what_would_be_right(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in problems(tmp_path, text)


def test_every_problem_is_reported_with_where_it_stands(tmp_path: Path) -> None:
    environ = {**HOME, "OMSD_SERVER__WORKERS": "x", "OMSD_LOGS__LEVEL": "info", "OMSD_LOG__LEVLE": "info"}
    said = problems(tmp_path, "[server]\nport = 1\n", environ, server__max_parallel_tasks="-1")
    assert "omsd.toml: [server] port: unknown key" in said
    assert 'environment OMSD_SERVER__WORKERS = "x": Expected `int`' in said
    assert "environment OMSD_LOGS__LEVEL: unknown section 'logs'; did you mean 'log'?" in said
    assert "environment OMSD_LOG__LEVLE: unknown key 'levle'; did you mean 'level'?" in said
    assert '--max-parallel-tasks = "-1": Expected `int` >= 1' in said


@pytest.mark.parametrize("listen", ["0.0.0.0:7070", "10.1.2.3:7070", "[::]:7070", "example.com:7070"])
def test_an_address_others_can_reach_wants_authentication(tmp_path: Path, listen: str) -> None:
    text = f'[server]\ngrpc_listen = "{listen}"\n'
    assert f'grpc_listen = "{listen}": other machines can connect there' in problems(tmp_path, text)
    users = tmp_path / "users.toml"
    users.write_text("")
    settings = load(tmp_path, f'{text}[auth]\nmethods = ["token"]\nusers_file = "{users}"\n')
    assert settings.server.grpc_listen == listen
    assert settings.auth.methods == ("token",)


@pytest.mark.parametrize(
    ("auth", "tls", "expected"),
    [
        ('methods = ["token"]', "", "[auth] users_file is missing"),
        (
            'users_file = "{file}"',
            "",
            "[auth] methods is missing: users_file has an effect only with some of",
        ),
        (
            'methods = ["tokens"]\nusers_file = "{file}"',
            "",
            "'tokens' is none of token, signature, certificate",
        ),
        ('methods = ["token"]\nusers_file = "/nowhere/users"', "", "does not exist or cannot be read"),
        ('methods = ["certificate"]\nusers_file = "{file}"', "", "[tls] client_ca_file is missing"),
        ("", 'client_ca_file = "{file}"', "client_ca_file is given without cert_file and key_file"),
        ("token_lifetime_h = 25", "", "token_lifetime_h = 25"),
        ("clock_skew_s = 0", "", "clock_skew_s = 0"),
        ("max_failures_per_minute = 0", "", "max_failures_per_minute = 0"),
    ],
)
def test_what_does_not_fit_together_about_callers_is_refused(
    tmp_path: Path, auth: str, tls: str, expected: str
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    text = f"[auth]\n{auth}\n[tls]\n{tls}\n".replace("{file}", str(file))
    assert expected in problems(tmp_path, text)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:1", "[::1]:7070", "unix:/run/omsd/s.sock"])
def test_loopback_and_unix_sockets_are_allowed(tmp_path: Path, listen: str) -> None:
    assert load(tmp_path, f'[server]\ngrpc_listen = "{listen}"').server.grpc_listen == listen


@pytest.mark.parametrize("listen", ["7070", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "unix:", ":7070"])
def test_a_listen_address_that_cannot_be_used_is_refused(tmp_path: Path, listen: str) -> None:
    assert "grpc_listen" in problems(tmp_path, f'[server]\ngrpc_listen = "{listen}"')


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothere\.toml: No such file"):
        load_settings(tmp_path / "nothere.toml", HOME)


def test_keys_in_an_endpoint_url_are_refused_and_not_repeated(tmp_path: Path) -> None:
    said = problems(tmp_path, "[[endpoint]]\ncloud_type='AWS'\nregion='r'\nurl='http://AK:HUSH@h'")
    assert "keys do not belong into the configuration" in said
    assert "HUSH" not in said


def test_the_value_of_an_unknown_key_is_not_repeated(tmp_path: Path) -> None:
    assert "HUSH" not in problems(tmp_path, '[server]\nsecret_key = "HUSH"')


def test_what_check_config_prints_can_be_loaded_again(tmp_path: Path) -> None:
    text = """
        [server]
        regions = ["one", "two"]
        time_zone = "Asia/Shanghai"
        [network]
        allow_private = ["loopback"]
        [[endpoint]]
        cloud_type = "AWS"
        region = "lab"
        url = "http://127.0.0.1:8333"
        addressing = "path"
        list_version = 2
    """
    settings = load(tmp_path, text)
    assert settings.endpoint[0].cloud_type is CloudType.AWS
    assert load(tmp_path, dump_settings(settings), {}) == settings


@pytest.mark.parametrize(
    ("written", "bytes_per_s"),
    [
        ('"200MB"', 200_000_000),
        ('"200 MB/s"', 200_000_000),
        ('"1.5GiB"', 1_610_612_736),
        ('"800k"', 800_000),
        ("16", 16 * 1024 * 1024),
    ],
)
def test_the_bandwidth_of_the_machine_in_bytes_per_second(
    tmp_path: Path, written: str, bytes_per_s: int
) -> None:
    settings = load(tmp_path, f"[limits]\nmachine_bandwidth = {written}")
    assert settings.limits.machine_bytes_per_s == bytes_per_s
    again = tmp_path / "again.toml"
    again.write_text(dump_settings(settings))
    assert load_settings(again, HOME).limits == settings.limits


def test_the_bandwidth_of_the_machine_may_come_from_the_environment_and_is_none_by_default() -> None:
    assert load_settings(None, HOME).limits.machine_bytes_per_s is None
    environ = {**HOME, "OMSD_LIMITS__MACHINE_BANDWIDTH": "8"}
    assert load_settings(None, environ).limits.machine_bytes_per_s == 8 * 1024 * 1024


@pytest.mark.parametrize("written", ['"fast"', '"200 Mbit"', '""', "0", "200000000", '"1kB"', "-1", "true"])
def test_a_bandwidth_that_cannot_be_meant_is_refused(tmp_path: Path, written: str) -> None:
    assert "[limits] machine_bandwidth" in problems(tmp_path, f"[limits]\nmachine_bandwidth = {written}")


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:7071", "[::]:7071", "events.example.com:7071", "unix:/run/e.sock"]
)
def test_notifications_may_be_listened_for_anywhere(tmp_path: Path, listen: str) -> None:
    settings = load(tmp_path, f'[sync]\nevents_listen = "{listen}"')
    assert settings.sync.events_listen == listen
    assert load(tmp_path, dump_settings(settings)) == settings
    assert load(tmp_path, "").sync.events_listen is None
