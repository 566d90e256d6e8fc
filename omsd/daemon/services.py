"""What callers may ask, made of the core."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.config import Settings
from omsd.daemon.core import Core
from omsd.daemon.parts import make_access, make_catalog, validation_policy
from omsd.service.access import AccessService
from omsd.service.buckets import BucketService
from omsd.service.catalog import CatalogService
from omsd.service.groups import GroupService
from omsd.service.probing import EndsProbe
from omsd.service.syncs import SyncService
from omsd.service.tasks import TaskService

# Both ends of a new task are asked within this, well below what callers wait for an answer.
_PROBE_DEADLINE_S = 45.0
# A person waits for the answer: less than the 30 s that omsctl waits.
_QUESTION_DEADLINE_S = 22.0


@dataclass(frozen=True, slots=True)
class DaemonServices:
    """The same for every door."""

    access: AccessService
    tasks: TaskService
    groups: GroupService
    syncs: SyncService
    buckets: BucketService
    catalog: CatalogService


def make_services(settings: Settings, core: Core) -> DaemonServices:
    """Raises UsersFileError."""
    stores, policy = core.stores, validation_policy(settings)
    ends = EndsProbe(core.executor, core.clock, deadline_s=_PROBE_DEADLINE_S)
    return DaemonServices(
        access=make_access(settings, core.clock),
        tasks=TaskService(
            stores.tasks, core.channel, core.board, ends, core.clock, policy, stores.notices, core.quotas
        ),
        groups=GroupService(
            stores.groups,
            stores.tasks,
            core.channel,
            core.board,
            ends,
            core.clock,
            policy,
            stores.notices,
            core.quotas,
        ),
        syncs=SyncService(
            stores.syncs,
            core.syncs,
            ends,
            core.clock,
            policy,
            settings.server.zone,
            events_listen=settings.sync.events_listen or "",
        ),
        buckets=BucketService(core.executor, policy, deadline_s=_QUESTION_DEADLINE_S),
        catalog=make_catalog(settings, stores.tasks, core.clock, core.quotas, stores.syncs),
    )
