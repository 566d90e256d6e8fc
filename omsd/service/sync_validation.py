"""Calls of synchronization tasks become domain types here, or are refused with the documented code and all wrong fields.

What holds for migration tasks holds here: both go through the same rules, under other field names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import tzinfo

from omsd.domain.catalogue import parse_cloud_type
from omsd.domain.errors import RequestError, Violation
from omsd.domain.model import TaskCredentials, TaskSpec, TaskType
from omsd.domain.sync import KeyNames, SyncState, parse_key
from omsd.domain.sync_figures import FINE_SPAN_MS, LONGEST_SPAN_MS, ONE_HOUR_MS, DataType, month_span
from omsd.service.choices import DATA_TYPES, SYNC_SOURCE_CLOUDS, SYNC_STATES
from omsd.service.findings import Findings
from omsd.service.limits import DEFAULT_PAGE
from omsd.service.locations import ValidationPolicy
from omsd.service.needs import EVENT_NEEDS, STATISTICS_NEEDS
from omsd.service.requests import CreateTask, DstNode, SrcNode, StartTask
from omsd.service.sync_limits import (
    CREATE_SYNC_LIMITS,
    EVENT_LIMITS,
    LIST_SYNC_LIMITS,
    MAX_EVENTS,
    MONTH_LIMITS,
    STATISTICS_LIMITS,
)
from omsd.service.sync_requests import CreateSyncTask, ListSyncTasks, StartSyncTask, SyncStatistics
from omsd.service.validation import validate_create, validate_start

# Names of a migration task's fields, and how the same is called here.
_RENAMED = (("src_node.app_id", "app_id"), ("src_node.", "src_"), ("dst_node.", "dst_"))


@dataclass(frozen=True, slots=True)
class ValidatedSync:
    """A synchronization task that may be created."""

    spec: TaskSpec
    credentials: TaskCredentials
    deletes: bool


@dataclass(frozen=True, slots=True)
class ValidatedSpan:
    """Statistics wanted: types in the order asked for, and a span with both ends."""

    kinds: tuple[DataType, ...]
    start_ms: int
    end_ms: int


def validate_create_sync(request: CreateSyncTask, policy: ValidationPolicy) -> ValidatedSync:
    """The task a caller asks for. Raises RequestError with every wrong field."""
    findings = Findings()
    findings.check(CREATE_SYNC_LIMITS, request)
    if request.src_cloud_type and parse_cloud_type(request.src_cloud_type) not in SYNC_SOURCE_CLOUDS:
        findings.add("OMS.1003", "src_cloud_type", "must be one of " + ", ".join(SYNC_SOURCE_CLOUDS))
    with sync_names(findings):
        valid = validate_create(_as_task(request), policy)
    findings.raise_if_any()
    spec = replace(
        valid.spec, task_type=TaskType.OBJECT, object_keys=(), description=request.description or ""
    )
    return ValidatedSync(spec, valid.credentials, bool(request.enable_delete))


def validate_start_sync(request: StartSyncTask, spec: TaskSpec) -> TaskCredentials:
    """The keys a task goes on with. Raises RequestError with every wrong field."""
    wanted = StartTask(
        src_ak=request.src_ak,
        src_sk=request.src_sk,
        src_security_token=request.src_security_token,
        dst_ak=request.dst_ak,
        dst_sk=request.dst_sk,
        dst_security_token=request.dst_security_token,
        source_cdn_authentication_key=request.source_cdn_authentication_key,
    )
    return validate_start(wanted, spec).credentials


def validate_list_sync(request: ListSyncTasks) -> tuple[int, int, SyncState | None]:
    """Offset, limit and state, None = any. Raises RequestError."""
    findings = Findings()
    findings.check(LIST_SYNC_LIMITS, request)
    state = (
        findings.choose("status", request.status, SYNC_STATES, SyncState.STOPPED) if request.status else None
    )
    findings.raise_if_any()
    return request.offset or 0, DEFAULT_PAGE if request.limit is None else request.limit, state


def validate_events(object_keys: tuple[str, ...]) -> tuple[KeyNames, ...]:
    """The objects the events of a call name, in their order. Raises RequestError with every wrong field."""
    findings = Findings()
    findings.need(EVENT_NEEDS, object_keys, at="object_keys")
    findings.check(EVENT_LIMITS, object_keys, at="object_keys")
    names = []
    for place, text in enumerate(object_keys[:MAX_EVENTS]):
        try:
            names.append(parse_key(text))
        except ValueError as error:
            findings.add("OMS.1003", f"object_keys[{place}]", str(error))
    findings.raise_if_any()
    return tuple(names)


def validate_statistics(request: SyncStatistics, now_ms: int) -> ValidatedSpan:
    """What is asked for, with the last 24 hours as the default span. Raises RequestError with every wrong field."""
    findings = Findings()
    findings.check(STATISTICS_LIMITS, request)
    findings.need(STATISTICS_NEEDS, request)
    kinds = [
        findings.choose(f"data_type[{place}]", text, DATA_TYPES, DataType.REQUEST)
        for place, text in enumerate(request.data_type or ())
    ]
    end_ms = now_ms if request.end_time is None else request.end_time
    start_ms = max(0, end_ms - FINE_SPAN_MS) if request.start_time is None else request.start_time
    if end_ms < start_ms:
        findings.add("OMS.0051", "end_time", "must not be before start_time")
    elif end_ms - start_ms > LONGEST_SPAN_MS:
        findings.add(
            "OMS.0051",
            "end_time",
            f"must be at most {LONGEST_SPAN_MS // ONE_HOUR_MS:,} hours after start_time",
        )
    findings.raise_if_any()
    return ValidatedSpan(tuple(dict.fromkeys(kinds)), start_ms, end_ms)


def validate_month(query_time: int | None, now_ms: int, zone: tzinfo) -> tuple[int, int]:
    """Start and end of the month wanted, by default this one. Raises RequestError."""
    findings = Findings()
    findings.check(MONTH_LIMITS, query_time, at="query_time")
    findings.raise_if_any()
    return month_span(now_ms if query_time is None else query_time, zone)


@contextmanager
def sync_names(findings: Findings | None = None) -> Iterator[None]:
    """Refusals of the block name the fields as a synchronization task has them; with findings they are added to those."""
    try:
        yield
    except RequestError as error:
        violations = tuple(Violation(_renamed(v.field), _renamed(v.description)) for v in error.violations)
        if findings is None:
            raise RequestError(
                error.code, _renamed(error.message), refusal=error.refusal, violations=violations
            ) from error
        for violation in violations:
            if violation.field not in findings:
                findings.add(error.code, violation.field, violation.description)
        findings.raise_if_any()


def _renamed(text: str) -> str:
    for theirs, ours in _RENAMED:
        text = text.replace(theirs, ours)
    return text


def _as_task(request: CreateSyncTask) -> CreateTask:
    """A migration task of the whole bucket with the same wishes; the description has rules of its own."""
    return CreateTask(
        src_node=SrcNode(
            cloud_type=request.src_cloud_type,
            region=request.src_region,
            bucket=request.src_bucket,
            ak=request.src_ak,
            sk=request.src_sk,
            security_token=request.src_security_token,
            endpoint=request.src_endpoint,
            app_id=request.app_id,
        ),
        dst_node=DstNode(
            cloud_type=request.dst_cloud_type,
            region=request.dst_region,
            bucket=request.dst_bucket,
            ak=request.dst_ak,
            sk=request.dst_sk,
            security_token=request.dst_security_token,
            endpoint=request.dst_endpoint,
        ),
        task_type="prefix",
        enable_metadata_migration=request.enable_metadata_migration,
        enable_kms=request.enable_kms,
        enable_restore=request.enable_restore,
        dst_storage_policy=request.dst_storage_policy,
        consistency_check=request.consistency_check,
        object_overwrite_mode=request.object_overwrite_mode,
        source_cdn=request.source_cdn,
    )
