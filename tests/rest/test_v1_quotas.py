"""The quotas of V1 as its callers meet them: by route, with the codes of V1, on a real ledger and store."""

from __future__ import annotations

import json
from pathlib import Path

from omsd.api.rest.app import Incoming, RestApp
from omsd.api.rest.services import Services
from omsd.domain.model import TaskState
from omsd.domain.quotas import Quotas
from omsd.service.access import AccessService
from tests.fakes.bucket_service import FakeBucketService, FakeCatalog
from tests.fakes.executor import World
from tests.fakes.group_service import FakeGroupService
from tests.fakes.sync_service import FakeSyncService
from tests.service.harness import PROJECT, Control, control_process, create_request

V1_TASKS, V2_TASKS = f"/v1/{PROJECT}/objectstorage/task", f"/v2/{PROJECT}/tasks"
_SOURCE = {"cloud_type": "AWS", "region": "us-east-1", "ak": "A", "sk": "S", "bucket": "from"}
_DESTINATION = {"region": "eu-west-101", "ak": "A", "sk": "S", "bucket": "into"}
V1 = {
    "src_node": _SOURCE | {"object_key": "/"},
    "dst_node": _DESTINATION | {"object_key": "/"},
    "thread_num": 1,
    "enableKMS": False,
    "task_type": "prefix",
}
V2 = {
    "src_node": _SOURCE | {"object_key": [""]},
    "dst_node": _DESTINATION,
    "enable_kms": False,
    "task_type": "prefix",
}


async def create(control: Control, path: str, body: dict[str, object]) -> tuple[int, str]:
    """Status of a creation, and the code of a refusal."""
    services = Services(
        AccessService.open_to_all(),
        control.service,
        FakeGroupService(),
        FakeSyncService(),
        FakeBucketService(),
        FakeCatalog(),
    )

    async def read() -> bytes:
        return json.dumps(body).encode()

    answer = await RestApp(services).answer(Incoming("POST", path, (), read))
    return answer.status, json.loads(answer.body).get("error_code", "")


async def test_at_the_limit_of_waiting_tasks_v1_is_refused_and_v2_goes_on(tmp_path: Path) -> None:
    quotas = Quotas(v1_waiting_tasks=2)
    async with control_process(tmp_path, World({"a": 1}), quotas=quotas, max_parallel_tasks=1) as control:
        running = await control.service.create(PROJECT, create_request())
        await control.reach(running.task_id, TaskState.MIGRATING)
        for _ in range(2):
            assert await create(control, V1_TASKS, V1) == (200, "")
        assert await create(control, V1_TASKS, V1) == (400, "S3M.0076")
        assert await create(control, V2_TASKS, V2) == (200, "")


async def test_at_the_limit_of_a_day_v1_is_refused_and_v2_goes_on(tmp_path: Path) -> None:
    quotas = Quotas(v1_tasks_per_day=2)
    async with control_process(tmp_path, World({"a": 1}), quotas=quotas, slots=0) as control:
        assert await create(control, V1_TASKS, V1) == (200, "")
        assert await create(control, V2_TASKS, V2) == (200, "")
        assert await create(control, V1_TASKS, V1) == (400, "S3M.0075")
        assert await create(control, V2_TASKS, V2) == (200, "")
