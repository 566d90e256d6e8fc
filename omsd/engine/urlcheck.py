"""Can a URL list file be used? All of its lines are read, and a few of its URLs are asked for."""

from __future__ import annotations

import asyncio

from omsd.domain.errors import Failure, StoreError
from omsd.domain.manifest import LineCutter, ListFileError, check_file, check_metadata, failure_of_list
from omsd.domain.model import ListFile
from omsd.domain.questions import BadUrlLine, CheckedUrl, UrlListChecked
from omsd.domain.url_list import NO_URL, WRONG_FORMAT, BadUrlLineError, UrlLine, parse_url_line
from omsd.ports.objectstore import ObjectStore
from omsd.ports.web import Web

# Nobody reads more than this many wrong lines; all are counted.
MAX_BAD_LINES = 100
_BLOCK_BYTES = 256 * 1024
_AT_ONCE = 8
_URL_DEADLINE_S = 8.0


class UrlListCheck:
    """urls_num: how many of the first URLs are asked for."""

    def __init__(self, store: ObjectStore, web: Web, key: str, urls_num: int) -> None:
        self._store = store
        self._web = web
        self._key = key
        self._urls_num = urls_num
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._good_num = 0
        self._bad_num = 0
        self._bad: list[BadUrlLine] = []
        self._first: list[UrlLine] = []

    async def run(self) -> UrlListChecked:
        """What is wrong with the file is part of the answer. Raises StoreError if the bucket cannot be used."""
        await self._store.check()
        size_bytes, failure = 0, None
        try:
            size_bytes = await self._read()
        except ListFileError as error:
            failure = Failure(error.code, error.message)
        except StoreError as error:
            if error.retryable:
                raise
            failure = failure_of_list(error, self._key)
        failure = failure or self._failure_of_lines()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._try(line), name="url") for line in self._first]
        return UrlListChecked(
            size_bytes,
            self._good_num,
            self._bad_num,
            tuple(self._bad),
            tuple(task.result() for task in asked),
            failure,
        )

    async def _read(self) -> int:
        check_file(ListFile(self._key, 0, ""))
        head = await self._store.head(self._key)
        check_file(ListFile(self._key, head.size_bytes, head.etag))
        check_metadata(self._key, head.content_type, head.headers.get("content-encoding", ""))
        cutter = LineCutter(0, head.size_bytes, head.size_bytes)
        etag = head.etag if self._store.abilities.reads_if_match else ""
        while not cutter.over:
            for line in cutter.feed(await self._block(cutter, etag)):
                self._take(line.offset, line.text)
        return head.size_bytes

    async def _block(self, cutter: LineCutter, etag: str) -> bytes:
        length = cutter.wanted_bytes(_BLOCK_BYTES)
        reading = await self._store.read(self._key, offset=cutter.read_offset, length=length, if_match=etag)
        try:
            return await reading.read_all(length)
        finally:
            await reading.close()

    def _take(self, offset: int, text: bytes) -> None:
        try:
            line = parse_url_line(text)
        except BadUrlLineError as error:
            self._bad_num += 1
            if len(self._bad) < MAX_BAD_LINES:
                self._bad.append(BadUrlLine(offset, error.message))
            return
        self._good_num += 1
        if len(self._first) < self._urls_num:
            self._first.append(line)

    def _failure_of_lines(self) -> Failure | None:
        if self._bad_num:
            first = self._bad[0]
            detail = f"{self._bad_num} lines are wrong; the first is at byte {first.offset}: {first.reason}"
            return Failure(WRONG_FORMAT, f"the URL list file {self._key!r}: {detail}")
        if not self._good_num:
            return Failure(NO_URL, f"the URL list file {self._key!r} holds no URL")
        return None

    async def _try(self, line: UrlLine) -> CheckedUrl:
        async with self._slots:
            try:
                async with asyncio.timeout(_URL_DEADLINE_S):
                    page = await self._web.get(line.url)
                await page.close()
            except StoreError as error:
                return CheckedUrl(line.url, line.key, 0, -1, error.message)
            except TimeoutError:
                return CheckedUrl(line.url, line.key, 0, -1, f"no answer within {_URL_DEADLINE_S:.0f} s")
            status = page.head.status
            note = "" if status == 200 else f"the server answers with HTTP status {status}"
            return CheckedUrl(line.url, line.key, status, page.head.size_bytes if status == 200 else -1, note)
