"""What every request gets, right or wrong: documented statuses and codes, one form, never a page or a stack."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.processes import free_port
from tests.rest.harness import PROJECT, Http, RestDaemon

TASKS = f"/v2/{PROJECT}/tasks"


def test_health_is_told_without_credentials(rest_daemon: RestDaemon) -> None:
    http = Http(rest_daemon.url)
    assert http.call("GET", "/healthz").json == {"status": "ok"}
    assert http.call("GET", "/readyz").json == {"status": "ready"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere/at/all", 404, "OMS.1009"),
        ("GET", f"/v2/{PROJECT}/nothing", 404, "OMS.1009"),
        ("GET", TASKS + "/", 404, "OMS.1009"),
        ("GET", "//", 404, "OMS.1009"),
        ("GET", f"/v1/{PROJECT}/nothing", 404, "S3M.0256"),
        ("GET", "/v9", 404, "OMS.1009"),
        ("PATCH", TASKS, 405, "OMS.1008"),
        ("GET", TASKS + "/batch-update", 405, "OMS.1008"),
        ("POST", f"/v1/{PROJECT}/objectstorage/quotas", 405, "S3M.0005"),
        ("GET", "/v2/%7Bproject_id%7D/tasks", 400, "OMS.0064"),
        ("GET", f"/v2/{'p' * 1025}/tasks", 400, "OMS.1003"),
        ("GET", f"/v2/{PROJECT}/tasks/%FF", 400, "OMS.0002"),
        ("GET", TASKS + "?limit=0", 400, "OMS.0051"),
        ("GET", TASKS + "?limit=101", 400, "OMS.0051"),
        ("GET", TASKS + "?offset=-1", 400, "OMS.0051"),
        ("GET", TASKS + "?offset=99999999999999999999999999", 400, "OMS.0051"),
        ("GET", TASKS + "?limit=ten", 400, "OMS.1010"),
        ("GET", TASKS + "?status=8", 400, "OMS.0052"),
        ("GET", TASKS + "?task_name=%FF", 400, "OMS.0002"),
        ("GET", TASKS + "/not-a-number", 404, "OMS.0054"),
        ("GET", TASKS + "/12345678901234567890123", 404, "OMS.0054"),
        ("DELETE", TASKS + "/5", 400, "OMS.0054"),
        ("GET", f"/v2/{PROJECT}/objectstorage/cloud-type", 400, "OMS.1004"),
        ("GET", f"/v2/{PROJECT}/objectstorage/cloud-type?type=both", 400, "OMS.1003"),
    ],
)
def test_what_is_wrong_with_a_path_or_query_is_told(
    http: Http, method: str, path: str, status: int, code: str
) -> None:
    reply = http.call(method, path)
    assert (reply.status, reply.code) == (status, code)
    assert (status == 405) == ("allow" in reply.headers)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "OMS.1006"),
        (b"{", "OMS.1006"),
        (b"[]", "OMS.1006"),
        (b"null", "OMS.1006"),
        (b'"text"', "OMS.1006"),
        (b"\xff\xfe", "OMS.1006"),
        (b'{"description": "\xff"}', "OMS.1006"),
        (b'{"description": "\\ud800"}', "OMS.1006"),
        (b"[" * 100_000, "OMS.1006"),
        (b'{"description": 5}', "OMS.1010"),
        (b'{"enable_kms": "true"}', "OMS.1010"),
        (b'{"migrate_since": "5"}', "OMS.1010"),
        (b'{"src_node": []}', "OMS.1010"),
        (b'{"src_node": {"object_key": ["a", 1]}}', "OMS.1010"),
        (b"{}", "OMS.1004"),
    ],
)
def test_what_is_wrong_with_a_body_is_told(http: Http, raw: bytes, code: str) -> None:
    reply = http.call("POST", TASKS, raw=raw)
    assert (reply.status, reply.code) == (400, code)


def test_the_wrong_field_is_named_and_its_value_is_not_repeated(http: Http) -> None:
    secret = "S3CR3T" * 3
    body = {"src_node": {"ak": secret, "object_key": ["a", {"sk": secret}]}}
    reply = http.call("POST", TASKS, body)
    assert reply.json["error_msg"].startswith("src_node.object_key[1]: must be a string")
    assert secret not in reply.raw.decode()


def test_the_content_type_must_be_json_where_there_is_a_body(http: Http) -> None:
    text = http.call("POST", TASKS, raw=b"{}", headers={"Content-Type": "text/plain"})
    assert (text.status, text.code) == (400, "OMS.1006")
    for kind in ("application/json", "application/json;charset=utf-8", "Application/JSON; charset=UTF-8"):
        assert http.call("POST", TASKS, raw=b"{}", headers={"Content-Type": kind}).code == "OMS.1004"
    assert http.call("POST", f"{TASKS}/5/stop", headers={"Content-Type": "text/plain"}).code == "OMS.0054"
    packed = http.call("POST", TASKS, raw=b"{}", headers={"Content-Encoding": "gzip"})
    assert packed.code == "OMS.1006"


@pytest.mark.parametrize("field", ["start=-1&limit=1", "limit=101&start=0"])
def test_v1_is_told_of_numbers_by_its_own_names(http: Http, field: str) -> None:
    reply = http.v1("GET", f"/task?{field}")
    assert (reply.status, reply.code) == (400, "S3M.0051")
    assert reply.json["error_msg"].startswith(field.partition("=")[0] + ": ")


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/tasks", {"dst_node": {"crypto_type": "KMS"}}, "dst_node.crypto_type"),
        ("POST", "/tasks/1/start", {"src_crypto_type": "kms"}, "src_crypto_type"),
        ("POST", "/taskgroups", {"source_cdn": {"crypto_type": "KMS"}}, "source_cdn.crypto_type"),
        ("PUT", "/taskgroups/x/start", {"dst_crypto_type": "KMS"}, "dst_crypto_type"),
        ("PUT", "/taskgroups/x/retry", {"source_cdn_crypto_type": "KMS"}, "source_cdn_crypto_type"),
        ("POST", "/sync-tasks", {"src_crypto_type": "KMS"}, "src_crypto_type"),
        ("POST", "/sync-tasks/x/start", {"dst_crypto_type": "KMS"}, "dst_crypto_type"),
    ],
)
def test_encrypted_keys_are_refused_wherever_keys_are_sent(
    http: Http, method: str, path: str, body: dict[str, object], field: str
) -> None:
    reply = http.v2(method, path, body)
    assert (reply.status, reply.code) == (400, "OMS.0064")
    assert reply.json["error_msg"].startswith(f"{field}: ")


def test_unknown_fields_are_left_out(http: Http) -> None:
    assert http.call("POST", TASKS, {"no_such_field": {"deep": [1]}}).code == "OMS.1004"


def test_a_body_over_12_mb_is_refused(http: Http, rest_daemon: RestDaemon) -> None:
    limit = 12 * 1024 * 1024
    at_limit = json.dumps({"description": "x" * (limit - 20)}).encode().ljust(limit)
    assert http.call("POST", TASKS, raw=at_limit).status == 400
    assert _send_head(rest_daemon, f"Content-Length: {limit + 1}\r\n") == 413
    assert _send_chunks(rest_daemon, limit + 1) == 413


def _connect(daemon: RestDaemon) -> socket.socket:
    parts = urlsplit(daemon.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


def _send_head(daemon: RestDaemon, header: str) -> int:
    """The status when only the head was sent."""
    with _connect(daemon) as connection:
        connection.sendall(f"POST {TASKS} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
        return int(connection.recv(4096).split()[1])


def _send_chunks(daemon: RestDaemon, size: int) -> int:
    """The status of a body whose length was not told."""
    with _connect(daemon) as connection:
        connection.sendall(f"POST {TASKS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        piece = 64 * 1024
        try:
            for _ in range(0, size, piece):
                connection.sendall(f"{piece:x}\r\n".encode() + b" " * piece + b"\r\n")
        except ConnectionError:
            pass  # It need not be read to its end.
        return int(connection.recv(4096).split()[1])


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Auth-Token: " + b"a" * 40_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_garbage_gets_the_documented_form(rest_daemon: RestDaemon, garbage: bytes) -> None:
    with _connect(rest_daemon) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split()[1] == b"400"
        assert json.loads(body)["error_code"] == "OMS.0004"
        assert b"X-Request-Id" in head


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(rest_daemon: RestDaemon, token: str) -> None:
    with _connect(rest_daemon) as connection:
        head = f"POST {TASKS} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
        head += f"X-Auth-Token: {token}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")


def test_links_lead_to_this_server(http: Http, rest_daemon: RestDaemon) -> None:
    versions = http.call("GET", "/").json["versions"]
    assert [(version["id"], version["status"]) for version in versions] == [
        ("v1", "SUPPORTED"),
        ("v2", "CURRENT"),
    ]
    assert versions[1]["links"] == [{"href": f"{rest_daemon.url}/v2/", "rel": "self"}]


def test_nothing_that_a_caller_sent_as_a_secret_is_logged(http: Http, rest_daemon: RestDaemon) -> None:
    node = {"ak": "LOGGED-AK", "sk": "LOGGED-SK", "bucket": "b", "region": "local-1"}
    http.call("POST", TASKS, {"src_node": node, "dst_node": node}, headers={"X-Auth-Token": "LOGGED-TOKEN"})
    assert "LOGGED" not in rest_daemon.log()


def test_two_servers_do_not_share_an_address(
    rest_daemon: RestDaemon, tmp_path_factory: pytest.TempPathFactory
) -> None:
    second = RestDaemon(tmp_path_factory.mktemp("second"), workers=1, rest_port=rest_daemon.rest_port)
    with pytest.raises(AssertionError, match="rest_listen"):
        asyncio.run(second.start())
    second.end()


def test_what_is_configured_of_connections_holds_for_both_servers(tmp_path: Path) -> None:
    events_port = free_port()
    daemon = RestDaemon(tmp_path, workers=1)
    limits = {"OMSD_HTTP__HEAD_TIMEOUT_S": "0.3", "OMSD_SYNC__EVENTS_LISTEN": f"127.0.0.1:{events_port}"}
    try:
        asyncio.run(daemon.start(limits))
        for port in (daemon.rest_port, events_port):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
                plain.sendall(b"GET /healthz HTTP/1.1\r\n")
                assert plain.recv(1) == b""
        assert Http(daemon.url).call("GET", "/healthz").status == 200
        assert asyncio.run(daemon.stop()) == 0
    finally:
        daemon.end()
