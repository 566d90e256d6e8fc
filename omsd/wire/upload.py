"""The sink that a request's pushed body goes into: counts it, writes it, knows when it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from omsd.wire.errors import WireError, WireErrorKind
from omsd.wire.message import ByteSource


class UploadChannel(Protocol):
    """What an upload needs of its connection."""

    def upload_ended(self) -> None:
        """The whole body is in the transport."""

    def upload_failed(self, error: Exception) -> None:
        """The body will not be whole."""


class Upload:
    """One body under way. After stop() it swallows what its source still pushes: the connection may serve somebody else by then."""

    __slots__ = ("_channel", "_size_bytes", "_source", "_write", "open", "sent_bytes")

    def __init__(
        self, source: ByteSource, size_bytes: int, write: Callable[[bytes], None], channel: UploadChannel
    ) -> None:
        self.open = True
        self.sent_bytes = 0
        self._source = source
        self._size_bytes = size_bytes
        self._write = write
        self._channel = channel

    def start(self) -> None:
        """The source pushes from now on."""
        self._source.start(self)

    def pause(self) -> None:
        """The transport is full."""
        if self.open:
            self._source.pause()

    def resume(self) -> None:
        """The transport has room."""
        if self.open:
            self._source.resume()

    def stop(self) -> None:
        """Nothing more is sent; the source is paused for good, its owner closes it."""
        if self.open:
            self.open = False
            self._source.pause()

    def feed(self, chunk: bytes) -> None:
        """Write the chunk."""
        if not self.open:
            return
        sent_bytes = self.sent_bytes + len(chunk)
        if sent_bytes > self._size_bytes:
            self._fail(
                WireError(
                    WireErrorKind.OVERLONG, f"more than the {self._size_bytes} bytes announced to be sent"
                )
            )
            return
        self.sent_bytes = sent_bytes
        self._write(chunk)

    def end(self) -> None:
        """The body must be whole now."""
        if not self.open:
            return
        if self.sent_bytes < self._size_bytes:
            text = f"{self.sent_bytes} of {self._size_bytes} bytes announced to be sent"
            self._fail(WireError(WireErrorKind.TRUNCATED, text))
            return
        self.open = False
        self._channel.upload_ended()

    def fail(self, error: Exception) -> None:
        """The source broke."""
        if self.open:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._channel.upload_failed(error)
