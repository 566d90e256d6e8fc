"""The receiver of event notifications over real HTTP, on a real ledger: who may send, what is stored, what is answered."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from omsd.api.events.server import BODY_MAX_BYTES, EventServer, EventsListenError, secret_of
from omsd.domain.bucket_events import Notification
from omsd.domain.sync import SyncTask
from omsd.service.sync_hot import SyncLimits
from omsd.service.sync_receiver import EventReceiver, Receipt
from tests.service.sync_harness import PROJECT, SyncControl, create_sync, start_sync, success, sync_control


class Site:
    """A running receiver, its ledger, and a sender."""

    def __init__(self, control: SyncControl, url: str, http: aiohttp.ClientSession) -> None:
        self.control = control
        self.url = url
        self.http = http

    async def make(self, **changes: object) -> tuple[str, str]:
        """A task and its secret."""
        task = await self.control.service.create(PROJECT, create_sync(**changes))
        made = await self.control.service.rotate_secret(PROJECT, task.sync_task_id)
        assert made.path == f"/sync-tasks/{task.sync_task_id}/s3-events"
        return task.sync_task_id, made.secret

    async def send(
        self, task_id: str, authorization: str | None, body: bytes | dict[str, Any], **options: Any
    ) -> tuple[int, dict[str, Any], aiohttp.typedefs.CIMultiDictProxy[str]]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": authorization} if authorization is not None else {}
        url = f"{self.url}/sync-tasks/{task_id}/s3-events"
        async with self.http.post(url, data=io.BytesIO(data), headers=headers, **options) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else {}, answer.headers

    async def end_all(self, keys: list[str]) -> None:
        """Every copy is ended when it has begun, until these are all that have."""
        while set(self.control.copies.keys()) != set(keys) or self.control.copies.running:
            for key in list(self.control.copies.running):
                self.control.copies.end(success(key))
            await asyncio.sleep(0.001)

    async def keys(self) -> list[str]:
        """What the ledger has begun to copy, once the inbox is empty."""
        for _ in range(20):
            await asyncio.sleep(0)
        return self.control.copies.keys()


@asynccontextmanager
async def site(folder: Path, limits: SyncLimits | None = None) -> AsyncIterator[Site]:
    async with sync_control(folder, limits=limits) as control:
        server = EventServer(EventReceiver(control.ledger, control.clock), listen="127.0.0.1:0")
        address = await server.start()
        try:
            async with aiohttp.ClientSession() as http:
                yield Site(control, f"http://{address}", http)
        finally:
            await server.stop()


def records(
    keys: Iterable[str], name: str = "ObjectCreated:Put", bucket: str = "from", source: str = "aws:s3"
) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventName": name,
                "eventSource": source,
                "s3": {"bucket": {"name": bucket}, "object": {"key": key}},
            }
            for key in keys
        ]
    }


def stored(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir() if path.is_file()]


async def test_a_notification_is_answered_when_its_events_are_durable(tmp_path: Path) -> None:
    async with site(tmp_path) as run:
        task_id, secret = await run.make()
        run.control.store.gate.clear()
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(run.send(task_id, f"Bearer {secret}", records(["a+b", "c%2Fd"])))
            commits = len(run.control.store.commits)
            await run.control.until(lambda: len(run.control.store.commits) > commits)
            for _ in range(20):
                await asyncio.sleep(0)
            assert not sending.done()
            run.control.store.gate.set()
        assert sending.result()[:2] == (200, {"accepted": 2, "ignored": 0})
        await run.control.until(lambda: len(run.control.copies.log) == 2)
        assert run.control.copies.keys() == ["a b", "c/d"]
        run.control.copies.end(success("a b"))
        run.control.copies.end(success("c/d"))
        await run.control.settled(task_id, request_num=2, success_num=2, size_bytes=20)


async def test_one_request_may_name_more_objects_than_a_call(tmp_path: Path) -> None:
    async with site(tmp_path) as run:
        task_id, secret = await run.make()
        answer = await run.send(task_id, f"Bearer {secret}", records(f"{n:04}" for n in range(1050)))
        assert answer[:2] == (200, {"accepted": 1050, "ignored": 0})
        await run.control.settled(task_id, request_num=1050)


async def test_removals_are_events_where_the_task_deletes_and_ignored_elsewhere(tmp_path: Path) -> None:
    async with site(tmp_path) as run:
        gone = records(["gone"], "ObjectRemoved:DeleteMarkerCreated")
        keeps, secret = await run.make()
        assert (await run.send(keeps, f"Bearer {secret}", gone))[1] == {"accepted": 0, "ignored": 1}
        deletes, secret = await run.make(enable_delete=True)
        assert (await run.send(deletes, f"Bearer {secret}", gone))[1] == {"accepted": 1, "ignored": 0}
        await run.control.until(lambda: run.control.copies.log)
        assert [order.deletes for _, order in run.control.copies.log] == [True]


async def test_what_is_of_another_bucket_or_no_change_is_ignored_and_said(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as run:
        task_id, secret = await run.make()
        body = records(["theirs"], bucket="other")
        body["Records"] += records(["ours"])["Records"] + records(["x"], "ObjectAcl:Put")["Records"]
        with capture_logs() as lines:
            answer = await run.send(task_id, f"Bearer {secret}", body)
        assert answer[:2] == (200, {"accepted": 1, "ignored": 2})
        (said,) = [line for line in lines if line["event"] == "sync_events_of_another_bucket"]
        assert (said["wanted"], said["buckets"], said["keys"]) == ("from", ["other"], ["theirs"])
        for nothing in ({"Records": []}, {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "from"}):
            assert (await run.send(task_id, f"Bearer {secret}", nothing))[0] == 200
        assert await run.keys() == ["ours"]


async def test_all_that_senders_can_send_as_authorization_is_understood(tmp_path: Path) -> None:
    async with site(tmp_path) as run:
        task_id, secret = await run.make()
        basic = base64.b64encode(f"omsd:{secret}".encode()).decode()
        for number, good in enumerate(
            (f"Bearer {secret}", f"bearer  {secret}", secret, f"Basic {basic}", f"basic {basic}")
        ):
            assert (await run.send(task_id, good, records([f"k{number}"])))[0] == 200, good
        url = run.url.replace("http://", f"http://omsd:{secret}@")
        async with run.http.post(
            f"{url}/sync-tasks/{task_id}/s3-events", data=json.dumps(records(["in the URL"]))
        ) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 403),
        ("Bearer wrong", 403),
        ("Basic ???", 401),
        ("Basic " + base64.b64encode(b"omsd").decode(), 401),
        ("Basic " + base64.b64encode(b"omsd:wrong").decode(), 403),
        ("Basic " + base64.b64encode(b"\xff\xff").decode(), 401),
        ("Digest username=x", 401),
        ("Bearer " + "x" * 4000, 403),
    ],
)
async def test_without_the_secret_nothing_is_taken(
    tmp_path: Path, authorization: str | None, status: int
) -> None:
    async with site(tmp_path) as run:
        task_id, secret = await run.make()
        got, body, headers = await run.send(task_id, authorization, records(["a"]))
        assert (got, body["error_code"]) == (status, "OMS.0068")
        assert set(body) == {"error_code", "error_msg"}
        assert secret not in body["error_msg"]
        assert ("WWW-Authenticate" in headers) == (status == 401)
        # Nor with that of another task, nor for a task that is not there, nor where no secret was made yet.
        _, others_secret = await run.make()
        assert (await run.send(task_id, f"Bearer {others_secret}", records(["a"])))[0] == 403
        got, body, _ = await run.send("31e9b7e6", f"Bearer {secret}", records(["a"]))
        assert (got, body["error_code"]) == (404, "OMS.2002")
        bare = await run.control.service.create(PROJECT, create_sync())
        assert (await run.send(bare.sync_task_id, "Bearer x", records(["a"])))[0] == 403
        assert await run.keys() == []


async def test_a_rotation_ends_the_old_secret_and_only_a_hash_is_stored_also_over_a_restart(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as run:
        task_id, old = await run.make()
        new = (await run.control.service.rotate_secret(PROJECT, task_id)).secret
        assert len(new) >= 43
        assert (await run.send(task_id, f"Bearer {old}", records(["a"])))[0] == 403
        assert (await run.send(task_id, f"Bearer {new}", records(["b"])))[0] == 200
    assert not any(new.encode() in data for data in stored(tmp_path))
    async with site(tmp_path) as run:
        assert (await run.send(task_id, f"Bearer {new}", records(["c"])))[0] == 200
        await run.control.service.stop(PROJECT, task_id)
        got, body, _ = await run.send(task_id, f"Bearer {new}", records(["d"]))
        assert (got, body["error_code"]) == (409, "OMS.2002")
        await run.control.service.delete(PROJECT, task_id)
        assert (await run.send(task_id, f"Bearer {new}", records(["e"])))[0] == 404
        assert not await run.control.store.secrets()


async def test_failures_are_bounded_by_address_and_never_hold_up_a_good_secret(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as run:
        task_id, secret = await run.make()
        with capture_logs() as lines:
            statuses = [(await run.send(task_id, "Bearer guess", b""))[0] for _ in range(14)]
        assert statuses == [403] * 10 + [429] * 4
        assert sum(line["event"] == "sync_event_refused" for line in lines) == 10
        assert "guess" not in str(lines)
        assert secret not in str(lines)
        got, _, headers = await run.send("unknown", "Bearer guess", b"")
        assert (got, headers["Retry-After"]) == (429, "5")
        assert (await run.send(task_id, f"Bearer {secret}", records(["a"])))[0] == 200
        run.control.clock.advance(61)
        assert (await run.send(task_id, "Bearer guess", b""))[0] == 403


async def test_a_full_queue_is_for_later_and_a_repeat_brings_the_rest(tmp_path: Path) -> None:
    async with site(tmp_path, SyncLimits(queued_num=150)) as run:
        task_id, secret = await run.make()
        good = f"Bearer {secret}"
        first, rest = [f"{n:03}" for n in range(90)], [f"{n:03}" for n in range(90, 180)]
        assert (await run.send(task_id, good, records(first)))[0] == 200
        got, answer, headers = await run.send(task_id, good, records(rest))
        assert (got, answer["error_code"], headers["Retry-After"]) == (503, "OMS.2004", "5")
        await run.end_all(first)
        assert (await run.send(task_id, good, records(rest)))[0] == 200
        await run.end_all([*first, *rest])


async def test_what_is_too_large_or_no_event_is_refused_with_its_reason(tmp_path: Path) -> None:
    async with site(tmp_path) as run:
        task_id, secret = await run.make()
        good = f"Bearer {secret}"
        got, answer, _ = await run.send(task_id, good, b" " * (BODY_MAX_BYTES + 1))
        assert (got, answer["error_code"]) == (413, "OMS.1003")
        assert str(BODY_MAX_BYTES) in answer["error_msg"]
        got, answer, _ = await run.send(task_id, good, b'{"not": "an event"}')
        assert (got, answer["error_code"]) == (400, "OMS.1003")
        # A secret is asked for before a body is read at all.
        assert (await run.send(task_id, None, b" " * (BODY_MAX_BYTES + 1)))[0] == 401
        full = records(["x" * 900] * 1000)
        assert len(json.dumps(full)) <= BODY_MAX_BYTES
        assert (await run.send(task_id, good, full))[0] == 200


async def test_other_paths_and_methods_are_answered_as_json(tmp_path: Path) -> None:
    async with site(tmp_path) as run:
        task_id, _ = await run.make()
        path = f"{run.url}/sync-tasks/{task_id}/s3-events"
        async with run.http.head(path) as answer:
            assert answer.status == 200
        async with run.http.get(path) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "POST, HEAD")
            assert (await answer.json())["error_code"] == "OMS.1003"
        async with run.http.post(f"{run.url}/elsewhere") as answer:
            assert answer.status == 404
            assert "s3-events" in (await answer.json())["error_msg"]


class Broken:
    """A receiver with a fault of ours."""

    def admit(self, sync_task_id: str, secret: str, address: str) -> SyncTask:
        raise ZeroDivisionError("do not show")

    async def accept(self, task: SyncTask, notification: Notification) -> Receipt:
        raise AssertionError


async def test_a_fault_of_ours_shows_nothing_of_itself() -> None:
    server = EventServer(Broken(), listen="127.0.0.1:0")
    address = await server.start()
    with capture_logs() as lines:
        text = await _post_empty(address)
    assert "ZeroDivision" not in text
    assert "do not show" not in text
    assert [line["event"] for line in lines] == ["notification failed"]
    taken = EventServer(Broken(), listen=address)
    with pytest.raises(EventsListenError, match="events_listen"):
        await taken.start()
    await server.stop()
    await server.stop()


async def _post_empty(address: str) -> str:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://{address}/sync-tasks/x/s3-events") as answer,
    ):
        text = await answer.text()
        assert (answer.status, json.loads(text)["error_code"]) == (500, "OMS.1001")
        return text


async def test_it_speaks_tls_and_over_a_unix_socket(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    await asyncio.to_thread(
        subprocess.run,
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=h"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    server = EventServer(Broken(), listen="127.0.0.1:0", tls=context)
    address = await server.start()
    trust = ssl.create_default_context(cafile=str(cert))
    async with aiohttp.ClientSession() as http:
        async with http.head(f"https://{address}/sync-tasks/x/s3-events", ssl=trust) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await http.head(f"http://{address}/sync-tasks/x/s3-events")
    await server.stop()
    path = tmp_path / "events.sock"
    server = EventServer(Broken(), listen=f"unix:{path}")
    assert await server.start() == f"unix:{path}"
    unix = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession(connector=unix) as http,
        http.head("http://omsd/sync-tasks/x/s3-events") as answer,
    ):
        assert answer.status == 200
    await server.stop()


def test_a_header_without_a_secret_has_none() -> None:
    assert [secret_of(text) for text in ("", "Bearer ", "Digest a b", "Basic !")] == ["", "Bearer", "", ""]


async def test_a_stopped_task_takes_notifications_again_when_it_is_started(tmp_path: Path) -> None:
    async with site(tmp_path) as run:
        task_id, secret = await run.make()
        await run.control.service.stop(PROJECT, task_id)
        assert (await run.send(task_id, f"Bearer {secret}", records(["a"])))[0] == 409
        await run.control.service.start(PROJECT, task_id, start_sync())
        assert (await run.send(task_id, f"Bearer {secret}", records(["a"])))[0] == 200
