"""Settings become what the parts of the control process are made with."""

from __future__ import annotations

import os

from omsd.accounts.keyfile import TokenKeyFile
from omsd.accounts.usersfile import read_accounts
from omsd.clock import SystemClock
from omsd.config import GIB, MIB, Settings, is_local
from omsd.domain.access import Accounts, AuthMethod
from omsd.domain.group_plan import TaskTarget
from omsd.domain.quotas import Quotas
from omsd.executors.settings import WorkerEndpoint, WorkerSettings
from omsd.service.access import AccessService, AccessSettings
from omsd.service.catalog import CatalogService, ConfiguredEndpoint
from omsd.service.group_ledger import Planning
from omsd.service.group_planner import GroupPlanner
from omsd.service.locations import ValidationPolicy
from omsd.service.notice_topics import NoticeTopics, SmnService, WebhookTopic, notice_topics
from omsd.service.quotas import QuotaKeeper
from omsd.service.sync_hot import SyncLimits
from omsd.store.groups import SqliteGroupStore
from omsd.store.sqlite import SqliteTaskStore
from omsd.store.syncs import SqliteSyncStore
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)


def worker_settings(settings: Settings) -> WorkerSettings:
    """What workers are told."""
    limits, network = settings.limits, settings.network
    return WorkerSettings(
        part_bytes=limits.part_size_mib * MIB,
        single_put_max_bytes=limits.single_put_max_mib * MIB,
        copies_in_service=limits.server_side_copy,
        copy_part_bytes=limits.server_side_copy_part_mib * MIB,
        large_bytes=limits.large_object_mib * MIB,
        buffer_budget_bytes=limits.buffer_budget_mib * MIB,
        max_requests_per_endpoint=limits.max_requests_per_endpoint,
        connect_timeout_s=network.connect_timeout_s,
        first_byte_timeout_s=network.first_byte_timeout_s,
        stall_timeout_s=network.stall_timeout_s,
        restore_deadline_s=limits.restore_deadline_h * 3600,
        restore_poll_s=limits.restore_poll_s,
        ca_file=str(network.ca_file or ""),
        verify_tls=network.verify_tls,
        allowed_networks=tuple(str(allowed) for allowed in network.allowed_networks),
        endpoints=tuple(
            WorkerEndpoint(entry.cloud_type, entry.region, entry.url, entry.addressing, entry.list_version)
            for entry in settings.endpoint
        ),
        log_level=settings.log.level,
        log_format=settings.log.format,
    )


def validation_policy(settings: Settings) -> ValidationPolicy:
    """What callers may ask for."""
    return ValidationPolicy(
        served_regions=frozenset(settings.server.regions),
        known_endpoints=frozenset((entry.cloud_type, entry.region) for entry in settings.endpoint),
        notices=topics_of(settings),
    )


def quotas_of(settings: Settings) -> Quotas:
    """The limits of each project."""
    quotas = settings.quotas
    return Quotas(
        tasks_per_day=quotas.tasks_per_day,
        waiting_tasks=quotas.waiting_tasks,
        v1_tasks_per_day=quotas.v1_tasks_per_day,
        v1_waiting_tasks=quotas.v1_waiting_tasks,
        parallel_tasks=quotas.parallel_tasks,
        groups_per_day=quotas.groups_per_day,
        sync_tasks=quotas.sync_tasks,
    )


def make_catalog(
    settings: Settings,
    store: SqliteTaskStore,
    clock: SystemClock,
    quotas: QuotaKeeper,
    sync_store: SqliteSyncStore,
) -> CatalogService:
    """What the server knows and allows."""
    return CatalogService(
        store,
        clock,
        endpoints=tuple(
            ConfiguredEndpoint(entry.cloud_type, entry.region, entry.url) for entry in settings.endpoint
        ),
        max_parallel_tasks=settings.server.max_parallel_tasks,
        quotas=quotas,
        sync_tasks=sync_store,
    )


def sync_limits(settings: Settings) -> SyncLimits:
    """The limits of synchronization tasks."""
    return SyncLimits(
        tasks_num=settings.quotas.sync_tasks,
        queued_num=settings.sync.max_queued_events,
        copies_num=settings.sync.max_copies,
    )


def make_access(settings: Settings, clock: SystemClock) -> AccessService:
    """Who may call. Raises UsersFileError."""
    auth = settings.auth
    if auth.methods and settings.tls.cert_file is None and not is_local(settings.server.grpc_listen):
        _log.warning(
            "grpc_in_plain_text",
            listen=settings.server.grpc_listen,
            advice="set [tls] cert_file and key_file",
        )
    return AccessService(
        load_accounts(settings),
        TokenKeyFile(settings.server.state_dir).current,
        clock,
        AccessSettings(
            methods=frozenset(map(AuthMethod, auth.methods)),
            token_lifetime_s=round(auth.token_lifetime_h * 3600),
            clock_skew_s=auth.clock_skew_s,
            max_failures_per_minute=auth.max_failures_per_minute,
        ),
    )


def load_accounts(settings: Settings) -> Accounts:
    """Raises UsersFileError."""
    if settings.auth.users_file is None:
        return Accounts()
    return read_accounts(settings.auth.users_file, os.environ.get("CREDENTIALS_DIRECTORY", ""))


def make_planning(settings: Settings, store: SqliteGroupStore, planner: GroupPlanner) -> Planning:
    """How task groups are split."""
    target = TaskTarget(settings.groups.objects_per_task, settings.groups.gib_per_task * GIB)
    return Planning(store, planner, target)


def topics_of(settings: Settings) -> NoticeTopics:
    """What callers may name."""
    return notice_topics(
        [
            SmnService(entry.region, entry.project_id, frozenset(entry.topics), frozenset(entry.projects))
            for entry in settings.notify.smn
        ],
        [WebhookTopic(entry.urn, frozenset(entry.projects)) for entry in settings.notify.topic],
    )
