"""What callers of version 2 ask for, in the words of Huawei's client."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tests.rest.harness import REGION, until
from tests.rest.record import Caller
from tests.servers import S3Server

OBJECTS = {f"photos/{number}.jpg": bytes([number]) * 1000 * (number + 1) for number in range(12)}


SLOW = [{"start": "00:00", "end": "23:59", "max_bandwidth": 1_048_576}]


def nodes(sdk: ModuleType, server: S3Server, source: str, destination: str, **changed: Any) -> dict[str, Any]:
    """Both nodes of a task."""
    ak, sk = server.access_key, server.secret_key
    src = {"cloud_type": "HuaweiCloud", "region": REGION, "ak": ak, "sk": sk, "bucket": source, **changed}
    return {
        "src_node": sdk.SrcNodeReq(**src),
        "dst_node": sdk.DstNodeReq(ak=ak, sk=sk, bucket=destination, region=REGION),
    }


def keys(server: S3Server) -> dict[str, str]:
    ak, sk = server.access_key, server.secret_key
    return {"src_ak": ak, "src_sk": sk, "dst_ak": ak, "dst_sk": sk}


def reached(call: Caller, task_id: int, *states: int) -> Any:
    return until(lambda: call("show_task", task_id=task_id), lambda task: task.status in states)
