"""Valid calls for the validation tests, and a way to change one field of them by its documented path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from omsd.domain.errors import Refusal, RequestError
from omsd.service.requests import CreateTask, DstNode, SrcNode, StartTask
from omsd.service.validation import ValidatedTask, ValidationPolicy, validate_create

ANY = ValidationPolicy()

SECRETS = (
    "S3CR3T-src-ak",
    "S3CR3T-src-sk",
    "S3CR3T-src-token",
    "S3CR3T-dst-ak",
    "S3CR3T-dst-sk",
    "S3CR3T-dst-token",
)


def create(**changes: Any) -> CreateTask:
    """A valid creation; keys are paths with __ for the dot: src_node__bucket="b"."""
    request = CreateTask(
        src_node=SrcNode(
            cloud_type="AWS",
            region="us-east-1",
            ak=SECRETS[0],
            sk=SECRETS[1],
            security_token=SECRETS[2],
            bucket="from-here",
            object_key=("name",),
            endpoint="http://127.0.0.1:8333",
        ),
        dst_node=DstNode(
            cloud_type="AWS",
            region="us-east-1",
            ak=SECRETS[3],
            sk=SECRETS[4],
            security_token=SECRETS[5],
            bucket="to-there",
            endpoint="http://127.0.0.1:8333",
        ),
    )
    for path, value in changes.items():
        request = with_value(request, path.replace("__", "."), value)
    return request


def start(**changes: Any) -> StartTask:
    return replace(
        StartTask(src_ak=SECRETS[0], src_sk=SECRETS[1], dst_ak=SECRETS[3], dst_sk=SECRETS[4]), **changes
    )


def with_value(request: Any, path: str, value: object) -> Any:
    """The call with another value at a path of limits.py; `[]` puts it into an array of its own, or into the first entry."""
    head, _, rest = path.partition(".")
    if rest and head.endswith("[]"):
        first = getattr(request, head[:-2])[0]
        return replace(request, **{head[:-2]: (with_value(first, rest, value),)})
    if rest:
        return replace(request, **{head: with_value(getattr(request, head), rest, value)})
    if head.endswith("[]"):
        return replace(request, **{head[:-2]: (value,)})
    return replace(request, **{head: value})


def refusal_of(call: Callable[[], object]) -> RequestError:
    """The refusal of a call that must be refused."""
    with pytest.raises(RequestError) as caught:
        call()
    error = caught.value
    assert error.refusal is Refusal.INVALID
    assert error.violations
    assert error.violations[0].field in error.message
    return error


def made(**changes: Any) -> ValidatedTask:
    """What becomes of a creation that is as wanted."""
    return validate_create(create(**changes), ANY)


def refused(policy: ValidationPolicy = ANY, **changes: Any) -> RequestError:
    """The refusal of a creation."""
    return refusal_of(lambda: validate_create(create(**changes), policy))


def fields_of(error: RequestError) -> list[str]:
    return [violation.field for violation in error.violations]
