"""Tests of test_compatibility.py: migration tasks."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from tests.rest.harness import REGION, contents, fill
from tests.rest.record import Caller
from tests.rest.wishes import OBJECTS, SLOW, keys, nodes, reached
from tests.servers import S3Server


def test_a_task_is_created_followed_and_deleted(call: Caller, seaweed: S3Server) -> None:
    sdk = call.sdk
    source, destination = fill(seaweed, OBJECTS)
    body = sdk.CreateTaskReq(
        task_type="Prefix",
        **nodes(sdk, seaweed, source, destination, object_key=["photos/"]),
        description="a first task",
        migrate_since=1_000_000_000,
        enable_metadata_migration=True,
        object_overwrite_mode="full_overwrite",
        task_priority="high",
    )
    made = call("create_task", body=body)
    assert 10**14 <= made.id < 10**15
    task = reached(call, made.id, 4, 5)
    assert (task.status, task.error_reason) == (5, None)
    assert (task.total_num, task.successful_num, task.failed_num, task.skipped_num) == (12, 12, 0, 0)
    assert task.total_size == task.complete_size == task.real_size == sum(map(len, OBJECTS.values()))
    assert (task.progress, task.is_query_over, task.name) == (1.0, True, made.task_name)
    assert (task.task_type, task.group_type, task.task_priority) == ("prefix", "NORMAL_TASK", "HIGH")
    assert (task.migrate_since, task.obs_system, task.source_cdn) == (1_000_000_000_000, "BUCKET", None)
    assert (task.src_node.cloud_type, task.src_node.object_key) == ("HuaweiCloud", ["photos/"])
    assert contents(seaweed, destination) == OBJECTS

    listed = call("list_tasks", task_name=source, status=5, limit=1, offset=0)
    assert (listed.count, listed.tasks[0].id) == (1, made.id)
    assert call("list_tasks", task_name="no such name").tasks == []
    assert call("list_tasks", status=6).count == 0
    assert call.refused("stop_task", task_id=made.id) == (400, "OMS.0070")
    wanted = sdk.StartTaskReq(**keys(seaweed))
    assert call.refused("start_task", task_id=made.id, body=wanted) == (400, "OMS.0070")
    rules = sdk.UpdateBandwidthPolicyReq(bandwidth_policy=[])
    assert call.refused("update_bandwidth_policy", task_id=made.id, body=rules) == (400, "OMS.0086")
    call("delete_task", task_id=made.id)
    assert call.refused("show_task", task_id=made.id) == (404, "OMS.0054")
    assert call.refused("delete_task", task_id=made.id) == (400, "OMS.0054")


def test_a_task_is_paused_changed_and_started_again(call: Caller, seaweed: S3Server) -> None:
    sdk = call.sdk
    objects = {f"{number:03}": os.urandom(64 * 1024) for number in range(200)}
    source, destination = fill(seaweed, objects)
    slow = [sdk.BandwidthPolicyDto(**rule) for rule in SLOW]
    body = sdk.CreateTaskReq(
        task_type="prefix", **nodes(sdk, seaweed, source, destination, object_key=[""]), bandwidth_policy=slow
    )
    task_id = call("create_task", body=body).id
    reached(call, task_id, 2)
    assert call.refused("delete_task", task_id=task_id) == (400, "OMS.0063")
    start = sdk.StartTaskReq(**keys(seaweed))
    assert call.refused("start_task", task_id=task_id, body=start) == (400, "OMS.0065")
    call("stop_task", task_id=task_id)
    paused = reached(call, task_id, 3)
    assert paused.bandwidth_policy[0].to_dict() == SLOW[0]
    assert paused.successful_num < 200
    assert call.refused("stop_task", task_id=task_id) == (400, "OMS.0066")
    wrong = sdk.StartTaskReq(dst_ak="a", dst_sk="b")
    assert call.refused("start_task", task_id=task_id, body=wrong) == (400, "OMS.1004")
    kms = sdk.StartTaskReq(**keys(seaweed), src_crypto_type="KMS", src_kms_key_id="k" * 36)
    assert call.refused("start_task", task_id=task_id, body=kms) == (400, "OMS.0064")

    fast = sdk.UpdateBandwidthPolicyReq(
        bandwidth_policy=[
            sdk.BandwidthPolicyDto(start="00:00", end="12:00", max_bandwidth=200_000_000),
            sdk.BandwidthPolicyDto(start="12:00", end="23:59", max_bandwidth=200_000_000),
        ]
    )
    call("update_bandwidth_policy", task_id=task_id, body=fast)
    call(
        "batch_update_tasks",
        body=sdk.BatchUpdateTasksReq(ids=[task_id], bandwidth_policy=[], task_priority="LOW"),
    )
    changed = call("show_task", task_id=task_id)
    assert (changed.bandwidth_policy, changed.task_priority) == ([], "LOW")
    call("start_task", task_id=task_id, body=sdk.StartTaskReq(**keys(seaweed), migrate_failed_object=False))
    assert reached(call, task_id, 4, 5).status == 5
    assert contents(seaweed, destination) == objects


def test_only_what_failed_is_migrated_again(call: Caller, seaweed: S3Server) -> None:
    sdk = call.sdk
    source, destination = fill(seaweed, {"here": b"1"})
    lists, _ = fill(seaweed, {})
    asyncio.run(seaweed.put(lists, "keys.txt", b"here\nmissing\n", ContentType="text/plain"))
    file = sdk.ListFile(list_file_key="keys.txt", obs_bucket=lists, list_file_num="1")
    both = nodes(sdk, seaweed, source, destination, list_file=file)
    task_id = call("create_task", body=sdk.CreateTaskReq(task_type="list", **both)).id
    failed = reached(call, task_id, 4, 5)
    assert (failed.status, failed.successful_num, failed.failed_num) == (4, 1, 1)
    assert failed.error_reason.error_code == "TRF.0156"
    assert failed.src_node.list_file.to_dict() == file.to_dict()
    assert failed.failed_object_record.result is True
    assert failed.failed_object_record.list_file_key.startswith("oms/failed_object_lists/")
    asyncio.run(seaweed.put(source, "missing", b"2"))
    again = sdk.StartTaskReq(**keys(seaweed), migrate_failed_object=True)
    call("start_task", task_id=task_id, body=again)
    assert reached(call, task_id, 4, 5).status == 5
    assert contents(seaweed, destination) == {"here": b"1", "missing": b"2"}


def test_wrong_tasks_are_refused_with_the_documented_codes(call: Caller, seaweed: S3Server) -> None:
    sdk = call.sdk
    source, destination = fill(seaweed, {"a": b"a"})

    def refused(node: dict[str, Any] | None = None, **fields: Any) -> tuple[int, str]:
        both = nodes(sdk, seaweed, source, destination, **{"object_key": [""], **(node or {})})
        body = sdk.CreateTaskReq(**{"task_type": "prefix", **both, **fields})
        return call.refused("create_task", body=body)

    def rule(start: str, end: str, limit: int) -> Any:
        return sdk.BandwidthPolicyDto(start=start, end=end, max_bandwidth=limit)

    assert refused({"bucket": ""}) == (400, "OMS.1004")
    assert refused({"cloud_type": "Nimbus"}) == (400, "OMS.1003")
    assert refused({"cloud_type": "Azure", "connection_string": "x"}) == (400, "OMS.0064")
    assert refused({"region": "nowhere-1"}) == (400, "OMS.0079")
    assert refused({"bucket": "no-such-bucket-here"}) == (400, "OMS.1014")
    assert refused({"crypto_type": "KMS"}) == (400, "OMS.0064")
    assert refused({"cloud_type": "Tencent", "region": "ap-beijing"}) == (400, "OMS.0057")
    assert refused(task_type="folder") == (400, "OMS.1003")
    assert refused(task_type="list") == (400, "OMS.0057")
    assert refused(description="a<b") == (400, "OMS.0078")
    assert refused(description="x" * 256) == (400, "OMS.1003")
    assert refused(bandwidth_policy=[rule("00:00", "01:00", 1)]) == (400, "OMS.0084")
    assert refused(bandwidth_policy=[rule("00:00", "24:00", 1_048_576)]) == (400, "OMS.0087")
    pair = [rule("00:00", "02:00", 1_048_576), rule("01:00", "03:00", 1_048_576)]
    assert refused(bandwidth_policy=pair) == (400, "OMS.0085")
    assert refused(bandwidth_policy=[rule("00:00", "00:01", 1_048_576)] * 6) == (400, "OMS.0083")
    smn = sdk.SmnConfig(topic_urn=f"urn:smn:{REGION}:p:unknown", trigger_conditions=["SUCCESS"])
    assert refused(smn_config=smn) == (400, "OMS.0169")
    nowhere = sdk.DstNodeReq(ak="a", sk="s", bucket=destination, region="nowhere-1")
    assert refused(dst_node=nowhere) == (400, "OMS.0080")
    gone = sdk.DstNodeReq(
        ak=seaweed.access_key, sk=seaweed.secret_key, bucket="no-such-bucket-here", region=REGION
    )
    assert refused(dst_node=gone) == (400, "OMS.1020")
    wrong_type = {"task_type": 5}
    assert call.refused("create_task", body=wrong_type) == (400, "OMS.1010")
    assert call.refused("list_tasks", limit=101) == (400, "OMS.0051")
    assert call.refused("list_tasks", status=9) == (400, "OMS.0052")
    batch = sdk.BatchUpdateTasksReq
    assert call.refused("batch_update_tasks", body=batch(task_priority="LOW")) == (400, "OMS.1004")
    both = batch(ids=[1], group_id="g", task_priority="LOW")
    assert call.refused("batch_update_tasks", body=both) == (400, "OMS.1003")
    unknown = batch(ids=[1], task_priority="LOW")
    assert call.refused("batch_update_tasks", body=unknown) == (400, "OMS.0054")
    assert call("list_tasks", task_name=source).count == 0
