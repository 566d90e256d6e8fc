"""Calls become domain types here, or are refused with the documented code and the names of all wrong fields.

Only what can be said without asking a cloud or the store. Codes: API reference 7.2; limits: limits.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from omsd.domain.model import (
    BandwidthWindow,
    ConsistencyCheck,
    Credentials,
    OverwriteMode,
    Priority,
    StoragePolicy,
    TaskCredentials,
    TaskId,
    TaskSpec,
    TaskType,
)
from omsd.domain.selection import is_covered, reduce_prefixes
from omsd.domain.windows import overlaps, parse_minute
from omsd.service.barred import BATCH_BARRED, CREATE_BARRED, START_BARRED
from omsd.service.choices import CHECKS, OVERWRITE_MODES, PRIORITIES, STORAGE_POLICIES, TASK_TYPES
from omsd.service.findings import Findings
from omsd.service.limits import (
    BANDWIDTH_LIMITS,
    BATCH_LIMITS,
    CREATE_LIMITS,
    DEFAULT_PAGE,
    DESCRIPTION_LIMITS,
    LIST_LIMITS,
    MAX_BANDWIDTH_RULES,
    START_LIMITS,
)
from omsd.service.listfiles import check_list_file
from omsd.service.locations import ValidationPolicy, check_destination, check_source, is_same_bucket
from omsd.service.needs import (
    BATCH_NEEDS,
    CREATE_NEEDS,
    POLICY_NEEDS,
    RULE_NEEDS,
    START_NEEDS,
    START_SOURCE_NEEDS,
)
from omsd.service.notice_topics import check_smn
from omsd.service.requests import (
    BandwidthRule,
    BatchUpdateTasks,
    CreateTask,
    Dialect,
    DstNode,
    ListTasks,
    SrcNode,
    StartTask,
)

__all__ = [
    "ValidatedBatch",
    "ValidatedList",
    "ValidatedStart",
    "ValidatedTask",
    "ValidationPolicy",
    "validate_bandwidth",
    "validate_batch",
    "validate_create",
    "validate_list",
    "validate_start",
]

# From here on a migrate_since is in milliseconds: as seconds it would be the year 5138.
_FIRST_MILLISECONDS = 100_000_000_000


@dataclass(frozen=True, slots=True)
class ValidatedTask:
    """A task that may be created."""

    spec: TaskSpec
    credentials: TaskCredentials
    priority: Priority
    windows: tuple[BandwidthWindow, ...]


@dataclass(frozen=True, slots=True)
class ValidatedStart:
    """failed_only: run only the objects that failed."""

    credentials: TaskCredentials
    failed_only: bool


@dataclass(frozen=True, slots=True)
class ValidatedList:
    """A page of tasks. status None: any; 6 is allowed and matches none. group_id, name_part "": any."""

    offset: int
    limit: int
    status: int | None
    group_id: str
    name_part: str


@dataclass(frozen=True, slots=True)
class ValidatedBatch:
    """Either group_id or task_ids. windows, priority None: unchanged; windows () removes all limits."""

    group_id: str
    task_ids: tuple[TaskId, ...]
    windows: tuple[BandwidthWindow, ...] | None
    priority: Priority | None


def validate_create(request: CreateTask, policy: ValidationPolicy, *, project_id: str = "") -> ValidatedTask:
    """The task a caller asks for. Raises RequestError with every wrong field.

    CRC64 overwriting and checking is taken for every cloud, though documented for three: where an end
    has no CRC64, size and time decide, as documented.
    """
    findings = Findings()
    src, dst = request.src_node or SrcNode(), request.dst_node or DstNode()
    findings.check(DESCRIPTION_LIMITS[request.dialect], request)
    findings.check(CREATE_LIMITS, request)
    findings.need(CREATE_NEEDS, replace(request, src_node=src))
    findings.bar(CREATE_BARRED, request)
    task_type = findings.choose("task_type", request.task_type, TASK_TYPES, TaskType.OBJECT)
    destination = check_destination(findings, dst, policy)
    spec = TaskSpec(
        source=replace(
            check_source(findings, src, policy), requester_pays=bool(request.enable_requester_pays)
        ),
        destination=destination,
        task_type=task_type,
        object_keys=_object_keys(findings, src, task_type),
        list_file=check_list_file(findings, src.list_file, dst, task_type),
        save_prefix=dst.save_prefix or "",
        description=request.description or "",
        overwrite_mode=findings.choose(
            "object_overwrite_mode",
            request.object_overwrite_mode,
            OVERWRITE_MODES,
            OverwriteMode.SIZE_LAST_MODIFIED,
        ),
        consistency_check=findings.choose(
            "consistency_check", request.consistency_check, CHECKS, ConsistencyCheck.SIZE_LAST_MODIFIED
        ),
        storage_policy=findings.choose(
            "dst_storage_policy", request.dst_storage_policy, STORAGE_POLICIES, StoragePolicy.STANDARD
        ),
        migrate_since_s=_to_seconds(request.migrate_since or 0),
        migrate_metadata=bool(request.enable_metadata_migration),
        record_failed_objects=request.enable_failed_object_recording is not False,
        encrypt_kms=bool(request.enable_kms),
        restore_archived=bool(request.enable_restore),
        smn=check_smn(
            findings, request.smn_config, policy.notices, project_id=project_id, destination=destination
        ),
        thread_num=request.thread_num or 0,
    )
    _check_no_loop(findings, spec)
    windows = _windows(findings, request.bandwidth_policy or (), "bandwidth_policy", request.dialect)
    priority = findings.choose("task_priority", request.task_priority, PRIORITIES, Priority.MEDIUM)
    findings.raise_if_any()
    credentials = TaskCredentials(
        source=_credentials(src.ak, src.sk, src.security_token),
        destination=_credentials(dst.ak, dst.sk, dst.security_token),
    )
    return ValidatedTask(spec, credentials, priority, windows)


def validate_start(request: StartTask, spec: TaskSpec) -> ValidatedStart:
    """The keys for the next run of a task. Raises RequestError with every wrong field."""
    findings = Findings()
    findings.check(START_LIMITS, request)
    findings.bar(START_BARRED, request)
    findings.need(START_NEEDS, request)
    if spec.task_type is not TaskType.URL_LIST:
        findings.need(START_SOURCE_NEEDS, request)
    findings.raise_if_any()
    credentials = TaskCredentials(
        source=_credentials(request.src_ak, request.src_sk, request.src_security_token),
        destination=_credentials(request.dst_ak, request.dst_sk, request.dst_security_token),
    )
    return ValidatedStart(credentials, bool(request.migrate_failed_object))


def validate_bandwidth(
    rules: tuple[BandwidthRule, ...] | None,
    field: str = "bandwidth_policy",
    dialect: Dialect = Dialect.V2,
) -> tuple[BandwidthWindow, ...]:
    """The windows of a policy; () removes all limits, None is a missing mandatory field. Raises RequestError."""
    findings = Findings()
    findings.need(POLICY_NEEDS, rules, at=field)
    windows = _windows(findings, rules or (), field, dialect)
    findings.raise_if_any()
    return windows


def validate_list(request: ListTasks) -> ValidatedList:
    """The page a caller asks for, with the documented defaults. Raises RequestError."""
    findings = Findings()
    findings.check(LIST_LIMITS, request)
    findings.raise_if_any()
    return ValidatedList(
        offset=request.offset or 0,
        limit=DEFAULT_PAGE if request.limit is None else request.limit,
        status=request.status,
        group_id=request.group_id or "",
        name_part=request.task_name or "",
    )


def validate_batch(request: BatchUpdateTasks) -> ValidatedBatch:
    """The change of several tasks. Raises RequestError with every wrong field."""
    findings = Findings()
    findings.check(BATCH_LIMITS, request)
    findings.bar(BATCH_BARRED, request)
    findings.need(BATCH_NEEDS, request)
    priority = None
    if request.task_priority:
        priority = findings.choose("task_priority", request.task_priority, PRIORITIES, Priority.MEDIUM)
    windows = None
    if request.bandwidth_policy is not None:
        windows = _windows(findings, request.bandwidth_policy, "bandwidth_policy")
    findings.raise_if_any()
    ids = tuple(dict.fromkeys(TaskId(number) for number in request.ids or ()))
    return ValidatedBatch(request.group_id or "", ids, windows, priority)


def _object_keys(findings: Findings, node: SrcNode, task_type: TaskType) -> tuple[str, ...]:
    field = "src_node.object_key"
    keys = node.object_key or ()
    if task_type is TaskType.PREFIX:
        return keys or ("",)
    if task_type is TaskType.LIST:
        if any(keys):
            findings.add(
                "OMS.0057", field, "must be left out for tasks of type list: list_file names the keys"
            )
        return ()
    return keys


def _check_no_loop(findings: Findings, spec: TaskSpec) -> None:
    """A bucket copied into itself must not find its own copies."""
    if findings or not is_same_bucket(spec.source, spec.destination):
        return
    if not spec.save_prefix:
        right = "must differ from the source bucket, or set save_prefix: objects would overwrite themselves"
        findings.add("OMS.0058", "dst_node.bucket", right)
    elif _finds_itself(_prefixes(spec), spec.save_prefix):
        right = "must lead outside of what is migrated: the task would find its own copies"
        findings.add("OMS.0058", "dst_node.save_prefix", right)


def _prefixes(spec: TaskSpec) -> tuple[str, ...]:
    if spec.task_type is TaskType.PREFIX:
        return spec.object_keys
    return tuple(key for key in spec.object_keys if key.endswith("/"))


def _finds_itself(prefixes: Iterable[str], save_prefix: str) -> bool:
    read = reduce_prefixes(prefixes)
    written = reduce_prefixes(save_prefix + prefix for prefix in read)
    return any(is_covered(read, prefix) for prefix in written) or any(
        is_covered(written, prefix) for prefix in read
    )


def _windows(
    findings: Findings, rules: tuple[BandwidthRule, ...], field: str, dialect: Dialect = Dialect.V2
) -> tuple[BandwidthWindow, ...]:
    findings.check(BANDWIDTH_LIMITS[dialect], rules, at=field)
    parsed = [_window(findings, rule, f"{field}[{place}]") for place, rule in enumerate(rules)]
    windows = tuple(window for window in parsed if window is not None)
    # With rules left out positions would name the wrong ones; and comparing is quadratic.
    if len(windows) == len(rules) <= MAX_BANDWIDTH_RULES and (pair := overlaps(windows)):
        findings.add("OMS.0085", f"{field}[{pair[1]}]", f"must not overlap with {field}[{pair[0]}]")
    return windows


def _window(findings: Findings, rule: BandwidthRule, at: str) -> BandwidthWindow | None:
    findings.need(RULE_NEEDS, rule, at=at)
    start = _minute(findings, f"{at}.start", rule.start)
    end = _minute(findings, f"{at}.end", rule.end)
    if start is None or end is None or rule.max_bandwidth is None:
        return None
    if start == end:
        findings.add("OMS.0087", f"{at}.end", "must differ from start; the whole day is 00:00 to 23:59")
        return None
    return BandwidthWindow(start, end, rule.max_bandwidth)


def _minute(findings: Findings, field: str, text: str | None) -> int | None:
    if not text:
        return None
    try:
        return parse_minute(text)
    except ValueError:
        findings.add("OMS.0087", field, "must be a time as hh:mm from 00:00 to 23:59")
        return None


def _to_seconds(migrate_since: int) -> int:
    return migrate_since // 1000 if migrate_since >= _FIRST_MILLISECONDS else migrate_since


def _credentials(access_key: str | None, secret_key: str | None, security_token: str | None) -> Credentials:
    return Credentials(access_key or "", secret_key or "", security_token or "")
