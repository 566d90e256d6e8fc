"""What a route is: one row of the table from which requests are dispatched and the OpenAPI document is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from omsd.api.rest.services import Services
from omsd.domain.access import ANYBODY, Principal


class Version(StrEnum):
    """Whose form an answer has. NONE: not of the documented service itself."""

    V1 = "v1"
    V2 = "v2"
    NONE = ""


class Access(StrEnum):
    """Who may call. OPEN: everybody; SELF: who proves who he is; the others also need the right in the project."""

    OPEN = "open"
    SELF = "self"
    READ = "read"
    CHANGE = "change"


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was understood. path: the values of the template; base_url: of this server, as the caller wrote it.

    query and body are instances of the route's types; body is None where the route has none. address: where the call came from.
    """

    path: MappingProxyType[str, str]
    query: Any
    body: Any
    base_url: str
    address: str = ""
    caller: Principal = ANYBODY

    @property
    def project_id(self) -> str:
        """The project in the path."""
        return self.path["project_id"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is more than 200 and a body. headers: beside those that every answer has."""

    body: object | None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Services, Call], Awaitable[object | None]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    name: the operation's documented name in snake case. operation: its name in permissions and the audit log. query: the Struct its
    query parameters are read into. body: the Struct of its body, None = it has none. answer: type of the answer's body, None = the
    answer is empty. missing_is_404: whether an unknown id is 404 (as documented for queries) or 400 (for the others). frequent: asked
    many times a second, so it is logged at debug only. of_tasks: nothing but the path, the query and the tasks decide its answer.
    """

    name: str
    method: str
    path: str
    summary: str
    handler: Handler
    access: Access
    operation: str
    version: Version = Version.V2
    query: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] | None = None
    answer: Any = None
    status: int = 200
    missing_is_404: bool = False
    frequent: bool = False
    of_tasks: bool = False
    segments: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.path[1:].split("/")))
