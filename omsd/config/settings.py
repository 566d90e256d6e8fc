"""What can be configured: one frozen type for each section, with defaults and ranges. No secret lives here."""

from __future__ import annotations

import ipaddress
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from omsd.config.notify import NotifySettings
from omsd.config.values import LOOPBACK, LOOPBACK_NETWORKS, parse_bandwidth
from omsd.domain.model import CloudType

AUTH_METHODS = ("token", "signature", "certificate")

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon is.

    grpc_listen, rest_listen: host:port or unix:/path; rest_listen None: the REST API is off. workers 0: one per core.
    regions: destination regions served, empty for all.
    """

    grpc_listen: str = "127.0.0.1:7070"
    rest_listen: str | None = None
    state_dir: Path
    workers: Annotated[int, Meta(ge=0, le=1024)] = 0
    max_parallel_tasks: Annotated[int, Meta(ge=1, le=1000)] = 5
    time_zone: str
    regions: tuple[str, ...] = ()

    @property
    def zone(self) -> tzinfo:
        """The zone in which bandwidth windows are meant."""
        return UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in MiB; requests and the buffer budget are per worker process.

    machine_bandwidth: what all tasks together may move in a second, like "200MB" (decimal) or "200MiB"; a plain number is MiB.
    server_side_copy: where both ends are one service it is asked to copy objects itself, larger ones in parts of
    server_side_copy_part_mib. large_object_mib: larger objects are shared by all workers, and gone on with part by part after an
    interruption. drain_grace_s: what objects under way get to finish when the daemon stops.
    restore_deadline_h: how long an archived object may take to be restored. restore_poll_s: how soon it is asked after;
    the pause grows to three times of it.
    """

    machine_bandwidth: str | int | None = None
    part_size_mib: Annotated[int, Meta(ge=5, le=5120)] = 16
    single_put_max_mib: Annotated[int, Meta(ge=1, le=5120)] = 8
    server_side_copy: bool = True
    server_side_copy_part_mib: Annotated[int, Meta(ge=5, le=5120)] = 256
    large_object_mib: Annotated[int, Meta(ge=5, le=1_048_576)] = 256
    buffer_budget_mib: Annotated[int, Meta(ge=8, le=65_536)] = 32
    max_requests_per_endpoint: Annotated[int, Meta(ge=1, le=1024)] = 64
    drain_grace_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    restore_deadline_h: Annotated[float, Meta(gt=0, le=720)] = 48.0
    restore_poll_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 300.0

    @property
    def machine_bytes_per_s(self) -> int | None:
        """machine_bandwidth in bytes per second, None = no limit."""
        return None if self.machine_bandwidth is None else parse_bandwidth(self.machine_bandwidth)


class SyncSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Synchronization tasks; how many a project may have is in [quotas].

    max_queued_events: accepted and not finished, per task; more are refused. max_copies: objects copied at
    once, per task. events_listen: host:port or unix:/path where S3 event notifications are taken, None = nowhere; each comes with the
    secret of its task. events_cert_file, events_key_file: its certificate chain and key, PEM; None = those of [tls].
    """

    max_queued_events: Annotated[int, Meta(ge=100, le=1_000_000)] = 20_000
    max_copies: Annotated[int, Meta(ge=1, le=1024)] = 32
    events_listen: str | None = None
    events_cert_file: Path | None = None
    events_key_file: Path | None = None


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Task groups.

    objects_per_task, gib_per_task: a group begins its next task when one has so many objects, or so much in them. The defaults are the
    documented limits of what is better migrated by one task. How many
    a project may create in a day is in [quotas].
    """

    objects_per_task: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 5_000_000
    gib_per_task: Annotated[int, Meta(ge=1, le=1_048_576)] = 3072


Number = Annotated[int, Meta(ge=1, le=1_000_000)]


class QuotaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What each project may have; the defaults are the documented ones.

    tasks_per_day, groups_per_day: created in 24 hours. waiting_tasks: at this number no more can be created. v1_tasks_per_day,
    v1_waiting_tasks: at these numbers of the same tasks no more can be created through V1. parallel_tasks: that run at once, 0 = as many
    as [server] max_parallel_tasks. sync_tasks: synchronization tasks.
    """

    tasks_per_day: Number = 1500
    waiting_tasks: Number = 1500
    v1_tasks_per_day: Number = 200
    v1_waiting_tasks: Number = 50
    parallel_tasks: Annotated[int, Meta(ge=0, le=1000)] = 0
    groups_per_day: Number = 100
    sync_tasks: Number = 5


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Connections of callers to the REST API, and as many to where event notifications are taken.

    head_timeout_s: from the beginning of a connection, later from the first byte of a request, to the end of the request's head.
    keepalive_timeout_s: from an answer to the next request. max_connections: open at once.
    """

    head_timeout_s: Seconds = 10.0
    keepalive_timeout_s: Seconds = 75.0
    max_connections: Annotated[int, Meta(ge=1, le=100_000)] = 2000


class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How other machines are reached.

    allow_private: networks (CIDR, or "loopback") in which endpoints of requests may be.
    """

    allow_private: tuple[str, ...] = ()
    ca_file: Path | None = None
    verify_tls: bool = True
    connect_timeout_s: Seconds = 10.0
    first_byte_timeout_s: Seconds = 60.0
    stall_timeout_s: Seconds = 60.0

    @property
    def allowed_networks(self) -> tuple[IpNetwork, ...]:
        """allow_private as networks."""
        return tuple(
            ipaddress.ip_network(network)
            for entry in self.allow_private
            for network in (LOOPBACK_NETWORKS if entry == LOOPBACK else (entry,))
        )


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate chain and key of both APIs, PEM; both or neither.

    client_ca_file: of gRPC: only callers with a certificate of these authorities can connect.
    """

    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who may call.

    methods: how callers prove who they are, of AUTH_METHODS; empty: nobody is asked, and only this machine can connect. users_file:
    users, their projects and keys. token_lifetime_h: how long a token is good. clock_skew_s: how far X-Sdk-Date of a signed request
    may be from our clock. max_failures_per_minute: of a user or AK, and of a user at an address; ten times as many of an address.
    """

    methods: tuple[str, ...] = ()
    users_file: Path | None = None
    token_lifetime_h: Annotated[float, Meta(gt=0, le=24)] = 24.0
    clock_skew_s: Seconds = 900.0
    max_failures_per_minute: Annotated[int, Meta(ge=1, le=10_000)] = 10


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """format auto: text on a terminal, else JSON lines."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint the operator vouches for, before the catalogue's. None: as the cloud's profile says."""

    cloud_type: CloudType
    region: str
    url: str
    addressing: Literal["path", "virtual"] | None = None
    list_version: Literal[1, 2] | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be configured."""

    server: ServerSettings
    limits: LimitSettings
    sync: SyncSettings
    quotas: QuotaSettings
    notify: NotifySettings
    groups: GroupSettings
    http: HttpSettings
    network: NetworkSettings
    tls: TlsSettings
    auth: AuthSettings
    log: LogSettings
    endpoint: tuple[EndpointSettings, ...] = ()


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": ServerSettings,
    "limits": LimitSettings,
    "sync": SyncSettings,
    "quotas": QuotaSettings,
    "notify": NotifySettings,
    "groups": GroupSettings,
    "http": HttpSettings,
    "network": NetworkSettings,
    "tls": TlsSettings,
    "auth": AuthSettings,
    "log": LogSettings,
}
