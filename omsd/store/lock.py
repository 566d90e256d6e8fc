"""One daemon per state directory: a lock file that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from omsd.ports.taskstore import TaskStoreError

_LOCK_FILE = "lock"


class DirectoryLock:
    """Holds a state directory from acquire() to release()."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, state_dir: Path) -> DirectoryLock:
        """The directory is ours. Raises TaskStoreError that names it and the pid of its holder."""
        descriptor = os.open(state_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise TaskStoreError(
                f"state directory {state_dir} is in use by another omsd (pid {holder}); stop it or set another server.state_dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        return cls(descriptor)

    def release(self) -> None:
        """Another daemon may take the directory; safe to repeat."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
