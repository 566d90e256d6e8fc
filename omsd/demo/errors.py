"""Why the demo could not be shown."""

from __future__ import annotations

from omsd.domain.errors import OmsdError


class DemoError(OmsdError):
    """The demo cannot go on; the message says why and what to do."""
