"""Settings are written as TOML that can be read again."""

from __future__ import annotations

import json

import msgspec

from omsd.config.notify import ENTRIES, NotifySettings
from omsd.config.settings import SECTIONS, Settings


def dump_settings(settings: Settings) -> str:
    """The settings as TOML that load_settings() takes again."""
    lines: list[str] = []
    for name in SECTIONS:
        section = getattr(settings, name)
        lines += [f"[{name}]", *_toml_lines(section), ""]
        if isinstance(section, NotifySettings):
            lines += _toml_entries(section)
    for endpoint in settings.endpoint:
        lines += ["[[endpoint]]", *_toml_lines(endpoint), ""]
    return "\n".join(lines)


def _toml_entries(notify: NotifySettings) -> list[str]:
    return [
        line
        for name in ENTRIES
        for entry in getattr(notify, name)
        for line in (f"[[notify.{name}]]", *_toml_lines(entry), "")
    ]


def _toml_lines(section: msgspec.Struct) -> list[str]:
    return [
        f"{key} = {json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False)}"
        for key in section.__struct_fields__
        if (value := getattr(section, key)) is not None
        and not (isinstance(section, NotifySettings) and key in ENTRIES)
    ]
