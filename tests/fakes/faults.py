"""The faults that a test may ask of the fault proxy, and which requests they meet."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """What goes wrong."""

    FLIP_REQUEST = auto()  # one bit of the request's body, at byte `at`
    FLIP_ANSWER = auto()  # one bit of the answer's body, at byte `at`
    TRUNCATE = auto()  # the answer's body ends after `at` bytes, the connection is closed
    OVERRUN = auto()  # `at` bytes more than the answer announced
    LENGTHEN = auto()  # the answer announces `at` bytes more, and they come
    UNSIZED = auto()  # the answer announces no length; its body, or its first bytes up to `at` if that is given, ends the connection
    STALL = auto()  # the answer's head and `at` bytes of its body come, then nothing
    SILENCE = auto()  # no byte of an answer
    ANSWER = auto()  # our own answer, the server never sees the request
    REPLACE = auto()  # the server does what is asked, our own answer is given
    LOSE = auto()  # the server does what is asked, the connection closes without an answer
    RESET = auto()  # the connection is reset, the server never sees the request
    REFUSE = auto()  # every open connection is reset, and new ones are refused for delay_s
    DELAY = auto()  # delay_s before the request is passed on; nothing else is wrong


@dataclass(slots=True)
class Fault:
    """A fault and the requests it meets.

    method: "" is any. target: a regular expression searched in path and query, percent-encoded as sent. skip: so many matching
    requests pass first. times: so many are met, None is all. chance: of the others, this share (drawn from the seed).
    at: a byte offset; negative counts from the end.
    """

    kind: Kind
    method: str = ""
    target: str = ""
    skip: int = 0
    times: int | None = 1
    chance: float = 1.0
    seed: int = 0
    at: int = 0
    delay_s: float = 0.0
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    met: int = 0
    _dice: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    def meets(self, method: str, target: str) -> bool:
        """Is this request met? Counts it."""
        if (self.method and self.method != method) or not re.search(self.target, target):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if (self.times is not None and self.met >= self.times) or self._dice.random() >= self.chance:
            return False
        self.met += 1
        return True


def s3_error(
    status: int,
    code: str,
    *,
    method: str = "",
    target: str = "",
    times: int | None = 1,
    skip: int = 0,
    chance: float = 1.0,
    seed: int = 0,
    retry_after_s: int | None = None,
    forward: bool = False,
) -> Fault:
    """The fault of an S3 error answer. forward: the server does what was asked all the same."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>fault</Message></Error>'
    headers = {"Content-Type": "application/xml"}
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return Fault(
        Kind.REPLACE if forward else Kind.ANSWER,
        method,
        target,
        skip,
        times,
        chance,
        seed,
        status=status,
        body=body.encode(),
        headers=headers,
    )
