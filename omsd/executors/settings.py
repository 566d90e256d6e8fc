"""What the daemon tells a worker at its start: plain data, so that the control process need not import what moves bytes."""

from __future__ import annotations

import msgspec

from omsd.domain.model import CloudType


class WorkerEndpoint(msgspec.Struct, frozen=True, array_like=True):
    """An endpoint the operator configured. None: as the cloud's profile says."""

    cloud_type: CloudType
    region: str
    url: str
    addressing: str | None
    list_version: int | None


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds. allowed_networks: CIDR of non-public addresses that may be reached."""

    part_bytes: int
    single_put_max_bytes: int
    copies_in_service: bool
    copy_part_bytes: int
    large_bytes: int
    buffer_budget_bytes: int
    max_requests_per_endpoint: int
    connect_timeout_s: float
    first_byte_timeout_s: float
    stall_timeout_s: float
    restore_deadline_s: float = 48 * 3600.0
    restore_poll_s: float = 300.0
    ca_file: str
    verify_tls: bool
    allowed_networks: tuple[str, ...]
    endpoints: tuple[WorkerEndpoint, ...]
    log_level: str
    log_format: str


def encode_settings(settings: WorkerSettings) -> bytes:
    """The form in which they travel."""
    return msgspec.msgpack.encode(settings)


def decode_settings(data: bytes) -> WorkerSettings:
    """The settings of encode_settings()."""
    return msgspec.msgpack.decode(data, type=WorkerSettings)
