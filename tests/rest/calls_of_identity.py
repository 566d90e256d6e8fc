"""Tests of test_compatibility.py: who calls, by signature and by token."""

from __future__ import annotations

from types import ModuleType

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
from tests.rest.record import Caller, RawCaller, Record
from tests.rest.wishes import OBJECTS
from tests.servers import S3Server


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
