"""Calls through Huawei's client, with what came of each kept, and the table that is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from omsd.api.rest.app import API_ROUTES
from omsd.api.rest.table import Route
from tests.rest.harness import Http, Reply

TABLE = Path(__file__).resolve().parents[2] / "docs" / "rest-compatibility.md"
_KINDS: dict[str, type | tuple[type, ...]] = {"int": int, "bool": bool, "str": str, "float": (int, float)}
_LIST = re.compile(r"list\[(.+)\]")

# Operations of the documented service that answer otherwise than it does, and why.
DEVIATIONS = {
    "create_task": "source types Azure and URL lists and source_cdn are refused (OMS.0064): not built; "
    "enable_kms may be left out",
    "start_task": "KMS-encrypted keys (crypto_type KMS) are refused (OMS.0064): keys are taken as they are",
    "show_task": "status 6 never occurs; progress is 1 only when nothing is left",
    "create_task_group": "as create_task; security_token is taken, which the reference has not",
    "show_task_group": "all task counts are numbers, where the examples print null",
    "show_cdn_info": "only CDNs without authentication; the signed forms of URLs are refused (OMS.0064)",
    "show_cloud_type": "for dst the one documented cloud, though tasks over gRPC write to all",
    "update_privacy_agreement_record": "does nothing: there is nobody to agree with",
    "create_sync_task": "source_cdn is refused (OMS.0064): not built; tokens are taken, which the reference has not",
    "v1_show_versions": "the example of the reference is no valid JSON; its values are given as one object",
    "v1_create_task": "an object task without keys, or with the key /, means the whole bucket and is shown as prefix task; "
    "dst_node.object_key is a folder below the root, a slash at its beginning means nothing; thread_num is kept and not obeyed",
    "v1_list_tasks": "an array, where the example of the reference prints objects without one",
    "v1_show_task": "failed_object_record has the key errorCode of the table, not that of the example",
    "v1_show_quotas": "the path takes the project id, too",
}


@dataclass
class Record:
    """What was seen of each operation: done, and the codes of refusals with their statuses."""

    done: set[str] = field(default_factory=set)
    refused: dict[str, set[tuple[int, str]]] = field(default_factory=dict)

    def note_done(self, operation: str) -> None:
        self.done.add(operation)

    def note_refused(self, operation: str, status: int, code: str) -> None:
        self.refused.setdefault(operation, set()).add((status, code))


@dataclass
class Caller:
    """A client of the SDK; answers are compared with its models, type by type."""

    sdk: ModuleType
    client: Any
    record: Record

    def request(self, operation: str, **fields: Any) -> Any:
        """The request object of an operation."""
        return getattr(self.sdk, _camel(operation) + "Request")(**fields)

    def __call__(self, operation: str, **fields: Any) -> Any:
        """The answer."""
        answer = getattr(self.client, operation)(self.request(operation, **fields))
        assert answer.status_code == 200
        self._check(answer)
        self.record.note_done(operation)
        return answer

    def refused(self, operation: str, **fields: Any) -> tuple[int, str]:
        """Status and code of a refusal."""
        from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException

        with pytest.raises(ServiceResponseException) as caught:
            getattr(self.client, operation)(self.request(operation, **fields))
        error = caught.value
        assert re.fullmatch("[0-9a-f]{32}", error.request_id)
        assert error.error_msg
        self.record.note_refused(operation, error.status_code, error.error_code)
        return error.status_code, error.error_code

    def _check(self, answer: Any) -> None:
        known = type(answer).openapi_types
        body = answer.to_json_object() if answer.raw_content else {}
        if set(known) == {"body"}:
            self._conforms(body, known["body"], "body")
        else:
            self._conforms_object(body, type(answer), type(answer).__name__)

    def _conforms_object(self, value: Any, model: Any, at: str) -> None:
        assert isinstance(value, dict), at
        for name, kind in model.openapi_types.items():
            key = model.attribute_map[name]
            assert key in value, f"{at}.{key} is missing"
            self._conforms(value[key], kind, f"{at}.{key}")

    def _conforms(self, value: Any, kind: str, at: str) -> None:
        if value is None:
            return
        if found := _LIST.fullmatch(kind):
            assert isinstance(value, list), at
            for entry in value:
                self._conforms(entry, found[1], f"{at}[]")
        elif kind in _KINDS:
            assert isinstance(value, _KINDS[kind]), f"{at}: {value!r} is no {kind}"
            assert kind == "bool" or not isinstance(value, bool), f"{at}: {value!r} is no {kind}"
        else:
            self._conforms_object(value, getattr(self.sdk, kind), at)


@dataclass
class RawCaller:
    """Calls over raw HTTP, of operations that the SDK has not."""

    http: Http
    record: Record

    def __call__(
        self, operation: str, method: str, path: str, body: Any = None, *, status: int = 200
    ) -> Reply:
        reply = self.http.call(method, path, body)
        assert reply.status == status, reply
        self.record.note_done(operation)
        return reply

    def refused(self, operation: str, method: str, path: str, body: Any = None) -> tuple[int, str]:
        reply = self.http.call(method, path, body)
        assert reply.status >= 400, reply
        self.record.note_refused(operation, reply.status, reply.code)
        return reply.status, reply.code


def operations() -> list[str]:
    """Every operation of the table of routes."""
    return [route.name for route in API_ROUTES]


_HEAD = """# The REST API beside the documented one

Made by `make rest-table`, which runs every operation against a daemon with real buckets: those of version 2 through Huawei's own client
(`huaweicloudsdkoms`, unchanged), those of version 1 and of identity over HTTP. A test compares this page with what it saw. Refusals: the
codes that were provoked and read.

| operation | request | state | refusals read | deviations, each with its reason |
|---|---|---|---|---|
"""
_FOOT = """
Of every operation: fields that the reference does not know are left out of account. OMS.0205, OMS.0206 (403), OMS.1005, OMS.0068 (401),
OMS.2004 (503) and OMS.1001 (500) can come from any. Unknown ids are 404 for queries and 400 for changes, as the reference has it.
Choices where the reference contradicts itself: [operations.md](operations.md#old-callers-the-rest-api).
"""


def table(record: Record) -> str:
    """The document, as the record has it."""
    return _HEAD + "".join(f"| {' | '.join(_cells(route, record))} |\n" for route in API_ROUTES) + _FOOT


def _cells(route: Route, record: Record) -> Iterator[str]:
    codes = sorted(record.refused.get(route.name, ()))
    yield f"`{route.name}`"
    yield f"`{route.method} {route.path}`"
    yield "works" if route.name in record.done else "**not run**"
    yield ", ".join(f"{code} ({status})" for status, code in codes) or "-"
    yield DEVIATIONS.get(route.name, "none")


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
