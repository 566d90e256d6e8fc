"""Fixtures of all tests: real servers, started once per session and only when a test asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# Tests start processes while gRPC runs in this one; its fork handlers would say so on stderr each time.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# Where it is set, every daemon and worker that a test starts would compile all it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from hypothesis import HealthCheck, settings

from tests.servers import S3Server, start_moto, start_rclone_s3, start_seaweed

# How long an example takes, or is made, says something of the machine, nothing of the code.
settings.register_profile("omsd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("omsd")
# Modules beside test files assert, too, and say what they compared.
pytest.register_assert_rewrite("tests.rest", "tests.contract", "tests.e2e")


@pytest.fixture(scope="session")
def seaweed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One SeaweedFS for the session; tests take `seaweed`, which removes their buckets."""
    server = start_seaweed(tmp_path_factory.mktemp("seaweed"))
    yield server
    server.stop()


@pytest.fixture
def seaweed(seaweed_server: S3Server) -> Iterator[S3Server]:
    """SeaweedFS: fast, verifies CRC64/NVME; lists in directory order."""
    yield seaweed_server
    seaweed_server.forget_buckets()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """moto: slow, in memory, every feature, keeps every key as sent."""
    server = start_moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """rclone serve s3: ignores If-Match and Range."""
    server = start_rclone_s3(tmp_path_factory.mktemp("rclone"))
    yield server
    server.stop()
