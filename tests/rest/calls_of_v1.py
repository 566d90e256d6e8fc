"""Tests of test_compatibility.py: version 1, over raw HTTP."""

from __future__ import annotations

import os
from typing import Any

from tests.rest.harness import PROJECT, REGION, contents, fill, until
from tests.rest.record import RawCaller
from tests.servers import S3Server


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
