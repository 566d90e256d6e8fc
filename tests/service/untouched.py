"""Every call of every service, in front of stores, ledgers and workers that must not be reached by a call that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from itertools import pairwise
from typing import Any

from omsd.domain.errors import RequestError
from omsd.domain.group import GroupNumber, GroupState, TaskGroup
from omsd.domain.model import CloudType, GroupId, Location, TaskSpec, TaskType
from omsd.service import bucket_limits, bucket_requests, group_limits, limits, needs
from omsd.service import choices as names
from omsd.service.buckets import BucketService
from omsd.service.group_requests import CreateTaskGroup, ListTaskGroups, RetryTaskGroup, StartTaskGroup
from omsd.service.groups import GroupService
from omsd.service.limits import Limits
from omsd.service.notice_topics import WebhookTopic, notice_topics
from omsd.service.requests import BandwidthRule, BatchUpdateTasks, ListFile, ListTasks, SmnConfig, SourceCdn
from omsd.service.sync_requests import ListSyncTasks, StartSyncTask, SyncStatistics
from omsd.service.sync_validation import EVENT_LIMITS, LIST_SYNC_LIMITS, STATISTICS_LIMITS
from omsd.service.syncs import SyncService
from omsd.service.tasks import TaskService
from omsd.service.validation import ValidationPolicy, validate_start
from tests.fakes.clock import FakeClock
from tests.fakes.sync_service import sync_task
from tests.service.sync_harness import create_sync
from tests.service.validation_requests import create, start, with_value

PROJECT = "p"
TOPIC = "urn:smn:local:0:team"
POLICY = ValidationPolicy(notices=notice_topics([], [WebhookTopic(TOPIC)]))
PLACE = Location(CloudType.AWS, "us-east-1", "bucket")
SPEC = TaskSpec(PLACE, PLACE, TaskType.PREFIX, ("",))
# As sync_validation names them; the description has limits of its own.
RENAMED = (("src_node.app_id", "app_id"), ("src_node.", "src_"), ("dst_node.", "dst_"))


class Reached(Exception):
    """The call was found right: it would now be acted upon."""


class Untouched:
    """A store, a ledger, a worker: whoever turns to it has got through."""

    def __getattr__(self, name: str) -> object:
        raise Reached(name)


class Finding(Untouched):
    """A sync ledger in which every task is found, and that is all."""

    def find(self, project_id: str, sync_task_id: str) -> object:
        return sync_task()


class FindingGroup(Untouched):
    """A store in which every group is found, and that is all."""

    async def get_group(self, group_id: GroupId) -> TaskGroup:
        return TaskGroup(group_id, GroupNumber(1), PROJECT, SPEC, GroupState.PAUSED, (), 1)


NOBODY: Any = Untouched()
FINDING: Any = FindingGroup()
TASKS = TaskService(NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, POLICY, NOBODY, NOBODY)
SYNCS = SyncService(NOBODY, Finding(), NOBODY, FakeClock(), POLICY, UTC)  # type: ignore[arg-type]
GROUPS = GroupService(FINDING, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, POLICY, NOBODY, NOBODY)
BUCKETS = BucketService(NOBODY, POLICY, deadline_s=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """base: a right request. at: in front of the paths of all tables, in what is reported and where values go.

    make: a request with another value at a path. renamed: what errors call a path.
    """

    name: str
    base: Any
    send: Callable[[Any], object]
    limits: Limits
    needs: needs.Needs = ()
    choices: names.Choices
    at: str = ""
    make: Callable[[Any, str, object], Any] = with_value
    renamed: Callable[[str], str] = str

    def refusal(self, request: Any) -> RequestError | None:
        """Why it is refused; None if it got through."""
        try:
            self.send(request)
        except RequestError as error:
            return error
        except Reached:
            return None
        raise AssertionError("neither refused nor acted upon")

    def with_value(self, path: str, value: object) -> Any:
        return self.make(self.base, self.at + path, value)

    def field(self, path: str) -> str:
        """As an error names it; of arrays the first entry."""
        return self.renamed(self.at + path).replace("[]", "[0]")


def driven(coroutine: Coroutine[Any, Any, object]) -> object:
    """The call ends without waiting for anything: there is nothing to wait for before it reaches somebody."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        raise Reached from end
    finally:
        coroutine.close()
    raise AssertionError("it waits before it has reached anybody")


def reaches(answer: object) -> object:
    """For rules that are called alone: what they answer would be acted upon."""
    raise Reached(str(answer))


def renamed(path: str) -> str:
    for theirs, ours in RENAMED:
        path = path.replace(theirs, ours)
    return path


def flat(table: Mapping[Any, Any]) -> Limits:
    """A table of limits; where there is one for each version of the API, the first of them."""
    first = next(iter(table.values()))
    return first if isinstance(first, Mapping) else table


def sync_make(base: Any, path: str, value: object) -> Any:
    return replace(base, **{renamed(path): value})


def rules_make(base: Any, path: str, value: object) -> Any:
    path = path.removeprefix("bandwidth_policy")
    if path == "":
        minutes = [f"{number // 60:02}:{number % 60:02}" for number in range(len(value) + 1)]  # type: ignore[arg-type]
        return tuple(BandwidthRule(start=a, end=b, max_bandwidth=2**21) for a, b in pairwise(minutes))
    return (replace(base[0], **{path.removeprefix("[].").removeprefix("[0]."): value}),)


def events_make(base: Any, path: str, value: object) -> Any:
    return value if path == "object_keys" else (value,)


SYNC_LIMITS = {
    path: limit
    for path, limit in limits.CREATE_LIMITS.items()
    if path.startswith(("src_node.", "dst_node."))
    and path.rpartition(".")[2] not in ("object_key", "object_key[]", "save_prefix", "json_auth_file")
}
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
NODES: needs.Needs = tuple(
    replace(needed, field=f"{node}.{needed.field}")
    for node in ("src_node", "dst_node")
    for needed in needs.NODE_NEEDS
)

RULE = BandwidthRule(start="08:00", end="09:00", max_bandwidth=10 * 2**20)
RULE_NEEDS = tuple(replace(needed, field=f"[0].{needed.field}") for needed in needs.RULE_NEEDS)

CALLS = [
    Call(
        name="create",
        base=create(),
        send=lambda request: driven(TASKS.create(PROJECT, request)),
        limits=limits.CREATE_LIMITS,
        needs=(*NODES, *needs.CREATE_NEEDS),
        choices=names.CREATE_CHOICES,
    ),
    Call(
        name="create from a list",
        base=LISTED,
        send=lambda request: driven(TASKS.create(PROJECT, request)),
        limits=limits.LIST_FILE_LIMITS,
        needs=needs.LIST_FILE_NEEDS,
        choices={},
        at="src_node.list_file.",
    ),
    Call(
        name="create with a notice",
        base=create(smn_config=NOTICE),
        send=lambda request: driven(TASKS.create(PROJECT, request)),
        limits=limits.SMN_LIMITS,
        needs=needs.SMN_NEEDS,
        choices=names.SMN_CHOICES,
        at="smn_config.",
    ),
    Call(
        name="start",
        base=start(),
        send=lambda request: reaches(validate_start(request, SPEC)),
        limits=limits.START_LIMITS,
        needs=(*needs.START_NEEDS, *needs.START_SOURCE_NEEDS),
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
        name="batch",
        base=BatchUpdateTasks(task_priority="HIGH", ids=(1,)),
        send=lambda request: driven(TASKS.batch_update(PROJECT, request)),
        limits={path: limit for path, limit in limits.BATCH_LIMITS.items() if path != "group_id"},
        needs=needs.BATCH_NEEDS,
        choices=names.BATCH_CHOICES,
    ),
    Call(
        name="bandwidth",
        base=(RULE,),
        send=lambda request: driven(TASKS.update_bandwidth(PROJECT, 1, request)),
        limits=flat(limits.BANDWIDTH_LIMITS),
        needs=RULE_NEEDS,
        choices={},
        at="bandwidth_policy",
        make=rules_make,
    ),
    Call(
        name="group create",
        base=GROUP,
        send=lambda request: driven(GROUPS.create(PROJECT, request)),
        limits=group_limits.CREATE_GROUP_LIMITS,
        needs=(*NODES, *needs.CREATE_GROUP_NEEDS),
        choices=names.CREATE_GROUP_CHOICES,
    ),
    Call(
        name="group create from lists",
        base=replace(GROUP, src_node=LISTED.src_node, task_type="LIST"),
        send=lambda request: driven(GROUPS.create(PROJECT, request)),
        limits=limits.LIST_FILE_LIMITS,
        needs=needs.LIST_FILE_NEEDS,
        choices={},
        at="src_node.list_file.",
    ),
    Call(
        name="group create with a notice",
        base=replace(GROUP, smn_config=NOTICE),
        send=lambda request: driven(GROUPS.create(PROJECT, request)),
        limits=limits.SMN_LIMITS,
        needs=needs.SMN_NEEDS,
        choices=names.SMN_CHOICES,
        at="smn_config.",
    ),
    Call(
        name="group create with windows",
        base=(RULE,),
        send=lambda rules: driven(GROUPS.create(PROJECT, replace(GROUP, bandwidth_policy=rules))),
        limits=flat(limits.BANDWIDTH_LIMITS),
        needs=RULE_NEEDS,
        choices={},
        at="bandwidth_policy",
        make=rules_make,
    ),
    Call(
        name="group start",
        base=StartTaskGroup(src_ak="A", src_sk="S", dst_ak="A", dst_sk="S"),
        send=lambda request: driven(GROUPS.start(PROJECT, "x", request)),
        limits=group_limits.START_GROUP_LIMITS,
        needs=(*needs.START_NEEDS, *needs.START_SOURCE_NEEDS),
        choices={},
    ),
    Call(
        name="group retry",
        base=RetryTaskGroup(src_ak="A", src_sk="S", dst_ak="A", dst_sk="S"),
        send=lambda request: driven(GROUPS.retry(PROJECT, "x", request)),
        limits=group_limits.START_GROUP_LIMITS,
        needs=needs.RETRY_GROUP_NEEDS,
        choices={},
    ),
    Call(
        name="group list",
        base=ListTaskGroups(),
        send=lambda request: driven(GROUPS.list(PROJECT, request)),
        limits=group_limits.LIST_GROUP_LIMITS,
        choices={},
    ),
    Call(
        name="group update",
        base=(RULE,),
        send=lambda request: driven(GROUPS.update(PROJECT, "x", request)),
        limits=flat(limits.BANDWIDTH_LIMITS),
        needs=RULE_NEEDS,
        choices={},
        at="bandwidth_policy",
        make=rules_make,
    ),
    *(
        Call(
            name=f"group {name}",
            base="x",
            send=lambda group_id, call=call: driven(call(PROJECT, group_id)),
            limits=group_limits.GROUP_ID_LIMITS,
            choices={},
            at="group_id",
            make=lambda base, path, value: value,
        )
        for name, call in (("get", GROUPS.get), ("stop", GROUPS.stop), ("delete", GROUPS.delete))
    ),
    Call(
        name="sync create",
        base=create_sync(),
        send=lambda request: driven(SYNCS.create(PROJECT, request)),
        limits=SYNC_LIMITS,
        needs=(*NODES, next(one for one in needs.CREATE_NEEDS if one.field.endswith("app_id"))),
        choices=names.CREATE_SYNC_CHOICES,
        make=sync_make,
        renamed=renamed,
    ),
    Call(
        name="sync start",
        base=StartSyncTask(src_ak="A", src_sk="S", dst_ak="A", dst_sk="S"),
        send=lambda request: driven(SYNCS.start(PROJECT, "x", request)),
        limits={path: limit for path, limit in limits.START_LIMITS.items() if path != "json_auth_file"},
        needs=(*needs.START_NEEDS, *needs.START_SOURCE_NEEDS),
        choices={},
    ),
    Call(
        name="sync list",
        base=ListSyncTasks(),
        send=lambda request: driven(SYNCS.list(PROJECT, request)),
        limits=LIST_SYNC_LIMITS,
        choices=names.LIST_SYNC_CHOICES,
    ),
    Call(
        name="sync statistics",
        base=SyncStatistics(data_type=("REQUEST",)),
        send=lambda request: driven(SYNCS.statistics(PROJECT, "x", request)),
        limits=STATISTICS_LIMITS,
        choices=names.STATISTICS_CHOICES,
    ),
    Call(
        name="sync events",
        base=("key",),
        send=lambda request: driven(SYNCS.create_events(PROJECT, "x", request)),
        limits=EVENT_LIMITS,
        choices={},
        at="object_keys",
        make=events_make,
    ),
    Call(
        name="buckets",
        base=bucket_requests.ListBuckets(**ASKED),
        send=lambda request: driven(BUCKETS.list_buckets(request)),
        limits=bucket_limits.LIST_BUCKETS_LIMITS,
        needs=needs.ACCOUNT_NEEDS,
        choices={},
    ),
    Call(
        name="objects",
        base=bucket_requests.ListBucketObjects(
            **ASKED, bucket_name="photos", data_center="r", file_path="", page_size=1, behind_filename=""
        ),
        send=lambda request: driven(BUCKETS.list_objects(request)),
        limits=bucket_limits.LIST_OBJECTS_LIMITS,
        needs=(*needs.ACCOUNT_NEEDS, *needs.LIST_OBJECTS_NEEDS),
        choices={},
    ),
    Call(
        name="bucket region",
        base=bucket_requests.GetBucketRegion(**ASKED, bucket_name="photos"),
        send=lambda request: driven(BUCKETS.bucket_region(request)),
        limits=bucket_limits.BUCKET_REGION_LIMITS,
        needs=needs.ACCOUNT_NEEDS,
        choices={},
    ),
    Call(
        name="prefix",
        base=bucket_requests.CheckPrefix(**ASKED, bucket_name="photos", data_center="r", file_name="a"),
        send=lambda request: driven(BUCKETS.has_prefix(request)),
        limits=bucket_limits.PREFIX_LIMITS,
        needs=(*needs.ACCOUNT_NEEDS, *needs.PREFIX_NEEDS),
        choices={},
    ),
    Call(
        name="cdn",
        base=bucket_requests.GetCdnInfo(
            **ASKED,
            bucket="photos",
            region="r",
            prefix=bucket_requests.PrefixKeyInfo(keys=("a",)),
            source_cdn=CDN,
        ),
        send=lambda request: driven(BUCKETS.cdn_info(request)),
        limits=bucket_limits.CDN_LIMITS,
        needs=(*needs.ACCOUNT_NEEDS, *needs.CDN_NEEDS),
        choices=names.CDN_CHOICES,
    ),
    Call(
        name="url list",
        base=bucket_requests.CheckUrlList(
            **ASKED, region="r", list_file=ListFile(list_file_key="a.txt", obs_bucket="lists")
        ),
        send=lambda request: driven(BUCKETS.check_url_list(request)),
        limits=bucket_limits.URL_LIST_LIMITS,
        needs=(*needs.ACCOUNT_NEEDS, *needs.URL_LIST_NEEDS),
        choices={},
    ),
]
