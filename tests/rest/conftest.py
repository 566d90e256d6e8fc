"""One daemon with REST and one S3 server for all tests of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.rest.harness import Http, RestDaemon, endpoints, load_sdk
from tests.servers import S3Server
from tests.waiting import pass_midnight


@pytest.fixture(autouse=True)
def one_day() -> None:
    """A real daemon reads the real clock: no test begins on one day and ends on the next."""
    pass_midnight()


@pytest.fixture(scope="session")
def rest_daemon(seaweed_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestDaemon]:
    """A running daemon for tests that leave it as it was; it must still stop in good order at the end."""
    daemon = RestDaemon(tmp_path_factory.mktemp("rest"), extra=endpoints(seaweed_server))
    asyncio.run(daemon.start())
    yield daemon
    assert asyncio.run(daemon.stop()) == 0
    assert "Traceback" not in daemon.log()


@pytest.fixture(scope="session")
def token(rest_daemon: RestDaemon) -> str:
    return rest_daemon.token()


@pytest.fixture
def http(rest_daemon: RestDaemon, token: str) -> Http:
    """Calls with the token of a user who may change things."""
    return Http(rest_daemon.url, {"X-Auth-Token": token})


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return load_sdk(tmp_path_factory.mktemp("home"))
