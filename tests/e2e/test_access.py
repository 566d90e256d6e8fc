"""A daemon that asks who is calling: projects are apart, users change while it runs, tokens are revoked, and no secret is in its log."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpc import aio

from omsd.cli.client import CallError, ServerAddress
from omsd.cli.sync_client import SyncClient
from omsd.cli.task_client import TaskClient
from omsd.domain.passwords import hash_password
from omsd.pb.v1 import auth_pb2, sync_pb2, task_pb2, types_pb2
from omsd.pb.v1.auth_pb2_grpc import AuthServiceStub
from tests.e2e.harness import SUCCEEDED, Daemon, ended, keys_again, node, request
from tests.servers import S3Server
from tests.waiting import PATIENCE_S, until

PASSWORDS = {"maria": "maria's password", "karl": "karl's password", "late": "late's password"}
SECRET_KEYS = ("MARIA-SECRET-KEY", "MARIA-SECURITY-TOKEN")


def user(name: str, project: str) -> str:
    hashed = hash_password(PASSWORDS[name], os.urandom(16), log_n=4, block_size=1, parallel=1)
    return f'[[user]]\nname = "{name}"\npassword = "{hashed}"\nroles = {{ "{project}" = "operator" }}\n'


USERS = (
    '[[project]]\nid = "p1"\nname = "one"\n[[project]]\nid = "p2"\nname = "two"\n'
    + user("maria", "p1")
    + f'[[user.key]]\nak = "MARIA-AK"\nsk = "{SECRET_KEYS[0]}"\nsecurity_token = "{SECRET_KEYS[1]}"\n'
    + user("karl", "p2")
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for the file, at log level debug."""
    folder = tmp_path_factory.mktemp("guarded")
    users = folder / "users.toml"
    users.touch(mode=0o600)
    users.write_text(USERS)
    daemon = Daemon(folder, workers=1, extra=f'[auth]\nmethods = ["token"]\nusers_file = "{users}"\n')
    asyncio.run(daemon.start({"OMSD_LOG__LEVEL": "debug"}))
    yield daemon
    assert asyncio.run(daemon.stop()) == 0
    assert "Traceback" not in daemon.log()


@asynccontextmanager
async def as_user(daemon: Daemon, name: str, project: str) -> AsyncIterator[TaskClient]:
    async with TaskClient(
        ServerAddress(daemon.address, token=await token_of(daemon, name)), project
    ) as client:
        yield client


async def token_of(daemon: Daemon, name: str) -> str:
    async with aio.insecure_channel(daemon.address) as channel:
        asked = auth_pb2.CreateTokenRequest(user=name, password=PASSWORDS[name])
        return (await AuthServiceStub(channel).CreateToken(asked)).token


async def code_of(call: object) -> str:
    with pytest.raises(CallError) as caught:
        await call  # type: ignore[misc]
    return caught.value.code


async def logged(daemon: Daemon, event: str, times: int = 1) -> None:
    await until(lambda: sum(line["event"] == event for line in daemon.events()) >= times, pause_s=0.05)


async def test_a_project_sees_its_own_tasks_and_no_others(guarded: Daemon, moto: S3Server) -> None:
    source, target = await moto.make_bucket(), await moto.make_bucket()
    await moto.put(source, "a", b"body")
    both = node(moto, source), node(moto, target)
    async with as_user(guarded, "maria", "p1") as maria, as_user(guarded, "karl", "p2") as karl:
        made = await maria.create(request(*both))
        assert (await ended(maria, made.id)).status == SUCCEEDED
        assert (await maria.list(task_pb2.ListTasksRequest())).count == 1
        assert (await karl.list(task_pb2.ListTasksRequest())).count == 0
        high = types_pb2.TASK_PRIORITY_HIGH
        for call in (
            karl.get(made.id),
            karl.start(keys_again(moto, made.id)),
            karl.stop(made.id),
            karl.delete(made.id),
            karl.limit(made.id, ()),
            karl.set_priority([made.id], high),
            anext(karl.watch(made.id)),
        ):
            assert await code_of(call) == "OMS.0054"
    async with as_user(guarded, "karl", "p1") as karl_in_p1:
        assert await code_of(karl_in_p1.get(made.id)) == "OMS.0206"
    lines = [line for line in guarded.events() if line["event"] == "audit"]
    created = next(line for line in lines if line["operation"] == "CreateTask")
    assert (created["user"], created["task_id"], created["outcome"]) == ("maria", str(made.id), "ok")
    assert any((line["user"], line["outcome"]) == ("karl", "OMS.0054") for line in lines)
    await moto.delete_bucket(source)
    await moto.delete_bucket(target)


async def test_a_project_sees_its_own_synchronization_tasks_and_no_others(
    guarded: Daemon, moto: S3Server
) -> None:
    source, target = await moto.make_bucket(), await moto.make_bucket()
    address = ServerAddress(guarded.address, token=await token_of(guarded, "maria"))
    other = ServerAddress(guarded.address, token=await token_of(guarded, "karl"))
    wanted = sync_pb2.CreateSyncTaskRequest(
        src_cloud_type="AWS",
        src_region=moto.region,
        src_bucket=source,
        src_ak="SYNC-SRC-AK-X",
        src_sk="SYNC-SRC-SK-X",
        src_endpoint=moto.url,
        dst_cloud_type="AWS",
        dst_region=moto.region,
        dst_bucket=target,
        dst_ak="SYNC-DST-AK-X",
        dst_sk="SYNC-DST-SK-X",
        dst_endpoint=moto.url,
    )
    async with SyncClient(address, "p1") as maria, SyncClient(other, "p2") as karl:
        sync_id = await maria.create(wanted)
        assert (await karl.list(sync_pb2.ListSyncTasksRequest())).count == 0
        for call in (
            karl.get(sync_id),
            karl.events(sync_id, ["a"]),
            karl.stop(sync_id),
            karl.start(
                sync_pb2.StartSyncTaskRequest(
                    sync_task_id=sync_id, src_ak="a", src_sk="b", dst_ak="c", dst_sk="d"
                )
            ),
            karl.delete(sync_id),
        ):
            assert await code_of(call) == "OMS.2002"
        await maria.events(sync_id, ["a"])
        await maria.stop(sync_id)


async def test_users_are_read_again_at_a_signal_and_a_broken_file_changes_nothing(guarded: Daemon) -> None:
    users = guarded.folder / "users.toml"
    assert guarded.process is not None
    users.write_text(USERS + user("late", "p2"))
    os.kill(guarded.process.pid, signal.SIGHUP)
    await logged(guarded, "users_file_reloaded")
    async with as_user(guarded, "late", "p2") as late:
        users.write_text(USERS.replace('name = "karl"', 'nmae = "karl"'))
        os.kill(guarded.process.pid, signal.SIGHUP)
        await logged(guarded, "users_file_not_reloaded")
        (line,) = (line for line in guarded.events() if line["event"] == "users_file_not_reloaded")
        assert "`nmae`" in str(line["problems"])
        await late.list(task_pb2.ListTasksRequest())
        users.write_text(USERS)
        os.kill(guarded.process.pid, signal.SIGHUP)
        await logged(guarded, "users_file_reloaded", 2)
        assert await code_of(late.list(task_pb2.ListTasksRequest())) == "OMS.0068"


async def test_a_new_token_key_ends_the_tokens_of_a_running_daemon(guarded: Daemon) -> None:
    async with as_user(guarded, "maria", "p1") as maria:
        await maria.list(task_pb2.ListTasksRequest())
        rotate = [sys.executable, "-m", "omsd", "rotate-token-key", "--config", str(guarded.config)]
        await asyncio.to_thread(subprocess.run, rotate, check=True, timeout=PATIENCE_S, capture_output=True)
        assert await code_of(maria.list(task_pb2.ListTasksRequest())) == "OMS.0068"
    async with as_user(guarded, "maria", "p1") as maria:
        await maria.list(task_pb2.ListTasksRequest())


async def test_no_secret_of_any_request_is_in_the_log(guarded: Daemon, moto: S3Server) -> None:
    token = await token_of(guarded, "maria")
    secrets = {
        "src_node": {"ak": "SOURCE-AK-X", "sk": "SOURCE-SK-X", "security_token": "SOURCE-TOKEN-X"},
        "dst_node": {"ak": "TARGET-AK-X", "sk": "TARGET-SK-X", "security_token": "TARGET-TOKEN-X"},
    }
    async with TaskClient(ServerAddress(guarded.address, token=token), "p1") as client:
        for name in secrets:
            nodes = {"src_node": node(moto, "none"), "dst_node": node(moto, "none")}
            nodes[name] |= {"endpoint": "http://127.0.0.1:9"}
            wanted = request(nodes["src_node"] | secrets["src_node"], nodes["dst_node"] | secrets["dst_node"])
            assert (await code_of(client.create(wanted))).startswith("OMS.")
    async with aio.insecure_channel(guarded.address) as channel:
        asked = auth_pb2.CreateTokenRequest(user="WRONG-USER-X", password="WRONG-PASSWORD-X")
        with pytest.raises(aio.AioRpcError):
            await AuthServiceStub(channel).CreateToken(asked)
    log = guarded.log()
    told = {line["event"] for line in guarded.events()}
    assert {"audit", "token_issued", "authentication_failed", "call"} <= told
    shown = [
        secret
        for secret in (
            *(value for node in secrets.values() for value in node.values()),
            *("SYNC-SRC-AK-X", "SYNC-SRC-SK-X", "SYNC-DST-AK-X", "SYNC-DST-SK-X"),
            *("WRONG-USER-X", "WRONG-PASSWORD-X", token, token[:20], moto.secret_key, moto.access_key),
            *(*SECRET_KEYS, *PASSWORDS.values(), "$scrypt$"),
        )
        if secret in log
    ]
    assert shown == []


def test_a_daemon_does_not_start_with_users_that_cannot_be_used(tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.write_text(USERS)
    users.chmod(0o644)
    daemon = Daemon(tmp_path, extra=f'[auth]\nmethods = ["token"]\nusers_file = "{users}"\n')
    daemon.write_config()
    done = subprocess.run(
        [sys.executable, "-m", "omsd", "serve", "--config", str(daemon.config)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert "has mode 644" in done.stderr
    assert SECRET_KEYS[0] not in done.stderr
