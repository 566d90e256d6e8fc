"""Mandatory is what the least right call has, and nothing else: it is taken as it is, and without any one of its fields it is refused.

These calls are written by hand from the reference, so that a field that is dropped from needs.py, or from a call that should ask for it,
is missed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from types import ModuleType
from typing import Any

import pytest

from omsd.service import (
    barred,
    bucket_limits,
    bucket_requests,
    choices,
    group_limits,
    limits,
    needs,
    sync_limits,
)
from omsd.service.barred import Barred
from omsd.service.group_requests import CreateTaskGroup, RetryTaskGroup, StartTaskGroup
from omsd.service.needs import Needed
from omsd.service.requests import (
    BandwidthRule,
    BatchUpdateTasks,
    CreateTask,
    Dialect,
    DstNode,
    ListFile,
    SmnConfig,
    SourceCdn,
    SrcNode,
    StartTask,
)
from omsd.service.sync_requests import CreateSyncTask, StartSyncTask, SyncStatistics
from tests.service.every_call import CALLS, TOPIC
from tests.service.untouched import Alone, joined
from tests.service.validation_requests import with_value

SRC = SrcNode(region="cn-hangzhou", bucket="from-here", ak="A", sk="S")
DST = DstNode(region="cn-north-4", bucket="to-there", ak="A", sk="S")
NAMED = replace(SRC, object_key=("a",))
LISTED = replace(SRC, list_file=ListFile(list_file_key="a.txt", obs_bucket="lists"))
TENCENT = replace(NAMED, cloud_type="Tencent", region="ap-beijing", bucket="from-125", app_id="125")
SMN = SmnConfig(topic_urn=TOPIC, trigger_conditions=("SUCCESS",))
RULES = (BandwidthRule(start="08:00", end="09:00", max_bandwidth=10 * 2**20),)
ACCOUNT: dict[str, Any] = {"ak": "A", "sk": "S"}
KEYS: dict[str, Any] = {"src_ak": "A", "src_sk": "S", "dst_ak": "A", "dst_sk": "S"}
SYNC = CreateSyncTask(
    **KEYS,
    src_region="cn-hangzhou",
    src_bucket="from-here",
    dst_region="cn-north-4",
    dst_bucket="to-there",
)
CDN = bucket_requests.GetCdnInfo(
    **ACCOUNT,
    cloud_type="AWS",
    bucket="photos",
    region="us-east-1",
    source_cdn=SourceCdn(domain="h", protocol="https"),
)

OBJECTS = bucket_requests.ListBucketObjects(
    **ACCOUNT,
    cloud_type="AWS",
    bucket_name="photos",
    data_center="us-east-1",
    file_path="",
    page_size=1,
    behind_filename="",
)
PREFIX = bucket_requests.CheckPrefix(**ACCOUNT, bucket_name="photos", file_name="", data_center="cn-hangzhou")
BUCKET_REGION = bucket_requests.GetBucketRegion(**ACCOUNT, bucket_name="photos")
URL_LIST = bucket_requests.CheckUrlList(
    **ACCOUNT, region="cn-north-4", list_file=ListFile(list_file_key="a.txt", obs_bucket="lists")
)


@dataclass(frozen=True, slots=True)
class Least:
    """switches: fields that decide what else is mandatory; without them it is another call."""

    call: str
    request: Any
    switches: tuple[str, ...] = ()


CREATE = CreateTask(src_node=NAMED, dst_node=DST)
GROUP = CreateTaskGroup(src_node=SRC, dst_node=DST)
LEAST = (
    Least("create", CREATE),
    Least("create", replace(CREATE, src_node=TENCENT), ("src_node.cloud_type",)),
    Least("create", replace(CREATE, smn_config=SMN), ("smn_config",)),
    Least("create", replace(CREATE, bandwidth_policy=RULES), ("bandwidth_policy",)),
    Least("create", replace(CREATE, src_node=LISTED, task_type="list"), ("task_type",)),
    Least("create", replace(CREATE, src_node=SRC, task_type="prefix"), ("task_type",)),
    Least("create as V1", replace(CREATE, dialect=Dialect.V1, thread_num=1, enable_kms=False), ("dialect",)),
    Least("start", StartTask(**KEYS)),
    Least("list as V1", Alone(start=0, limit=1)),
    Least("batch", BatchUpdateTasks(ids=(1,), task_priority="LOW")),
    Least("batch", BatchUpdateTasks(ids=(1,), bandwidth_policy=RULES)),
    Least("batch of a group", BatchUpdateTasks(group_id="g", task_priority="LOW")),
    Least("bandwidth", Alone(bandwidth_policy=RULES)),
    Least("group create", GROUP),
    Least("group create", replace(GROUP, src_node=LISTED, task_type="LIST"), ("task_type",)),
    Least(
        "group create", replace(GROUP, src_node=replace(TENCENT, object_key=None)), ("src_node.cloud_type",)
    ),
    Least("group start", StartTaskGroup(**KEYS)),
    Least("group retry", RetryTaskGroup()),
    Least("group retry", RetryTaskGroup(**KEYS)),
    Least("group update", Alone(bandwidth_policy=RULES)),
    *(
        Least(f"group {name}", Alone(group_id="g"))
        for name in ("get", "stop", "delete", "start by id", "retry by id", "update by id")
    ),
    Least("sync create", SYNC),
    Least(
        "sync create",
        replace(SYNC, src_cloud_type="Tencent", src_region="ap-beijing", src_bucket="f-125", app_id="125"),
        ("src_cloud_type",),
    ),
    Least("sync start", StartSyncTask(**KEYS)),
    Least("sync statistics", SyncStatistics(data_type=("SIZE",))),
    Least("sync events", Alone(object_keys=("a",))),
    Least("buckets", bucket_requests.ListBuckets(**ACCOUNT)),
    Least(
        "buckets",
        bucket_requests.ListBuckets(**ACCOUNT, cloud_type="Tencent", app_id="125"),
        ("cloud_type",),
    ),
    Least("objects", OBJECTS),
    Least("bucket region", BUCKET_REGION),
    Least("prefix", PREFIX),
    Least("cdn", CDN),
    Least("cdn", replace(CDN, prefix=bucket_requests.PrefixKeyInfo(keys=("a",))), ("prefix", "prefix.keys")),
    Least("url list", URL_LIST),
    *(
        Least(name, replace(base, cloud_type="Tencent", app_id="125", **region), ("cloud_type",))
        for name, base, region in (
            ("objects", OBJECTS, {"data_center": "ap-beijing"}),
            ("bucket region", BUCKET_REGION, {}),
            ("prefix", PREFIX, {"data_center": "ap-beijing"}),
            ("cdn", CDN, {"region": "ap-beijing"}),
            ("url list", URL_LIST, {"region": "ap-beijing"}),
        )
    ),
    Least("a call's project_id", Alone(project_id="p")),
    Least("a call's task_id", Alone(task_id=1)),
    Least("a call's sync_task_id", Alone(sync_task_id="s")),
    Least("version", Alone(version="v2")),
    Least("clouds", Alone(type="src")),
    Least("iam login", Alone(name="n", password="p")),
)
BY_NAME = {call.name: call for call in CALLS}


def given(request: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """The paths of all fields that are set, with what leaves each out."""
    for field in fields(request):
        path, value = joined(at, field.name), getattr(request, field.name)
        if value == field.default:
            continue
        # A list file is always there as a whole: what is absent of it is empty.
        yield path, "" if isinstance(request, ListFile) else None
        if is_dataclass(value):
            yield from given(value, path)
        elif isinstance(value, tuple) and is_dataclass(value[0]):
            yield from given(value[0], path + "[]")
        elif isinstance(value, tuple) and isinstance(value[0], str):
            yield path + "[]", ""


@pytest.mark.parametrize("least", [pytest.param(least, id=least.call) for least in LEAST])
def test_what_is_not_mandatory_is_not_asked_for(least: Least) -> None:
    assert BY_NAME[least.call].refusal(least.request) is None


@pytest.mark.parametrize(
    ("least", "path", "blank"),
    [
        pytest.param(least, path, blank, id=f"{least.call}-{path}")
        for least in LEAST
        for path, blank in given(least.request)
        if path not in least.switches
    ],
)
def test_without_one_mandatory_field_the_call_is_refused_and_the_field_named(
    least: Least, path: str, blank: object
) -> None:
    call = BY_NAME[least.call]
    error = call.refusal(with_value(least.request, path, blank))
    assert error is not None, f"{path} is not asked for"
    field = joined(call.at, path).replace("[]", "[0]")
    # Of two that do for each other the first is named, and says so.
    assert any(
        v.field == field or v.field.startswith(f"{field}.") or f"{field} is mandatory" in v.description
        for v in error.violations
    ), error


TABLES = (barred, bucket_limits, choices, group_limits, limits, needs, sync_limits)
# LOGIN_NEEDS is that of the gRPC interface, see tests/api. The names of calls are in choices under their fields.
ELSEWHERE = ("LOGIN_NEEDS",)


def declared_in(module: ModuleType) -> Iterator[tuple[str, str, object]]:
    """Name, path and rule of everything that is declared in a module."""
    for name, table in vars(module).items():
        if name.startswith("_") or name in ELSEWHERE:
            continue
        if isinstance(table, tuple):
            yield from ((name, rule.field, rule) for rule in table if isinstance(rule, Needed | Barred))
        elif name.endswith(("_LIMITS", "_CHOICES")) and isinstance(table, Mapping):
            # Some are there once for each version of the API.
            by_path = table.values() if isinstance(next(iter(table)), Dialect) else [table]
            yield from ((name, path, rule) for one in by_path for path, rule in one.items())


def in_calls() -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for call in CALLS:
        found += [(path, rule) for table in (call.limits, call.choices) for path, rule in table.items()]
        found += [(rule.field, rule) for rule in (*call.needs, *call.barred)]
    return found


def same(declared: object, used: object, path: str) -> bool:
    """Equal, though the one that is used may be that of a whole call, of which the table holds a part."""
    if isinstance(declared, Needed) and isinstance(used, Needed):
        when = declared.when if used.when is None or declared.when is None else used.when
        return replace(declared, when=when) == replace(used, field=path)
    return declared == used


@pytest.mark.parametrize("module", TABLES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_everything_that_is_declared_is_tested_with_a_call(module: ModuleType) -> None:
    used = in_calls()
    untested = [
        (name, path)
        for name, path, rule in declared_in(module)
        if not any(same(rule, other, path) and other_path.endswith(path) for other_path, other in used)
    ]
    assert untested == []
