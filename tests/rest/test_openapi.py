"""The OpenAPI document: made of the table of routes, and true of the daemon also for requests that nobody would write by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from omsd.api.rest.app import API_ROUTES
from omsd.api.rest.table import Access
from omsd.domain.access import OPEN_OPERATIONS, READING_OPERATIONS
from tests.rest.harness import PROJECT, Http, RestDaemon

# For each operation: some 30 seconds in all.
EXAMPLES = 15
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def document(rest_daemon: RestDaemon) -> dict[str, Any]:
    found: dict[str, Any] = Http(rest_daemon.url).call("GET", "/openapi.json").json
    return found


def test_the_document_has_every_route_of_the_table(document: dict[str, Any]) -> None:
    told = {
        (method.upper(), path, operation["operationId"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert {(route.method, route.path, route.name) for route in API_ROUTES} <= told
    assert len(told) == len(API_ROUTES) + 3
    assert document["openapi"] == "3.1.0"


def test_methods_that_a_path_does_not_have_are_refused_as_the_document_says(
    document: dict[str, Any], rest_daemon: RestDaemon
) -> None:
    http, tried = Http(rest_daemon.url), 0
    for template, methods in document["paths"].items():
        path = template.replace("{project_id}", PROJECT).replace("{version}", "v2")
        path = re.sub(r"\{[a-z_]+\}", "1", path)
        for method in METHODS - {name.upper() for name in methods}:
            reply = http.call(method, path)
            tried += 1
            assert (reply.status, reply.headers["allow"]) == (
                405,
                ", ".join(sorted(name.upper() for name in methods)),
            ), (method, path)
            assert method == "HEAD" or reply.code in ("OMS.1008", "S3M.0005")
        for operation in methods.values():
            assert operation["responses"]["405"]["headers"]["Allow"]["required"] is True
    assert tried > 5 * len(document["paths"])


def test_a_value_that_makes_the_path_another_one_is_answered_as_documented(
    loaded: Any, rest_daemon: RestDaemon
) -> None:
    named = {"project_id": PROJECT, "task_id": "batch-update"}
    case = loaded.find_operation_by_id("show_task").Case(path_parameters=named)
    reply = case.call(base_url=rest_daemon.url)
    assert reply.status_code == 405
    case.validate_response(reply, checks=CHECKS)


def test_names_are_given_once() -> None:
    assert len({route.name for route in API_ROUTES}) == len(API_ROUTES)
    assert len({(route.method, route.path) for route in API_ROUTES}) == len(API_ROUTES)


def test_what_a_route_may_do_agrees_with_permissions() -> None:
    for route in API_ROUTES:
        if route.access is Access.CHANGE:
            assert route.operation not in READING_OPERATIONS | OPEN_OPERATIONS, route.name
        if route.operation in READING_OPERATIONS:
            assert route.access in (Access.READ, Access.SELF), route.name


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def loaded(document: dict[str, Any]) -> Any:
    return schemathesis.openapi.from_dict(document)


def requests_of(operation: Any) -> st.SearchStrategy[schemathesis.Case]:
    """Requests that keep to the document and such that do not; most are about a project the caller may use."""
    known = {"project_id": PROJECT} if "{project_id}" in operation.path else None
    modes = [schemathesis.GenerationMode.POSITIVE]
    if operation.body or operation.query or operation.path_parameters:
        modes.append(schemathesis.GenerationMode.NEGATIVE)
    cases = [operation.as_strategy(generation_mode=mode, path_parameters=known) for mode in modes]
    return st.one_of(*cases, *cases, operation.as_strategy(generation_mode=modes[-1]))


@pytest.mark.parametrize("name", [route.name for route in API_ROUTES])
def test_no_request_gets_an_answer_outside_of_the_document(
    loaded: Any, rest_daemon: RestDaemon, token: str, session: requests.Session, name: str
) -> None:
    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=requests_of(loaded.find_operation_by_id(name)))
    def ask(case: schemathesis.Case) -> None:
        reply = case.call(base_url=rest_daemon.url, headers={"X-Auth-Token": token}, session=session)
        case.validate_response(reply, checks=CHECKS)

    ask()
