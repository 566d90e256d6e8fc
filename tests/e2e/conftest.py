"""Daemons of the end-to-end tests: one shared, and fresh ones for tests that kill or configure them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Daemon
from tests.waiting import pass_midnight
from tests.webserver import WebServer, start_web


@pytest.fixture(autouse=True)
def one_day() -> None:
    """A real daemon reads the real clock: no test begins on one day and ends on the next."""
    pass_midnight()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of this test alone; not started yet."""
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.end()


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A running daemon for tests that leave it as it was; it must still stop in good order at the end."""
    daemon = Daemon(tmp_path_factory.mktemp("shared"))
    asyncio.run(daemon.start())
    yield daemon
    assert asyncio.run(daemon.stop()) == 0
    assert "Traceback" not in daemon.log()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """A web server of this test alone, without files."""
    server = start_web(tmp_path)
    yield server
    server.stop()
