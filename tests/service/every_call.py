"""Every call of every service with the tables that hold for it, in front of those that a wrong call must not reach."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

from omsd.api.rest import bodies_v1, iam, mapping_v1
from omsd.domain.errors import Refusal, RequestError
from omsd.service import barred, bucket_limits, bucket_requests, group_limits, limits, needs, sync_limits
from omsd.service import choices as names
from omsd.service.buckets import BucketService
from omsd.service.catalog import CatalogService
from omsd.service.group_requests import CreateTaskGroup, ListTaskGroups, RetryTaskGroup, StartTaskGroup
from omsd.service.groups import GroupService
from omsd.service.identifiers import (
    validate_project_id,
    validate_request_id,
    validate_sync_task_id,
    validate_task_id,
)
from omsd.service.notice_topics import WebhookTopic, notice_topics
from omsd.service.requests import BatchUpdateTasks, Dialect, ListFile, ListTasks, SmnConfig, SourceCdn
from omsd.service.sync_requests import ListSyncTasks, StartSyncTask, SyncStatistics
from omsd.service.syncs import SyncService
from omsd.service.tasks import TaskService
from omsd.service.validation import ValidationPolicy, validate_start
from tests.fakes.clock import FakeClock
from tests.service.call_forms import bucket_call, list_file_call, named_call, notice_call, windows_call
from tests.service.sync_harness import create_sync
from tests.service.untouched import (
    PROJECT,
    SPEC,
    Alone,
    Call,
    Finding,
    FindingGroup,
    Reached,
    Untouched,
    driven,
    limits_at,
    needs_at,
    reaches,
    renamed,
    without,
)
from tests.service.validation_requests import create, start

TOPIC = "urn:smn:local:0:team"
POLICY = ValidationPolicy(notices=notice_topics([], [WebhookTopic(TOPIC)]))

NOBODY: Any = Untouched()
FINDING: Any = FindingGroup()
FINDING_SYNC: Any = Finding()
TASKS = TaskService(NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, POLICY, NOBODY, NOBODY)
SYNCS = SyncService(NOBODY, FINDING_SYNC, NOBODY, FakeClock(), POLICY, UTC)
GROUPS = GroupService(FINDING, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, POLICY, NOBODY, NOBODY)
BUCKETS = BucketService(NOBODY, POLICY, deadline_s=1.0)
CATALOG = CatalogService(NOBODY, NOBODY, endpoints=(), max_parallel_tasks=1, quotas=NOBODY, sync_tasks=NOBODY)

LISTED = create(
    task_type="list",
    src_node__object_key=None,
    src_node__list_file=ListFile(list_file_key="a.txt", obs_bucket="lists"),
)
NOTICE = SmnConfig(topic_urn=TOPIC, trigger_conditions=("SUCCESS",), language="en-us")
_TASK = create()
GROUP = CreateTaskGroup(src_node=_TASK.src_node, dst_node=_TASK.dst_node, task_type="PREFIX")
ASKED = {"cloud_type": "AWS", "ak": "A", "sk": "S", "endpoint": "https://h"}
CDN = SourceCdn(authentication_type="NONE", domain="cdn.example.com", protocol="https")
USER = "auth.identity.password.user"

NODES: needs.Needs = (
    *needs_at("src_node", needs.NODE_NEEDS),
    *needs_at("dst_node", needs.NODE_NEEDS),
)
SYNC_NODES: limits.Limits = {
    path: limit
    for path, limit in limits.CREATE_LIMITS.items()
    if path.startswith(("src_node.", "dst_node."))
    and path.rpartition(".")[2] not in ("object_key", "object_key[]", "save_prefix", "json_auth_file")
}
# Of the rules for tasks those that a group, and a synchronization task, can come to.
GROUP_NEEDS = tuple(
    needed
    for needed in needs.CREATE_NEEDS
    if needed.when is None or not needed.when.values & {"object", Dialect.V1}
)
SYNC_NEEDS = tuple(needed for needed in GROUP_NEEDS if needed.field == "src_node.app_id")


def version(text: str) -> object:
    """Found, or unknown: then it has been looked for."""
    try:
        return reaches(CATALOG.version(text))
    except RequestError as error:
        if error.refusal is Refusal.NOT_FOUND:
            raise Reached from error
        raise


def iam_login(request: Any) -> object:
    user = iam.UserBody(name=request.name, password=request.password)
    identity = iam.Identity(password=iam.PasswordBody(user=user))
    return iam.token_request_of(iam.TokenBody(auth=iam.AuthBody(identity=identity)))


def v1_list(request: Any) -> object:
    return mapping_v1.list_of(
        bodies_v1.ListQuery(start=request.start, limit=request.limit, state=request.state)
    )


CALLS = [
    Call(
        name="create",
        base=create(),
        send=lambda request: driven(TASKS.create(PROJECT, request)),
        limits={**limits.CREATE_LIMITS, **limits.DESCRIPTION_LIMITS[Dialect.V2]},
        needs=(*NODES, *needs.CREATE_NEEDS),
        barred=barred.CREATE_BARRED,
        choices=names.CREATE_CHOICES,
    ),
    Call(
        name="create as V1",
        base=create(dialect=Dialect.V1, thread_num=1, enable_kms=False),
        send=lambda request: driven(TASKS.create(PROJECT, request)),
        limits={**limits.CREATE_LIMITS, **limits.DESCRIPTION_LIMITS[Dialect.V1]},
        needs=(*NODES, *needs.CREATE_NEEDS),
        barred=barred.CREATE_BARRED,
        choices=names.CREATE_CHOICES,
    ),
    list_file_call("create from a list", LISTED, lambda request: driven(TASKS.create(PROJECT, request))),
    notice_call(
        "create with a notice",
        create(smn_config=NOTICE),
        lambda request: driven(TASKS.create(PROJECT, request)),
    ),
    Call(
        name="start",
        base=start(),
        send=lambda request: reaches(validate_start(request, SPEC)),
        limits=limits.START_LIMITS,
        needs=(*needs.START_NEEDS, *needs.START_SOURCE_NEEDS),
        barred=barred.START_BARRED,
        choices={},
    ),
    Call(
        name="list",
        base=ListTasks(),
        send=lambda request: driven(TASKS.list(PROJECT, request)),
        limits=limits.LIST_LIMITS,
        choices={},
    ),
    Call(
        name="list as V1",
        base=Alone(start=0, limit=1),
        send=lambda request: reaches(v1_list(request)),
        limits=limits.V1_LIST_LIMITS,
        needs=needs.V1_LIST_NEEDS,
        choices={},
    ),
    Call(
        name="batch",
        base=BatchUpdateTasks(task_priority="HIGH", ids=(1,)),
        send=lambda request: driven(TASKS.batch_update(PROJECT, request)),
        limits=without(limits.BATCH_LIMITS, "group_id"),
        needs=needs.BATCH_NEEDS,
        choices=names.BATCH_CHOICES,
    ),
    Call(
        name="batch of a group",
        base=BatchUpdateTasks(task_priority="HIGH", group_id="g"),
        send=lambda request: driven(TASKS.batch_update(PROJECT, request)),
        limits=without(limits.BATCH_LIMITS, "ids", "ids[]"),
        barred=barred.BATCH_BARRED,
        choices=names.BATCH_CHOICES,
    ),
    windows_call("bandwidth", lambda rules: driven(TASKS.update_bandwidth(PROJECT, 1, rules))),
    windows_call(
        "bandwidth as V1",
        lambda rules: driven(TASKS.update_bandwidth(PROJECT, 1, rules, Dialect.V1)),
        Dialect.V1,
    ),
    windows_call(
        "create with windows",
        lambda rules: driven(TASKS.create(PROJECT, create(bandwidth_policy=rules))),
        mandatory=False,
    ),
    Call(
        name="group create",
        base=GROUP,
        send=lambda request: driven(GROUPS.create(PROJECT, request)),
        limits={**group_limits.CREATE_GROUP_LIMITS, **limits.DESCRIPTION_LIMITS[Dialect.V2]},
        needs=(*NODES, *GROUP_NEEDS),
        barred=tuple(bar for bar in barred.CREATE_BARRED if bar.field != "task_type"),
        choices=names.CREATE_GROUP_CHOICES,
    ),
    Call(
        name="group create from URLs",
        base=replace(GROUP, src_node=replace(LISTED.src_node, cloud_type=None), task_type="LIST"),
        send=lambda request: driven(GROUPS.create(PROJECT, request)),
        limits={},
        barred=barred.GROUP_TYPE_BARRED,
        choices={},
    ),
    list_file_call(
        "group create from lists",
        replace(GROUP, src_node=LISTED.src_node, task_type="LIST"),
        lambda request: driven(GROUPS.create(PROJECT, request)),
    ),
    notice_call(
        "group create with a notice",
        replace(GROUP, smn_config=NOTICE),
        lambda request: driven(GROUPS.create(PROJECT, request)),
    ),
    windows_call(
        "group create with windows",
        lambda rules: driven(GROUPS.create(PROJECT, replace(GROUP, bandwidth_policy=rules))),
        mandatory=False,
    ),
    Call(
        name="group start",
        base=StartTaskGroup(src_ak="A", src_sk="S", dst_ak="A", dst_sk="S"),
        send=lambda request: driven(GROUPS.start(PROJECT, "x", request)),
        limits=group_limits.START_GROUP_LIMITS,
        needs=(*needs.START_NEEDS, *needs.START_SOURCE_NEEDS),
        barred=barred.START_BARRED,
        choices={},
    ),
    Call(
        name="group retry",
        base=RetryTaskGroup(src_ak="A", src_sk="S", dst_ak="A", dst_sk="S"),
        send=lambda request: driven(GROUPS.retry(PROJECT, "x", request)),
        limits=group_limits.START_GROUP_LIMITS,
        needs=needs.RETRY_GROUP_NEEDS,
        barred=barred.START_BARRED,
        choices={},
    ),
    Call(
        name="group list",
        base=ListTaskGroups(),
        send=lambda request: driven(GROUPS.list(PROJECT, request)),
        limits=group_limits.LIST_GROUP_LIMITS,
        choices={},
    ),
    windows_call("group update", lambda rules: driven(GROUPS.update(PROJECT, "x", rules))),
    *(
        named_call(
            f"group {name}",
            "group_id",
            lambda group_id, call=call: driven(call(group_id)),
            group_limits.GROUP_ID_LIMITS,
        )
        for name, call in {
            "get": lambda group_id: GROUPS.get(PROJECT, group_id),
            "stop": lambda group_id: GROUPS.stop(PROJECT, group_id),
            "delete": lambda group_id: GROUPS.delete(PROJECT, group_id),
            "start by id": lambda group_id: GROUPS.start(
                PROJECT, group_id, StartTaskGroup(src_ak="A", src_sk="S", dst_ak="A", dst_sk="S")
            ),
            "retry by id": lambda group_id: GROUPS.retry(PROJECT, group_id, RetryTaskGroup()),
            "update by id": lambda group_id: GROUPS.update(PROJECT, group_id, ()),
        }.items()
    ),
    Call(
        name="sync create",
        base=create_sync(),
        send=lambda request: driven(SYNCS.create(PROJECT, request)),
        limits={**SYNC_NODES, **sync_limits.CREATE_SYNC_LIMITS},
        needs=(*NODES, *SYNC_NEEDS),
        barred=tuple(bar for bar in barred.CREATE_BARRED if bar.field in ("source_cdn", "consistency_check")),
        choices=names.CREATE_SYNC_CHOICES,
        renamed=renamed,
    ),
    Call(
        name="sync start",
        base=StartSyncTask(src_ak="A", src_sk="S", dst_ak="A", dst_sk="S"),
        send=lambda request: driven(SYNCS.start(PROJECT, "x", request)),
        limits=without(limits.START_LIMITS, "json_auth_file"),
        needs=(*needs.START_NEEDS, *needs.START_SOURCE_NEEDS),
        barred=tuple(bar for bar in barred.START_BARRED if bar.field != "json_auth_file"),
        choices={},
    ),
    Call(
        name="sync list",
        base=ListSyncTasks(),
        send=lambda request: driven(SYNCS.list(PROJECT, request)),
        limits=sync_limits.LIST_SYNC_LIMITS,
        choices=names.LIST_SYNC_CHOICES,
    ),
    Call(
        name="sync get",
        base=Alone(query_time=1),
        send=lambda request: driven(SYNCS.get(PROJECT, "x", request.query_time)),
        limits=limits_at("query_time", sync_limits.MONTH_LIMITS),
        choices={},
    ),
    Call(
        name="sync statistics",
        base=SyncStatistics(data_type=("REQUEST",)),
        send=lambda request: driven(SYNCS.statistics(PROJECT, "x", request)),
        limits=sync_limits.STATISTICS_LIMITS,
        needs=needs.STATISTICS_NEEDS,
        choices=names.STATISTICS_CHOICES,
    ),
    Call(
        name="sync events",
        base=Alone(object_keys=("key",)),
        send=lambda request: driven(SYNCS.create_events(PROJECT, "x", request.object_keys or ())),
        limits=limits_at("object_keys", sync_limits.EVENT_LIMITS),
        needs=needs_at("object_keys", needs.EVENT_NEEDS),
        choices={},
    ),
    bucket_call(
        "buckets",
        bucket_requests.ListBuckets(**ASKED),
        BUCKETS.list_buckets,
        limits=bucket_limits.LIST_BUCKETS_LIMITS,
        needs=needs.ACCOUNT_NEEDS,
    ),
    bucket_call(
        "objects",
        bucket_requests.ListBucketObjects(
            **ASKED, bucket_name="photos", data_center="r", file_path="", page_size=1, behind_filename=""
        ),
        BUCKETS.list_objects,
        limits=bucket_limits.LIST_OBJECTS_LIMITS,
        needs=needs.LIST_OBJECTS_NEEDS,
    ),
    bucket_call(
        "bucket region",
        bucket_requests.GetBucketRegion(**ASKED, bucket_name="photos"),
        BUCKETS.bucket_region,
        limits=bucket_limits.BUCKET_REGION_LIMITS,
        needs=needs.BUCKET_REGION_NEEDS,
    ),
    bucket_call(
        "prefix",
        bucket_requests.CheckPrefix(**ASKED, bucket_name="photos", data_center="r", file_name="a"),
        BUCKETS.has_prefix,
        limits=bucket_limits.PREFIX_LIMITS,
        needs=needs.PREFIX_NEEDS,
    ),
    bucket_call(
        "cdn",
        bucket_requests.GetCdnInfo(
            **ASKED,
            bucket="photos",
            region="r",
            prefix=bucket_requests.PrefixKeyInfo(keys=("a",)),
            source_cdn=CDN,
        ),
        BUCKETS.cdn_info,
        limits=bucket_limits.CDN_LIMITS,
        needs=needs.CDN_NEEDS,
        barred=barred.CDN_BARRED,
        choices=names.CDN_CHOICES,
    ),
    bucket_call(
        "url list",
        bucket_requests.CheckUrlList(
            **ASKED, region="r", list_file=ListFile(list_file_key="a.txt", obs_bucket="lists")
        ),
        BUCKETS.check_url_list,
        limits=bucket_limits.URL_LIST_LIMITS,
        needs=needs.URL_LIST_NEEDS,
    ),
    *(
        named_call(f"a call's {field}", field, lambda value, rule=rule: reaches(rule(value)), table, wanted)
        for field, rule, table, wanted in (
            ("project_id", validate_project_id, limits.PROJECT_ID_LIMITS, needs.NAMED),
            ("request_id", validate_request_id, limits.REQUEST_ID_LIMITS, ()),
            ("task_id", validate_task_id, {}, needs.NAMED),
            ("sync_task_id", validate_sync_task_id, {}, needs.NAMED),
        )
    ),
    named_call("version", "version", version, limits.API_VERSION_LIMITS),
    replace(
        named_call(
            "clouds", "type", lambda end: reaches(CATALOG.cloud_types(end)), choices=names.ENDS_CHOICES
        ),
        base=Alone(type="src"),
    ),
    Call(
        name="iam login",
        base=Alone(name="n", password="p"),
        send=lambda request: reaches(iam_login(request)),
        limits={},
        needs=needs.IAM_USER_NEEDS,
        choices={},
        at=USER,
    ),
]
