"""The part of the contract that is about copies inside a service."""

from __future__ import annotations

from omsd.domain.errors import StoreErrorKind
from omsd.ports.objectstore import Checksums, CopySource, ObjectStore, PutOptions
from tests.contract.bodies import NOTHING, ZOO, checksums_of, raises, read


def of_itself(store: ObjectStore, key: str, etag: str = "") -> CopySource:
    """An object of the store's own bucket, which is certainly of the same service."""
    return CopySource(store.address.bucket, key, etag)


async def check_a_copy_has_the_bytes_and_only_the_options_given(store: ObjectStore) -> None:
    data = b"0123456789" * 1000
    written = PutOptions(
        content_type="text/x-old",
        headers={"cache-control": "max-age=5", "content-disposition": "inline"},
        user_metadata={"old": "1"},
        checksums=checksums_of(data),
    )
    first = await store.put("from/a b", data, len(data), written)
    wanted = PutOptions(
        content_type="text/x-new", headers={"cache-control": "no-cache"}, user_metadata={"new": "2"}
    )
    receipt = await store.copy_from("to", of_itself(store, "from/a b", first.etag), wanted)
    head = await store.head("to")
    assert await read(store, "to") == data
    assert (head.size_bytes, head.etag, head.content_type) == (len(data), receipt.etag, "text/x-new")
    assert dict(head.headers) == {"cache-control": "no-cache"}
    assert dict(head.user_metadata) == {"new": "2"}
    for told in (receipt.checksums, head.checksums):
        assert told.crc64_nvme in (None, checksums_of(data).crc64_nvme)
        assert told.crc64_xz in (None, checksums_of(data).crc64_xz)
    await store.put("empty", b"", 0, NOTHING)
    await store.copy_from("empty again", of_itself(store, "empty"), NOTHING)
    assert await read(store, "empty again") == b""


async def check_a_copy_of_another_version_or_of_nothing_is_refused(store: ObjectStore) -> None:
    await store.put("k", b"new", 3, NOTHING)
    await raises(
        StoreErrorKind.PRECONDITION,
        store.copy_from("to", of_itself(store, "k", "0123456789abcdef0123456789abcdef"), NOTHING),
    )
    await raises(StoreErrorKind.NO_SUCH_KEY, store.copy_from("to", of_itself(store, "gone"), NOTHING))
    await raises(StoreErrorKind.NO_SUCH_KEY, store.head("to"))


async def check_an_upload_is_filled_with_copies(store: ObjectStore) -> None:
    size = store.abilities.min_part_bytes
    data = b"1" * size + b"2" * size + b"3"
    first = await store.put("from", data, len(data), PutOptions(checksums=checksums_of(data)))
    source = of_itself(store, "from", first.etag)
    upload_id = await store.create_upload("to", PutOptions(content_type="x/y"))
    parts = [
        await store.copy_part("to", upload_id, 1, source, 0, size),
        await store.copy_part("to", upload_id, 2, source, size, size),
        await store.copy_part("to", upload_id, 3, source, 2 * size, 1),
    ]
    assert [part.size_bytes for part in parts] == [size, size, 1]
    await store.complete_upload("to", upload_id, parts, checksums_of(data))
    head = await store.head("to")
    assert (head.size_bytes, head.content_type) == (len(data), "x/y")
    assert await read(store, "to") == data


async def check_an_upload_is_filled_with_copies_of_one_version(store: ObjectStore) -> None:
    await store.put("from", b"new", 3, NOTHING)
    upload_id = await store.create_upload("to", NOTHING)
    stale = of_itself(store, "from", "0123456789abcdef0123456789abcdef")
    await raises(StoreErrorKind.PRECONDITION, store.copy_part("to", upload_id, 1, stale, 0, 3))
    await store.abort_upload("to", upload_id)


async def check_every_key_can_be_copied(store: ObjectStore) -> None:
    for number, key in enumerate(ZOO):
        put = await store.put(key, key.encode(), len(key.encode()), NOTHING)
        await store.copy_from(f"copies/{number}", of_itself(store, key, put.etag), NOTHING)
        assert await read(store, f"copies/{number}") == key.encode(), key
        await store.copy_from(key, of_itself(store, f"copies/{number}"), PutOptions(content_type="x/copy"))
        assert (await store.head(key)).content_type == "x/copy", key
        assert await read(store, key) == key.encode(), key
    for key in ("a/../b", "/lead", "a+b", "a%2Fb", "a?b#c", "🙂/🙂"):
        upload_id = await store.create_upload("parts", NOTHING)
        size = len(key.encode())
        part = await store.copy_part("parts", upload_id, 1, of_itself(store, key), 0, size)
        await store.complete_upload("parts", upload_id, [part], Checksums())
        assert await read(store, "parts") == key.encode(), key
