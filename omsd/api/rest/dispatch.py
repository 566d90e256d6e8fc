"""Which route a request is for, by its method and path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote

import msgspec

from omsd.api.rest.errors import UNKNOWN_PATH_CODE, WRONG_METHOD_CODE
from omsd.api.rest.table import Route
from omsd.domain.errors import Refusal, RequestError
from omsd.service.identifiers import validate_project_id

Found = tuple[Route, MappingProxyType[str, str]]

# What clients send when they were not told their project.
_NO_PROJECT = "{project_id}"
# Who polls asks for the same few paths again and again; looking one up costs as much as all the rest of a call that has its answer.
_REMEMBERED_NUM = 512
_REMEMBERED_CHARS = 200


class PathError(RequestError):
    """status: 404 or 405, whatever the route."""

    def __init__(self, code: str, message: str, status: int, allowed: str = "") -> None:
        super().__init__(code, message, refusal=Refusal.NOT_FOUND)
        self.status = status
        self.allowed = allowed


class RouteTable:
    """Routes by path; decoders of their bodies by name."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._by_length: dict[int, list[tuple[str, ...]]] = {}
        self._by_path: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in routes:
            self._by_path.setdefault(route.segments, {})[route.method] = route
        for segments in self._by_path:
            self._by_length.setdefault(len(segments), []).append(segments)
        for templates in self._by_length.values():
            # Words before parameters: /tasks/batch-update is no task.
            templates.sort(key=lambda segments: [segment.startswith("{") for segment in segments])
        self.decoders = {
            route.name: msgspec.json.Decoder(route.body) for route in routes if route.body is not None
        }
        self._remembering = lru_cache(_REMEMBERED_NUM)(self._look_up)

    def find(self, method: str, raw_path: str) -> Found:
        """The route, and the values of its parameters. Raises RequestError: 404 for an unknown path, 405 for a wrong method."""
        look_up = self._remembering if len(raw_path) <= _REMEMBERED_CHARS else self._look_up
        return look_up(method, raw_path)

    def _look_up(self, method: str, raw_path: str) -> Found:
        try:
            given = [unquote(segment, errors="strict") for segment in raw_path[1:].split("/")]
        except UnicodeDecodeError as error:
            raise RequestError("OMS.0002", "the path must be UTF-8, URL-encoded") from error
        for template in self._by_length.get(len(given), ()):
            values = _match(template, given)
            if values is not None:
                routes = self._by_path[template]
                if method in routes:
                    return routes[method], MappingProxyType(values)
                allowed = ", ".join(sorted(routes))
                raise PathError(WRONG_METHOD_CODE, f"the method must be {allowed}", 405, allowed)
        raise PathError(UNKNOWN_PATH_CODE, "there is no such path", 404)


def check_project(path: Mapping[str, str]) -> None:
    """A project in a path can be one. Raises RequestError."""
    project_id = path.get("project_id")
    if project_id == _NO_PROJECT:
        raise RequestError.of_field(
            "OMS.0064", "project_id", "the client has no project ID; give it one beside its keys"
        )
    if project_id is not None:
        _check_id(project_id)


# What is refused is not remembered.
_check_id = lru_cache(_REMEMBERED_NUM)(validate_project_id)


def _match(template: tuple[str, ...], given: Sequence[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for wanted, segment in zip(template, given, strict=True):
        if wanted.startswith("{"):
            if not segment:
                return None
            values[wanted[1:-1]] = segment
        elif wanted != segment:
            return None
    return values
