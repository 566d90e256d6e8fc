"""The SQL that ships with the package: named queries and numbered migrations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql")


def load_queries() -> Mapping[str, str]:
    """Name -> statement of queries.sql."""
    text = resources.files("omsd.store").joinpath("queries.sql").read_text("utf-8")
    pieces = _NAME.split(text)[1:]
    return {name: body.strip().rstrip(";") for name, body in zip(pieces[::2], pieces[1::2], strict=True)}


def load_migrations() -> tuple[str, ...]:
    """The scripts in order; the first leads to schema version 1. Raises ValueError on a gap in the numbers."""
    found = {}
    for entry in resources.files("omsd.store").joinpath("migrations").iterdir():
        match = _MIGRATION.fullmatch(entry.name)
        if match is not None:
            found[int(match[1])] = entry.read_text("utf-8")
    numbers = sorted(found)
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"migrations are not numbered without gaps: {numbers}")
    return tuple(found[number] for number in numbers)
