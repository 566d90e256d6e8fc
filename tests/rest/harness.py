"""A real daemon with its REST API listening, raw HTTP to it, and Huawei's own client of it, unchanged."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from omsd.domain.passwords import hash_password
from tests.e2e.harness import TASK_DEADLINE_S, Daemon
from tests.processes import free_port
from tests.servers import S3Server

REGION = "local-1"
PROJECT = "0215ef11e49d4743be23dd97a156aaaa"
OTHER_PROJECT = "0215ef11e49d4743be23dd97a156bbbb"
PASSWORD = "Password"

# testname may change things in PROJECT, reader may read there.
_USERS = f"""
[[project]]
id = "{PROJECT}"
name = "{REGION}"
domain = "testname"

[[project]]
id = "{OTHER_PROJECT}"
name = "elsewhere"
domain = "testname"

[[user]]
name = "testname"
domain = "testname"
password = "{hash_password(PASSWORD, b"0123456789abcdef", log_n=4, block_size=1, parallel=1)}"
roles = {{ "{PROJECT}" = "operator" }}

[[user.key]]
ak = "AK1"
sk = "SK1"

[[user]]
name = "reader"
domain = "testname"
roles = {{ "{PROJECT}" = "read-only" }}

[[user.key]]
ak = "AK2"
sk = "SK2"
"""


def endpoints(server: S3Server) -> str:
    """The server under the clouds and regions that callers name; cn-north-4 is where accounts are asked without a region."""
    places = [
        ("HuaweiCloud", REGION),
        ("HuaweiCloud", "cn-north-1"),
        ("HuaweiCloud", "cn-north-4"),
        ("Aliyun", "cn-beijing"),
        # Where accounts are asked when the cloud is not named either: no test asks a machine that is not this one.
        ("Aliyun", "cn-hangzhou"),
    ]
    return "".join(
        f'[[endpoint]]\ncloud_type = "{cloud}"\nregion = "{region}"\nurl = "{server.url}"\naddressing = "path"\n'
        for cloud, region in places
    )


@dataclass
class RestDaemon(Daemon):
    """A daemon whose REST API listens on rest_port, and asks callers who they are."""

    rest_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}"

    async def start(self, env: Mapping[str, str] | None = None) -> None:
        users = self.folder / "users.toml"
        users.write_text(_USERS)
        users.chmod(0o600)
        ours = {
            "OMSD_SERVER__REST_LISTEN": f"127.0.0.1:{self.rest_port}",
            "OMSD_AUTH__METHODS": "token,signature",
            "OMSD_AUTH__USERS_FILE": str(users),
            # Tests fail often, and by intent.
            "OMSD_AUTH__MAX_FAILURES_PER_MINUTE": "10000",
        }
        await super().start({**ours, **(env or {})})

    def token(self) -> str:
        """A token of testname, good in PROJECT."""
        user = {"name": "testname", "password": PASSWORD, "domain": {"name": "testname"}}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"id": PROJECT}}
        reply = Http(self.url).call(
            "POST", "/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}}
        )
        assert reply.status == 201, reply
        return reply.headers["x-subject-token"]


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def code(self) -> str:
        """The documented code of a refusal, whose body has nothing else but a message."""
        body = self.json
        assert set(body) == {"error_code", "error_msg"}, body
        assert body["error_msg"]
        return str(body["error_code"])


@dataclass
class Http:
    """One call per connection; what is always true of an answer is checked here."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        sent = {**self.headers, **(headers or {})}
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()
        check_reply(reply)
        return reply

    def v1(self, method: str, path: str, body: Any = None) -> Reply:
        return self.call(method, f"/v1/{PROJECT}/objectstorage{path}", body)

    def v2(self, method: str, path: str, body: Any = None) -> Reply:
        return self.call(method, f"/v2/{PROJECT}{path}", body)


def check_reply(reply: Reply) -> None:
    """What is true of every answer."""
    request_id = reply.headers["x-request-id"]
    assert len(request_id) == 32
    assert set(request_id) <= set("0123456789abcdef")
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.status not in (301, 302, 303, 307, 308)
    assert b"Traceback" not in reply.raw
    assert b"<html" not in reply.raw.lower()
    if reply.raw:
        reply.json  # noqa: B018 - it is JSON


def until(
    ask: Callable[[], Any], reached: Callable[[Any], bool], *, deadline_s: float = TASK_DEADLINE_S
) -> Any:
    """The first answer that is as wanted."""
    deadline = time.monotonic() + deadline_s
    while True:
        found = ask()
        if reached(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def load_sdk(home: Path) -> ModuleType:
    """The client's package; when it is imported it writes into the home, so it gets one of its own."""
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(home)
    try:
        return importlib.import_module("huaweicloudsdkoms.v2")
    finally:
        if before is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = before


def sdk_client(sdk: ModuleType, url: str, *, ak: str = "AK1", sk: str = "SK1", project: str = PROJECT) -> Any:
    """A client that is told an endpoint, keys and a project, and nothing else."""
    credentials = importlib.import_module("huaweicloudsdkcore.auth.credentials").BasicCredentials
    return (
        sdk.OmsClient.new_builder().with_credentials(credentials(ak, sk, project)).with_endpoint(url).build()
    )


def fill(server: S3Server, objects: Mapping[str, bytes]) -> tuple[str, str]:
    """A bucket with the objects, and an empty one."""

    async def make() -> tuple[str, str]:
        source, destination = await server.make_bucket(), await server.make_bucket()
        await server.put_many(source, objects)
        return source, destination

    return asyncio.run(make())


def contents(server: S3Server, bucket: str) -> dict[str, bytes]:
    """What was migrated into a bucket, without the lists of tasks."""
    found = asyncio.run(server.get_all(bucket))
    return {key: data for key, data in found.items() if not key.startswith("oms/")}
