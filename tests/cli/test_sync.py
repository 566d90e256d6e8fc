"""omsctl sync from the outside: arguments in, calls at the server, output and exit code out."""

from __future__ import annotations

from datetime import UTC, datetime

from omsd.cli.sync import plot
from omsd.domain.errors import Refusal, RequestError
from omsd.pb.v1 import sync_pb2
from omsd.service.sync_requests import CreateSyncTask, ListSyncTasks, StartSyncTask, SyncStatistics
from tests.cli.conftest import Omsctl
from tests.fakes.sync_service import SYNC_ID, FakeSyncService


async def test_create_sends_buckets_options_and_keys_of_the_environment(
    omsctl: Omsctl, syncs: FakeSyncService
) -> None:
    done = await omsctl(
        *("sync", "create", "s3://from", "s3://into", "--src-region", "r1", "--dst-region", "r2"),
        *("--dst-endpoint", "http://h:1", "--check", "crc64", "--storage", "IA", "--deletes", "--metadata"),
    )
    assert (done.code, done.err) == (0, "")
    assert done.out == f"synchronization task {SYNC_ID} created\n"
    assert syncs.calls == [
        (
            "create",
            "default",
            CreateSyncTask(
                src_cloud_type="AWS",
                src_region="r1",
                src_bucket="from",
                src_ak="SRCAK",
                src_sk="SRCSK",
                dst_cloud_type="AWS",
                dst_region="r2",
                dst_bucket="into",
                dst_ak="DSTAK",
                dst_sk="DSTSK",
                dst_endpoint="http://h:1",
                enable_metadata_migration=True,
                enable_delete=True,
                dst_storage_policy="IA",
                consistency_check="crc64",
                object_overwrite_mode="SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE",
            ),
        )
    ]


async def test_a_prefix_is_wrong_usage(omsctl: Omsctl, syncs: FakeSyncService) -> None:
    done = await omsctl("sync", "create", "s3://from/logs/", "s3://into")
    assert done.code == 2
    assert "whole buckets" in done.err
    assert not syncs.calls


async def test_show_and_list_say_what_there_is(omsctl: Omsctl, syncs: FakeSyncService) -> None:
    done = await omsctl("sync", "show", SYNC_ID, "--month", "2026-01")
    assert done.code == 0
    shown = dict(line.split(None, 1) for line in done.out.splitlines())
    assert shown["source"] == "s3://from-1 (Tencent, r1)"
    assert (shown["succeeded"], shown["queued"], shown["failed"]) == ("60, 4.0 KiB", "7", "3")
    (_, _, _, query_time) = syncs.calls[-1]
    assert isinstance(query_time, int)
    asked = datetime.fromtimestamp(query_time / 1000, UTC)
    assert (asked.year, asked.month, asked.day) == (2026, 1, 15)
    done = await omsctl("sync", "list", "--status", "synchronizing", "-o", "json")
    assert done.json["tasks"][0]["sync_task_id"] == SYNC_ID
    assert syncs.calls[-1] == ("list", "default", ListSyncTasks(limit=20, offset=0, status="SYNCHRONIZING"))
    done = await omsctl("sync", "list")
    assert done.out.splitlines()[1].split()[:3] == [SYNC_ID, "synchronizing", "7"]
    assert "1 of 3" in done.err


async def test_events_are_encoded_and_sent_by_the_hundred(omsctl: Omsctl, syncs: FakeSyncService) -> None:
    keys = [f"a b/{n}+ü" for n in range(101)]
    done = await omsctl("sync", "event", SYNC_ID, *keys)
    assert (done.code, done.out) == (0, "101 events accepted\n")
    sent = [call[3] for call in syncs.calls]
    assert [len(one) for one in sent if isinstance(one, tuple)] == [100, 1]
    assert isinstance(sent[0], tuple)
    assert sent[0][0] == "a%20b/0%2B%C3%BC"
    assert (await omsctl("sync", "event", SYNC_ID)).code == 2


async def test_stats_plot_each_type(omsctl: Omsctl, syncs: FakeSyncService) -> None:
    done = await omsctl("sync", "stats", SYNC_ID, "--kind", "request", "--hours", "2")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "REQUEST: 6"
    assert [line.count("#") for line in lines[1:]] == [40, 20]
    (_, _, _, wanted) = syncs.calls[-1]
    assert isinstance(wanted, SyncStatistics)
    assert wanted.data_type == ("REQUEST",)
    assert (wanted.end_time or 0) - (wanted.start_time or 0) == 2 * 3_600_000


async def test_start_stop_and_delete_reach_the_server(omsctl: Omsctl, syncs: FakeSyncService) -> None:
    for verb in ("start", "stop", "delete"):
        assert (await omsctl("sync", verb, SYNC_ID)).code == 0
    keys = StartSyncTask(src_ak="SRCAK", src_sk="SRCSK", dst_ak="DSTAK", dst_sk="DSTSK")
    assert syncs.calls == [
        ("start", "default", SYNC_ID, keys),
        ("stop", "default", SYNC_ID),
        ("delete", "default", SYNC_ID),
    ]


async def test_a_secret_is_shown_once_with_the_path_it_is_for(omsctl: Omsctl, syncs: FakeSyncService) -> None:
    done = await omsctl("sync", "secret", SYNC_ID)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"path    /sync-tasks/{SYNC_ID}/s3-events\nsecret  S3CR3T\n"
    assert syncs.calls == [("rotate_secret", "default", SYNC_ID)]
    syncs.events_listen = ""
    done = await omsctl("sync", "secret", SYNC_ID, "-o", "json")
    assert (done.json["secret"], done.json["listen"]) == ("S3CR3T", "")
    assert "events_listen" in done.err


async def test_an_unknown_task_exits_5(omsctl: Omsctl, syncs: FakeSyncService) -> None:
    syncs.raises = RequestError("OMS.2002", "no such task", refusal=Refusal.NOT_FOUND)
    done = await omsctl("sync", "show", SYNC_ID)
    assert (done.code, done.err) == (5, "omsctl: OMS.2002 no such task\n")


def test_a_plot_shows_small_figures_too() -> None:
    points = [
        sync_pb2.StatisticData(time_stamp=0, statistic_num=1),
        sync_pb2.StatisticData(time_stamp=300_000, statistic_num=1000),
    ]
    assert [line.count("#") for line in plot(points)] == [1, 40]
    assert plot([]) == []
