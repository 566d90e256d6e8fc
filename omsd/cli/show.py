"""How tasks look on a screen and in JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from omsd.pb.v1 import task_pb2, types_pb2

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def to_json(message: Message) -> dict[str, Any]:
    """The message under its documented names: numbers as numbers, enumerations as words, unset messages as null."""
    return {field.name: _json_value(message, field) for field in message.DESCRIPTOR.fields}


def status_word(task: task_pb2.Task) -> str:
    """`migrating`, `succeeded` and so on."""
    return enum_word(types_pb2.TaskStatus.DESCRIPTOR, task.status).lower()


def size_text(size_bytes: float) -> str:
    """1536 is `1.5 KiB`."""
    unit = 0
    while size_bytes >= 1024 and unit < len(_UNITS) - 1:
        size_bytes /= 1024
        unit += 1
    return f"{size_bytes:.0f} B" if unit == 0 else f"{size_bytes:.1f} {_UNITS[unit]}"


def duration_text(duration_ms: int) -> str:
    """3723000 is `1h02m03s`."""
    seconds = duration_ms // 1000
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    if hours:
        return f"{hours}h{minutes:02}m{seconds:02}s"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"


def source_text(task: task_pb2.Task) -> str:
    """The source as it was written on the command line."""
    if task.src_node.after_key or task.src_node.until_key:
        return _range_text(task.src_node)
    prefix = task.src_node.object_key
    only = prefix[0] if task.task_type == types_pb2.TASK_TYPE_PREFIX and len(prefix) == 1 else ""
    return f"s3://{task.src_node.bucket}/{only}"


def _range_text(node: task_pb2.SrcNodeResp) -> str:
    """A part of a group: `s3://bucket/{a .. k}`, without what is not bounded."""
    return f"s3://{node.bucket}/{{{node.after_key} .. {node.until_key}}}"


def target_text(task: task_pb2.Task) -> str:
    """The destination as it was written on the command line."""
    return f"s3://{task.dst_node.bucket}/{task.dst_node.save_prefix}"


def details(task: task_pb2.Task) -> list[tuple[str, str]]:
    """Name and text of everything worth reading of one task."""
    rows = [
        ("id", str(task.id)),
        ("name", task.name),
        ("status", status_word(task)),
        *([("group", task.group_id)] if task.group_id else []),
        ("source", place_text(source_text(task), task.src_node)),
        ("destination", place_text(target_text(task), task.dst_node)),
        ("type", enum_word(types_pb2.TaskType.DESCRIPTOR, task.task_type).lower()),
        ("priority", enum_word(types_pb2.TaskPriority.DESCRIPTOR, task.task_priority)),
        ("overwrite", enum_word(types_pb2.ObjectOverwriteMode.DESCRIPTOR, task.object_overwrite_mode)),
        ("check", enum_word(types_pb2.ConsistencyCheck.DESCRIPTOR, task.consistency_check).lower()),
        ("started", time_text(task.start_time)),
        ("progress", progress_text(task)),
        ("objects", objects_text(task)),
        ("bytes", bytes_text(task)),
        ("time", duration_text(task.total_time)),
    ]
    if task.src_node.HasField("list_file"):
        file = task.src_node.list_file
        rows.insert(4, ("list file", f"s3://{file.obs_bucket}/{file.list_file_key}"))
    if task.description:
        rows.insert(2, ("description", task.description))
    rows += [
        ("limit", f"{rule.start}-{rule.end} {size_text(rule.max_bandwidth)}/s")
        for rule in task.bandwidth_policy
    ]
    options = (
        ("encrypted with KMS", task.enable_kms),
        ("metadata", task.enable_metadata_migration),
        ("restore", task.enable_restore),
        ("requester pays", task.enable_requester_pays),
    )
    rows.append(("storage", enum_word(types_pb2.DstStoragePolicy.DESCRIPTOR, task.dst_storage_policy)))
    if chosen := ", ".join(name for name, on in options if on):
        rows.append(("options", chosen))
    rows += [("caveat", f"{caveat.count} objects: {caveat.meaning}") for caveat in task.caveats]
    rows += _lists(task)
    if task.HasField("smn_info"):
        rows.append(("notice", notice_text(task.smn_info)))
    if task.HasField("error_reason"):
        rows.append(("error", f"{task.error_reason.error_code}: {task.error_reason.error_msg}"))
    return rows


def _lists(task: task_pb2.Task) -> list[tuple[str, str]]:
    """Where the failed objects are listed, and which lists could not be stored."""
    record = task.failed_object_record
    rows = [("failed list", record.list_file_key), ("failed list error", record.error_code)]
    rows += [("success list error", task.success_record_error_reason)]
    rows += [("skip list error", task.skip_record_error_reason)]
    return [(name, text) for name, text in rows if text]


def notice_text(info: types_pb2.SmnInfo) -> str:
    """`sent`, `being sent to TOPIC`, or `not sent to TOPIC: OMS.0161 what happened`."""
    if info.notify_result:
        return "sent"
    if info.is_pending:
        return f"being sent to {info.topic_name}"
    return f"not sent to {info.topic_name}: {info.notify_error_message} {info.notify_error_detail}".rstrip()


def progress_text(task: task_pb2.Task) -> str:
    """`52.2 %, 12.0 MiB/s, 3m10s left`."""
    parts = [f"{task.progress * 100:.1f} %"]
    if task.migrate_speed:
        parts.append(f"{size_text(task.migrate_speed)}/s")
    if task.left_time:
        parts.append(f"{duration_text(task.left_time)} left")
    return ", ".join(parts)


def objects_text(task: task_pb2.Task) -> str:
    """`90 of 100, 5 skipped, 1 failed`; a `+` while the source is still being listed."""
    done = task.successful_num + task.skipped_num + task.failed_num
    more = "" if task.is_query_over else "+"
    text = f"{done} of {task.total_num}{more}"
    if task.skipped_num:
        text += f", {task.skipped_num} skipped"
    return f"{text}, {task.failed_num} failed" if task.failed_num else text


def bytes_text(task: task_pb2.Task) -> str:
    """`1.0 GiB of 2.0 GiB`."""
    more = "" if task.is_query_over else "+"
    return f"{size_text(task.complete_size)} of {size_text(task.total_size)}{more}"


def place_text(url: str, node: task_pb2.SrcNodeResp | task_pb2.DstNodeResp) -> str:
    """Where a node is, with everything that was said about it."""
    return f"{url} ({', '.join(filter(None, (node.cloud_type, node.region, node.endpoint)))})"


def time_text(time_ms: int) -> str:
    """A moment in local time."""
    if not time_ms:
        return "not yet"
    return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone().isoformat(sep=" ", timespec="seconds")


def _json_value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [to_json(item) if isinstance(item, Message) else item for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    if isinstance(value, Message):
        return to_json(value)
    return enum_word(field.enum_type, value) if field.enum_type is not None else value


def enum_word(enum: Any, number: int) -> str:
    """The value's name without its type; the number itself if a newer server sent one that is not known here."""
    known = enum.values_by_number.get(number)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return known.name.removeprefix(prefix) if known is not None else str(number)
