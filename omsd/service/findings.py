"""Everything wrong with one call, collected, so that a caller can mend it in one go.

No text here repeats a value of the caller's: a secret in the wrong field must not come back in an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from omsd.domain.errors import RequestError, Violation
from omsd.service.barred import Barred, Bars
from omsd.service.limits import Count, Limit, Limits, Number, Text
from omsd.service.needs import Needed, Needs, When

# A call may have 500 wrong keys; nobody reads more than this.
_MOST_VIOLATIONS = 50
_MOST_IN_MESSAGE = 5

_STEP = re.compile(r"\[\]|[a-z_0-9]+")

T = TypeVar("T")


class Findings:
    """What was found wrong so far, in the order found."""

    def __init__(self) -> None:
        self._code = ""
        self._violations: list[Violation] = []

    def __contains__(self, field: str) -> bool:
        """Is something wrong with the field already?"""
        return any(violation.field == field for violation in self._violations)

    def __bool__(self) -> bool:
        return bool(self._violations)

    def add(self, code: str, field: str, description: str) -> None:
        """The field is wrong; description: what would be right."""
        if not self._violations:
            self._code = code
        self._violations.append(Violation(field, description))

    def raise_if_any(self) -> None:
        """Raise RequestError with the code of the first finding and all of them as violations."""
        if not self._violations:
            return
        shown = [f"{v.field}: {v.description}" for v in self._violations[:_MOST_IN_MESSAGE]]
        hidden = len(self._violations) - len(shown)
        message = "; ".join(shown) + (f"; and {hidden} more" if hidden else "")
        raise RequestError(self._code, message, violations=tuple(self._violations[:_MOST_VIOLATIONS]))

    def need(self, needs: Needs, call: object, *, at: str = "") -> None:
        """Every field that the call, or the value at a path, must have is there.

        A field of something that is absent itself is not asked for.
        """
        for needed in needs:
            if needed.instead and value_at(call, needed.instead):
                continue
            if not _applies(needed, call):
                continue
            for field, value in _iter_places(call, needed.field, at=at):
                if value is None or (value in ("", ()) and not needed.may_be_empty):
                    self.add(needed.code, field, needed.wording)

    def bar(self, barred: Bars, call: object) -> None:
        """No field has a value that it must not have."""
        for bar in barred:
            if not _applies(bar, call):
                continue
            for field, value in iter_values(call, bar.field):
                if value:
                    self.add(bar.code, field, bar.wording)

    def choose(self, field: str, text: str | None, choices: Mapping[str, T], default: T) -> T:
        """The choice a name in any case stands for; the default if there is none or it is unknown."""
        if not text:
            return default
        for name, choice in choices.items():
            if name.lower() == text.lower():
                return choice
        self.add("OMS.1003", field, "must be one of " + ", ".join(choices))
        return default

    def check(self, limits: Limits, call: object, *, at: str = "") -> None:
        """Compare the fields of a call, or of the value at a path, with their limits; absent fields have none."""
        for path, limit in limits.items():
            for field, value in iter_values(call, path, at=at):
                self._check_one(limit, field, value)

    def _check_one(self, limit: Limit, field: str, value: object) -> None:
        match limit, value:
            case Text(), str():
                self._check_text(limit, field, value)
            case Number(), int() if not limit.minimum <= value <= limit.maximum:
                self.add(limit.code, field, f"must be {limit.minimum} to {limit.maximum}")
            case Count(), tuple() if len(value) > limit.maximum:
                self.add(limit.code, field, f"must have at most {limit.maximum} entries, has {len(value)}")

    def _check_text(self, limit: Text, field: str, value: str) -> None:
        if not limit.minimum <= len(value) <= limit.maximum:
            right = f"must have {limit.minimum} to {limit.maximum} characters, has {len(value)}"
            self.add(limit.code, field, right)
        if any(character in limit.forbidden for character in value):
            self.add(limit.forbidden_code, field, "must not contain any of " + " ".join(limit.forbidden))
        if limit.charset is not None and not limit.charset.pattern.fullmatch(value):
            self.add(limit.code, field, f"must consist of {limit.charset.wording}")


def value_at(call: object, path: str) -> Any:
    """The value at a path of limits.py, of an array the first; None if it is absent, or what it is in."""
    return next((value for _, value in iter_values(call, path)), None)


def _applies(rule: Needed | Barred, call: object) -> bool:
    if rule.when is not None and not _holds(rule.when, call):
        return False
    return not rule.beside or any(value_at(call, other) for other in rule.beside)


def _holds(when: When, call: object) -> bool:
    value = str(value_at(call, when.field) or when.default).lower()
    return any(value == one.lower() for one in when.values)


def iter_values(root: object, path: str, *, at: str = "") -> Iterator[tuple[str, object]]:
    """The values at a path of limits.py, each under the name the caller knows it by; absent ones are left out."""
    return ((field, value) for field, value in _iter_places(root, path, at=at) if value is not None)


def _iter_places(root: object, path: str, *, at: str) -> list[tuple[str, object]]:
    """The same with None for values that are absent from something that is there."""
    found: list[tuple[str, object]] = [(at, root)]
    for step in _STEP.findall(path):
        if step == "[]":
            found = [
                (f"{field}[{place}]", entry)
                for field, value in found
                if isinstance(value, tuple)
                for place, entry in enumerate(value)
            ]
        else:
            found = [
                (f"{field}.{step}" if field else step, getattr(value, step))
                for field, value in found
                if value is not None
            ]
    return found
