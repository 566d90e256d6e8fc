"""Before a task begins: which object list files it has. Their lines are read by its shards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from omsd.domain.errors import Failure, StoreError, StoreErrorKind
from omsd.domain.manifest import (
    MAX_FILES,
    NOT_A_LIST,
    NOT_READABLE,
    ListFileError,
    ListsFound,
    check_file,
    check_metadata,
    failure_of_list,
    is_folder,
    is_list_name,
)
from omsd.domain.model import Credentials, ListFile, Location, TaskSpec
from omsd.engine.context import DOUBTED_KINDS
from omsd.ports.objectstore import ObjectStore

# A question is asked this often before its answer counts, so that one lost packet does not refuse a task.
_ATTEMPTS = 3
_PAUSE_S = 0.5

OpenStore = Callable[[Location, Credentials], ObjectStore]
T = TypeVar("T")


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What is answered, at the latest by the third attempt. Raises StoreError; a refusal only if it is given twice."""
    attempt = 1
    while True:
        try:
            return await ask()
        except StoreError as error:
            worth = error.retryable or (attempt == 1 and error.kind in DOUBTED_KINDS)
            if not worth or attempt == _ATTEMPTS:
                raise
        await asyncio.sleep(_PAUSE_S * attempt)
        attempt += 1


def list_location(spec: TaskSpec) -> Location | None:
    """The bucket of the list files: it stands where the destination does."""
    return replace(spec.destination, bucket=spec.list_file.bucket) if spec.list_file is not None else None


async def find_lists(open_store: OpenStore, spec: TaskSpec, credentials: Credentials) -> ListsFound:
    """The list files of a task, none if it needs none. What is wrong with them is part of the answer."""
    location = list_location(spec)
    if location is None or spec.list_file is None:
        return ListsFound()
    store = open_store(location, credentials)
    try:
        if is_folder(spec.list_file.key):
            return ListsFound(await _below(store, spec.list_file.key))
        return ListsFound((await _single(store, spec.list_file.key),))
    except ListFileError as error:
        return ListsFound(failure=Failure(error.code, error.message))
    except StoreError as error:
        missing = await _is_missing(store, error)
        return ListsFound(failure=failure_of_list(error, spec.list_file.key), bucket_fault=missing)
    finally:
        await store.close()


async def _single(store: ObjectStore, key: str) -> ListFile:
    check_file(ListFile(key, 0, ""))
    head = await patiently(partial(store.head, key))
    file = ListFile(key, head.size_bytes, head.etag)
    check_file(file)
    check_metadata(key, head.content_type, head.headers.get("content-encoding", ""))
    return file


async def _below(store: ObjectStore, folder: str) -> tuple[ListFile, ...]:
    """All lists below the folder; how they are stored is looked at when they are read."""
    found: list[ListFile] = []
    marker: str | None = None
    while True:
        page = await patiently(partial(store.list_page, folder, marker=marker))
        found += [
            ListFile(entry.key, entry.size_bytes, entry.etag)
            for entry in page.objects
            if is_list_name(entry.key)
        ]
        marker = page.next_marker
        if marker is None or len(found) > MAX_FILES:
            break
    if not found:
        raise ListFileError(
            f"there is no object list file (.txt) in the folder {folder!r}; put one there, then start the task again",
            code=NOT_READABLE,
        )
    if len(found) > MAX_FILES:
        raise ListFileError(
            f"there are more than {MAX_FILES} object list files in the folder {folder!r}; use several folders and tasks",
            code=NOT_A_LIST,
        )
    for file in found:
        check_file(file)
    return tuple(found)


async def _is_missing(store: ObjectStore, error: StoreError) -> bool:
    """Is it the bucket that is not there? The answer about an object does not tell."""
    if error.kind not in (StoreErrorKind.NO_SUCH_KEY, StoreErrorKind.NO_SUCH_BUCKET):
        return False
    try:
        await patiently(store.check)
    except StoreError as confirmation:
        return confirmation.kind is StoreErrorKind.NO_SUCH_BUCKET
    return False
