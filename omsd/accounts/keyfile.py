"""The file with the key that tokens are signed with. A new key ends every token there is; a running daemon takes it at once."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from omsd.domain.errors import OmsdError
from omsd.domain.tokens import KEY_BYTES

FILE_NAME = "token-key"


class TokenKeyError(OmsdError):
    """The key file cannot be used."""


class TokenKeyFile:
    """The key in a state directory. It lies there and not among the credentials, since the daemon must be able to make it anew."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME
        self._seen: tuple[int, int] | None = None
        self._key = b""

    def current(self) -> bytes:
        """The key, made if there is none. Raises TokenKeyError if others can read it or it has another length.

        Looked at each time, which costs some microseconds: a revoked key must not live on in memory.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self.rotate()
            found = self._path.stat()
        seen = (found.st_ino, found.st_mtime_ns)
        if seen != self._seen:
            if found.st_mode & 0o077:
                raise TokenKeyError(
                    f"{self._path}: has mode {found.st_mode & 0o777:o}; others can read it, make it 0600 or rotate it"
                )
            key = self._path.read_bytes()
            if len(key) != KEY_BYTES:
                raise TokenKeyError(
                    f"{self._path}: the key has {len(key)} bytes, not {KEY_BYTES}; `omsd rotate-token-key` makes a new one"
                )
            self._seen, self._key = seen, key
        return self._key

    def rotate(self) -> None:
        """A new key is in the file, readable by the owner of the directory alone, also if root makes it. Raises TokenKeyError."""
        aside = self._path.with_name(f"{FILE_NAME}.{secrets.token_hex(4)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            owner = self._path.parent.stat()
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            aside.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise TokenKeyError(f"{self._path}: a new key cannot be written: {error.strerror}") from error
