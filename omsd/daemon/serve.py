"""The control process: its parts are started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from omsd import __version__
from omsd.accounts.usersfile import UsersFileError
from omsd.config import Settings
from omsd.daemon.core import make_core
from omsd.daemon.doors import make_event_server, make_grpc_server, make_rest_server
from omsd.daemon.parts import load_accounts
from omsd.daemon.services import make_services
from omsd.domain.errors import OmsdError
from omsd.domain.model import ShardId, TaskId
from omsd.service.recovery import recover
from omsd.service.sync_receiver import EventReceiver
from omsd.store.sqlite import SqliteTaskStore
from omsd.telemetry.logging import get_logger, setup_logging
from omsd.telemetry.notify import Notifier

_log = get_logger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1
_WORKERS_START_DEADLINE_S = 60.0
_CALLS_GRACE_S = 2.0


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
        self._core = core = make_core(settings, store, last_ids)
        services = make_services(settings, core)
        self._access = services.access
        self._events = make_event_server(settings, EventReceiver(core.syncs, core.clock))
        self._rest = make_rest_server(settings, services)
        self._server = make_grpc_server(settings, services)

    async def serve(self, signals: _Signals, notifier: Notifier) -> None:
        """Start, say READY, run until a signal, stop in reverse order."""
        core = self._core
        await core.notices.check()
        async with asyncio.TaskGroup() as outer:
            executor = outer.create_task(core.executor.serve(core.channel), name="executor")
            async with asyncio.timeout(_WORKERS_START_DEADLINE_S):
                await core.executor.wait_ready()
            found = await recover(core.stores.tasks, core.stores.groups, core.stores.spool, core.ledger)
            sync_events_num = await core.syncs.recover()
            ledger = outer.create_task(core.ledger.run(), name="ledger")
            syncs = outer.create_task(core.syncs.run(), name="sync ledger")
            scheduler = outer.create_task(core.scheduler.run(), name="scheduler")
            sweeper = outer.create_task(core.sweeper.run(), name="sweeper")
            notices = outer.create_task(core.notices.run(), name="notices")
            reloader = outer.create_task(self._reload_at(signals), name="reload")
            planner = outer.create_task(core.planner.run(), name="group planner")
            try:
                _log.info(
                    "ready",
                    version=__version__,
                    **await self._open_doors(),
                    state_dir=str(self._settings.server.state_dir),
                    workers=core.executor.worker_count(),
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
            await core.channel.close()
            await ledger
            core.syncs.close()
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
        self._core.scheduler.hold()
        self._core.syncs.hold()
        hurry = outer.create_task(self._hurry_at(signals), name="second signal")
        await self._core.executor.stop(grace_s=self._settings.limits.drain_grace_s)
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
        self._core.executor.hurry()


def _leaves(group: BaseExceptionGroup[OmsdError]) -> list[OmsdError]:
    leaves: list[OmsdError] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
