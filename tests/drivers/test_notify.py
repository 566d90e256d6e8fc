"""Notices on the wire: SMN's publish and its signature, webhooks and theirs, and what each answer means."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from omsd.clock import SystemClock
from omsd.domain.notice_text import compose
from omsd.domain.notices import Notice, NoticeFacts, NoticeId, NoticeLanguage, SmnConfig, Trigger, task_owner
from omsd.drivers.addresses import address_policy
from omsd.drivers.notify.signing import authorization, sdk_date
from omsd.drivers.notify.sinks import TopicSinks
from omsd.drivers.notify.targets import SmnTarget, WebhookTarget
from omsd.ports.notices import DeliveryError
from omsd.wire import Deadlines, Pool, make_tls_context
from tests.drivers.scripted import Reply, ScriptedServer, Seen, scripted
from tests.wire.test_wire_tls import make_certificate

PROJECT = "0123456789abcdef0123456789abcdef"
SMN_URN = f"urn:smn:cn-north-4:{PROJECT}:OMS"
HOOK_URN = "urn:smn:local:0:team"
PATH = f"/v2/{PROJECT}/notifications/topics/{SMN_URN}/publish"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
PUBLISHED = b'{"request_id":"r","message_id":"m"}'
FACTS = NoticeFacts(name="photos-archive", succeeded=True, started_ms=1_700_000_000_000, listed_num=3)


def notice(urn: str, *, template: str = "", language: NoticeLanguage = NoticeLanguage.EN_US) -> Notice:
    config = SmnConfig(urn, (Trigger.SUCCESS,), language, template)
    return Notice(NoticeId(5), task_owner(17), config, FACTS)


class Door:
    """The sinks, and where their secrets are."""

    def __init__(self, folder: Path) -> None:
        self.sk, self.token, self.hook = folder / "sk", folder / "token", folder / "hook"
        for path, text in ((self.sk, "MY_SECRET_KEY\n"), (self.token, "TOKEN"), (self.hook, SECRET)):
            path.touch(mode=0o600)
            path.write_text(text)
        self._pools: list[Pool] = []

    def sinks(
        self,
        url: str,
        *,
        token: bool = False,
        networks: tuple[str, ...] = ("127.0.0.0/8",),
        tls: ssl.SSLContext | None = None,
    ) -> TopicSinks:
        pool = Pool(
            deadlines=Deadlines(connect_s=20, first_byte_s=20, stall_s=20),
            tls=tls,
            allow_address=address_policy(networks),
        )
        self._pools.append(pool)
        keys: dict[str, Any] = {"access_key": "MY_ACCESS_KEY", "secret_file": self.sk}
        service = SmnTarget("cn-north-4", url, PROJECT, **({"token_file": self.token} if token else keys))
        hook = WebhookTarget(HOOK_URN, f"{url}/hook/a%20b?room=1", self.hook)
        return TopicSinks(pool, SystemClock(), (service,), (hook,))

    async def close(self) -> None:
        for pool in self._pools:
            await pool.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    made = Door(tmp_path)
    yield made
    await made.close()


async def deliver(sinks: TopicSinks, told: Notice) -> None:
    await sinks.deliver(told, compose(told, ZoneInfo("Europe/Berlin")))


async def refused(sinks: TopicSinks, told: Notice) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await deliver(sinks, told)
    return caught.value


def always(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Callable[[Seen], Reply]:
    return lambda _: Reply(status, body, headers or {})


def oracle_authorization(
    method: str, host: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> str:
    """What the SDK of the cloud signs."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer

    request = SdkRequest(
        method=method,
        schema="https",
        host=host,
        resource_path=path,
        query_params=query,
        header_params=dict(headers),
        body=body.decode() if body else "",
    )
    signed = Signer(BasicCredentials("MY_ACCESS_KEY", "MY_SECRET_KEY", PROJECT)).sign(request)
    return str(signed.header_params["Authorization"])


def ours(
    method: str, path: str, headers: dict[str, str], body: bytes, query: list[tuple[str, str]] | None = None
) -> str:
    return authorization(
        method,
        path,
        headers,
        body,
        access_key="MY_ACCESS_KEY",
        secret_key="MY_SECRET_KEY",
        query=query or [],
    )


def test_the_published_vectors_are_signed_as_the_sdk_signs_them() -> None:
    date = sdk_date(1_700_000_000)
    host = "smn.cn-north-4.myhuaweicloud.com"
    assert date == "20231114T221320Z"
    headers = {"Content-Type": "application/json", "X-Project-Id": PROJECT, "X-Sdk-Date": date, "Host": host}
    signed = ours("POST", PATH, headers, b'{"subject":"OMS","message":"done"}')
    assert signed == (
        "SDK-HMAC-SHA256 Access=MY_ACCESS_KEY, SignedHeaders=content-type;host;x-project-id;x-sdk-date, "
        "Signature=345e3bb4b85b75560e4dabd7d07c67a746e1ce4e2b439e6758f407815c480c9a"
    )
    query = [("limit", "10"), ("offset", "0"), ("status", "a b")]
    signed = ours("GET", f"/v2/{PROJECT}/objectstorage/task", {"X-Sdk-Date": date, "Host": host}, b"", query)
    assert signed.endswith("Signature=26dbd05f13be9df341564f922bd05c3dd05030a05d9289e460ef5afcfa7e5608")


_NAMES = st.text(st.sampled_from("abAB09-_.~:% /+é"), min_size=1, max_size=8)


@given(
    segments=st.lists(_NAMES, max_size=4),
    query=st.lists(st.tuples(_NAMES, _NAMES), max_size=3, unique_by=lambda pair: pair[0]),
    message=st.text(max_size=50),
)
def test_whatever_is_signed_the_sdk_signs_it_alike(
    segments: list[str], query: list[tuple[str, str]], message: str
) -> None:
    from urllib.parse import quote

    path = "/" + "/".join(quote(segment) for segment in segments)
    body = json.dumps({"message": message}).encode()
    headers = {
        "Host": "smn.example.com",
        "X-Sdk-Date": sdk_date(1_700_000_000),
        "Content-Type": "application/json;charset=UTF-8",
    }
    expected = oracle_authorization("POST", "smn.example.com", path, query, headers, body)
    assert ours("POST", path, headers, body, query) == expected


async def test_a_text_is_published_as_smn_wants_it_and_signed_by_the_operators_key(door: Door) -> None:
    async with scripted(always(200, PUBLISHED)) as server:
        await deliver(door.sinks(server.url), notice(SMN_URN, language=NoticeLanguage.ZH_CN))
    (seen,) = server.seen
    assert (seen.method, seen.target) == ("POST", PATH)
    assert seen.headers["content-type"] == "application/json;charset=UTF-8"
    assert seen.headers["x-project-id"] == PROJECT
    assert "x-auth-token" not in seen.headers
    body = json.loads(seen.body)
    assert set(body) == {"subject", "message", "locale"}
    assert (body["subject"], body["locale"]) == ("OMS：迁移任务成功：photos-archive", "zh-cn")  # noqa: RUF001
    signed_names = seen.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    assert {"host", "x-sdk-date", "content-type", "x-project-id"} <= set(signed_names)
    headers = {name: seen.headers[name] for name in signed_names}
    expected = oracle_authorization("POST", headers["host"], seen.target, [], headers, seen.body)
    assert seen.headers["authorization"] == expected


async def test_a_template_is_sent_by_name_with_all_documented_tags(door: Door) -> None:
    async with scripted(always(200, PUBLISHED)) as server:
        await deliver(door.sinks(server.url), notice(SMN_URN, template="oms_end"))
    body = json.loads(server.seen[0].body)
    assert set(body) == {"subject", "message_template_name", "tags", "locale"}
    assert body["message_template_name"] == "oms_end"
    assert len(body["tags"]) == 13
    assert body["tags"]["Task_Name"] == "photos-archive"
    assert body["tags"]["Start_Time"] == "2023-11-14 23:13:20 +0100"


async def test_a_token_is_read_anew_for_each_notice(door: Door) -> None:
    async with scripted(always(200, PUBLISHED)) as server:
        sinks = door.sinks(server.url, token=True)
        await deliver(sinks, notice(SMN_URN))
        door.token.write_text("FRESH\n")
        await deliver(sinks, notice(SMN_URN))
    assert [seen.headers["x-auth-token"] for seen in server.seen] == ["TOKEN", "FRESH"]
    assert all("authorization" not in seen.headers for seen in server.seen)


async def test_a_webhook_is_what_a_standard_verifier_takes(door: Door) -> None:
    async with scripted(always(204)) as server:
        await deliver(door.sinks(server.url), notice(HOOK_URN))
    (seen,) = server.seen
    assert (seen.method, seen.target) == ("POST", "/hook/a%20b?room=1")
    verifier = Webhook(SECRET)
    told = verifier.verify(seen.body, seen.headers)
    assert (told["type"], told["id"], told["topic_urn"]) == ("task.succeeded", "17", HOOK_URN)
    assert told["facts"]["listed_num"] == 3
    assert seen.headers["webhook-id"] == "task-17-5"
    for wrong in (
        {"webhook-timestamp": str(int(seen.headers["webhook-timestamp"]) - 1)},
        {"webhook-id": "task-17-6"},
    ):
        with pytest.raises(WebhookVerificationError):
            verifier.verify(seen.body, {**seen.headers, **wrong})
    with pytest.raises(WebhookVerificationError):
        verifier.verify(seen.body + b" ", seen.headers)
    assert abs(int(seen.headers["webhook-timestamp"]) - time.time()) < 120


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (301, "OMS.0159", False),
        (400, "OMS.0159", False),
        (401, "OMS.0158", True),
        (403, "OMS.0158", False),
        (404, "OMS.0157", False),
        (408, "OMS.0160", True),
        (410, "OMS.0157", False),
        (429, "OMS.0160", True),
        (500, "OMS.0156", True),
        (502, "OMS.0156", True),
        (503, "OMS.0160", True),
    ],
)
async def test_each_refusal_has_its_code(door: Door, status: int, code: str, retryable: bool) -> None:
    async with scripted(always(status, b'{"code":"SMN.1", "message":"no\nway"}')) as server:
        for urn in (SMN_URN, HOOK_URN):
            error = await refused(door.sinks(server.url), notice(urn))
            assert (error.code, error.retryable) == (code, retryable)
            assert f"answered {status}" in error.message
            assert '"no way"' in error.message
            assert "room=1" not in error.message


async def test_a_pause_that_is_asked_for_is_told(door: Door) -> None:
    async with scripted(always(503, headers={"Retry-After": "7"})) as server:
        assert (await refused(door.sinks(server.url), notice(SMN_URN))).retry_after_s == 7.0
    async with scripted(always(503, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})) as server:
        assert (await refused(door.sinks(server.url), notice(SMN_URN))).retry_after_s is None


@pytest.mark.parametrize("body", [b"", b"<html>welcome</html>", b"[]", b'{"ok":true}', b"\xff"])
async def test_an_answer_that_is_not_of_smn_is_no_success(door: Door, body: bytes) -> None:
    async with scripted(always(200, body)) as server:
        error = await refused(door.sinks(server.url), notice(SMN_URN))
        assert (error.code, error.retryable) == ("OMS.0156", True)
        assert "message_id" in error.message
        # A receiver of webhooks may say what it likes.
        await deliver(door.sinks(server.url), notice(HOOK_URN))


async def test_a_redirect_is_not_followed(door: Door) -> None:
    async with scripted(always(200, PUBLISHED)) as other:
        async with scripted(always(307, headers={"Location": f"{other.url}/x"})) as server:
            assert (await refused(door.sinks(server.url), notice(SMN_URN))).code == "OMS.0159"
            assert (await refused(door.sinks(server.url), notice(HOOK_URN))).code == "OMS.0159"
        assert other.seen == []


async def test_nobody_there_is_a_network_error_that_is_tried_again(door: Door) -> None:
    async with scripted(always(200)) as server:
        gone = server.url
    error = await refused(door.sinks(gone), notice(SMN_URN))
    assert (error.code, error.retryable) == ("OMS.0161", True)


async def test_a_connection_that_breaks_is_a_network_error(door: Door) -> None:
    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(breaks, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await refused(door.sinks(f"http://127.0.0.1:{port}"), notice(SMN_URN))
    assert (error.code, error.retryable) == ("OMS.0161", True)


async def test_private_addresses_are_only_reached_if_they_are_allowed(door: Door) -> None:
    async with scripted(always(200, PUBLISHED)) as server:
        error = await refused(door.sinks(server.url, networks=()), notice(HOOK_URN))
        assert (error.code, error.retryable) == ("OMS.0161", False)
        assert "may be reached" in error.message
        assert server.seen == []


async def test_certificates_are_verified(door: Door, tmp_path: Path) -> None:
    pem = tmp_path / "hook.pem"
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    make_certificate(pem, "hook", names=names, issuer=None)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    async with scripted(always(200, PUBLISHED), tls=context) as server:
        trusting = door.sinks(server.url, tls=make_tls_context(ca_file=str(pem)))
        await deliver(trusting, notice(SMN_URN))
        error = await refused(door.sinks(server.url), notice(SMN_URN))
        assert (error.code, error.retryable) == ("OMS.0161", True)
        assert len(server.seen) == 1


async def test_a_topic_that_is_configured_no_longer_is_given_up(door: Door) -> None:
    sinks = door.sinks("http://127.0.0.1:9")
    for urn in ("urn:smn:mars:1:t", "urn:smn:cn-north-4:other:t"):
        error = await refused(sinks, notice(urn))
        assert (error.code, error.retryable) == ("OMS.0157", False)
        assert urn in error.message


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("", 0o600, "one line"),
        ("two words", 0o600, "one line"),
        (SECRET, 0o644, "mode 644"),
        ("plain", 0o600, "whsec_"),
        ("whsec_!!!", 0o600, "whsec_"),
        ("whsec_" + base64.b64encode(b"short").decode(), 0o600, "24 to 64 bytes"),
        (None, 0, "No such file"),
    ],
)
async def test_a_secret_that_cannot_be_used_is_named_and_never_shown(
    door: Door, text: str | None, mode: int, said: str
) -> None:
    if text is None:
        door.hook.unlink()
    else:
        door.hook.write_text(text)
        door.hook.chmod(mode)
    error = await refused(door.sinks("http://127.0.0.1:9"), notice(HOOK_URN))
    assert (error.code, error.retryable) == ("OMS.0159", True)
    assert said in error.message
    assert str(door.hook) in error.message
    assert not text or text not in error.message


async def test_the_body_of_a_webhook_is_the_same_in_every_attempt(door: Door) -> None:
    server: ScriptedServer
    async with scripted(always(500)) as server:
        sinks = door.sinks(server.url)
        for _ in range(2):
            await refused(sinks, notice(HOOK_URN))
    first, second = server.seen
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    other = replace(notice(HOOK_URN), notice_id=NoticeId(6))
    assert other.message_id != first.headers["webhook-id"]
