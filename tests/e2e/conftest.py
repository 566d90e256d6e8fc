"""Daemons of the end-to-end tests: one shared, and fresh ones for tests that kill or configure them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of this test alone; not started yet."""
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.end()
