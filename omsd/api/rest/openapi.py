"""The OpenAPI 3.1 document, made of the table of routes and their types, so that it cannot say anything else than they do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from omsd import __version__
from omsd.api.rest.answers import ErrorBody
from omsd.api.rest.table import Access, Route

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{([a-z_]+)\}")
_MEANINGS = {
    400: "Refused: the request is wrong, or does not fit the state of the thing",
    401: "Who is calling was not proved",
    403: "The caller may not do this",
    404: "There is no such thing",
    405: "The path has no such method",
    413: "The body is larger than 12 MB",
    500: "The server failed; its log has the request id",
    503: "Busy; to be repeated later",
}
_REQUEST_ID = {
    "X-Request-Id": {
        "description": "The id of the request in the server's log",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    }
}
_ALLOW = {
    "Allow": {
        "description": "The methods that the path has",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Z]+(, [A-Z]+)*$"},
    }
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document."""
    types = _types(routes)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(map(str, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "omsd",
            "version": __version__,
            "description": "The REST API of the Object Storage Migration Service, versions 1 and 2.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "signature": {"type": "apiKey", "in": "header", "name": "Authorization"},
            },
        },
    }


def _types(routes: Iterable[Route]) -> list[Any]:
    """Every type that stands in the document, each once."""
    found: dict[str, Any] = {str(ErrorBody): ErrorBody}
    for route in routes:
        for kind in (route.body, route.answer):
            if kind is not None:
                found.setdefault(str(kind), kind)
    return list(found.values())


def _operation(route: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": _responses(route, schema_of),
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[str(route.body)]}},
        }
    if route.access is not Access.OPEN:
        # The empty entry: an operator may ask nobody who he is.
        operation["security"] = [{"token": []}, {"signature": []}, {}]
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 1024},
        }
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    found = []
    for field in msgspec.structs.fields(route.query):
        (schema,), _ = msgspec.json.schema_components([field.type], ref_template=_REF)
        # A parameter that is not there is null for us, but cannot be null on the wire.
        choices = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
        found.append(
            {
                "name": field.encode_name,
                "in": "query",
                "required": field.required,
                "schema": choices[0],
            }
        )
    return found


def _responses(route: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done", "headers": _REQUEST_ID}
    if route.answer is not None:
        done["content"] = {"application/json": {"schema": schema_of[str(route.answer)]}}
    error = {"application/json": {"schema": schema_of[str(ErrorBody)]}}
    responses = {str(route.status): done}
    for status in statuses_of(route):
        responses[str(status)] = {
            "description": _MEANINGS[status],
            "headers": _REQUEST_ID | (_ALLOW if status == 405 else {}),
            "content": error,
        }
    return responses


def statuses_of(route: Route) -> tuple[int, ...]:
    """The statuses of refusals that a route can answer with.

    405 is of the path: it is what the methods get that are not in the document, and what a value gets that makes the path another one
    (`batch-update` as a task_id).
    """
    found = {400, 405, 413, 500, 503}
    if route.access is not Access.OPEN:
        found |= {401, 403}
    if route.name == "create_token":
        found |= {401, 403}
    if route.missing_is_404:
        found.add(404)
    return tuple(sorted(found))
