"""Questions about clouds in a worker: which code answers which, and how both travel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import msgspec

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import Credentials, Location
from omsd.domain.questions import (
    BucketNames,
    CheckCdn,
    CheckUrlList,
    Fault,
    FindListFiles,
    FindPrefix,
    FindRegion,
    ListBuckets,
    ListFolder,
    MeasureStretch,
    PrefixFound,
    Question,
    RegionFound,
)
from omsd.engine.browse import has_prefix, list_folder
from omsd.engine.cdn import CdnCheck
from omsd.engine.scan import find_list_files, measure_stretch
from omsd.engine.urlcheck import UrlListCheck
from omsd.executors import protocol
from omsd.executors.listprobe import patiently
from omsd.ports.account import Account
from omsd.ports.objectstore import ObjectStore
from omsd.ports.web import Web

_QUESTIONS: dict[str, type[Question]] = {
    kind.__name__: kind
    for kind in (
        ListBuckets,
        FindRegion,
        ListFolder,
        FindPrefix,
        CheckCdn,
        CheckUrlList,
        MeasureStretch,
        FindListFiles,
    )
}
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class CloudDoors:
    """The doors to the clouds, handed in by the composition root. Opening sends nothing; each raises StoreError."""

    open_store: Callable[[Location, Credentials], ObjectStore]
    open_account: Callable[[Location, Credentials], Account]
    open_web: Callable[[], Web]


class Questions:
    """Answers questions; every refusal of a cloud is part of the answer."""

    def __init__(self, doors: CloudDoors) -> None:
        self._doors = doors

    async def answer(self, message: protocol.Ask) -> protocol.Answered:
        """The answer, within the deadline of the question."""
        question = msgspec.msgpack.decode(message.body, type=_QUESTIONS[message.kind])
        try:
            async with asyncio.timeout(message.deadline_s):
                answer = await patiently(partial(self._ask, question))
        except StoreError as error:
            return protocol.Answered(message.ask_id, b"", Fault.of(error))
        except TimeoutError:
            late = Fault(StoreErrorKind.TIMEOUT, f"no whole answer within {message.deadline_s:.0f} s")
            return protocol.Answered(message.ask_id, b"", late)
        return protocol.Answered(message.ask_id, msgspec.msgpack.encode(answer), None)

    async def _ask(self, question: Question) -> object:
        match question:
            case ListBuckets(at, credentials):
                return BucketNames(await self._doors.open_account(at, credentials).list_buckets())
            case FindRegion(at, credentials):
                return RegionFound(await self._doors.open_account(at, credentials).region_of(at.bucket))
            case ListFolder(at, credentials, folder, behind, limit):
                return await self._with_store(
                    at, credentials, lambda store: list_folder(store, folder, behind=behind, limit=limit)
                )
            case FindPrefix(at, credentials, prefix):
                return PrefixFound(
                    await self._with_store(at, credentials, lambda store: has_prefix(store, prefix))
                )
            case CheckCdn(at, credentials, cdn_url, keys):
                web = self._doors.open_web()
                return await self._with_store(
                    at, credentials, lambda store: CdnCheck(store, web, cdn_url, at.cloud_type).run(keys)
                )

            case CheckUrlList(at, credentials, key, urls_num):
                web = self._doors.open_web()
                return await self._with_store(
                    at, credentials, lambda store: UrlListCheck(store, web, key, urls_num).run()
                )

            case MeasureStretch(at, credentials, wanted):
                return await self._with_store(
                    at,
                    credentials,
                    lambda store: measure_stretch(
                        store,
                        wanted.prefix,
                        after=wanted.after,
                        objects_num=wanted.objects_num,
                        size_bytes=wanted.size_bytes,
                    ),
                )
            case FindListFiles(at, credentials, lists):
                return await self._with_store(
                    at,
                    credentials,
                    lambda store: find_list_files(store, lists.folder, after=lists.after, limit=lists.limit),
                )

    async def _with_store(
        self, at: Location, credentials: Credentials, ask: Callable[[ObjectStore], Awaitable[A]]
    ) -> A:
        store = self._doors.open_store(at, credentials)
        try:
            return await ask(store)
        finally:
            await store.close()
