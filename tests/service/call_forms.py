"""Forms that several calls of every_call.py have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omsd.service import barred, limits, needs
from omsd.service import choices as names
from omsd.service.requests import BandwidthRule, Dialect
from tests.service.untouched import Alone, Call, choices_at, driven, limits_at, needs_at

RULE = BandwidthRule(start="08:00", end="09:00", max_bandwidth=10 * 2**20)


def list_file_call(name: str, base: Any, send: Callable[[Any], object]) -> Call:
    at = "src_node.list_file"
    return Call(
        name=name,
        base=base,
        send=send,
        limits=limits_at(at, limits.LIST_FILE_LIMITS),
        needs=needs_at(at, needs.LIST_FILE_NEEDS),
        choices={},
    )


def notice_call(name: str, base: Any, send: Callable[[Any], object]) -> Call:
    return Call(
        name=name,
        base=base,
        send=send,
        limits=limits_at("smn_config", limits.SMN_LIMITS),
        needs=needs_at("smn_config", needs.SMN_NEEDS),
        choices=choices_at("smn_config", names.SMN_CHOICES),
    )


def windows_call(
    name: str, send: Callable[[Any], object], dialect: Dialect = Dialect.V2, *, mandatory: bool = True
) -> Call:
    """send: takes the rules."""
    at = "bandwidth_policy"
    return Call(
        name=name,
        base=Alone(bandwidth_policy=(RULE,)),
        send=lambda request: send(request.bandwidth_policy),
        limits=limits_at(at, limits.BANDWIDTH_LIMITS[dialect]),
        needs=(
            *needs_at(at, needs.POLICY_NEEDS if mandatory else ()),
            *needs_at(at + "[]", needs.RULE_NEEDS),
        ),
        choices={},
    )


def named_call(
    name: str,
    field: str,
    send: Callable[[Any], object],
    table: limits.Limits | None = None,
    wanted: needs.Needs = needs.NAMED,
    **more: Any,
) -> Call:
    """A call of one value. send: takes it."""
    base = Alone(**{field: 1 if field == "task_id" else "1"})  # type: ignore[arg-type]
    tables = {"limits": limits_at(field, table or {}), "needs": needs_at(field, wanted), "choices": {}}
    return Call(name=name, base=base, send=lambda request: send(getattr(request, field)), **(tables | more))  # type: ignore[arg-type]


def bucket_call(name: str, base: Any, send: Callable[[Any], object], **tables: Any) -> Call:
    more = {"barred": barred.ACCOUNT_BARRED, "choices": names.ACCOUNT_CHOICES}
    return Call(name=name, base=base, send=lambda request: driven(send(request)), **(more | tables))  # type: ignore[arg-type]
