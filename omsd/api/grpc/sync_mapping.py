"""Messages of synchronization tasks to requests, views to messages. No rule lives here but that of well-formed enumerations."""

from __future__ import annotations

from omsd.api.grpc.mapping import EnumReader, copying_from_pb, copying_to_pb, given, keys_from_pb, number_of
from omsd.pb.v1 import sync_pb2
from omsd.service import sync_requests
from omsd.service.syncs import StatisticsView, SyncPage, SyncView


def create_from_pb(message: sync_pb2.CreateSyncTaskRequest) -> sync_requests.CreateSyncTask:
    """The call as written. Raises RequestError naming every enumeration with an unknown number."""
    enums = EnumReader()
    request = sync_requests.CreateSyncTask(
        src_cloud_type=given(message, "src_cloud_type"),
        src_region=given(message, "src_region"),
        src_bucket=given(message, "src_bucket"),
        src_ak=given(message, "src_ak"),
        src_sk=given(message, "src_sk"),
        src_security_token=given(message, "src_security_token"),
        src_endpoint=given(message, "src_endpoint"),
        dst_cloud_type=given(message, "dst_cloud_type"),
        dst_region=given(message, "dst_region"),
        dst_bucket=given(message, "dst_bucket"),
        dst_ak=given(message, "dst_ak"),
        dst_sk=given(message, "dst_sk"),
        dst_security_token=given(message, "dst_security_token"),
        dst_endpoint=given(message, "dst_endpoint"),
        app_id=given(message, "app_id"),
        enable_delete=given(message, "enable_delete"),
        **copying_from_pb(message, enums),
    )
    enums.raise_if_wrong()
    return request


def start_from_pb(message: sync_pb2.StartSyncTaskRequest) -> sync_requests.StartSyncTask:
    """The call as written."""
    return sync_requests.StartSyncTask(**keys_from_pb(message))


def list_from_pb(message: sync_pb2.ListSyncTasksRequest) -> sync_requests.ListSyncTasks:
    """The call as written. Raises RequestError if the status is not one."""
    enums = EnumReader()
    status = enums.upper(sync_pb2.SyncTaskStatus, message.status, "status")
    enums.raise_if_wrong()
    return sync_requests.ListSyncTasks(
        limit=given(message, "limit"), offset=given(message, "offset"), status=status
    )


def statistics_from_pb(message: sync_pb2.GetSyncTaskStatisticsRequest) -> sync_requests.SyncStatistics:
    """The call as written. Raises RequestError if a data type is not one."""
    enums = EnumReader()
    kinds = [
        enums.upper(sync_pb2.SyncDataType, kind, f"data_type[{place}]")
        for place, kind in enumerate(message.data_type)
    ]
    enums.raise_if_wrong()
    return sync_requests.SyncStatistics(
        data_type=tuple(kind or "" for kind in kinds),
        start_time=given(message, "start_time"),
        end_time=given(message, "end_time"),
    )


def page_to_pb(page: SyncPage) -> sync_pb2.ListSyncTasksResponse:
    """A page of tasks."""
    return sync_pb2.ListSyncTasksResponse(tasks=[task_to_pb(view) for view in page.tasks], count=page.count)


def task_to_pb(view: SyncView) -> sync_pb2.SyncTask:
    """The task as callers see it; no secret is in it."""
    task, spec, month = view.task, view.task.spec, view.month
    return sync_pb2.SyncTask(
        sync_task_id=task.sync_task_id,
        src_cloud_type=spec.source.cloud_type,
        src_region=spec.source.region,
        src_bucket=spec.source.bucket,
        src_endpoint=spec.source.endpoint_url,
        dst_cloud_type=spec.destination.cloud_type,
        dst_region=spec.destination.region,
        dst_bucket=spec.destination.bucket,
        dst_endpoint=spec.destination.endpoint_url,
        create_time=task.created_ms,
        last_start_time=task.last_started_ms,
        status=number_of(sync_pb2.SyncTaskStatus, task.state),
        enable_delete=task.deletes,
        **copying_to_pb(spec),
        app_id=spec.source.app_id,
        monthly_acceptance_request=month.request_num,
        monthly_success_object=month.success_num,
        monthly_failed_object=month.failure_num,
        monthly_skip_object=month.skip_num,
        monthly_size=month.size_bytes,
        queued_object=view.queued_num,
        project_id=task.project_id,
    )


def statistics_to_pb(view: StatisticsView) -> sync_pb2.SyncTaskStatistics:
    """One entry for each type asked for; intervals in which it is 0 are left out."""
    answer = sync_pb2.SyncTaskStatistics(
        sync_task_id=view.sync_task_id,
        statistic_time_type=number_of(sync_pb2.StatisticTimeType, view.interval),
    )
    for kind in view.kinds:
        entry = answer.statistic_datas.add(data_type=number_of(sync_pb2.SyncDataType, kind))
        for timed in view.timed:
            if figure := timed.figures.of(kind):
                entry.data.add(time_stamp=timed.start_ms, statistic_num=figure)
    return answer
