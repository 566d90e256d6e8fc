"""Where notices go, as configured; and the files with their secrets, read anew for each notice so that keys can be changed at any time."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from dataclasses import dataclass
from pathlib import Path

from omsd.drivers.notify.exchange import SYSTEM_ERROR
from omsd.ports.notices import DeliveryError

_MAX_SECRET_BYTES = 32 * 1024
_WEBHOOK_PREFIX = "whsec_"
WEBHOOK_KEY_BYTES = range(24, 65)


@dataclass(frozen=True, slots=True)
class SmnTarget:
    """An SMN service. Either access_key and secret_file, or token_file."""

    region: str
    url: str
    project_id: str
    access_key: str = ""
    secret_file: Path | None = None
    token_file: Path | None = None


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """A topic that is posted to a URL."""

    urn: str
    url: str
    secret_file: Path


async def read_secret(path: Path) -> str:
    """The file's one line. Raises DeliveryError: it may be there again, or right, at the next try."""
    try:
        return await asyncio.to_thread(_read_line, path)
    except (OSError, ValueError) as error:
        raise DeliveryError(
            SYSTEM_ERROR, f"the secret in {path} cannot be used: {error}", retryable=True
        ) from error


def webhook_key(secret: str) -> bytes:
    """The key in a secret as Standard Webhooks write it. Raises ValueError."""
    wanted = f"wanted is {_WEBHOOK_PREFIX} and the base64 of 24 to 64 bytes"
    if not secret.startswith(_WEBHOOK_PREFIX):
        raise ValueError(wanted)
    try:
        key = base64.b64decode(secret.removeprefix(_WEBHOOK_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(wanted) from None
    if len(key) not in WEBHOOK_KEY_BYTES:
        raise ValueError(wanted)
    return key


def _read_line(path: Path) -> str:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & 0o007:
            raise ValueError(f"mode {mode:o} lets everybody read it; make it 0600")
        text = file.read(_MAX_SECRET_BYTES).decode("ascii").strip()
    if not text or not text.isprintable() or " " in text:
        raise ValueError("wanted is one line of printable characters")
    return text
