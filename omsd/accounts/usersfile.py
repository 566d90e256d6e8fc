"""The users file: TOML to domain.access.Accounts. Everything wrong is told at once, by field; no secret is ever part of an error.

Secret keys stand in it as they are: HMAC can be verified only with the key itself, and a key that unlocks them would lie beside them.
So the file is for its owner alone.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from omsd.domain.access import AccessKey, Accounts, Grant, Project, Role, User
from omsd.domain.errors import OmsdError
from omsd.domain.passwords import is_hash

_MAX_BYTES = 16 * 1024 * 1024
_PROJECT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# What can stand in an Authorization header between commas.
_ACCESS_KEY = re.compile(r"[!-+\--~]{1,100}")

Name = Annotated[str, Meta(min_length=1, max_length=64)]


class UsersFileError(OmsdError):
    """The file cannot be used; `problems` has one line for each thing that is wrong."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class _Project(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    name: Name
    domain: Name = "default"


class _Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ak: str
    sk: Annotated[str, Meta(min_length=1, max_length=100)]
    security_token: Annotated[str, Meta(max_length=16_384)] = ""
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class _User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    domain: Name = "default"
    password: str = ""
    admin: bool = False
    roles: dict[str, Literal["operator", "read-only"]] = {}
    certificates: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    key: tuple[_Key, ...] = ()


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: tuple[_Project, ...] = ()
    user: tuple[_User, ...] = ()


def read_accounts(path: Path, credentials_directory: str = "") -> Accounts:
    """The users and projects of the file. Raises UsersFileError, also if others than its owner can read it.

    credentials_directory: systemd's; what lies there is guarded by systemd, whatever its mode says.
    """
    try:
        text = _text_of(
            path, guarded=bool(credentials_directory) and path.is_relative_to(credentials_directory)
        )
        table = tomllib.loads(text)
    except OSError as error:
        raise UsersFileError((f"{path}: {error.strerror}",)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The cause would show the text.
        raise UsersFileError((f"{path}: not valid TOML: {_place(error)}",)) from None
    try:
        file = msgspec.convert(table, _File)
    except msgspec.ValidationError as error:
        raise UsersFileError((f"{path}: {error}",)) from None
    problems = [f"{path}: {problem}" for problem in _problems(file)]
    if problems:
        raise UsersFileError(problems)
    return _accounts_of(file)


def _text_of(path: Path, *, guarded: bool) -> str:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & 0o077 and not guarded:
            raise UsersFileError(
                (f"{path}: has mode {mode:o}, others can get at the keys in it; make it 0600",)
            )
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise UsersFileError((f"{path}: has more than {_MAX_BYTES} bytes",))
    return data.decode()


def _place(error: ValueError) -> str:
    """Where the text is wrong, without the text."""
    found = re.search(r"\(at [^()]*\)$", str(error))
    return found[0] if found else "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else ""


def _problems(file: _File) -> Iterator[str]:
    for number, project in enumerate(file.project, 1):
        if _PROJECT_ID.fullmatch(project.id) is None:
            yield f"[[project]] number {number}: id has 1 to 64 letters, digits, '.', '_' or '-'"
    yield from _twice("project id", (project.id for project in file.project))
    yield from _twice("project name", (f"{project.name} of {project.domain}" for project in file.project))
    if not file.user:
        yield "there is no [[user]]: nobody could call"
    yield from _twice("user", (user.name for user in file.user))
    yield from _twice("certificate name", (name for user in file.user for name in user.certificates))
    for user in file.user:
        yield from (f"user {user.name!r}: {problem}" for problem in _user_problems(user, file.project))
    keys = Counter(key.ak for user in file.user for key in user.key)
    for user in file.user:
        if any(keys[key.ak] > 1 for key in user.key):
            yield f"user {user.name!r}: an AK of this user is there twice"


def _user_problems(user: _User, projects: tuple[_Project, ...]) -> Iterator[str]:
    if user.password and not is_hash(user.password):
        yield "password must be what `omsd hash-password` prints, never the password itself"
    for number, key in enumerate(user.key, 1):
        if _ACCESS_KEY.fullmatch(key.ak) is None:
            yield f"key number {number}: ak has 1 to 100 visible ASCII characters and no comma"
        if not key.sk.isprintable() or key.sk != key.sk.strip():
            yield f"key number {number}: sk must not begin or end with spaces, or have line breaks"
    if user.admin and user.roles:
        yield "has admin = true, which is for all projects, and roles; one of them must go"
    for wanted in user.roles:
        meant = [project for project in projects if wanted in (project.id, project.name)]
        if len(meant) != 1:
            yield f"roles: {wanted!r} is {'the name of several projects' if meant else 'no [[project]]'}"


def _twice(what: str, values: Iterable[str]) -> Iterator[str]:
    for value, num in Counter(values).items():
        if num > 1:
            yield f"{what} {value!r} is there {num} times"


def _accounts_of(file: _File) -> Accounts:
    projects = tuple(Project(entry.id, entry.name, entry.domain) for entry in file.project)
    return Accounts.of(projects, tuple(_user_of(entry, projects) for entry in file.user))


def _user_of(entry: _User, projects: tuple[Project, ...]) -> User:
    if entry.admin:
        grants = tuple(Grant(project, Role.ADMIN) for project in projects)
    else:
        grants = tuple(
            Grant(project, Role(role))
            for project in projects
            for wanted, role in entry.roles.items()
            if wanted in (project.project_id, project.name)
        )
    return User(
        name=entry.name,
        domain=entry.domain,
        password_hash=entry.password,
        grants=grants,
        keys=tuple(
            AccessKey(
                key.ak,
                key.sk,
                key.security_token,
                key.expires_at.timestamp() if key.expires_at else None,
            )
            for key in entry.key
        ),
        certificates=entry.certificates,
    )
