"""What works without callers: workers, scheduler, ledgers and what they keep."""

from __future__ import annotations

import os
import random
import sys
from dataclasses import dataclass

from omsd.clock import SystemClock
from omsd.config import Settings
from omsd.daemon.notices import Notices
from omsd.daemon.parts import make_planning, quotas_of, sync_limits, worker_settings
from omsd.domain.model import ShardId, TaskId
from omsd.executors.local import LocalExecutor
from omsd.executors.settings import encode_settings
from omsd.scheduler.scheduler import Scheduler, SchedulerSettings
from omsd.service.channel import EventChannel
from omsd.service.group_planner import GroupPlanner
from omsd.service.ledger import Ledger
from omsd.service.live import LiveBoard
from omsd.service.quotas import QuotaKeeper
from omsd.service.sweeper import Sweeper
from omsd.service.sync_ledger import SyncLedger
from omsd.store.groups import SqliteGroupStore
from omsd.store.notices import SqliteNoticeStore
from omsd.store.spool import FileSpool
from omsd.store.sqlite import SqliteTaskStore
from omsd.store.syncs import SqliteSyncStore

# Shards a worker has at once: more than one, so that it never idles while a shard begins or ends.
SLOTS_PER_WORKER = 4


@dataclass(frozen=True, slots=True)
class Stores:
    """One database behind four doors, and the files of object lists."""

    tasks: SqliteTaskStore
    groups: SqliteGroupStore
    syncs: SqliteSyncStore
    notices: SqliteNoticeStore
    spool: FileSpool


@dataclass(frozen=True, slots=True)
class Core:
    """Each is started, and stopped, by the daemon alone."""

    clock: SystemClock
    stores: Stores
    executor: LocalExecutor
    channel: EventChannel
    board: LiveBoard
    scheduler: Scheduler
    quotas: QuotaKeeper
    planner: GroupPlanner
    ledger: Ledger
    syncs: SyncLedger
    sweeper: Sweeper
    notices: Notices


def make_core(settings: Settings, store: SqliteTaskStore, last_ids: tuple[TaskId, ShardId]) -> Core:
    """last_ids: the highest in the store."""
    clock = SystemClock()
    stores = Stores(
        store,
        SqliteGroupStore(store),
        SqliteSyncStore(store),
        SqliteNoticeStore(store),
        FileSpool(settings.server.state_dir),
    )
    executor = _make_executor(settings, clock)
    channel = EventChannel()
    board = LiveBoard(clock)
    scheduler = Scheduler(executor, clock, channel.order, _scheduler_settings(settings))
    quotas = QuotaKeeper(store, quotas_of(settings), settings.server.zone)
    planner = GroupPlanner(executor, clock, channel.order)
    ledger = Ledger(
        store,
        channel,
        scheduler,
        board,
        clock,
        stores.spool,
        make_planning(settings, stores.groups, planner),
        zone=settings.server.zone,
        last_ids=last_ids,
        quotas=quotas,
    )
    notices = Notices(settings, stores.notices, clock, ledger.notices_due, os.environ)
    syncs = SyncLedger(
        stores.syncs,
        executor,
        clock,
        sync_limits(settings),
        random.random,
        sweeps_due=ledger.sweeps_due.set,
    )
    sweeper = Sweeper(store, executor, clock, ledger, channel, must_wait=syncs.must_wait)
    return Core(
        clock, stores, executor, channel, board, scheduler, quotas, planner, ledger, syncs, sweeper, notices
    )


def _make_executor(settings: Settings, clock: SystemClock) -> LocalExecutor:
    return LocalExecutor(
        command=(sys.executable, "-m", "omsd.workerd"),
        settings=encode_settings(worker_settings(settings)),
        workers=settings.server.workers or os.cpu_count() or 1,
        slots_per_worker=SLOTS_PER_WORKER,
        clock=clock,
    )


def _scheduler_settings(settings: Settings) -> SchedulerSettings:
    return SchedulerSettings(
        settings.server.max_parallel_tasks,
        settings.server.zone,
        settings.limits.machine_bytes_per_s,
        parallel_tasks=settings.quotas.parallel_tasks,
    )
