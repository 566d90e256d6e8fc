"""The HTTP/1.1 client of the hot path: pooled connections, pushed bodies. It knows no cloud."""

from omsd.wire.answer import Answer
from omsd.wire.errors import WireError, WireErrorKind
from omsd.wire.message import ByteSink, ByteSource, Deadlines, Head, Origin, Request
from omsd.wire.pipe import BytesSource, CollectSink, Tap
from omsd.wire.pool import Pool, PoolCounts
from omsd.wire.tls import make_tls_context

__all__ = [
    "Answer",
    "ByteSink",
    "ByteSource",
    "BytesSource",
    "CollectSink",
    "Deadlines",
    "Head",
    "Origin",
    "Pool",
    "PoolCounts",
    "Request",
    "Tap",
    "WireError",
    "WireErrorKind",
    "make_tls_context",
]
