"""How task groups look on a screen."""

from __future__ import annotations

from omsd.cli.show import duration_text, enum_word, notice_text, place_text, size_text, time_text
from omsd.pb.v1 import group_pb2, types_pb2


def status_word(group: group_pb2.TaskGroup) -> str:
    """`creating`, `migration failed` and so on."""
    return enum_word(group_pb2.TaskGroupStatus.DESCRIPTOR, group.status).lower().replace("_", " ")


def source_text(group: group_pb2.TaskGroup) -> str:
    """The source as it was written on the command line."""
    keys = group.src_node.object_key
    return f"s3://{group.src_node.bucket}/{keys[0] if len(keys) == 1 else ''}"


def target_text(group: group_pb2.TaskGroup) -> str:
    """The destination as it was written on the command line."""
    return f"s3://{group.dst_node.bucket}/{group.dst_node.save_prefix}"


def tasks_text(group: group_pb2.TaskGroup) -> str:
    """`3 of 10, 2 running, 5 waiting`; a `+` while tasks are still being made."""
    text = f"{group.complete_task_num} of {group.create_task_num}{_more(group)}"
    others = (
        (group.executing_task_num, "running"),
        (group.waiting_task_num, "waiting"),
        (group.paused_task_num, "paused"),
        (group.failed_task_num, "failed"),
    )
    return ", ".join([text, *(f"{number} {word}" for number, word in others if number)])


def objects_text(group: group_pb2.TaskGroup) -> str:
    """`90 of 100, 5 skipped, 1 failed`; a `+` while the source is still being split."""
    done = group.success_num + group.skip_num + group.fail_num
    text = f"{done} of {group.total_num}{_more(group)}"
    if group.skip_num:
        text += f", {group.skip_num} skipped"
    return f"{text}, {group.fail_num} failed" if group.fail_num else text


def bytes_text(group: group_pb2.TaskGroup) -> str:
    """`1.0 GiB of 2.0 GiB`."""
    return f"{size_text(group.complete_size)} of {size_text(group.total_size)}{_more(group)}"


def progress_text(group: group_pb2.TaskGroup) -> str:
    """`52.2 %, 12.0 MiB/s`."""
    share = f"{group.progress * 100:.1f} %"
    return f"{share}, {size_text(group.migrate_speed)}/s" if group.migrate_speed else share


def details(group: group_pb2.TaskGroup) -> list[tuple[str, str]]:
    """Name and text of everything worth reading of one group."""
    rows = [
        ("id", group.group_id),
        ("status", status_word(group)),
        ("source", place_text(source_text(group), group.src_node)),
        ("destination", place_text(target_text(group), group.dst_node)),
        ("type", enum_word(group_pb2.TaskGroupType.DESCRIPTOR, group.task_type)),
        ("overwrite", enum_word(types_pb2.ObjectOverwriteMode.DESCRIPTOR, group.object_overwrite_mode)),
        ("check", enum_word(types_pb2.ConsistencyCheck.DESCRIPTOR, group.consistency_check).lower()),
        ("storage", enum_word(types_pb2.DstStoragePolicy.DESCRIPTOR, group.dst_storage_policy)),
        ("started", time_text(group.start_time)),
        ("progress", progress_text(group)),
        ("tasks", tasks_text(group)),
        ("objects", objects_text(group)),
        ("bytes", bytes_text(group)),
        ("time", duration_text(group.total_time)),
    ]
    if group.description:
        rows.insert(1, ("description", group.description))
    rows += [("prefix", prefix) for prefix in group.src_node.object_key if len(group.src_node.object_key) > 1]
    if group.src_node.HasField("list_file"):
        file = group.src_node.list_file
        rows.append(("list files", f"s3://{file.obs_bucket}/{file.list_file_key}"))
    rows += [
        ("limit", f"{rule.start}-{rule.end} {size_text(rule.max_bandwidth)}/s")
        for rule in group.bandwidth_policy
    ]
    record = group.failed_object_record
    rows += [("failed lists", record.list_file_key)] if record.list_file_key else []
    rows += [("failed list error", record.error_code)] if record.error_code else []
    if group.HasField("smn_config"):
        rows.append(("notice", notice_text(group.smn_config)))
    if group.HasField("error_reason"):
        rows.append(("error", f"{group.error_reason.error_code}: {group.error_reason.error_msg}"))
    return rows


def _more(group: group_pb2.TaskGroup) -> str:
    return "" if group.is_create_over else "+"
