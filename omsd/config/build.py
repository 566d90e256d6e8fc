"""Raw values become sections and entries of arrays; every problem is noted with where the value came from."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import msgspec

from omsd.config.checks import check_value, url_fault
from omsd.config.notify import ENTRIES, SmnSettings, TopicSettings, entry_faults
from omsd.config.settings import EndpointSettings
from omsd.domain.model import CloudType


@dataclass(frozen=True, slots=True)
class Raw:
    """A value and where it came from. textual: text that may mean a number, a boolean or a comma-list."""

    value: Any
    origin: str
    textual: bool


def suggest(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """What a name that is not known may have meant, as the end of an error."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def build(
    kind: type[msgspec.Struct], section: str, raws: Mapping[str, Raw], problems: list[str]
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
            check_value(section, key, taken[key])
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


def notify_entries(
    section: object, origin: str, environ: Mapping[str, str], problems: list[str]
) -> dict[str, Raw]:
    """smn and topic of [notify]: arrays of tables, each checked by itself and for what it shares with another."""
    if not isinstance(section, dict):
        return {}
    found: dict[str, Raw] = {}
    for name, kind in ENTRIES.items():
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
        found[name] = Raw(tuple(built), f"{origin}: [[notify.{name}]]", False)
    return found


def _build_entry(
    kind: type[msgspec.Struct], section: str, entry: Mapping[str, Any], where: str, problems: list[str]
) -> msgspec.Struct | None:
    """One table of an array, or None with the problems noted."""
    fields = kind.__struct_fields__
    needed = [field.name for field in msgspec.structs.fields(kind) if field.required]
    unknown = [key for key in entry if key not in fields]
    problems += [f"{where}: unknown key {key!r}{suggest(key, fields)}" for key in unknown]
    missing = [key for key in needed if key not in entry]
    problems += [f"{where}: {key} is missing" for key in missing]
    if unknown or missing:
        return None
    raws = {key: Raw(value, f"{where}: {key}", False) for key, value in entry.items()}
    return build(kind, section, raws, problems)


def endpoints(entries: object, origin: str, problems: list[str]) -> Iterator[EndpointSettings]:
    """Those of [[endpoint]] that can be used."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problems.append(f"{origin}: endpoint must be written [[endpoint]]")
        return
    seen: set[tuple[str, str]] = set()
    for number, entry in enumerate(entries, 1):
        where = f"{origin}: [[endpoint]] number {number}"
        built = _build_entry(EndpointSettings, "endpoint", entry, where, problems)
        if not isinstance(built, EndpointSettings):
            continue
        fault = url_fault(built.url)
        if fault:
            problems.append(f"{where}: url = {_shown(built.url)}: {fault}")
        if (built.cloud_type, built.region) in seen:
            problems.append(f"{where}: {built.cloud_type} region {built.region!r} is configured twice")
        seen.add((built.cloud_type, built.region))
        yield built


def _shown(value: object) -> str:
    """A value as an error shows it: without what stands before the @ of a URL."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return re.sub(r"//[^/@\s\"]*@", "//***@", text)
