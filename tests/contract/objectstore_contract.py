"""What every ObjectStore must do, as plain functions of an open store of an empty bucket. Any driver runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from omsd.domain.errors import StoreErrorKind
from omsd.domain.model import CloudType, StoragePolicy
from omsd.domain.shards import OpenUpload
from omsd.domain.storage import policy_of_class
from omsd.ports.objectstore import Checksums, ObjectStore, PutOptions
from tests.contract.bodies import NOTHING, ZOO, Collected, Pushed, checksums_of, in_order, keys, raises, read
from tests.contract.copy_checks import (
    check_a_copy_has_the_bytes_and_only_the_options_given,
    check_a_copy_of_another_version_or_of_nothing_is_refused,
    check_an_upload_is_filled_with_copies,
    check_an_upload_is_filled_with_copies_of_one_version,
    check_every_key_can_be_copied,
)

Check = Callable[[ObjectStore], Awaitable[None]]


async def check_what_is_put_is_read(store: ObjectStore) -> None:
    for data in (b"", b"x", bytes(range(256)) * 4000):
        receipt = await store.put("a/b c+d", data, len(data), PutOptions(content_type="text/x-a"))
        assert await read(store, "a/b c+d") == data
        head = await store.head("a/b c+d")
        assert (head.key, head.size_bytes, head.etag) == ("a/b c+d", len(data), receipt.etag)
        assert head.content_type == "text/x-a"
        page = await store.list_page("")
        assert [(entry.key, entry.size_bytes, entry.etag) for entry in page.objects] == [
            ("a/b c+d", len(data), receipt.etag)
        ]
        assert abs(page.objects[0].last_modified_s - head.last_modified_s) < 2
        assert page.next_marker is None


async def check_a_pushed_body_is_stored(store: ObjectStore) -> None:
    chunks = [bytes([n]) * 70_001 for n in range(40)]
    data = b"".join(chunks)
    await store.put("pushed", Pushed(chunks), len(data), NOTHING)
    assert await read(store, "pushed") == data
    await store.put("empty", Pushed([]), 0, NOTHING)
    assert await read(store, "empty") == b""


async def check_a_read_is_pushed_with_pauses(store: ObjectStore) -> None:
    data = bytes(range(256)) * 8000
    await store.put("k", data, len(data), NOTHING)
    reading = await store.read("k")
    assert reading.size_bytes == len(data)
    sink = Collected()
    reading.start(sink)
    reading.pause()
    await asyncio.sleep(0.05)
    reading.resume()
    assert await sink.over is None
    await reading.close()
    assert b"".join(sink.chunks) == data


async def check_one_store_pipes_into_another_key(store: ObjectStore) -> None:
    data = bytes(range(256)) * 8000
    await store.put("from", data, len(data), NOTHING)
    reading = await store.read("from")
    await store.put("to", reading, reading.size_bytes, NOTHING)
    await reading.close()
    assert await read(store, "to") == data


async def check_a_source_that_fails_leaves_no_object(store: ObjectStore) -> None:
    broken = RuntimeError("the source broke")
    with pytest.raises(RuntimeError) as raised:
        await store.put("broken", Pushed([b"x" * 1000], broken), 5000, NOTHING)
    assert raised.value is broken
    await raises(StoreErrorKind.NO_SUCH_KEY, store.head("broken"))
    await store.put("fine", b"x", 1, NOTHING)


async def check_ranges(store: ObjectStore) -> None:
    data = bytes(range(256)) * 40
    await store.put("k", data, len(data), NOTHING)
    assert await read(store, "k", offset=10, length=100) == data[10:110]
    assert await read(store, "k", offset=0, length=1) == data[:1]
    assert await read(store, "k", offset=10_000) == data[10_000:]
    assert await read(store, "k", offset=10_000, length=1_000_000) == data[10_000:]
    reading = await store.read("k", offset=5, length=7)
    assert (reading.size_bytes, reading.head.size_bytes) == (7, len(data))
    await reading.close()
    await raises(StoreErrorKind.INVALID, store.read("k", offset=len(data), length=1))


async def check_if_match(store: ObjectStore) -> None:
    first = await store.put("k", b"one", 3, NOTHING)
    assert await read(store, "k", if_match=first.etag) == b"one"
    await store.put("k", b"two", 3, NOTHING)
    await raises(StoreErrorKind.PRECONDITION, store.read("k", if_match=first.etag))


async def check_headers_and_metadata_travel(store: ObjectStore) -> None:
    options = PutOptions(
        content_type="text/html; charset=utf-8",
        headers={"cache-control": "max-age=60", "content-disposition": 'attachment; filename="a.b"'},
        user_metadata={"owner": "someone", "path": "a%20b", "empty-ish": "-"},
    )
    await store.put("k", b"x", 1, options)
    head = await store.head("k")
    assert head.content_type == options.content_type
    assert dict(head.headers) == options.headers
    assert dict(head.user_metadata) == options.user_metadata


async def check_missing_keys(store: ObjectStore) -> None:
    await raises(StoreErrorKind.NO_SUCH_KEY, store.head("nothing"))
    await raises(StoreErrorKind.NO_SUCH_KEY, store.read("nothing"))
    await store.delete("nothing")
    await store.put("k", b"x", 1, NOTHING)
    await store.delete("k")
    await raises(StoreErrorKind.NO_SUCH_KEY, store.head("k"))


async def check_pages_end_and_begin_at_any_key(store: ObjectStore) -> None:
    wanted = [
        "a b",
        "a+b",
        "a%2Fb",
        "a&b",
        "a'b",
        'a"b',
        "a<b>",
        "a=b?c#d",
        "é",
        "🙂",
        "p/q",
        "p/r",
        "p-s",
        "z",
    ]
    for key in wanted:
        await store.put(key, b"x", 1, NOTHING)
    expected = in_order(store, wanted)
    for limit in (1, 2, 3, 5):
        assert await keys(store, limit=limit) == expected
    for index, key in enumerate(expected):
        assert await keys(store, after=key) == expected[index + 1 :]
    assert await keys(store, "p/", limit=1) == ["p/q", "p/r"]
    assert await keys(store, "nothing") == []


async def check_common_prefixes(store: ObjectStore) -> None:
    for key in ("a/1", "a/2", "b c/1", "d"):
        await store.put(key, b"x", 1, NOTHING)
    objects: list[str] = []
    prefixes: list[str] = []
    marker: str | None = None
    while True:
        page = await store.list_page("", marker=marker, delimiter="/", limit=1)
        objects += [entry.key for entry in page.objects]
        prefixes += page.common_prefixes
        marker = page.next_marker
        if marker is None:
            break
    assert (objects, prefixes) == (["d"], ["a/", "b c/"])


async def check_multipart(store: ObjectStore) -> None:
    size = store.abilities.min_part_bytes
    bodies = [b"1" * size, b"2" * size, b"3"]
    upload_id = await store.create_upload("big/one", PutOptions(content_type="x/y"))
    assert await store.list_uploads() == [OpenUpload("big/one", upload_id)]
    replaced = await store.put_part("big/one", upload_id, 2, b"wrong", 5, Checksums())
    listed = await store.list_parts("big/one", upload_id)
    assert [(part.part_number, part.etag, part.size_bytes) for part in listed] == [(2, replaced.etag, 5)]
    receipts = [
        await store.put_part("big/one", upload_id, 3, bodies[2], 1, Checksums()),
        await store.put_part(
            "big/one", upload_id, 1, Pushed([bodies[0][:9], bodies[0][9:]]), size, Checksums()
        ),
        await store.put_part("big/one", upload_id, 2, bodies[1], size, checksums_of(bodies[1])),
    ]
    receipts.sort(key=lambda receipt: receipt.part_number)
    listed = await store.list_parts("big/one", upload_id)
    assert {part.etag for part in listed} <= {part.etag for part in receipts}
    assert [part.part_number for part in listed if part.part_number != 2] == [1, 3]
    data = b"".join(bodies)
    receipt = await store.complete_upload("big/one", upload_id, receipts, checksums_of(data))
    head = await store.head("big/one")
    assert (head.size_bytes, head.etag, head.content_type) == (len(data), receipt.etag, "x/y")
    assert await read(store, "big/one") == data
    assert await store.list_uploads() == []


async def check_an_aborted_upload_is_gone(store: ObjectStore) -> None:
    upload_id = await store.create_upload("k", NOTHING)
    await store.put_part("k", upload_id, 1, b"x", 1, Checksums())
    await store.abort_upload("k", upload_id)
    await store.abort_upload("k", upload_id)
    assert await store.list_uploads() == []
    await raises(StoreErrorKind.NO_SUCH_UPLOAD, store.list_parts("k", upload_id))
    await raises(StoreErrorKind.NO_SUCH_UPLOAD, store.put_part("k", upload_id, 1, b"x", 1, Checksums()))
    await raises(StoreErrorKind.NO_SUCH_KEY, store.head("k"))


async def check_right_checksums_are_published(store: ObjectStore) -> None:
    data = b"123456789" * 1000
    sums = checksums_of(data)
    receipt = await store.put("k", data, len(data), PutOptions(checksums=sums))
    for told in (receipt.checksums, (await store.head("k")).checksums):
        assert told.crc64_xz in (None, sums.crc64_xz)
        assert told.crc64_nvme in (None, sums.crc64_nvme)
    if store.abilities.verifies_crc64_nvme:
        assert receipt.checksums.crc64_nvme == sums.crc64_nvme
        assert (await store.head("k")).checksums.crc64_nvme == sums.crc64_nvme


async def check_wrong_checksums_are_refused(store: ObjectStore) -> None:
    wrong = Checksums(1, 1)
    await raises(StoreErrorKind.INTEGRITY, store.put("k", b"data", 4, PutOptions(checksums=wrong)))
    await raises(StoreErrorKind.NO_SUCH_KEY, store.head("k"))
    upload_id = await store.create_upload("k", NOTHING)
    await raises(StoreErrorKind.INTEGRITY, store.put_part("k", upload_id, 1, b"data", 4, wrong))
    part = await store.put_part("k", upload_id, 1, b"data", 4, checksums_of(b"data"))
    assert part.checksums.crc64_nvme == checksums_of(b"data").crc64_nvme
    await raises(StoreErrorKind.INTEGRITY, store.complete_upload("k", upload_id, [part], wrong))
    upload_id = await store.create_upload("k", NOTHING)
    part = await store.put_part("k", upload_id, 1, b"data", 4, Checksums())
    receipt = await store.complete_upload("k", upload_id, [part], checksums_of(b"data"))
    assert receipt.checksums.crc64_nvme == checksums_of(b"data").crc64_nvme


async def check_every_key_comes_back_as_sent(store: ObjectStore) -> None:
    for key in ZOO:
        await store.put(key, key.encode(), len(key.encode()), NOTHING)
    assert await keys(store) == in_order(store, ZOO)
    assert await keys(store, limit=1) == in_order(store, ZOO)
    for key in ZOO:
        assert await read(store, key) == key.encode()
        assert (await store.head(key)).size_bytes == len(key.encode())
    for key in ("a/../b", "/lead", "%", "\x01", "🙂"):
        upload_id = await store.create_upload(key, NOTHING)
        part = await store.put_part(key, upload_id, 1, b"part", 4, Checksums())
        if key.isprintable():
            assert await store.list_uploads() == [OpenUpload(key, upload_id)]
        await store.complete_upload(key, upload_id, [part], Checksums())
        assert await read(store, key) == b"part"
        await store.delete(key)
        await raises(StoreErrorKind.NO_SUCH_KEY, store.head(key))


async def check_tags_travel(store: ObjectStore) -> None:
    tags = {"team": "a b", "empty": "", "plus+": "x=1 y"}
    await store.put("k", b"data", 4, PutOptions(tags=tags))
    assert (await store.head("k")).tag_count == 3
    assert dict(await store.tags("k")) == tags
    upload_id = await store.create_upload("parts", PutOptions(tags=tags))
    part = await store.put_part("parts", upload_id, 1, b"part", 4, Checksums())
    await store.complete_upload("parts", upload_id, [part], Checksums())
    assert dict(await store.tags("parts")) == tags
    await store.put("bare", b"data", 4, NOTHING)
    assert (await store.head("bare")).tag_count == 0
    assert not await store.tags("bare")


async def check_storage_classes_are_told(store: ObjectStore) -> None:
    await store.put("k", b"data", 4, PutOptions(storage_policy=StoragePolicy.IA))
    told = (await store.head("k")).storage_class
    assert policy_of_class(CloudType.AWS, told) is StoragePolicy.IA or told == StoragePolicy.IA
    listed = (await store.list_page("")).objects
    assert [entry.storage_class for entry in listed] == [told]


async def check_encryption_is_told(store: ObjectStore) -> None:
    wish = PutOptions(encrypt_kms=True)
    assert (await store.put("k", b"data", 4, wish)).encrypted_kms
    assert (await store.head("k")).encrypted_kms
    upload_id = await store.create_upload("parts", wish)
    part = await store.put_part("parts", upload_id, 1, b"part", 4, Checksums())
    receipt = await store.complete_upload("parts", upload_id, [part], Checksums())
    assert receipt.encrypted_kms or (await store.head("parts")).encrypted_kms
    await store.put("plain", b"data", 4, NOTHING)
    assert not (await store.head("plain")).encrypted_kms


BASIC: tuple[Check, ...] = (
    check_what_is_put_is_read,
    check_a_pushed_body_is_stored,
    check_a_read_is_pushed_with_pauses,
    check_one_store_pipes_into_another_key,
    check_a_source_that_fails_leaves_no_object,
    check_ranges,
    check_if_match,
    check_headers_and_metadata_travel,
    check_missing_keys,
    check_pages_end_and_begin_at_any_key,
    check_common_prefixes,
    check_multipart,
    check_an_aborted_upload_is_gone,
    check_right_checksums_are_published,
    check_a_copy_has_the_bytes_and_only_the_options_given,
    check_a_copy_of_another_version_or_of_nothing_is_refused,
    check_an_upload_is_filled_with_copies,
    check_an_upload_is_filled_with_copies_of_one_version,
)
FEATURES: tuple[Check, ...] = (
    check_tags_travel,
    check_storage_classes_are_told,
    check_encryption_is_told,
)
VERIFYING: tuple[Check, ...] = (check_wrong_checksums_are_refused,)
OPAQUE_KEYS: tuple[Check, ...] = (check_every_key_comes_back_as_sent, check_every_key_can_be_copied)
