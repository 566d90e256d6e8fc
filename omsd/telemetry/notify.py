"""Tells systemd how the service is: datagrams to NOTIFY_SOCKET (sd_notify(3)). Without that variable nothing is sent."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

# systemd reads its socket at once; a full queue must not hold the loop for long.
_SEND_TIMEOUT_S = 1.0


class Notifier:
    """Sends states of the service to the manager that started it."""

    def __init__(self, address: str) -> None:
        """address: a socket's path, or a name in the abstract namespace after @; "" sends nothing."""
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Notifier:
        """The notifier of NOTIFY_SOCKET."""
        return cls(environ.get("NOTIFY_SOCKET", ""))

    def ready(self, status: str = "") -> bool:
        """The service does its work now."""
        return self._send("READY=1", *_status(status))

    def stopping(self, status: str = "") -> bool:
        """The service has begun to stop."""
        return self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status(text))

    def _send(self, *assignments: str) -> bool:
        """True if the manager has got it, False if there is none or it could not be reached."""
        if not self._address or not assignments:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(_SEND_TIMEOUT_S)
            try:
                channel.sendto("\n".join(assignments).encode(), self._address)
            except OSError:
                return False
        return True


def _status(text: str) -> tuple[str, ...]:
    # A line break would begin the next assignment.
    return (f"STATUS={' '.join(text.split())}",) if text else ()
