"""An S3 server of generated keys: a bucket of any number of objects without a byte of them in memory, and one that takes puts.

Run as a process: `python -m tests.fakes.key_server PORT COUNT`. Buckets: `source` (COUNT keys), `same` (the same, for passes without
changes), `into` (empty at first). Knows what omsd asks for and nothing else. `GET /counts` tells the requests by kind.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from typing import overload
from urllib.parse import parse_qs, quote, unquote, urlsplit

_PAGE = 1000
_MODIFIED_S = 1_704_067_200.0


class GeneratedKeys(Sequence[str]):
    """`data/NNNNNNNN`, each made when it is looked at."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [f"data/{number:08}" for number in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return f"data/{index:08}"


def body_of(key: str) -> bytes:
    return key.encode()


class KeyServer:
    def __init__(self, count: int) -> None:
        self._generated = GeneratedKeys(count)
        self._stored: dict[str, float] = {}
        self._order: list[str] = []
        self._counts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept until the client closes it."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if "x-amz-copy-source" in headers:
                    refusal = b"<Error><Code>NotImplemented</Code><Message>no copies here</Message></Error>"
                    status, more, answer = 501, {}, refusal
                else:
                    status, more, answer = self._answer(method, target, body)
                lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                length = more.get("Content-Length", str(len(answer)))
                more_length = "" if "Content-Length" in more else f"Content-Length: {length}\r\n"
                writer.write(f"HTTP/1.1 {status} x\r\n{lines}{more_length}\r\n".encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        if parts.path == "/counts":
            return 200, {}, json.dumps(self._counts | {"kept into": len(self._stored)}).encode()
        bucket, _, key = unquote(parts.path[1:]).partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if not key:
            return self._bucket(method, bucket, query)
        if "uploadId" in query:
            return 404, {}, b"<Error><Code>NoSuchUpload</Code></Error>"
        self._counts[method] += 1
        if method == "PUT":
            if key not in self._stored:
                insort(self._order, key)
            self._stored[key] = time.time()
            return 200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, b""
        data = body_of(key)
        there = key in self._stored if bucket == "into" else key.startswith("data/")
        if not there:
            return 404, {}, b""
        described = {
            "ETag": f'"{hashlib.md5(data).hexdigest()}"',
            "Last-Modified": formatdate(self._modified_s(bucket, key), usegmt=True),
            "Content-Type": "text/plain",
        }
        if method == "HEAD":
            return 200, described | {"Content-Length": str(len(data))}, b""
        return 200, described, data

    def _bucket(self, method: str, bucket: str, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if method == "HEAD":
            return 200, {}, b""
        if "uploads" in query:
            return 200, {}, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>"
        if "location" in query:
            return 200, {}, b"<LocationConstraint></LocationConstraint>"
        # A look at whether the bucket is there is no listing.
        if query.get("max-keys") == "1" and "prefix" not in query:
            self._counts["check"] += 1
            return (
                200,
                {"Content-Type": "application/xml"},
                b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
            )
        self._counts["LIST"] += 1
        self._counts[f"LIST {bucket}"] += 1
        keys: Sequence[str] = self._order if bucket == "into" else self._generated
        start = query.get("continuation-token") or query.get("start-after", "")
        limit = min(int(query.get("max-keys", "1000")), _PAGE)
        first = bisect_right(keys, start)
        page = [key for key in keys[first : first + limit] if key.startswith(query.get("prefix", ""))]
        more = first + limit < len(keys)
        entries = "".join(
            f"<Contents><Key>{quote(key)}</Key><LastModified>{_iso(self._modified_s(bucket, key))}</LastModified>"
            f"<ETag>&quot;{hashlib.md5(body_of(key)).hexdigest()}&quot;</ETag><Size>{len(body_of(key))}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more and page else ""
        text = (
            f"<ListBucketResult><Name>{bucket}</Name><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
        )
        return 200, {"Content-Type": "application/xml"}, text.encode()

    def _modified_s(self, bucket: str, key: str) -> float:
        return self._stored[key] if bucket == "into" else _MODIFIED_S


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


async def main(port: int, count: int) -> None:
    server = await asyncio.start_server(KeyServer(count).serve, "127.0.0.1", port)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
