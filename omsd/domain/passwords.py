"""Hashes of passwords: scrypt, memory-hard, in text that carries its own parameters. Slow by design: call it in a thread.

scrypt, because the standard library has it and frees the interpreter meanwhile; its figures are those OWASP gives for 32 MiB.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

LOG_N, BLOCK_SIZE, PARALLEL = 15, 8, 3
SALT_BYTES = 16
PASSWORD_MAX = 1024
_KEY_BYTES = 32
# A hash of the users file must not make the daemon take gigabytes, nor be no hash at all.
_MAX_MEMORY = 256 * 1024 * 1024
_HASH = re.compile(
    r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{22,86})\$([A-Za-z0-9+/]{43})"
)


def hash_password(
    password: str, salt: bytes, *, log_n: int = LOG_N, block_size: int = BLOCK_SIZE, parallel: int = PARALLEL
) -> str:
    """The text for the users file. salt: SALT_BYTES random bytes."""
    key = _key(password, salt, log_n, block_size, parallel)
    return f"$scrypt$ln={log_n},r={block_size},p={parallel}${_text(salt)}${_text(key)}"


def is_hash(text: str) -> bool:
    """Is this a hash that can be verified?"""
    found = _HASH.fullmatch(text)
    if found is None:
        return False
    log_n, block_size, parallel = (int(number) for number in found.groups()[:3])
    return (
        1 <= log_n <= 24
        and block_size >= 1
        and parallel >= 1
        and _memory(log_n, block_size, parallel) <= _MAX_MEMORY
    )


def verify_password(password: str, hashed: str) -> bool:
    """Is it the password of this hash? Takes as long for a wrong one. hashed: is_hash() must be true of it."""
    found = _HASH.fullmatch(hashed)
    assert found is not None
    log_n, block_size, parallel = (int(number) for number in found.groups()[:3])
    key = _key(password, _bytes(found[4]), log_n, block_size, parallel)
    return hmac.compare_digest(key, _bytes(found[5]))


# Verified for names that do not exist, so that they take as long as others.
NOBODYS_HASH = f"$scrypt$ln={LOG_N},r={BLOCK_SIZE},p={PARALLEL}${'A' * 22}${'A' * 43}"


def _key(password: str, salt: bytes, log_n: int, block_size: int, parallel: int) -> bytes:
    memory = _memory(log_n, block_size, parallel)
    return hashlib.scrypt(
        password.encode("utf-8", "surrogateescape"),
        salt=salt,
        n=1 << log_n,
        r=block_size,
        p=parallel,
        maxmem=memory + 1024 * 1024,
        dklen=_KEY_BYTES,
    )


def _memory(log_n: int, block_size: int, parallel: int) -> int:
    return 128 * block_size * ((1 << log_n) + parallel)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
