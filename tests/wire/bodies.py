"""Sources and sinks of the tests: they count, obey or disobey, and keep what happened."""

from __future__ import annotations

from omsd.wire import ByteSink, Request

BLOCK = bytes(range(256)) * 256  # 64 KiB


class BlockSource:
    """Pushes `blocks` blocks of 64 KiB as fast as it may, then ends or fails."""

    def __init__(self, blocks: int, *, error: Exception | None = None) -> None:
        self.blocks = blocks
        self.pushed = 0
        self.pauses = 0
        self.started = False
        self._error = error
        self._paused = False
        self._sink: ByteSink | None = None

    def start(self, sink: ByteSink) -> None:
        self.started = True
        self._sink = sink
        self._push()

    def pause(self) -> None:
        self.pauses += 1
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._push()

    def _push(self) -> None:
        while self._sink is not None and not self._paused:
            if self.pushed == self.blocks:
                sink, self._sink = self._sink, None
                if self._error is not None:
                    sink.fail(self._error)
                else:
                    sink.end()
                return
            self.pushed += 1
            self._sink.feed(BLOCK)


class HandSource:
    """Pushes only when the test says so."""

    def __init__(self) -> None:
        self.sink: ByteSink | None = None
        self.paused = False

    def start(self, sink: ByteSink) -> None:
        self.sink = sink

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class RecordingSink:
    """Keeps sizes and outcomes: "end" or the error, in order."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.chunks: list[bytes] = []
        self.outcomes: list[object] = []

    def feed(self, chunk: bytes) -> None:
        assert not self.outcomes
        self.size_bytes += len(chunk)
        self.chunks.append(chunk)

    def end(self) -> None:
        self.outcomes.append("end")

    def fail(self, error: Exception) -> None:
        self.outcomes.append(error)


def get(target: str = "/") -> Request:
    return Request("GET", target, [("Host", "fake")])


def put(
    body: object, size_bytes: int = 0, *, idempotent: bool = True, expect_continue: bool = False
) -> Request:
    return Request(
        "PUT",
        "/",
        [("Host", "fake")],
        body,  # type: ignore[arg-type]
        size_bytes,
        idempotent=idempotent,
        expect_continue=expect_continue,
    )


def ok(body: bytes = b"", *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body
