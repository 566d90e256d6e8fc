"""What systemd gets to hear, over a real socket."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from omsd.telemetry.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket, and its name as systemd writes it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@omsd-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        listener.settimeout(5)
        yield listener, name


def test_every_state_is_one_datagram(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name})
    assert notifier.ready("serving on 127.0.0.1:7070")
    assert listener.recv(1000) == b"READY=1\nSTATUS=serving on 127.0.0.1:7070"
    assert notifier.status("3 tasks run")
    assert listener.recv(1000) == b"STATUS=3 tasks run"
    assert notifier.stopping()
    assert listener.recv(1000) == b"STOPPING=1"


def test_a_line_break_in_a_status_assigns_nothing(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    Notifier(name).status("bad\nREADY=1")
    assert listener.recv(1000) == b"STATUS=bad READY=1"


def test_without_a_manager_nothing_is_sent() -> None:
    assert not Notifier.from_environment({}).ready()
    assert not Notifier("").status("x")


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert not Notifier(str(tmp_path / "gone")).ready()


def test_no_descriptor_is_left_open(manager: tuple[socket.socket, str]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        Notifier(manager[1]).status("")
        Notifier(manager[1]).stopping()
        manager[0].recv(100)
    assert len(os.listdir("/proc/self/fd")) == before
