"""Bodies whose length nobody tells: they arrive whole, or not at all."""

from __future__ import annotations

import pytest

from omsd.domain.errors import StoreError, StoreErrorKind
from omsd.domain.model import Outcome, OutcomeKind
from omsd.drivers.memory import MemoryStore
from omsd.drivers.memory_bodies import MemoryReading
from omsd.engine.single import SingleCopy, settings_for_events
from omsd.engine.unsized import SizedReading
from omsd.ports.objectstore import Reading
from tests.engine.harness import SETTINGS, Report, bodies, fill, make_context

WHOLE, PUT = SETTINGS.whole_max_bytes, SETTINGS.single_put_max_bytes
BORDERS = sorted({0, 1, WHOLE, WHOLE + 1, PUT, PUT + 1})
CHUNK_BYTES = 1000


class Unsized(MemoryStore):
    """Tells no length of a body; of the first reads bytes are missing, or there are too many."""

    def __init__(self, *, off_bytes: int = 0, times: int = 0) -> None:
        super().__init__(publishes_checksums=False)
        self._off_bytes = off_bytes
        self._left = times

    async def read(
        self, key: str, *, offset: int = 0, length: int | None = None, if_match: str = ""
    ) -> Reading:
        whole = await super().read(key, offset=offset, length=length, if_match=if_match)
        if length is not None:
            return whole
        body = await whole.read_all(whole.size_bytes)
        if self._left:
            self._left -= 1
            body = body + b"x" * self._off_bytes if self._off_bytes > 0 else body[: self._off_bytes]
        reading = MemoryReading(whole.head, body, CHUNK_BYTES)
        reading.size_bytes = -1
        return reading


async def copy(source: MemoryStore, destination: MemoryStore, key: str) -> Outcome:
    ctx = make_context(source, destination, Report(), settings=settings_for_events(SETTINGS))
    outcome = await SingleCopy(ctx, (key,), (), deletes=False).run()
    assert isinstance(outcome, Outcome)
    return outcome


@pytest.mark.parametrize("size", BORDERS)
async def test_a_body_without_a_length_arrives(size: int) -> None:
    source, destination = Unsized(), MemoryStore()
    await fill(source, {"k": b"b" * size})
    outcome = await copy(source, destination, "k")
    assert (outcome.kind, outcome.size_bytes) == (OutcomeKind.SUCCESS, size)
    assert bodies(destination) == {"k": b"b" * size}


@pytest.mark.parametrize("off_bytes", [-1, 1])
@pytest.mark.parametrize("size", [size for size in BORDERS if 0 < size <= PUT])
async def test_one_that_broke_off_is_fetched_again(size: int, off_bytes: int) -> None:
    source, destination = Unsized(off_bytes=off_bytes, times=1), MemoryStore()
    await fill(source, {"k": b"b" * size})
    assert (await copy(source, destination, "k")).kind is OutcomeKind.SUCCESS
    assert bodies(destination) == {"k": b"b" * size}


@pytest.mark.parametrize("off_bytes", [-1, 1])
@pytest.mark.parametrize("size", [WHOLE, PUT])
async def test_one_that_is_never_right_fails_with_its_size_named(size: int, off_bytes: int) -> None:
    source, destination = Unsized(off_bytes=off_bytes, times=99), MemoryStore()
    await fill(source, {"k": b"b" * size})
    outcome = await copy(source, destination, "k")
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.FAILED, "TRF.0157")
    assert f"than the {size} bytes of the object" in outcome.reason
    assert bodies(destination) == {}


class Sink:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.body = b""
        self.said: list[object] = []

    def feed(self, chunk: bytes) -> None:
        self.body += chunk

    def end(self) -> None:
        self.said.append("end")

    def fail(self, error: Exception) -> None:
        self.said.append(error)


@pytest.mark.parametrize(("sent", "said"), [(2500, "end"), (2499, "1 fewer"), (2501, "more"), (9000, "more")])
async def test_a_sink_hears_one_word_at_the_end_and_nothing_after_it(sent: int, said: str) -> None:
    store = MemoryStore()
    await fill(store, {"k": b"b" * sent})
    inner = MemoryReading((await store.read("k")).head, b"b" * sent, CHUNK_BYTES)
    reading, sink = SizedReading(inner, 2500), Sink()
    reading.start(sink)
    (word,) = sink.said
    if said == "end":
        assert (word, len(sink.body)) == ("end", 2500)
        return
    assert isinstance(word, StoreError)
    assert word.kind is StoreErrorKind.TRUNCATED
    assert said in word.message
    assert len(sink.body) <= 2500
