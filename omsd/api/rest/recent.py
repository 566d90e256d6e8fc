"""Answers of a moment ago: many callers poll the same tasks, and until one of these begins, ends or is steered they are told the same.

A caller always sees what he or anybody was answered before he asked; only progress may be MAX_AGE_S old.
"""

from __future__ import annotations

from collections.abc import Hashable

MAX_AGE_S = 0.1
MAX_ANSWERS = 64
# Of tasks that name hundreds of keys a page has megabytes.
MAX_BYTES = 64 * 1024


class RecentAnswers:
    """Encoded bodies of one moment, by what was asked for."""

    def __init__(self) -> None:
        self._moment: Hashable = None
        self._answers: dict[str, tuple[float, bytes]] = {}

    def find(self, target: str, moment: Hashable, now_s: float) -> bytes | None:
        """The answer to the same question, if it was given in this moment and is not too old."""
        if moment != self._moment:
            return None
        given_s, body = self._answers.get(target, (0.0, None))
        return body if now_s - given_s <= MAX_AGE_S else None

    def keep(self, target: str, moment: Hashable, now_s: float, body: bytes) -> None:
        """moment and now_s: of before the answer was found out."""
        if len(body) > MAX_BYTES:
            return
        if moment != self._moment:
            self._moment = moment
            self._answers.clear()
        elif len(self._answers) >= MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]
        self._answers[target] = now_s, body
