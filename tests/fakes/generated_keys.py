"""A running server of generated keys (key_server.py), as an end of tasks."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.processes import Process, start_module
from tests.waiting import PATIENCE_S


@dataclass(frozen=True)
class KeyServer:
    """url: of its S3 API."""

    url: str
    process: Process

    def end(self, bucket: str) -> dict[str, Any]:
        """What the node messages of both ends have in common."""
        return {
            "cloud_type": "AWS",
            "region": "us-east-1",
            "bucket": bucket,
            "ak": "AK",
            "sk": "SK",
            "endpoint": self.url,
        }

    def counts_now(self) -> dict[str, int]:
        """How often each kind of request came."""
        with urlopen(f"{self.url}/counts", timeout=PATIENCE_S) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    async def counts(self) -> dict[str, int]:
        """counts_now() in a thread."""
        return await asyncio.to_thread(self.counts_now)

    def stop(self) -> None:
        """It is gone."""
        self.process.kill()


def start_key_server(folder: Path, keys_num: int) -> KeyServer:
    """A server of so many keys; its log is in the folder."""
    port, process = start_module("tests.fakes.key_server", str(keys_num), cwd=folder, log_name="keys.log")
    return KeyServer(f"http://127.0.0.1:{port}", process)
