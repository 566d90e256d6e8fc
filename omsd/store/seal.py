"""Credentials at rest: AES-GCM under one key of the machine, bound to their task."""

from __future__ import annotations

import json
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from omsd.domain.model import Credentials, TaskCredentials, TaskId
from omsd.ports.taskstore import CredentialsUnreadableError, TaskStoreError

_KEY_BYTES = 32
_NONCE_BYTES = 12
_CREDENTIAL_NAME = "omsd-key"
_KEY_FILE = "key"


def load_key(state_dir: Path, credentials_directory: Path | None) -> bytes:
    """The 32-byte key: systemd's credential `omsd-key` if there is one, else the state directory's 0600 key file, made if missing.

    Raises TaskStoreError if the key has another length or its file can be read by others.
    """
    if credentials_directory is not None:
        given = credentials_directory / _CREDENTIAL_NAME
        if given.is_file():
            return _checked(given.read_bytes(), given)
    path = state_dir / _KEY_FILE
    try:
        return _read_private(path)
    except FileNotFoundError:
        _create_private(path, AESGCM.generate_key(bit_length=_KEY_BYTES * 8))
        return _read_private(path)


def _read_private(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & 0o077:
            raise TaskStoreError(f"{path}: the key file has mode {mode:o}; others can read it, make it 0600")
        return _checked(file.read(), path)


def _create_private(path: Path, key: bytes) -> None:
    # Written aside and linked, so that a crash never leaves half a key under the name.
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _checked(key: bytes, path: Path) -> bytes:
    if len(key) != _KEY_BYTES:
        raise TaskStoreError(f"{path}: the key must have exactly {_KEY_BYTES} bytes, it has {len(key)}")
    return key


class Sealer:
    """Seals and opens the credentials of tasks; what was sealed for one task opens for no other."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, task_id: TaskId, credentials: TaskCredentials) -> bytes:
        """Nonce and ciphertext; differs each time."""
        ends = (credentials.source, credentials.destination)
        plain = json.dumps([[end.access_key, end.secret_key, end.security_token] for end in ends]).encode()
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, _bound_to(task_id))

    def unseal(self, task_id: TaskId, sealed: bytes) -> TaskCredentials:
        """What was sealed. Raises CredentialsUnreadableError if the key or the task is another one."""
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            plain = self._cipher.decrypt(nonce, body, _bound_to(task_id))
        except (InvalidTag, ValueError):
            raise CredentialsUnreadableError(
                f"the stored credentials of task {task_id} cannot be opened with this key; start the task again with its AK/SK"
            ) from None
        source, destination = json.loads(plain)
        return TaskCredentials(Credentials(*source), Credentials(*destination))


def _bound_to(task_id: TaskId) -> bytes:
    return b"omsd task %d" % task_id
