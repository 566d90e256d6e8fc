"""Frozen settings: defaults, then the TOML file, then OMSD_SECTION__KEY of the environment, then flags.

Every key has an effect; an unknown key or a bad value is an error that names it and says what would be right.
No secret lives here.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from msgspec import Meta

from omsd.domain.errors import OmsdError
from omsd.domain.model import CloudType
from omsd.notify_config import ENTRIES as NOTIFY_ENTRIES
from omsd.notify_config import NotifySettings, SmnSettings, TopicSettings, entry_faults

MIB = 1024 * 1024
GIB = 1024 * MIB
ENV_PREFIX = "OMSD_"
LOOPBACK = "loopback"
AUTH_METHODS = ("token", "signature", "certificate")
_LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")

_BANDWIDTH = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmg]i?)b?(?:/s)?)?", re.IGNORECASE)
_BANDWIDTH_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_BANDWIDTH_WANTED = "wanted is bytes per second like '200MB' or '1.5GiB', or a number of MiB"
# A slip (bytes given as MiB, or a limit that stops everything) is refused rather than obeyed.
_MIN_BANDWIDTH = 64_000
_MAX_BANDWIDTH = 10**12

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class ConfigError(OmsdError):
    """The configuration cannot be used; `problems` has one line for each thing that is wrong."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon is.

    grpc_listen, rest_listen: host:port or unix:/path; rest_listen None: the REST API is off. workers 0: one per core.
    regions: destination regions served, empty for all.
    """

    grpc_listen: str = "127.0.0.1:7070"
    rest_listen: str | None = None
    state_dir: Path
    workers: Annotated[int, Meta(ge=0, le=1024)] = 0
    max_parallel_tasks: Annotated[int, Meta(ge=1, le=1000)] = 5
    time_zone: str
    regions: tuple[str, ...] = ()

    @property
    def zone(self) -> tzinfo:
        """The zone in which bandwidth windows are meant."""
        return UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in MiB; requests and the buffer budget are per worker process.

    machine_bandwidth: what all tasks together may move in a second, like "200MB" (decimal) or "200MiB"; a plain number is MiB.
    server_side_copy: where both ends are one service it is asked to copy objects itself, larger ones in parts of
    server_side_copy_part_mib. large_object_mib: larger objects are shared by all workers, and gone on with part by part after an
    interruption. drain_grace_s: what objects under way get to finish when the daemon stops.
    restore_deadline_h: how long an archived object may take to be restored. restore_poll_s: how soon it is asked after;
    the pause grows to three times of it.
    """

    machine_bandwidth: str | int | None = None
    part_size_mib: Annotated[int, Meta(ge=5, le=5120)] = 16
    single_put_max_mib: Annotated[int, Meta(ge=1, le=5120)] = 8
    server_side_copy: bool = True
    server_side_copy_part_mib: Annotated[int, Meta(ge=5, le=5120)] = 256
    large_object_mib: Annotated[int, Meta(ge=5, le=1_048_576)] = 256
    buffer_budget_mib: Annotated[int, Meta(ge=8, le=65_536)] = 32
    max_requests_per_endpoint: Annotated[int, Meta(ge=1, le=1024)] = 64
    drain_grace_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    restore_deadline_h: Annotated[float, Meta(gt=0, le=720)] = 48.0
    restore_poll_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 300.0

    @property
    def machine_bytes_per_s(self) -> int | None:
        """machine_bandwidth in bytes per second, None = no limit."""
        return None if self.machine_bandwidth is None else parse_bandwidth(self.machine_bandwidth)


class SyncSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Synchronization tasks; how many a project may have is in [quotas].

    max_queued_events: accepted and not finished, per task; more are refused. max_copies: objects copied at
    once, per task. events_listen: host:port or unix:/path where S3 event notifications are taken, None = nowhere; each comes with the
    secret of its task. events_cert_file, events_key_file: its certificate chain and key, PEM; None = those of [tls].
    """

    max_queued_events: Annotated[int, Meta(ge=100, le=1_000_000)] = 20_000
    max_copies: Annotated[int, Meta(ge=1, le=1024)] = 32
    events_listen: str | None = None
    events_cert_file: Path | None = None
    events_key_file: Path | None = None


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Task groups.

    objects_per_task, gib_per_task: a group begins its next task when one has so many objects, or so much in them. The defaults are the
    documented limits of what is better migrated by one task. How many
    a project may create in a day is in [quotas].
    """

    objects_per_task: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 5_000_000
    gib_per_task: Annotated[int, Meta(ge=1, le=1_048_576)] = 3072


Number = Annotated[int, Meta(ge=1, le=1_000_000)]


class QuotaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What each project may have; the defaults are the documented ones.

    tasks_per_day, groups_per_day: created in 24 hours. waiting_tasks: at this number no more can be created. parallel_tasks: that run at
    once, 0 = as many as [server] max_parallel_tasks. sync_tasks: synchronization tasks.
    """

    tasks_per_day: Number = 1500
    waiting_tasks: Number = 1500
    parallel_tasks: Annotated[int, Meta(ge=0, le=1000)] = 0
    groups_per_day: Number = 100
    sync_tasks: Number = 5


def parse_bandwidth(value: str | int) -> int:
    """Bytes per second of a "200MB", "1.5GiB" or a number of MiB. Raises ValueError."""
    found = _BANDWIDTH.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(_BANDWIDTH_WANTED)
    number, unit = found.groups()
    limit = round(float(number) * (MIB if unit is None else _BANDWIDTH_UNITS[unit.lower()]))
    if not _MIN_BANDWIDTH <= limit <= _MAX_BANDWIDTH:
        raise ValueError("not between 64kB and 1000GB; " + _BANDWIDTH_WANTED)
    return limit


class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How other machines are reached.

    allow_private: networks (CIDR, or "loopback") in which endpoints of requests may be.
    """

    allow_private: tuple[str, ...] = ()
    ca_file: Path | None = None
    verify_tls: bool = True
    connect_timeout_s: Seconds = 10.0
    first_byte_timeout_s: Seconds = 60.0
    stall_timeout_s: Seconds = 60.0

    @property
    def allowed_networks(self) -> tuple[IpNetwork, ...]:
        """allow_private as networks."""
        return tuple(
            ipaddress.ip_network(network)
            for entry in self.allow_private
            for network in (_LOOPBACK_NETWORKS if entry == LOOPBACK else (entry,))
        )


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate chain and key of both APIs, PEM; both or neither.

    client_ca_file: of gRPC: only callers with a certificate of these authorities can connect.
    """

    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who may call.

    methods: how callers prove who they are, of AUTH_METHODS; empty: nobody is asked, and only this machine can connect. users_file:
    users, their projects and keys. token_lifetime_h: how long a token is good. clock_skew_s: how far X-Sdk-Date of a signed request
    may be from our clock. max_failures_per_minute: of an address, and of a user or AK.
    """

    methods: tuple[str, ...] = ()
    users_file: Path | None = None
    token_lifetime_h: Annotated[float, Meta(gt=0, le=24)] = 24.0
    clock_skew_s: Seconds = 900.0
    max_failures_per_minute: Annotated[int, Meta(ge=1, le=10_000)] = 10


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """format auto: text on a terminal, else JSON lines."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint the operator vouches for, before the catalogue's. None: as the cloud's profile says."""

    cloud_type: CloudType
    region: str
    url: str
    addressing: Literal["path", "virtual"] | None = None
    list_version: Literal[1, 2] | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be configured."""

    server: ServerSettings
    limits: LimitSettings
    sync: SyncSettings
    quotas: QuotaSettings
    notify: NotifySettings
    groups: GroupSettings
    network: NetworkSettings
    tls: TlsSettings
    auth: AuthSettings
    log: LogSettings
    endpoint: tuple[EndpointSettings, ...] = ()


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": ServerSettings,
    "limits": LimitSettings,
    "sync": SyncSettings,
    "quotas": QuotaSettings,
    "notify": NotifySettings,
    "groups": GroupSettings,
    "network": NetworkSettings,
    "tls": TlsSettings,
    "auth": AuthSettings,
    "log": LogSettings,
}


_DEFAULT = "default"
# Keys that had another place; they mean the same as ever.
_MOVED = {("sync", "max_tasks"): ("quotas", "sync_tasks")}


@dataclass(frozen=True, slots=True)
class _Raw:
    """A value and where it came from. textual: text that may mean a number, a boolean or a comma-list."""

    value: Any
    origin: str
    textual: bool


def load_settings(
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """The settings of file, environment and flags, the later winning.

    overrides: "section.key" to value, None = not given. Raises ConfigError with every problem there is.
    """
    problems: list[str] = []
    table = _read(path)
    values: dict[str, dict[str, _Raw]] = {name: {} for name in _SECTIONS}
    values["server"] = {
        "state_dir": _Raw(_default_state_dir(environ), _DEFAULT, True),
        "time_zone": _Raw(_server_time_zone(environ), _DEFAULT, True),
    }
    _take_file(table, str(path), values, problems)
    _take_environment(environ, values, problems)
    for dotted, value in (overrides or {}).items():
        section, _, key = dotted.partition(".")
        if value is not None:
            values[section][key] = _Raw(value, "--" + key.replace("_", "-"), True)
    endpoints = tuple(_endpoints(table.get("endpoint", []), str(path), problems))
    values["notify"] |= _notify_entries(table.get("notify"), str(path), environ, problems)
    built = {name: _build(kind, name, values[name], problems) for name, kind in _SECTIONS.items()}
    if problems:
        raise ConfigError(tuple(problems))
    settings = msgspec.convert({**built, "endpoint": endpoints}, Settings)
    _check(settings)
    return settings


def dump_settings(settings: Settings) -> str:
    """The settings as TOML that load_settings() takes again."""
    lines: list[str] = []
    for name in _SECTIONS:
        section = getattr(settings, name)
        lines += [f"[{name}]", *_toml_lines(section), ""]
        if isinstance(section, NotifySettings):
            lines += _toml_entries(section)
    for endpoint in settings.endpoint:
        lines += ["[[endpoint]]", *_toml_lines(endpoint), ""]
    return "\n".join(lines)


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError((f"{path}: {error.strerror}",)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError((f"{path}: not valid TOML: {error}",)) from error


def _take_file(
    table: Mapping[str, Any], origin: str, values: dict[str, dict[str, _Raw]], problems: list[str]
) -> None:
    for name, section in table.items():
        if name == "endpoint":
            continue
        if name not in _SECTIONS:
            problems.append(f"{origin}: unknown section [{name}]{_suggest(name, (*_SECTIONS, 'endpoint'))}")
        elif not isinstance(section, dict):
            problems.append(f"{origin}: {name} must be a section, written [{name}]")
        else:
            for key, value in section.items():
                if name == "notify" and key in NOTIFY_ENTRIES:
                    continue
                _take(values, name, key, _Raw(value, f"{origin}: [{name}] {key}", False), problems)


def _take_environment(
    environ: Mapping[str, str], values: dict[str, dict[str, _Raw]], problems: list[str]
) -> None:
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX) or "__" not in variable:
            continue
        section, _, key = variable.removeprefix(ENV_PREFIX).lower().partition("__")
        if section not in _SECTIONS:
            problems.append(
                f"environment {variable}: unknown section {section!r}{_suggest(section, _SECTIONS)}"
            )
        elif section == "notify" and key in NOTIFY_ENTRIES:
            problems.append(f"environment {variable}: [[notify.{key}]] can only be given in the file")
        else:
            _take(values, section, key, _Raw(environ[variable], f"environment {variable}", True), problems)


def _take(values: dict[str, dict[str, _Raw]], section: str, key: str, raw: _Raw, problems: list[str]) -> None:
    """The value stands under its key; an old place leads to the present one."""
    section, key = _MOVED.get((section, key), (section, key))
    if not _known(section, key, raw.origin, problems):
        return
    other = values[section].get(key)
    if other is not None and other.origin != _DEFAULT and other.textual is raw.textual:
        problems.append(f"{raw.origin}: is the same as {other.origin}; keep [{section}] {key} alone")
    values[section][key] = raw


def _known(section: str, key: str, origin: str, problems: list[str]) -> bool:
    fields = _SECTIONS[section].__struct_fields__
    if key not in fields:
        problems.append(f"{origin}: unknown key {key!r}{_suggest(key, fields)}")
    return key in fields


def _suggest(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def _build(
    kind: type[msgspec.Struct], section: str, raws: Mapping[str, _Raw], problems: list[str]
) -> msgspec.Struct | None:
    """The section, or None with the problems noted."""
    hints = get_type_hints(kind, include_extras=True)
    taken: dict[str, Any] = {}
    before = len(problems)
    for key, raw in raws.items():
        value = raw.value
        if raw.textual and isinstance(value, str) and hints[key] == tuple[str, ...]:
            value = [part.strip() for part in value.split(",") if part.strip()]
        try:
            taken[key] = _convert(value, hints[key], strict=not raw.textual)
            _check_value(section, key, taken[key])
        except ValueError as error:
            problems.append(f"{raw.origin} = {_shown(value)}: {error}")
    return kind(**taken) if len(problems) == before else None


def _convert(value: object, hint: Any, *, strict: bool) -> Any:
    if Path in (hint, *get_args(hint)) and isinstance(value, str):
        if not value:
            raise ValueError("a path is wanted")
        return Path(value).expanduser()
    try:
        return msgspec.convert(value, hint, strict=strict)
    except msgspec.ValidationError as error:
        text = str(error)
        choices = [choice for choice in _choices(hint) if choice is not None]
        if choices:
            text = f"must be one of {', '.join(map(str, choices))}"
        raise ValueError(text) from error


def _choices(hint: Any) -> tuple[Any, ...]:
    if hint is CloudType:
        return tuple(CloudType)
    found: list[Any] = []
    for part in (hint, *get_args(hint)):
        if getattr(part, "__origin__", None) is Literal:
            found += get_args(part)
    return tuple(found)


def _check_value(section: str, key: str, value: Any) -> None:
    """Raise ValueError if a value of the right type cannot be meant."""
    match f"{section}.{key}":
        case "server.grpc_listen" | "server.rest_listen" | "sync.events_listen":
            _check_listen(value)
        case "server.time_zone":
            if not _is_zone(value):
                close = difflib.get_close_matches(value, sorted(available_timezones()), n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ", like 'Europe/Berlin' or 'UTC'"
                raise ValueError("not an IANA time zone" + hint)
        case "limits.machine_bandwidth" if value is not None:
            parse_bandwidth(value)
        case "server.regions":
            _check_regions(value)
        case "network.allow_private":
            for entry in value:
                _check_network(entry)
        case "auth.methods":
            _check_methods(value)
        case (
            "network.ca_file"
            | "tls.cert_file"
            | "tls.key_file"
            | "tls.client_ca_file"
            | "auth.users_file"
            | "sync.events_cert_file"
            | "sync.events_key_file"
        ):
            if value is not None and not os.access(value, os.R_OK):
                raise ValueError("the file does not exist or cannot be read")
        case _:
            pass


def _check_listen(listen: str | None) -> None:
    """Raises ValueError if it is no address."""
    if listen is None:
        return
    if listen.startswith("unix:"):
        if not listen.removeprefix("unix:").strip("/"):
            raise ValueError("unix: wants the path of a socket, like unix:/run/omsd/omsd.sock")
        return
    host, separator, port = listen.rpartition(":")
    host = host.strip("[]")
    if not separator or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError("must be host:port, like 127.0.0.1:7070, or unix:/path")


def _check_regions(regions: tuple[str, ...]) -> None:
    if any(not region or len(region) > 100 for region in regions):
        raise ValueError("a region has 1 to 100 characters")


def _check_methods(methods: tuple[str, ...]) -> None:
    for method in methods:
        if method not in AUTH_METHODS:
            raise ValueError(f"{method!r} is none of {', '.join(AUTH_METHODS)}")


def is_local(listen: str) -> bool:
    """Can only this machine connect to the address?"""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_network(entry: str) -> None:
    if entry == LOOPBACK:
        return
    try:
        ipaddress.ip_network(entry)
    except ValueError as error:
        raise ValueError(f"{error}; wanted is a network like 10.0.0.0/8, or 'loopback'") from error


def _notify_entries(
    section: object, origin: str, environ: Mapping[str, str], problems: list[str]
) -> dict[str, _Raw]:
    """smn and topic of [notify]: arrays of tables, each checked by itself and for what it shares with another."""
    if not isinstance(section, dict):
        return {}
    found: dict[str, _Raw] = {}
    for name, kind in NOTIFY_ENTRIES.items():
        entries = section.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            problems.append(f"{origin}: {name} must be written [[notify.{name}]]")
            continue
        built: list[msgspec.Struct] = []
        seen: set[str] = set()
        for number, entry in enumerate(entries, 1):
            where = f"{origin}: [[notify.{name}]] number {number}"
            made = _build_entry(kind, f"notify.{name}", entry, where, problems)
            if not isinstance(made, SmnSettings | TopicSettings):
                continue
            problems += [f"{where}: {fault}" for fault in entry_faults(made, environ)]
            identity = made.region if isinstance(made, SmnSettings) else made.urn
            if identity in seen:
                problems.append(f"{where}: {identity!r} is configured twice")
            seen.add(identity)
            built.append(made)
        found[name] = _Raw(tuple(built), f"{origin}: [[notify.{name}]]", False)
    return found


def _build_entry(
    kind: type[msgspec.Struct], section: str, entry: Mapping[str, Any], where: str, problems: list[str]
) -> msgspec.Struct | None:
    """One table of an array, or None with the problems noted."""
    fields = kind.__struct_fields__
    needed = [field.name for field in msgspec.structs.fields(kind) if field.required]
    unknown = [key for key in entry if key not in fields]
    problems += [f"{where}: unknown key {key!r}{_suggest(key, fields)}" for key in unknown]
    missing = [key for key in needed if key not in entry]
    problems += [f"{where}: {key} is missing" for key in missing]
    if unknown or missing:
        return None
    raws = {key: _Raw(value, f"{where}: {key}", False) for key, value in entry.items()}
    return _build(kind, section, raws, problems)


def _endpoints(entries: object, origin: str, problems: list[str]) -> Iterator[EndpointSettings]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problems.append(f"{origin}: endpoint must be written [[endpoint]]")
        return
    seen: set[tuple[str, str]] = set()
    for number, entry in enumerate(entries, 1):
        where = f"{origin}: [[endpoint]] number {number}"
        built = _build_entry(EndpointSettings, "endpoint", entry, where, problems)
        if not isinstance(built, EndpointSettings):
            continue
        fault = _url_fault(built.url)
        if fault:
            problems.append(f"{where}: url = {_shown(built.url)}: {fault}")
        if (built.cloud_type, built.region) in seen:
            problems.append(f"{where}: {built.cloud_type} region {built.region!r} is configured twice")
        seen.add((built.cloud_type, built.region))
        yield built


def _url_fault(url: str) -> str:
    """What is wrong with an endpoint's URL, "" if nothing."""
    wanted = "wanted is http(s)://host[:port] and nothing behind it"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is not a number in range
    except ValueError as error:
        return f"{error}; {wanted}"
    if parts.username is not None or parts.password is not None:
        return "keys do not belong into the configuration; they come with each task"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return wanted
    return wanted if parts.path.strip("/") or parts.query or parts.fragment else ""


def _check(settings: Settings) -> None:
    """Raise ConfigError for values that are right alone and wrong together."""
    problems = (*_pair_problems(settings), *_tls_problems(settings.tls), *_auth_problems(settings))
    if problems:
        raise ConfigError(problems)


def _pair_problems(settings: Settings) -> Iterator[str]:
    tls, sync = settings.tls, settings.sync
    pairs = (
        ("[tls]", "cert_file", tls.cert_file, "key_file", tls.key_file),
        ("[sync]", "events_cert_file", sync.events_cert_file, "events_key_file", sync.events_key_file),
    )
    for section, cert, cert_file, key, key_file in pairs:
        if (cert_file is None) != (key_file is None):
            missing = key if key_file is None else cert
            yield f"{section} {missing} is missing: {cert} and {key} are given both or not at all"


def _tls_problems(tls: TlsSettings) -> Iterator[str]:
    if tls.client_ca_file is not None and tls.cert_file is None and tls.key_file is None:
        yield "[tls] client_ca_file is given without cert_file and key_file: callers show certificates to a server that has one"


def _auth_problems(settings: Settings) -> Iterator[str]:
    auth = settings.auth
    for key in ("grpc_listen", "rest_listen"):
        listen = getattr(settings.server, key)
        if listen is not None and not auth.methods and not is_local(listen):
            yield (
                f'[server] {key} = "{listen}": other machines can connect there, so callers must prove who they '
                "are: set [auth] methods and users_file, or listen on a loopback address (127.0.0.1, [::1], localhost) or unix:/path"
            )
    if auth.methods and auth.users_file is None:
        yield "[auth] users_file is missing: with methods it says who may call"
    if auth.users_file is not None and not auth.methods:
        yield f"[auth] methods is missing: users_file has an effect only with some of {', '.join(AUTH_METHODS)}"
    if "certificate" in auth.methods and settings.tls.client_ca_file is None:
        yield "[tls] client_ca_file is missing: [auth] methods has 'certificate', and it says whose certificates are good"


def _default_state_dir(environ: Mapping[str, str]) -> str:
    """systemd's StateDirectory, else the user's state folder."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return given
    base = environ.get("XDG_STATE_HOME", "")
    if not base and environ.get("HOME"):
        base = environ["HOME"] + "/.local/state"
    return f"{base}/omsd" if base else "/var/lib/omsd"


def _server_time_zone(environ: Mapping[str, str]) -> str:
    """The machine's IANA zone; UTC if it does not tell."""
    try:
        linked = os.readlink("/etc/localtime").partition("zoneinfo/")[2]
    except OSError:
        linked = ""
    for name in (environ.get("TZ", "").lstrip(":"), linked):
        if name and _is_zone(name):
            return name
    return "UTC"


def _is_zone(name: str) -> bool:
    try:
        return name == "UTC" or ZoneInfo(name).key == name
    except (KeyError, ValueError, OSError):
        return False


def _shown(value: object) -> str:
    """A value as an error shows it: without what stands before the @ of a URL."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return re.sub(r"//[^/@\s\"]*@", "//***@", text)


def _toml_entries(notify: NotifySettings) -> list[str]:
    return [
        line
        for name in NOTIFY_ENTRIES
        for entry in getattr(notify, name)
        for line in (f"[[notify.{name}]]", *_toml_lines(entry), "")
    ]


def _toml_lines(section: msgspec.Struct) -> list[str]:
    return [
        f"{key} = {json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False)}"
        for key in section.__struct_fields__
        if (value := getattr(section, key)) is not None
        and not (isinstance(section, NotifySettings) and key in NOTIFY_ENTRIES)
    ]
