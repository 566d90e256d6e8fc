"""Tests of test_compatibility.py: synchronization tasks and task groups."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any
from urllib.parse import quote

from tests.rest.harness import REGION, contents, fill, until
from tests.rest.record import Caller
from tests.rest.wishes import SLOW, keys
from tests.servers import S3Server


def test_a_synchronization_task_lives(call: Caller, seaweed: S3Server) -> None:
    sdk = call.sdk
    source, destination = fill(seaweed, {"a b": b"1", "c": b"22"})
    ends = {"src_region": REGION, "src_bucket": source, "dst_region": REGION, "dst_bucket": destination}
    good = {"src_cloud_type": "HuaweiCloud", **ends, **keys(seaweed)}
    wrong = sdk.CreateSyncTaskReq(**{**good, "src_cloud_type": "Google"})
    assert call.refused("create_sync_task", body=wrong)[1] == "OMS.1003"
    made = call("create_sync_task", body=sdk.CreateSyncTaskReq(**good, consistency_check="crc64"))
    named = {"sync_task_id": made.sync_task_id}
    events = sdk.SyncObjectReq(object_keys=[quote("a b"), "c", "gone"])
    call("create_sync_events", **named, body=events)
    now = int(time.time() * 1000)

    def month() -> Any:
        return call("show_sync_task", **named, query_time=int(time.time() * 1000))

    def over(task: Any) -> bool:
        ended = task.monthly_success_object + task.monthly_failure_object + task.monthly_skip_object
        return bool(ended == task.monthly_acceptance_request)

    task = until(month, over)
    assert (task.status, task.src_bucket, task.consistency_check) == ("SYNCHRONIZING", source, "crc64")
    assert (task.monthly_acceptance_request, task.monthly_success_object, task.monthly_size) == (3, 2, 3)
    assert task.to_json_object()["monthly_failed_object"] == task.monthly_failure_object
    assert contents(seaweed, destination) == {"a b": b"1", "c": b"22"}
    span = {"start_time": now - 3_600_000, "end_time": now + 3_600_000}
    found = call("list_sync_task_statistic", **named, data_type="SIZE,REQUEST", **span)
    assert found.statistic_time_type == "FIVE_MINUTES"
    assert [data.data_type for data in found.statistic_datas] == ["SIZE", "REQUEST"]
    assert sum(entry.statistic_num for entry in found.statistic_datas[1].data) == 3
    assert call("list_sync_tasks", status="synchronizing").tasks[0].sync_task_id == made.sync_task_id

    start = sdk.StartSyncTaskReq(**keys(seaweed))
    assert call.refused("delete_sync_task", **named) == (400, "OMS.0063")
    assert call.refused("start_sync_task", **named, body=start) == (400, "OMS.0065")
    call("stop_sync_task", **named)
    assert call.refused("stop_sync_task", **named) == (400, "OMS.0066")
    assert call.refused("create_sync_events", **named, body=events) == (400, "OMS.2002")
    call("start_sync_task", **named, body=start)
    assert call.refused("list_sync_task_statistic", **named, data_type="ALL", **span) == (400, "OMS.1003")
    backwards = {"start_time": now, "end_time": now - 1}
    assert call.refused("list_sync_task_statistic", **named, data_type="SIZE", **backwards)[1] == "OMS.0051"
    assert call.refused("list_sync_tasks", status="RESTING") == (400, "OMS.1003")
    no_keys = sdk.SyncObjectReq(object_keys=[])
    assert call.refused("create_sync_events", **named, body=no_keys) == (400, "OMS.1004")
    call("stop_sync_task", **named)
    call("delete_sync_task", **named)
    assert call.refused("show_sync_task", **named, query_time=now) == (404, "OMS.2002")
    assert call.refused("create_sync_events", **named, body=events) == (404, "OMS.2002")
    assert call.refused("list_sync_task_statistic", **named, data_type="SIZE", **span) == (404, "OMS.2002")
    for operation in ("stop_sync_task", "delete_sync_task"):
        assert call.refused(operation, **named) == (400, "OMS.2002")


def test_a_task_group_lives(call: Caller, seaweed: S3Server) -> None:
    sdk = call.sdk
    objects = {f"a/{number:03}": os.urandom(64 * 1024) for number in range(200)}
    source, destination = fill(seaweed, {**objects, "b": b"not asked for"})
    ak, sk = seaweed.access_key, seaweed.secret_key
    src = {"cloud_type": "HuaweiCloud", "region": REGION, "ak": ak, "sk": sk, "bucket": source}
    src_node = sdk.TaskGroupSrcNode(**src, object_key=["a/"])
    dst_node = sdk.TaskGroupDstNode(ak=ak, sk=sk, region=REGION, bucket=destination, cloud_type="HEC")
    ends = {"src_node": src_node, "dst_node": dst_node}
    slow = [sdk.BandwidthPolicyDto(**rule) for rule in SLOW]
    wrong = sdk.CreateTaskGroupReq(**ends, task_type="FOLDER")
    assert call.refused("create_task_group", body=wrong) == (400, "OMS.1003")
    smn = sdk.SmnConfig(topic_urn="urn:smn:mars-1:p:unknown", trigger_conditions=["FAILURE"])
    telling = sdk.CreateTaskGroupReq(**ends, smn_config=smn)
    assert call.refused("create_task_group", body=telling) == (400, "OMS.0168")
    made = call("create_task_group", body=sdk.CreateTaskGroupReq(**ends, bandwidth_policy=slow))
    named = {"group_id": made.group_id}

    def reached(*states: int) -> Any:
        return until(lambda: call("show_task_group", **named), lambda group: group.status in states)

    def moving(group: Any) -> bool:
        return bool(group.status == 2 and group.executing_task_num)

    start = sdk.StartTaskGroupReq(**keys(seaweed))
    retry = sdk.RetryTaskGroupReq(migrate_failed_object=True)
    running = until(lambda: call("show_task_group", **named), moving)
    assert (running.src_node.cloud_type, running.task_type) == ("HUAWEICLOUD", "PREFIX")
    assert (running.smn_config, running.obs_system, running.error_reason) == (None, "BUCKET", None)
    assert call.refused("delete_task_group", **named) == (400, "OMS.1036")
    assert call.refused("start_task_group", **named, body=start) == (400, "OMS.1039")
    assert call.refused("retry_task_group", **named, body=retry) == (400, "OMS.1040")
    call("stop_task_group", **named)
    paused = reached(3)
    assert paused.paused_task_num == paused.create_task_num == 1
    assert call.refused("stop_task_group", **named) == (400, "OMS.1038")
    member = call("list_tasks", group_id=made.group_id).tasks[0]
    assert (member.group_id, member.group_type) == (made.group_id, "GROUP_TASK")
    call("update_task_group", **named, body=sdk.UpdateBandwidthPolicyReq(bandwidth_policy=[]))
    assert call.refused("update_task_group", **named, body={}) == (400, "OMS.1004")
    call("start_task_group", **named, body=start)
    done = reached(5, 6)
    assert (done.status, done.complete_task_num, done.success_num, done.fail_num) == (6, 1, 200, 0)
    assert done.total_size == done.complete_size == 200 * 64 * 1024
    assert contents(seaweed, destination) == objects
    assert made.group_id in [group.group_id for group in call("list_task_group", status=6).taskgroups]
    assert call.refused("list_task_group", status=10) == (400, "OMS.0052")
    call("delete_task_group", **named)
    until(
        lambda: [group.group_id for group in call("list_task_group", limit=100).taskgroups],
        lambda found: made.group_id not in found,
    )
    assert call.refused("show_task_group", **named) == (404, "OMS.1009")
    for operation in ("stop_task_group", "delete_task_group"):
        assert call.refused(operation, **named) == (400, "OMS.1009")


def test_a_failed_task_group_is_tried_again(call: Caller, seaweed: S3Server) -> None:
    sdk = call.sdk
    source, destination = fill(seaweed, {"here": b"1"})
    lists, _ = fill(seaweed, {})
    asyncio.run(seaweed.put(lists, "l/1.txt", b"here\nmissing\n", ContentType="text/plain"))
    ak, sk = seaweed.access_key, seaweed.secret_key
    src = {"cloud_type": "HUAWEICLOUD", "region": REGION, "ak": ak, "sk": sk, "bucket": source}
    file = sdk.ListFile(list_file_key="l/", obs_bucket=lists)
    body = sdk.CreateTaskGroupReq(
        task_type="list",
        src_node=sdk.TaskGroupSrcNode(**src, list_file=file),
        dst_node=sdk.TaskGroupDstNode(ak=ak, sk=sk, region=REGION, bucket=destination),
    )
    named = {"group_id": call("create_task_group", body=body).group_id}

    def reached(*states: int) -> Any:
        return until(lambda: call("show_task_group", **named), lambda group: group.status in states)

    failed = reached(4, 5, 6)
    assert (failed.status, failed.failed_task_num, failed.success_num, failed.fail_num) == (5, 1, 1, 1)
    assert (failed.task_type, failed.src_node.list_file.list_file_key) == ("LIST", "l/")
    assert failed.failed_object_record.result is True
    asyncio.run(seaweed.put(source, "missing", b"2"))
    call("retry_task_group", **named, body=sdk.RetryTaskGroupReq(**keys(seaweed), migrate_failed_object=True))
    until(lambda: call("show_task_group", **named), lambda group: group.status == 6)
    assert contents(seaweed, destination) == {"here": b"1", "missing": b"2"}
