"""Calls of task groups as a caller wrote them: raw values under the documented names, None where a field was absent."""

from __future__ import annotations

from dataclasses import dataclass, field

from omsd.service.requests import KeyFields, MigrationFields


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTaskGroup(MigrationFields):
    """A group has no fields of its own: what it is asked is asked of its tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTaskGroup(KeyFields):
    """The tokens are ours."""

    json_auth_file: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTaskGroup(KeyFields):
    """Both keys of an end, or none of it: then the stored ones are taken. The tokens are ours."""

    json_auth_file: str | None = field(default=None, repr=False)
    migrate_failed_object: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTaskGroups:
    """limit 1..100 (default 10), offset from 0, status 0..9."""

    limit: int | None = None
    offset: int | None = None
    status: int | None = None
