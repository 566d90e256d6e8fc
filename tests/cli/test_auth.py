"""omsctl against a server that asks who is calling."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omsd.api.grpc.server import GrpcServer, group_service, sync_service
from omsd.domain.access import AuthMethod
from omsd.domain.group import GroupState
from omsd.service.access import AccessService, AccessSettings
from tests.cli.conftest import Omsctl
from tests.fakes.clock import FakeClock
from tests.fakes.group_service import GROUP_ID, FakeGroupService, group_view
from tests.fakes.sync_service import FakeSyncService
from tests.fakes.task_service import FakeTaskService
from tests.service.accounts import ACCOUNTS, PASSWORD


@pytest.fixture
async def server(
    tasks: FakeTaskService, syncs: FakeSyncService, groups: FakeGroupService
) -> AsyncIterator[GrpcServer]:
    key = secrets.token_bytes(32)
    access = AccessService(ACCOUNTS, lambda: key, FakeClock(), AccessSettings(frozenset({AuthMethod.TOKEN})))
    server = GrpcServer(
        tasks, sync_service(syncs), group_service(groups), listen="127.0.0.1:0", access=access
    )
    yield server
    await server.stop(grace_s=0)


async def test_a_token_opens_every_command(omsctl: Omsctl, groups: FakeGroupService, tmp_path: Path) -> None:
    create = ("task", "create", "s3://from", "s3://to", "--project", "p1")
    refused = await omsctl(*create)
    assert (refused.code, refused.out) == (4, "")
    assert refused.err.startswith("omsctl: OMS.0068 no credentials were sent")
    got = await omsctl("token", "--user", "maria", OMSCTL_PASSWORD=PASSWORD)
    assert (got.code, got.err) == (0, "")
    token = got.out.strip()
    made = await omsctl(*create, "-o", "json", OMSCTL_TOKEN=token)
    assert made.code == 0
    # A watch is a stream; the task is stopped first, so that it ends.
    task_id = str(made.json["id"])
    assert (await omsctl("task", "stop", task_id, "--project", "p1", OMSCTL_TOKEN=token)).code == 0
    assert (await omsctl("task", "delete", task_id, "--project", "p1", OMSCTL_TOKEN=token)).code == 0
    gone = await omsctl("task", "watch", task_id, "--project", "p1", OMSCTL_TOKEN=token)
    assert (gone.code, "OMS.0054" in gone.err) == (5, True)
    groups.watched = [group_view(GroupState.MONITORING), group_view(GroupState.COMPLETED)]
    watching = ("group", "watch", GROUP_ID, "--project", "p1")
    assert (await omsctl(*watching)).code == 4
    watched = await omsctl(*watching, OMSCTL_TOKEN=token)
    assert (watched.code, watched.err) == (0, "")
    denied = await omsctl("sync", "list", "--project", "p3", OMSCTL_TOKEN=token)
    assert (denied.code, "OMS.0206" in denied.err) == (4, True)


async def test_a_token_can_be_kept_in_a_file(omsctl: Omsctl, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)
    asking = ("token", "--user", "maria", "--scope", "p1")
    saved = await omsctl(*asking, "--save", str(path), OMSCTL_PASSWORD=PASSWORD)
    assert saved.out.startswith(f"{path}: good until 2023-11-15T")
    assert path.stat().st_mode & 0o777 == 0o600
    who = await omsctl("whoami", "--token-file", str(path), OMSCTL_TOKEN="ignored")
    assert who.out.splitlines() == [
        "maria of acme, by token",
        "PROJECT  NAME         ROLE",
        "p1       eu-west-101  operator",
    ]
    missing = await omsctl("whoami", "--token-file", str(tmp_path / "missing"))
    assert (missing.code, "No such file" in missing.err) == (2, True)
    broken = await omsctl("whoami", OMSCTL_TOKEN="two words")
    assert (broken.code, "wanted is what `omsctl token` prints" in broken.err) == (2, True)


async def test_a_wrong_password_is_refused_and_none_is_asked_for(omsctl: Omsctl) -> None:
    wrong = await omsctl("token", OMSCTL_USER="maria", OMSCTL_PASSWORD="wrong")
    assert (wrong.code, wrong.err) == (4, "omsctl: OMS.0068 user, domain or password are wrong\n")
    nobody = await omsctl("token", "--user", "maria")
    assert nobody.code == 2
    assert "set OMSCTL_PASSWORD" in nobody.err
    half = await omsctl("whoami", "--cert-file", "x")
    assert (half.code, "are given both" in half.err) == (2, True)
