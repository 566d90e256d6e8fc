"""Every field of the proto arrives under its own name, and every field of a view leaves again."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from omsd.api.grpc import mapping
from omsd.domain.errors import RequestError
from omsd.domain.model import (
    BandwidthWindow,
    CloudType,
    ConsistencyCheck,
    Counters,
    ListFileRef,
    ListRecords,
    Location,
    OverwriteMode,
    Priority,
    StoragePolicy,
    Task,
    TaskId,
    TaskSpec,
    TaskState,
    TaskType,
)
from omsd.domain.notices import SmnInfo
from omsd.pb.v1 import task_pb2, types_pb2
from omsd.service.views import TaskPage, TaskView

ADDRESSING = {"project_id", "task_id"}
TEXT = st.text("aZ0/é 😀", min_size=1, max_size=8)
SIZE = st.integers(0, 2**63 - 1)


@st.composite
def messages(draw: st.DrawFn, kind: type[Message]) -> Message:
    """A message with a random selection of fields set to random values that are not the default."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if draw(st.booleans()):
            _fill(draw, message, field)
    return message


def _fill(draw: st.DrawFn, message: Message, field: FieldDescriptor) -> None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        kind: type[Message] = field.message_type._concrete_class
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(messages(kind), max_size=3)))
        else:
            getattr(message, field.name).SetInParent()
            getattr(message, field.name).MergeFrom(draw(messages(kind)))
        return
    values: dict[int, st.SearchStrategy[Any]] = {
        FieldDescriptor.TYPE_STRING: TEXT,
        FieldDescriptor.TYPE_BOOL: st.booleans(),
        FieldDescriptor.TYPE_INT64: SIZE,
        FieldDescriptor.TYPE_INT32: st.integers(0, 2**31 - 1),
    }
    if field.type == FieldDescriptor.TYPE_ENUM:
        value = st.sampled_from([known.number for known in field.enum_type.values])
    else:
        value = values[field.type]
    if field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(value, max_size=3)))
    else:
        setattr(message, field.name, draw(value))


# What only callers of the older API say.
OF_REST_ALONE = {"dialect", "thread_num"}


def assert_same(request: Any, message: Message) -> None:
    """Each field of the request holds what the message holds under the same name, None where nothing was set."""
    assert is_dataclass(request)
    names = {field.name for field in message.DESCRIPTOR.fields} - ADDRESSING
    assert {field.name for field in fields(request)} - OF_REST_ALONE == names
    for descriptor in message.DESCRIPTOR.fields:
        if descriptor.name not in ADDRESSING:
            _assert_field(getattr(request, descriptor.name), message, descriptor)


def _assert_field(got: Any, message: Message, field: FieldDescriptor) -> None:
    sent = getattr(message, field.name)
    if field.type == FieldDescriptor.TYPE_ENUM:
        if sent == 0:
            assert got is None
        elif field.enum_type.name == "TaskStatus":
            assert got == sent
        else:
            assert field.enum_type.values_by_number[sent].name.endswith("_" + got.upper())
    elif field.is_repeated and not sent:
        assert not got
    elif field.is_repeated and field.type == FieldDescriptor.TYPE_MESSAGE:
        for one, other in zip(got, sent, strict=True):
            assert_same(one, other)
    elif field.is_repeated:
        assert got == tuple(sent)
    elif field.type == FieldDescriptor.TYPE_MESSAGE and not message.HasField(field.name):
        assert got is None
    elif field.message_type and field.message_type.name == "BandwidthPolicySet":
        assert len(got) == len(sent.rules)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        assert_same(got, sent)
    elif field.has_presence and not message.HasField(field.name):
        assert got is None
    else:
        assert got == sent or (got is None and sent == "")


@given(messages(task_pb2.CreateTaskRequest))
def test_every_field_of_a_creation_arrives(message: task_pb2.CreateTaskRequest) -> None:
    assert_same(mapping.create_from_pb(message), message)


@given(messages(task_pb2.StartTaskRequest))
def test_every_field_of_a_start_arrives(message: task_pb2.StartTaskRequest) -> None:
    assert_same(mapping.start_from_pb(message), message)


@given(messages(task_pb2.ListTasksRequest))
def test_every_field_of_a_list_arrives(message: task_pb2.ListTasksRequest) -> None:
    assert_same(mapping.list_from_pb(message), message)


@given(messages(task_pb2.BatchUpdateTasksRequest))
def test_every_field_of_a_batch_update_arrives(message: task_pb2.BatchUpdateTasksRequest) -> None:
    assert_same(mapping.batch_update_from_pb(message), message)


LOCATIONS = st.builds(Location, st.sampled_from(CloudType), TEXT, TEXT, TEXT, TEXT)
SPECS = st.builds(
    TaskSpec,
    source=LOCATIONS,
    destination=LOCATIONS,
    task_type=st.sampled_from(TaskType),
    object_keys=st.lists(TEXT, max_size=3).map(tuple),
    save_prefix=TEXT,
    description=TEXT,
    overwrite_mode=st.sampled_from(OverwriteMode),
    consistency_check=st.sampled_from(ConsistencyCheck),
    storage_policy=st.sampled_from(StoragePolicy),
    migrate_since_s=st.integers(0, 10**12),
    migrate_metadata=st.booleans(),
    record_failed_objects=st.booleans(),
    list_file=st.none() | st.builds(ListFileRef, TEXT, TEXT),
)
MINUTES = st.integers(0, 24 * 60 - 1)
WINDOWS = st.lists(st.builds(BandwidthWindow, MINUTES, MINUTES, SIZE), max_size=5).map(tuple)
VIEWS = st.builds(
    TaskView,
    task=st.builds(
        Task,
        task_id=SIZE.map(TaskId),
        project_id=TEXT,
        name=TEXT,
        spec=SPECS,
        state=st.sampled_from(TaskState),
        priority=st.sampled_from(Priority),
        windows=WINDOWS,
        created_ms=SIZE,
        started_ms=SIZE,
        error_code=TEXT,
        error_message=TEXT,
        lists=st.builds(ListRecords, st.just(1), TEXT, TEXT, TEXT, TEXT),
    ),
    counters=st.builds(Counters, *[SIZE] * 8),
    listing_over=st.booleans(),
    complete_size_bytes=SIZE,
    real_size_bytes=SIZE,
    progress=st.floats(0, 1),
    speed_bytes_per_s=SIZE,
    total_ms=SIZE,
    left_ms=SIZE,
)


def _minute(text: str) -> int:
    assert len(text) == 5
    return int(text[:2]) * 60 + int(text[3:])


def _location_of(node: task_pb2.SrcNodeResp | task_pb2.DstNodeResp) -> Location:
    app_id = node.app_id if isinstance(node, task_pb2.SrcNodeResp) else ""
    return Location(CloudType(node.cloud_type), node.region, node.bucket, node.endpoint, app_id)


def _enum_value(enum: Any, number: int) -> str:
    prefix: str = enum.Name(0).removesuffix("UNSPECIFIED")
    name: str = enum.Name(number)
    return name.removeprefix(prefix)


def _spec_of(task: task_pb2.Task) -> TaskSpec:
    return TaskSpec(
        source=_location_of(task.src_node),
        destination=_location_of(task.dst_node),
        task_type=TaskType(_enum_value(types_pb2.TaskType, task.task_type).lower()),
        object_keys=tuple(task.src_node.object_key),
        save_prefix=task.dst_node.save_prefix,
        description=task.description,
        overwrite_mode=OverwriteMode(_enum_value(types_pb2.ObjectOverwriteMode, task.object_overwrite_mode)),
        consistency_check=ConsistencyCheck(
            _enum_value(types_pb2.ConsistencyCheck, task.consistency_check).lower()
        ),
        storage_policy=StoragePolicy(_enum_value(types_pb2.DstStoragePolicy, task.dst_storage_policy)),
        migrate_since_s=task.migrate_since // 1000,
        migrate_metadata=task.enable_metadata_migration,
        record_failed_objects=task.enable_failed_object_recording,
        list_file=_list_file_of(task.src_node),
    )


def _list_file_of(node: task_pb2.SrcNodeResp) -> ListFileRef | None:
    if not node.HasField("list_file"):
        return None
    assert node.list_file.list_file_num == ("" if node.list_file.list_file_key.endswith("/") else "1")
    return ListFileRef(node.list_file.obs_bucket, node.list_file.list_file_key)


@given(VIEWS)
def test_a_view_can_be_read_back_from_its_message(view: TaskView) -> None:
    message = mapping.task_to_pb(view)
    task, counters = view.task, view.counters
    spec = task.spec
    without_app_id = Location(
        spec.destination.cloud_type,
        spec.destination.region,
        spec.destination.bucket,
        spec.destination.endpoint_url,
    )
    read = _spec_of(message)
    assert read.source == spec.source
    assert read.destination == without_app_id
    assert [getattr(read, field.name) for field in fields(read)[2:]] == [
        getattr(spec, field.name) for field in fields(spec)[2:]
    ]
    assert (message.id, message.name, message.status) == (task.task_id, task.name, task.state)
    assert (message.project_id, message.start_time) == (task.project_id, task.started_ms)
    assert _enum_value(types_pb2.TaskPriority, message.task_priority) == task.priority
    assert task.windows == tuple(
        BandwidthWindow(_minute(rule.start), _minute(rule.end), rule.max_bandwidth)
        for rule in message.bandwidth_policy
    )
    assert (message.total_num, message.total_size) == (counters.listed_num, counters.listed_size_bytes)
    assert (message.successful_num, message.failed_num, message.skipped_num) == (
        counters.successful_num,
        counters.failed_num,
        counters.skipped_num,
    )
    assert (message.complete_size, message.real_size) == (view.complete_size_bytes, view.real_size_bytes)
    assert (message.progress, message.migrate_speed) == (view.progress, view.speed_bytes_per_s)
    assert (message.total_time, message.left_time) == (view.total_ms, view.left_ms)
    assert message.is_query_over is view.listing_over
    assert message.obs_system == "BUCKET"
    assert message.HasField("error_reason") is (task.state is TaskState.FAILED)
    if task.state is TaskState.FAILED:
        assert (message.error_reason.error_code, message.error_reason.error_msg) == (
            task.error_code,
            task.error_message,
        )
    record, lists = message.failed_object_record, task.lists
    assert record.HasField("result") is bool(lists.failed_key or lists.failed_error)
    assert record.result is bool(lists.failed_key and not lists.failed_error)
    assert record.HasField("list_file_key") is record.result
    assert record.HasField("error_code") is bool(lists.failed_error)
    assert (record.list_file_key or lists.failed_key, record.error_code) == (
        lists.failed_key,
        lists.failed_error,
    )
    assert message.success_record_error_reason == lists.success_error
    assert message.skip_record_error_reason == lists.skipped_error


@given(st.lists(VIEWS, max_size=3), SIZE)
def test_a_page_keeps_order_and_count(views: list[TaskView], count: int) -> None:
    message = mapping.page_to_pb(TaskPage(tuple(views), count))
    assert [task.id for task in message.tasks] == [view.task.task_id for view in views]
    assert message.count == count


ENUM_FIELDS = [
    "task_type",
    "object_overwrite_mode",
    "dst_storage_policy",
    "consistency_check",
    "task_priority",
]


@pytest.mark.parametrize("field", ENUM_FIELDS)
def test_an_unknown_number_of_an_enumeration_is_a_violation_that_says_what_is_known(field: str) -> None:
    message = task_pb2.CreateTaskRequest(**{field: 99})
    with pytest.raises(RequestError) as caught:
        mapping.create_from_pb(message)
    (violation,) = caught.value.violations
    assert (caught.value.code, violation.field) == ("OMS.1003", field)
    assert violation.description.startswith("99 is not one of ")
    assert "UNSPECIFIED" not in violation.description


def test_all_unknown_numbers_are_named_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        mapping.create_from_pb(task_pb2.CreateTaskRequest(**dict.fromkeys(ENUM_FIELDS, 99)))
    assert {violation.field for violation in caught.value.violations} == set(ENUM_FIELDS)


def test_the_status_number_that_is_never_used_is_refused() -> None:
    with pytest.raises(RequestError, match="status: 6 is not one of WAITING"):
        mapping.list_from_pb(task_pb2.ListTasksRequest(status=6))  # type: ignore[arg-type]


def test_an_absent_policy_of_a_batch_stays_and_an_empty_one_removes() -> None:
    assert mapping.batch_update_from_pb(task_pb2.BatchUpdateTasksRequest()).bandwidth_policy is None
    empty = task_pb2.BatchUpdateTasksRequest(bandwidth_policy=task_pb2.BandwidthPolicySet())
    assert mapping.batch_update_from_pb(empty).bandwidth_policy == ()


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (None, None),
        (SmnInfo(sent=True, pending=False, error_code="", topic_name=""), (True, "", "", False, "")),
        (SmnInfo(sent=False, pending=True, error_code="", topic_name="t"), (False, "", "t", True, "")),
        (
            SmnInfo(sent=False, pending=False, error_code="OMS.0161", topic_name="t", detail="refused"),
            (False, "OMS.0161", "t", False, "refused"),
        ),
    ],
)
def test_what_became_of_a_notice_is_told_or_absent(
    info: SmnInfo | None, expected: tuple[object, ...] | None
) -> None:
    task = Task(
        TaskId(1),
        "p",
        "n",
        TaskSpec(Location(CloudType.AWS, "", "b"), Location(CloudType.AWS, "", "c"), TaskType.PREFIX, ("",)),
        TaskState.SUCCEEDED,
        Priority.LOW,
        (),
        1,
    )
    message = mapping.task_to_pb(TaskView(task, Counters(), True, 0, 0, 1.0, 0, 0, 0, smn=info))
    found = message.smn_info
    told = (
        found.notify_result,
        found.notify_error_message,
        found.topic_name,
        found.is_pending,
        found.notify_error_detail,
    )
    assert (told if message.HasField("smn_info") else None) == expected


def test_the_empty_prefix_is_kept() -> None:
    message = task_pb2.CreateTaskRequest(src_node=task_pb2.SrcNodeReq(object_key=[""]))
    node = mapping.create_from_pb(message).src_node
    assert node is not None
    assert node.object_key == ("",)
