"""Starts the daemon with its settings; the only command that loads it."""

from __future__ import annotations

from omsd.config import Settings
from omsd.daemon import run


def serve(settings: Settings) -> int:
    """Run until a signal; returns the exit code."""
    return run(settings)
