"""Huawei's own client, unchanged, through every operation with real buckets; V1 and the token flow as the reference prints them.

The tests of this file share a record of what they saw; the last one compares it with docs/rest-compatibility.md.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest

from tests.rest.harness import (
    OTHER_PROJECT,
    PASSWORD,
    PROJECT,
    REGION,
    Http,
    RestDaemon,
    contents,
    fill,
    sdk_client,
    until,
)
from tests.rest.record import TABLE, Caller, RawCaller, Record, operations, table
from tests.servers import S3Server
from tests.webserver import WebServer, start_web

OBJECTS = {f"photos/{number}.jpg": bytes([number]) * 1000 * (number + 1) for number in range(12)}
SLOW = [{"start": "00:00", "end": "23:59", "max_bandwidth": 1_048_576}]


@pytest.fixture(scope="module")
def record() -> Record:
    return Record()


@pytest.fixture
def call(sdk: ModuleType, rest_daemon: RestDaemon, record: Record) -> Caller:
    return Caller(sdk, sdk_client(sdk, rest_daemon.url), record)


@pytest.fixture
def raw(http: Http, record: Record) -> RawCaller:
    return RawCaller(http, record)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    server = start_web(tmp_path)
    yield server
    server.stop()


def nodes(sdk: ModuleType, server: S3Server, source: str, destination: str, **changed: Any) -> dict[str, Any]:
    """Both nodes of a task."""
    ak, sk = server.access_key, server.secret_key
    src = {"cloud_type": "HuaweiCloud", "region": REGION, "ak": ak, "sk": sk, "bucket": source, **changed}
    return {
        "src_node": sdk.SrcNodeReq(**src),
        "dst_node": sdk.DstNodeReq(ak=ak, sk=sk, bucket=destination, region=REGION),
    }


def keys(server: S3Server) -> dict[str, str]:
    ak, sk = server.access_key, server.secret_key
    return {"src_ak": ak, "src_sk": sk, "dst_ak": ak, "dst_sk": sk}


def reached(call: Caller, task_id: int, *states: int) -> Any:
    return until(lambda: call("show_task", task_id=task_id), lambda task: task.status in states)


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


def test_buckets_are_looked_into(call: Caller, seaweed: S3Server, web: WebServer) -> None:
    sdk = call.sdk
    bucket, _ = fill(seaweed, {"a/1": b"x", "a/2": b"yy", "top": b"z" * 2048})
    account = {"cloud_type": "HuaweiCloud", "ak": seaweed.access_key, "sk": seaweed.secret_key}
    wrong = {**account, "sk": "wrong"}
    place = {"bucket_name": bucket, "data_center": REGION}

    admin = sdk.ListBucketsReq(cloud_type="HuaweiCloud", ak="AKADMIN", sk="SKADMIN")
    assert bucket in call("show_bucket_list", body=admin).body
    assert call.refused("show_bucket_list", body=sdk.ListBucketsReq(**wrong)) == (400, "OMS.0153")

    page = {"file_path": "", "page_size": 1, "behind_filename": ""}
    first = call("show_bucket_objects", body=sdk.ShowBucketReq(**account, **place, **page))
    assert (first.next_page, first.next_marker, first.records[0].name) == (True, "a/", "a/")
    assert first.records[0].size == "--"
    rest = sdk.ShowBucketReq(**account, **place, **{**page, "page_size": 0, "behind_filename": "a/"})
    last = call("show_bucket_objects", body=rest)
    assert (last.next_page, last.next_marker, last.records[0].size) == (False, None, "2.00 KB")
    missing = sdk.ShowBucketReq(**account, **place, file_path="")
    assert call.refused("show_bucket_objects", body=missing) == (400, "OMS.1004")
    nobody = sdk.ShowBucketReq(**wrong, **place, **page)
    assert call.refused("show_bucket_objects", body=nobody) == (400, "OMS.0153")

    assert call("check_prefix", body=sdk.CheckPrefixReq(**account, **place, file_name="a/")).exist is True
    assert call("check_prefix", body=sdk.CheckPrefixReq(**account, **place, file_name="b")).exist is False
    nobody = sdk.CheckPrefixReq(**wrong, **place, file_name="a/")
    assert call.refused("check_prefix", body=nobody) == (400, "OMS.1014")

    region = call("show_bucket_region", body=sdk.ShowBucketRegionReq(**account, bucket_name=bucket))
    assert isinstance(region.support, bool)
    gone = sdk.ShowBucketRegionReq(**account, bucket_name="no-such-bucket-here")
    assert call.refused("show_bucket_region", body=gone) == (400, "OMS.0155")

    web.put("top", b"z" * 2048)
    cdn = sdk.SourceCdnReq(authentication_type="none", domain=web.host, protocol="HTTP")
    at = {**account, "region": REGION, "bucket": bucket, "prefix": sdk.PrefixKeyInfo(keys=["top", "a/1"])}
    info = call("show_cdn_info", body=sdk.ShowCdnInfoReq(**at, source_cdn=cdn))
    assert (info.is_same_cloud_type, info.is_download_available) == (False, False)
    assert [(k.key, k.is_etag_matching, k.is_object_existing) for k in info.checked_keys] == [
        ("top", True, True),
        ("a/1", False, False),
    ]
    signed = sdk.SourceCdnReq(authentication_type="ALIYUN_OSS_A", domain=web.host, protocol="http")
    assert call.refused("show_cdn_info", body=sdk.ShowCdnInfoReq(**at, source_cdn=signed))[1] == "OMS.1032"
    no_host = sdk.SourceCdnReq(authentication_type="NONE", domain="a/b", protocol="http")
    assert call.refused("show_cdn_info", body=sdk.ShowCdnInfoReq(**at, source_cdn=no_host))[1] == "OMS.0081"


def test_url_list_files_are_checked(call: Caller, seaweed: S3Server) -> None:
    sdk = call.sdk
    bucket, _ = fill(seaweed, {})
    files = {"good.txt": b"https://example.com/a\ta\n", "bad.txt": b"no url\n", "empty.txt": b""}
    for key, data in files.items():
        asyncio.run(seaweed.put(bucket, key, data, ContentType="text/plain"))

    def body(key: str) -> Any:
        return sdk.CheckUrlSourceListFileFormatReq(
            obs_bucket=bucket,
            list_file_key=key,
            ak=seaweed.access_key,
            sk=seaweed.secret_key,
            region=REGION,
        )

    operation = "check_url_source_list_file_format"
    assert call(operation, body=body("good.txt")).raw_content == b""
    assert call.refused(operation, body=body("bad.txt")) == (400, "TRF.0016")
    assert call.refused(operation, body=body("empty.txt")) == (400, "TRF.0017")
    assert call.refused(operation, body=body("none.txt")) == (400, "TRF.0013")
    assert call.refused(operation, body={}) == (400, "OMS.1004")


def test_versions_clouds_and_regions_are_told(call: Caller) -> None:
    assert [version.id for version in call("list_api_versions").versions] == ["v1", "v2"]
    assert call("show_api_info", version="v2").status == "CURRENT"
    assert call.refused("show_api_info", version="v7") == (404, "OMS.1009")
    assert {"AWS", "Google", "HuaweiCloud"} <= set(call("show_cloud_type", type="src").body)
    assert call("show_cloud_type", type="dst").body == ["HuaweiCloud"]
    assert call.refused("show_cloud_type", type="both") == (400, "OMS.1003")
    assert call.refused("show_cloud_type") == (400, "OMS.1004")
    clouds = {entry.service_name: entry.region_list for entry in call("show_region_info").body}
    assert REGION in [region.value for region in clouds["HuaweiCloud"]]
    call("update_privacy_agreement_record")


def test_who_calls_is_asked(sdk: ModuleType, rest_daemon: RestDaemon, record: Record) -> None:
    def caller(**who: str) -> Caller:
        return Caller(sdk, sdk_client(sdk, rest_daemon.url, **who), record)

    reader = caller(ak="AK2", sk="SK2")
    assert reader("list_tasks").count >= 0
    assert reader.refused("stop_task", task_id=5) == (403, "OMS.0205")
    assert reader.refused("create_task", body={}) == (403, "OMS.0205")
    assert caller(project=OTHER_PROJECT).refused("list_tasks") == (403, "OMS.0206")
    assert caller(sk="wrong").refused("list_tasks") == (401, "OMS.1005")
    assert caller(ak="AK9").refused("list_tasks") == (401, "OMS.1005")
    no_project = Http(rest_daemon.url).call("GET", "/v2/%7Bproject_id%7D/tasks")
    assert (no_project.status, no_project.code) == (400, "OMS.0064")
    nobody = Http(rest_daemon.url).call("GET", f"/v2/{PROJECT}/tasks")
    assert (nobody.status, nobody.code) == (401, "OMS.1005")
    forged = Http(rest_daemon.url, {"X-Auth-Token": "forged"}).call("GET", f"/v2/{PROJECT}/tasks")
    assert (forged.status, forged.code) == (401, "OMS.0068")
    forged = Http(rest_daemon.url, {"X-Auth-Token": "forged"}).v1("GET", "/quotas")
    assert (forged.status, forged.code) == (401, "S3M.0068")
    audited = [event for event in rest_daemon.events() if event["event"] == "audit"]
    assert {"user": "reader", "operation": "StopTask", "outcome": "OMS.0205", "task_id": "5"}.items() <= next(
        event for event in audited if event["outcome"] == "OMS.0205" and event["operation"] == "StopTask"
    ).items()


def test_a_client_finds_its_project_by_the_region(
    sdk: ModuleType, rest_daemon: RestDaemon, record: Record
) -> None:
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.region.region import Region

    credentials = BasicCredentials("AK1", "SK1").with_iam_endpoint(rest_daemon.url)
    client = (
        sdk.OmsClient.new_builder()
        .with_credentials(credentials)
        .with_region(Region(REGION, rest_daemon.url))
        .build()
    )
    assert Caller(sdk, client, record)("list_tasks", limit=1).status_code == 200
    record.note_done("list_projects")


def test_the_flow_of_chapter_4_runs_as_printed(
    rest_daemon: RestDaemon, record: Record, seaweed: S3Server
) -> None:
    source, destination = fill(seaweed, OBJECTS)
    http = Http(rest_daemon.url)
    raw = RawCaller(http, record)
    # Step 1, with `password` and `scope` where the reference prints them.
    user = {"name": "testname", "domain": {"name": "testname"}}
    identity = {"methods": ["password"], "password": {"user": user, "password": PASSWORD}}
    asked = {"auth": {"identity": identity}, "scope": {"project": {"id": PROJECT}}}
    issued = raw("create_token", "POST", "/v3/auth/tokens", asked, status=201)
    assert set(issued.json["token"]) == {"expires_at", "issued_at", "methods", "project", "user"}
    assert issued.json["token"]["project"] == {"id": PROJECT, "name": REGION}
    http.headers = {"Content-Type": "application/json", "X-Auth-Token": issued.headers["x-subject-token"]}
    # Step 2.
    ak, sk = seaweed.access_key, seaweed.secret_key
    body = {
        "src_node": {
            "region": "cn-beijing",
            "ak": ak,
            "sk": sk,
            "object_key": {"path": "", "keys": []},
            "bucket": source,
            "cloud_type": "Aliyun",
        },
        "thread_num": 50,
        "enableKMS": False,
        "description": "A migration task.",
        "dst_node": {
            "region": "cn-north-1",
            "ak": ak,
            "sk": sk,
            "object_key": "/",
            "bucket": destination,
            "cloud_type": "OBS",
        },
        "task_type": "object",
        "enable_failed_object_recording": False,
    }
    made = raw("v1_create_task", "POST", f"/v1/{PROJECT}/objectstorage/task", body).json
    assert set(made) == {"id", "task_name"}
    # Step 3.
    path = f"/v1/{PROJECT}/objectstorage/task/{made['id']}"
    task = until(lambda: raw("v1_show_task", "GET", path).json, lambda task: task["status"] in (4, 5))
    assert (task["status"], task["progress"], task["is_query_over"]) == (5, 1.0, True)
    assert (task["total_num"], task["success_num"], task["fail_num"], task["skip_num"]) == (12, 12, 0, 0)
    assert (task["error_reason"], task["thread_num"], task["enableKMS"]) == ("", 50, False)
    assert task["dst_node"] == {
        "region": "cn-north-1",
        "bucket": destination,
        "object_key": "/",
        "cloud_type": "HEC",
    }
    assert contents(seaweed, destination) == OBJECTS

    wrong = {"auth": {"identity": {**identity, "password": {"user": user, "password": "x"}}}}
    assert raw.refused("create_token", "POST", "/v3/auth/tokens", wrong) == (401, "OMS.0068")
    elsewhere = {**asked, "scope": {"project": {"id": OTHER_PROJECT}}}
    assert raw.refused("create_token", "POST", "/v3/auth/tokens", elsewhere) == (403, "OMS.0206")
    other = {"auth": {"identity": {"methods": ["totp"]}}}
    assert raw.refused("create_token", "POST", "/v3/auth/tokens", other) == (400, "OMS.0064")
    assert raw.refused("create_token", "POST", "/v3/auth/tokens", {}) == (400, "OMS.1004")
    found = raw("list_projects", "GET", f"/v3/projects?name={REGION}").json["projects"]
    assert [(project["id"], project["name"], project["enabled"]) for project in found] == [
        (PROJECT, REGION, True)
    ]


def v1_body(server: S3Server, source: str, destination: str, **changed: Any) -> dict[str, Any]:
    ak, sk = server.access_key, server.secret_key
    src = {"cloud_type": "HuaweiCloud", "region": REGION, "ak": ak, "sk": sk, "bucket": source}
    dst = {"region": REGION, "ak": ak, "sk": sk, "bucket": destination, "object_key": "/copy"}
    body = {
        "src_node": {**src, "object_key": {"path": "", "keys": ["photos/"]}},
        "dst_node": dst,
        "enableKMS": False,
        "thread_num": 5,
    }
    for name, value in changed.items():
        at, _, key = name.rpartition("__")
        (body[at] if at else body)[key] = value
    return {name: value for name, value in body.items() if value is not None}


def test_v1_tasks_live(raw: RawCaller, seaweed: S3Server) -> None:
    base = f"/v1/{PROJECT}/objectstorage/task"
    objects = {f"photos/{number:03}": os.urandom(256 * 1024) for number in range(200)}
    source, destination = fill(seaweed, objects)
    slow = [{"start": "00:00", "end": "23:59", "max_bandwidth": 5_000_000}]
    body = v1_body(
        seaweed, source, destination, bandwidth_policy=slow, migrate_since=1_000_000, auto_restore=False
    )
    task_id = raw("v1_create_task", "POST", base, body).json["id"]
    path = f"{base}/{task_id}"

    def reached(*states: int) -> Any:
        return until(lambda: raw("v1_show_task", "GET", path).json, lambda task: task["status"] in states)

    running = reached(2)
    assert running["bandwidth_policy"] == slow
    assert running["migrate_since"] == 1_000_000
    assert raw.refused("v1_delete_task", "DELETE", path) == (400, "S3M.0063")
    keys = {
        "source_ak": seaweed.access_key,
        "source_sk": seaweed.secret_key,
        "target_ak": seaweed.access_key,
        "target_sk": seaweed.secret_key,
    }
    start = {"operation": "start", **keys, "migration_failed_object": None}
    assert raw.refused("v1_operate_task", "PUT", path, start) == (400, "S3M.0065")
    raw("v1_operate_task", "PUT", path, {"operation": "stop"})
    assert reached(3)["success_num"] < 200
    assert raw.refused("v1_operate_task", "PUT", path, {"operation": "stop"}) == (400, "S3M.0066")
    fast = [{"start": "00:00", "end": "23:59", "max_bandwidth": 10_737_418_240}]
    change = {"operation": "change_bandwidthpolicy", "bandwidth_policy": fast}
    raw("v1_operate_task", "PUT", path, change)
    assert raw("v1_show_task", "GET", path).json["bandwidth_policy"] == fast
    no_keys = {"operation": "start", "target_ak": "a", "target_sk": "b"}
    refused = raw.http.call("PUT", path, no_keys)
    assert (refused.code, refused.json["error_msg"].split(":")[0]) == ("S3M.0064", "source_ak")
    raw("v1_operate_task", "PUT", path, start)
    done = reached(4, 5)
    assert (done["status"], done["failed_object_record"]) == (
        5,
        '{"result":false,"list_file_key":"","errorCode":""}',
    )
    assert done["src_node"]["object_key"] == ["photos/"]
    assert (done["dst_node"]["object_key"], done["task_type"]) == ("copy/", "object")
    assert contents(seaweed, destination) == {f"copy/{key}": data for key, data in objects.items()}

    listed = raw("v1_list_tasks", "GET", f"{base}?start=0&limit=100&state=5").json
    assert task_id in [task["id"] for task in listed]
    counted = raw("v1_list_tasks", "GET", f"{base}?totalcount=true&state=5").json
    assert counted == {"taskcount": len(listed)}
    assert raw("v1_list_tasks", "GET", f"{base}?start=0&limit=1&state=0").json == []
    raw("v1_delete_task", "DELETE", path)
    assert raw.refused("v1_show_task", "GET", path) == (404, "S3M.0054")
    assert raw.refused("v1_operate_task", "PUT", path, {"operation": "stop"}) == (400, "S3M.0054")
    assert raw.refused("v1_operate_task", "PUT", path, {"operation": "run"}) == (400, "S3M.0064")


def test_wrong_v1_calls_are_refused_with_the_older_codes(raw: RawCaller, seaweed: S3Server) -> None:
    base = f"/v1/{PROJECT}/objectstorage"
    source, destination = fill(seaweed, {"a": b"a"})

    def refused(**changed: Any) -> tuple[int, str]:
        body = v1_body(seaweed, source, destination, **changed)
        return raw.refused("v1_create_task", "POST", base + "/task", body)

    assert refused(thread_num=None) == (400, "S3M.0064")
    assert refused(enableKMS=None) == (400, "S3M.0064")
    assert refused(thread_num=51) == (400, "S3M.0059")
    assert refused(thread_num="5") == (400, "S3M.0061")
    assert refused(description="it's") == (400, "S3M.0078")
    assert refused(bandwidth_policy=[{"start": "00:00", "end": "01:00", "max_bandwidth": 4_999_999}]) == (
        400,
        "S3M.0084",
    )
    assert refused(task_type="list", src_node__object_key="a") == (400, "S3M.0088")
    assert refused(src_node__object_key={"path": "/x", "keys": ["a"]}) == (400, "S3M.0088")
    assert refused(src_node__region="nowhere-1") == (400, "S3M.0079")
    smn_info = {"topicUrn": f"urn:smn:{REGION}:p:unknown", "triggerConditions": ["SUCCESS", "FAIL"]}
    assert refused(smnInfo=smn_info) == (400, "S3M.0169")
    assert refused(src_node__sk="wrong") == (400, "S3M.0153")
    assert refused(dst_node__bucket="no-such-bucket-here") == (400, "S3M.0154")
    assert raw.refused("v1_create_task", "POST", base + "/task", []) == (400, "S3M.0067")
    assert raw.refused("v1_list_tasks", "GET", base + "/task?start=0") == (400, "S3M.0064")
    assert raw.refused("v1_list_tasks", "GET", base + "/task?start=0&limit=101") == (400, "S3M.0051")
    assert raw.refused("v1_list_tasks", "GET", base + "/task?start=0&limit=1&state=7") == (400, "S3M.0052")

    versions = raw("v1_show_versions", "GET", base + "/version").json["versions"]
    assert [version["id"] for version in versions] == ["v1.0", "v2.0"]
    assert raw("v1_show_versions", "GET", base + "/version?version=v2.0").json["versions"][0]["status"] == (
        "CURRENT"
    )
    assert raw.refused("v1_show_versions", "GET", base + "/version?version=v3") == (404, "S3M.0256")
    quotas = raw("v1_show_quotas", "GET", base + "/quotas").json
    assert quotas == {"quotas": {"resource": {"type": "MaxParallelTaskNum", "quota": 5}}}


def test_a_string_of_v1_counts_as_one_key(raw: RawCaller, seaweed: S3Server) -> None:
    source, destination = fill(seaweed, {"a": b"a", "b": b"b"})
    base = f"/v1/{PROJECT}/objectstorage/task"
    body = v1_body(seaweed, source, destination, src_node__object_key="a")
    task_id = raw("v1_create_task", "POST", base, body).json["id"]
    show = f"{base}/{task_id}"
    task = until(lambda: raw("v1_show_task", "GET", show).json, lambda task: task["status"] in (4, 5))
    assert (task["status"], task["src_node"]["object_key"]) == (5, ["a"])
    assert contents(seaweed, destination) == {"copy/a": b"a"}


def test_the_table_says_what_was_seen(record: Record, pytestconfig: pytest.Config) -> None:
    if not record.done >= set(operations()):
        assert pytestconfig.getoption("keyword") or "::" in " ".join(pytestconfig.args), sorted(
            set(operations()) - record.done
        )
        pytest.skip("only a run of the whole file has seen everything")
    text = table(record)
    if os.environ.get("OMSD_WRITE_REST_TABLE"):
        TABLE.write_text(text)
    assert TABLE.read_text() == text, "run: make rest-table"
