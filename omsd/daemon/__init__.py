"""Composition root of the control process; the only place, with that of a worker, that knows every room."""

from omsd.daemon.core import SLOTS_PER_WORKER
from omsd.daemon.serve import run

__all__ = ["SLOTS_PER_WORKER", "run"]
