"""What is asked of a destination before anything moves: may it be written, and does it have what the task wants?"""

from __future__ import annotations

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import StoragePolicy
from omsd.engine.preflight import check_destination
from tests.engine.harness import memory_store, spec
from tests.fakes.stores import FaultyStore, failing

KMS = spec(encrypt_kms=True)


def refusing(call: str, kind: StoreErrorKind) -> FaultyStore:
    return FaultyStore(memory_store(), failing(call, 1, lambda: StoreError(kind, "no"), times=99))


@pytest.mark.parametrize(
    "task",
    [
        spec(),
        spec(storage_policy=StoragePolicy.IA),
        spec(storage_policy=StoragePolicy.SRC_STORAGE_MAPPING),
        KMS,
        spec(save_prefix="in/", encrypt_kms=True),
    ],
)
async def test_a_good_destination_passes_and_keeps_nothing(task: object) -> None:
    good = memory_store()
    await check_destination(good, task)  # type: ignore[arg-type]
    assert not good.objects
    assert not await good.list_uploads()


async def test_what_a_service_does_not_have_is_refused_without_asking() -> None:
    few = FaultyStore(memory_store(storage_policies=frozenset({StoragePolicy.STANDARD}), encrypts_kms=False))
    for task, kind in (
        (spec(storage_policy=StoragePolicy.ARCHIVE), StoreErrorKind.UNSUPPORTED),
        (KMS, StoreErrorKind.ENCRYPTION),
    ):
        with pytest.raises(StoreError) as refused:
            await check_destination(few, task)
        assert refused.value.kind is kind
    assert set(few.calls) == {"check"}
    await check_destination(few, spec(storage_policy=StoragePolicy.SRC_STORAGE_MAPPING))


@pytest.mark.parametrize(("task", "call"), [(spec(), "put_part"), (KMS, "create_upload")])
@pytest.mark.parametrize(
    "kind",
    [
        StoreErrorKind.PERMISSION,
        StoreErrorKind.NO_SPACE,
        StoreErrorKind.ACCOUNT,
        StoreErrorKind.BALANCE,
        StoreErrorKind.EXPIRED,
    ],
)
async def test_a_bucket_that_may_not_be_written_is_refused(
    task: object, call: str, kind: StoreErrorKind
) -> None:
    with pytest.raises(StoreError) as refused:
        await check_destination(refusing(call, kind), task)  # type: ignore[arg-type]
    assert refused.value.kind is kind


@pytest.mark.parametrize(
    "kind", [StoreErrorKind.UNSUPPORTED, StoreErrorKind.INVALID, StoreErrorKind.UNAVAILABLE]
)
async def test_what_may_be_about_the_question_alone_refuses_no_task(kind: StoreErrorKind) -> None:
    await check_destination(refusing("put_part", kind), spec())


async def test_a_service_without_a_key_server_that_answers_500_to_each_write_has_no_kms() -> None:
    keyless = refusing("create_upload", StoreErrorKind.UNAVAILABLE)
    with pytest.raises(StoreError) as refused:
        await check_destination(keyless, KMS)
    assert refused.value.kind is StoreErrorKind.ENCRYPTION
    assert keyless.calls["create_upload"] == 3


async def test_an_ak_that_may_not_abort_may_still_write() -> None:
    await check_destination(refusing("abort_upload", StoreErrorKind.PERMISSION), KMS)
    with pytest.raises(StoreError):
        await check_destination(refusing("abort_upload", StoreErrorKind.EXPIRED), KMS)
