"""Composition root of the control process; the only place, with that of a worker, that knows every room."""

from omsd.daemon.serve import SLOTS_PER_WORKER, run

__all__ = ["SLOTS_PER_WORKER", "run"]
