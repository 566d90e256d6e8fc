"""A sync service that records its calls and answers with what a test put in."""

from __future__ import annotations

from omsd.domain.model import CloudType, Location, TaskSpec, TaskType
from omsd.domain.sync import SyncNumber, SyncState, SyncTask, SyncTaskId
from omsd.domain.sync_figures import DataType, Figures, Interval, TimedFigures
from omsd.service import sync_requests
from omsd.service.syncs import EventSecret, StatisticsView, SyncPage, SyncView

SYNC_ID = SyncTaskId("31e9b7e6-6ffb-452f-9842-6ce354d99d75")


def sync_task() -> SyncTask:
    spec = TaskSpec(
        Location(CloudType.TENCENT, "r1", "from-1", app_id="1"),
        Location(CloudType.HUAWEI, "r2", "into", "https://h"),
        TaskType.OBJECT,
        (),
        description="live",
        migrate_metadata=True,
        encrypt_kms=True,
    )
    return SyncTask(
        SyncNumber(1),
        SYNC_ID,
        "default",
        spec,
        SyncState.SYNCHRONIZING,
        1_700_000_000_000,
        1_700_000_001_000,
        True,
    )


class FakeSyncService:
    """Records every call in `calls`; `raises` makes every next call raise."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.raises: Exception | None = None
        self.events_listen = "0.0.0.0:7071"
        self.view = SyncView(sync_task(), 7, Figures(100, 60, 3, 30, 4096))

    async def create(self, project_id: str, request: sync_requests.CreateSyncTask) -> SyncTask:
        self._called("create", project_id, request)
        return self.view.task

    async def get(self, project_id: str, sync_task_id: str, query_time: int | None) -> SyncView:
        self._called("get", project_id, sync_task_id, query_time)
        return self.view

    async def list(self, project_id: str, request: sync_requests.ListSyncTasks) -> SyncPage:
        self._called("list", project_id, request)
        return SyncPage((self.view,), 3)

    async def statistics(
        self, project_id: str, sync_task_id: str, request: sync_requests.SyncStatistics
    ) -> StatisticsView:
        self._called("statistics", project_id, sync_task_id, request)
        timed = (TimedFigures(300_000, Figures(4, 1)), TimedFigures(600_000, Figures(2)))
        kinds = tuple(DataType(kind) for kind in request.data_type or ())
        return StatisticsView(SYNC_ID, Interval.FIVE_MINUTES, kinds, timed)

    async def create_events(self, project_id: str, sync_task_id: str, object_keys: tuple[str, ...]) -> None:
        self._called("create_events", project_id, sync_task_id, object_keys)

    async def start(self, project_id: str, sync_task_id: str, request: sync_requests.StartSyncTask) -> None:
        self._called("start", project_id, sync_task_id, request)

    async def stop(self, project_id: str, sync_task_id: str) -> None:
        self._called("stop", project_id, sync_task_id)

    async def delete(self, project_id: str, sync_task_id: str) -> None:
        self._called("delete", project_id, sync_task_id)

    async def rotate_secret(self, project_id: str, sync_task_id: str) -> EventSecret:
        self._called("rotate_secret", project_id, sync_task_id)
        return EventSecret("S3CR3T", f"/sync-tasks/{sync_task_id}/s3-events", self.events_listen)

    def _called(self, *call: object) -> None:
        self.calls.append(call)
        if self.raises is not None:
            raise self.raises
