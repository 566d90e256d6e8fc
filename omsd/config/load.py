"""Settings are read: defaults, then the TOML file, then OMSD_SECTION__KEY of the environment, then flags.

Every key has an effect; an unknown key or a bad value is an error that names it and says what would be right.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from omsd.config.build import Raw, build, endpoints, notify_entries, suggest
from omsd.config.checks import check_together
from omsd.config.notify import ENTRIES
from omsd.config.settings import SECTIONS, Settings
from omsd.config.values import ConfigError, is_zone

ENV_PREFIX = "OMSD_"
_DEFAULT = "default"
# Keys that had another place; they mean the same as ever.
_MOVED = {("sync", "max_tasks"): ("quotas", "sync_tasks")}


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
    values: dict[str, dict[str, Raw]] = {name: {} for name in SECTIONS}
    values["server"] = {
        "state_dir": Raw(_default_state_dir(environ), _DEFAULT, True),
        "time_zone": Raw(_server_time_zone(environ), _DEFAULT, True),
    }
    _take_file(table, str(path), values, problems)
    _take_environment(environ, values, problems)
    for dotted, value in (overrides or {}).items():
        section, _, key = dotted.partition(".")
        if value is not None:
            values[section][key] = Raw(value, "--" + key.replace("_", "-"), True)
    vouched = tuple(endpoints(table.get("endpoint", []), str(path), problems))
    values["notify"] |= notify_entries(table.get("notify"), str(path), environ, problems)
    built = {name: build(kind, name, values[name], problems) for name, kind in SECTIONS.items()}
    if problems:
        raise ConfigError(tuple(problems))
    settings = msgspec.convert({**built, "endpoint": vouched}, Settings)
    check_together(settings)
    return settings


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
    table: Mapping[str, Any], origin: str, values: dict[str, dict[str, Raw]], problems: list[str]
) -> None:
    for name, section in table.items():
        if name == "endpoint":
            continue
        if name not in SECTIONS:
            problems.append(f"{origin}: unknown section [{name}]{suggest(name, (*SECTIONS, 'endpoint'))}")
        elif not isinstance(section, dict):
            problems.append(f"{origin}: {name} must be a section, written [{name}]")
        else:
            for key, value in section.items():
                if name == "notify" and key in ENTRIES:
                    continue
                _take(values, name, key, Raw(value, f"{origin}: [{name}] {key}", False), problems)


def _take_environment(
    environ: Mapping[str, str], values: dict[str, dict[str, Raw]], problems: list[str]
) -> None:
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX) or "__" not in variable:
            continue
        section, _, key = variable.removeprefix(ENV_PREFIX).lower().partition("__")
        if section not in SECTIONS:
            problems.append(
                f"environment {variable}: unknown section {section!r}{suggest(section, SECTIONS)}"
            )
        elif section == "notify" and key in ENTRIES:
            problems.append(f"environment {variable}: [[notify.{key}]] can only be given in the file")
        else:
            _take(values, section, key, Raw(environ[variable], f"environment {variable}", True), problems)


def _take(values: dict[str, dict[str, Raw]], section: str, key: str, raw: Raw, problems: list[str]) -> None:
    """The value stands under its key; an old place leads to the present one."""
    section, key = _MOVED.get((section, key), (section, key))
    if not _known(section, key, raw.origin, problems):
        return
    other = values[section].get(key)
    if other is not None and other.origin != _DEFAULT and other.textual is raw.textual:
        problems.append(f"{raw.origin}: is the same as {other.origin}; keep [{section}] {key} alone")
    values[section][key] = raw


def _known(section: str, key: str, origin: str, problems: list[str]) -> bool:
    fields = SECTIONS[section].__struct_fields__
    if key not in fields:
        problems.append(f"{origin}: unknown key {key!r}{suggest(key, fields)}")
    return key in fields


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
        if name and is_zone(name):
            return name
    return "UTC"
