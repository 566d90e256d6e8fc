"""The control process: builds all parts, starts them in order, stops them in reverse."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from omsd import __version__
from omsd.accounts.usersfile import UsersFileError
from omsd.api.grpc.server import (
    GrpcServer,
    bucket_service,
    catalog_service,
    group_service,
    sync_service,
)
from omsd.api.rest.services import Services
from omsd.clock import SystemClock
from omsd.config import Settings
from omsd.daemon.doors import grpc_certificate, make_event_server, make_rest_server
from omsd.daemon.notices import Notices
from omsd.daemon.parts import (
    load_accounts,
    make_access,
    make_catalog,
    make_planning,
    quotas_of,
    sync_limits,
    validation_policy,
    worker_settings,
)
from omsd.domain.errors import OmsdError
from omsd.domain.model import ShardId, TaskId
from omsd.executors.local import LocalExecutor
from omsd.executors.settings import encode_settings
from omsd.scheduler.scheduler import Scheduler, SchedulerSettings
from omsd.service.buckets import BucketService
from omsd.service.channel import EventChannel
from omsd.service.group_planner import GroupPlanner
from omsd.service.groups import GroupService
from omsd.service.ledger import Ledger
from omsd.service.live import LiveBoard
from omsd.service.probing import EndsProbe
from omsd.service.quotas import QuotaKeeper
from omsd.service.recovery import recover
from omsd.service.sweeper import Sweeper
from omsd.service.sync_ledger import SyncLedger
from omsd.service.sync_receiver import EventReceiver
from omsd.service.syncs import SyncService
from omsd.service.tasks import TaskService
from omsd.store.groups import SqliteGroupStore
from omsd.store.notices import SqliteNoticeStore
from omsd.store.spool import FileSpool
from omsd.store.sqlite import SqliteTaskStore
from omsd.store.syncs import SqliteSyncStore
from omsd.telemetry.logging import get_logger, setup_logging
from omsd.telemetry.notify import Notifier

_log = get_logger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1
# Shards a worker has at once: more than one, so that it never idles while a shard begins or ends.
SLOTS_PER_WORKER = 4
_WORKERS_START_DEADLINE_S = 60.0
_CALLS_GRACE_S = 2.0
# Both ends of a new task are asked within this, well below what callers wait for an answer.
_PROBE_DEADLINE_S = 45.0
# A person waits for the answer: less than the 30 s that omsctl waits.
_QUESTION_DEADLINE_S = 22.0


def run(settings: Settings) -> int:
    """Serve until a signal; the exit status. The first SIGTERM or SIGINT drains, the second cuts."""
    setup_logging(settings.log.level, settings.log.format)
    failures: list[OmsdError] = []
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings))
    except* OmsdError as group:
        failures = _leaves(group)
    for failure in failures:
        _log.error("daemon_failed", error=failure.message)
    return EXIT_FAILED if failures else EXIT_OK


async def _serve(settings: Settings) -> None:
    _log.info("starting", version=__version__, pid=os.getpid())
    notifier = Notifier.from_environment(os.environ)
    signals = _Signals()
    with signals:
        async with AsyncExitStack() as stack:
            credentials_directory = os.environ.get("CREDENTIALS_DIRECTORY")
            store = await SqliteTaskStore.open(
                settings.server.state_dir,
                credentials_directory=Path(credentials_directory) if credentials_directory else None,
            )
            stack.push_async_callback(store.close)
            await _Daemon(settings, store, await store.last_ids()).serve(signals, notifier)
    _log.info("stopped")


class _Signals:
    """SIGTERM and SIGINT as two events: the first signal asks for a drain, the second for the end. SIGHUP: files are read again."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.cut = asyncio.Event()
        self.reload = asyncio.Event()

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._came)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def _came(self) -> None:
        (self.cut if self.drain.is_set() else self.drain).set()


class _Daemon:
    """The parts and their life."""

    def __init__(self, settings: Settings, store: SqliteTaskStore, last_ids: tuple[TaskId, ShardId]) -> None:
        self._settings = settings
        self._store = store
        clock = SystemClock()
        zone = settings.server.zone
        self._executor = LocalExecutor(
            command=(sys.executable, "-m", "omsd.workerd"),
            settings=encode_settings(worker_settings(settings)),
            workers=settings.server.workers or os.cpu_count() or 1,
            slots_per_worker=SLOTS_PER_WORKER,
            clock=clock,
        )
        self._channel = EventChannel()
        self._board = LiveBoard(clock)
        self._scheduler = Scheduler(
            self._executor,
            clock,
            self._channel.order,
            SchedulerSettings(
                settings.server.max_parallel_tasks,
                zone,
                settings.limits.machine_bytes_per_s,
                parallel_tasks=settings.quotas.parallel_tasks,
            ),
        )
        self._spool = FileSpool(settings.server.state_dir)
        quotas = QuotaKeeper(store, quotas_of(settings), zone)
        self._group_store = SqliteGroupStore(store)
        self._planner = GroupPlanner(self._executor, clock, self._channel.order)
        self._ledger = Ledger(
            store,
            self._channel,
            self._scheduler,
            self._board,
            clock,
            self._spool,
            make_planning(settings, self._group_store, self._planner),
            zone=zone,
            last_ids=last_ids,
            quotas=quotas,
        )
        notice_store = SqliteNoticeStore(store)
        self._notices = Notices(settings, notice_store, clock, self._ledger.notices_due, os.environ)
        ends = EndsProbe(self._executor, clock, deadline_s=_PROBE_DEADLINE_S)
        sync_store = SqliteSyncStore(store)
        self._syncs = SyncLedger(
            sync_store,
            self._executor,
            clock,
            sync_limits(settings),
            random.random,
            sweeps_due=self._ledger.sweeps_due.set,
        )
        self._sweeper = Sweeper(
            store, self._executor, clock, self._ledger, self._channel, must_wait=self._syncs.must_wait
        )
        syncs = SyncService(
            sync_store,
            self._syncs,
            ends,
            clock,
            validation_policy(settings),
            zone,
            events_listen=settings.sync.events_listen or "",
        )
        self._events = make_event_server(settings, EventReceiver(self._syncs, clock))
        self._service = TaskService(
            store, self._channel, self._board, ends, clock, validation_policy(settings), notice_store, quotas
        )
        self._access = make_access(settings, clock)
        groups = GroupService(
            self._group_store,
            store,
            self._channel,
            self._board,
            ends,
            clock,
            validation_policy(settings),
            notice_store,
            quotas,
        )
        buckets = BucketService(self._executor, validation_policy(settings), deadline_s=_QUESTION_DEADLINE_S)
        catalog = make_catalog(settings, store, clock, quotas, sync_store)
        self._rest = make_rest_server(
            settings, Services(self._access, self._service, groups, syncs, buckets, catalog)
        )
        self._server = GrpcServer(
            self._service,
            bucket_service(buckets),
            catalog_service(catalog),
            sync_service(syncs),
            group_service(groups),
            listen=settings.server.grpc_listen,
            access=self._access,
            certificate=grpc_certificate(settings),
        )

    async def serve(self, signals: _Signals, notifier: Notifier) -> None:
        """Start, say READY, run until a signal, stop in reverse order."""
        await self._notices.check()
        async with asyncio.TaskGroup() as outer:
            executor = outer.create_task(self._executor.serve(self._channel), name="executor")
            async with asyncio.timeout(_WORKERS_START_DEADLINE_S):
                await self._executor.wait_ready()
            found = await recover(self._store, self._group_store, self._spool, self._ledger)
            sync_events_num = await self._syncs.recover()
            ledger = outer.create_task(self._ledger.run(), name="ledger")
            syncs = outer.create_task(self._syncs.run(), name="sync ledger")
            scheduler = outer.create_task(self._scheduler.run(), name="scheduler")
            sweeper = outer.create_task(self._sweeper.run(), name="sweeper")
            notices = outer.create_task(self._notices.run(), name="notices")
            reloader = outer.create_task(self._reload_at(signals), name="reload")
            planner = outer.create_task(self._planner.run(), name="group planner")
            try:
                _log.info(
                    "ready",
                    version=__version__,
                    **await self._open_doors(),
                    state_dir=str(self._settings.server.state_dir),
                    workers=self._executor.worker_count(),
                    resumed=found.migrating_num,
                    waiting=found.waiting_num,
                    groups=found.groups_num,
                    sync_events=sync_events_num,
                )
                notifier.ready()
                await signals.drain.wait()
                notifier.stopping()
                _log.info("stopping", grace_s=self._settings.limits.drain_grace_s)
            finally:
                # Also when a part fails or a door does not open: the outer group is being cancelled then, and calls must not hang.
                await self._stop_servers()
            sweeper.cancel()
            reloader.cancel()
            planner.cancel()
            await self._stop(outer, signals, scheduler)
            await executor
            await self._channel.close()
            await ledger
            self._syncs.close()
            await syncs
            # Last, so that what has ended until now is told if that is quick; the rest is due at the next start.
            notices.cancel()

    async def _open_doors(self) -> dict[str, str]:
        """Calls are answered; the addresses, "" for a door that is not wanted. Raises OmsdError if one cannot be had."""
        return {
            "grpc": await self._server.start(),
            "rest": await self._rest.start() if self._rest is not None else "",
            "events": await self._events.start() if self._events is not None else "",
        }

    async def _stop_servers(self) -> None:
        """No call and no event is taken any more."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._server.stop(grace_s=_CALLS_GRACE_S), name="stop of gRPC")
            if self._rest is not None:
                group.create_task(self._rest.stop(grace_s=_CALLS_GRACE_S), name="stop of REST")
            if self._events is not None:
                group.create_task(self._events.stop(), name="stop of the event receiver")

    async def _stop(self, outer: asyncio.TaskGroup, signals: _Signals, scheduler: asyncio.Task[None]) -> None:
        """Nothing new is leased, what runs is drained; a second signal cuts it."""
        self._scheduler.hold()
        self._syncs.hold()
        hurry = outer.create_task(self._hurry_at(signals), name="second signal")
        await self._executor.stop(grace_s=self._settings.limits.drain_grace_s)
        hurry.cancel()
        scheduler.cancel()

    async def _reload_at(self, signals: _Signals) -> None:
        """Users as the file has them now, at each signal; a file that cannot be used changes nothing."""
        while True:
            await signals.reload.wait()
            signals.reload.clear()
            try:
                accounts = await asyncio.to_thread(load_accounts, self._settings)
            except UsersFileError as error:
                _log.error("users_file_not_reloaded", problems=list(error.problems))
                continue
            self._access.replace_accounts(accounts)
            _log.info("users_file_reloaded", users=len(accounts.users), projects=len(accounts.projects))

    async def _hurry_at(self, signals: _Signals) -> None:
        await signals.cut.wait()
        _log.warning("cutting", reason="a second signal came")
        self._executor.hurry()


def _leaves(group: BaseExceptionGroup[OmsdError]) -> list[OmsdError]:
    leaves: list[OmsdError] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
