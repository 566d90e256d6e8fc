"""A call that is wrong must reach nobody: stores, ledgers and workers that say when they are reached, and how a call is sent to them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from omsd.domain.errors import RequestError
from omsd.domain.group import GroupNumber, GroupState, TaskGroup
from omsd.domain.model import CloudType, GroupId, Location, TaskSpec, TaskType
from omsd.service.barred import Bars
from omsd.service.choices import Choices
from omsd.service.findings import value_at
from omsd.service.limits import Limits
from omsd.service.needs import Needs, When
from tests.fakes.sync_service import sync_task
from tests.service.validation_requests import with_value

PROJECT = "p"
PLACE = Location(CloudType.AWS, "us-east-1", "bucket")
SPEC = TaskSpec(PLACE, PLACE, TaskType.PREFIX, ("",))
# As sync_validation names them.
RENAMED = (("src_node.app_id", "app_id"), ("src_node.", "src_"), ("dst_node.", "dst_"))


class Reached(Exception):
    """The call was found right: it would now be acted upon."""


class Untouched:
    """A store, a ledger, a worker: whoever turns to it has got through."""

    def __getattr__(self, name: str) -> object:
        raise Reached(name)


class Finding(Untouched):
    """A sync ledger in which every task is found, and that is all."""

    def find(self, project_id: str, sync_task_id: str) -> object:
        return sync_task()


class FindingGroup(Untouched):
    """A store in which every group is found, and that is all."""

    async def get_group(self, group_id: GroupId) -> TaskGroup:
        return TaskGroup(group_id, GroupNumber(1), PROJECT, SPEC, GroupState.PAUSED, (), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """Values that services are handed without a request, under the names that errors have for them."""

    project_id: str = ""
    task_id: int | None = None
    sync_task_id: str = ""
    group_id: str = ""
    request_id: str | None = None
    version: str = ""
    type: str = ""
    query_time: int | None = None
    bandwidth_policy: tuple[Any, ...] | None = None
    object_keys: tuple[str, ...] = ()
    start: int | None = None
    limit: int | None = None
    state: int | None = None
    name: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """base: a right request, the paths of all tables are those of its fields. renamed: what errors, and the request, call a path.

    at: in front of what errors name.
    """

    name: str
    base: Any
    send: Callable[[Any], object]
    limits: Limits
    needs: Needs = ()
    barred: Bars = ()
    choices: Choices
    renamed: Callable[[str], str] = str
    at: str = ""

    def refusal(self, request: Any) -> RequestError | None:
        """Why it is refused; None if it got through."""
        try:
            self.send(request)
        except RequestError as error:
            return error
        except Reached:
            return None
        raise AssertionError("neither refused nor acted upon")

    def having(self, request: Any, path: str, value: object) -> Any:
        """The request with another value at the path."""
        return with_value(request, self.renamed(path), value)

    def with_value(self, path: str, value: object) -> Any:
        return self.having(self.base, path, value)

    def held(self, path: str) -> Any:
        """The value of the right request, of arrays that of the first entry."""
        return value_at(self.base, self.renamed(path))

    def field(self, path: str) -> str:
        """As an error names it; of arrays the first entry."""
        return joined(self.at, self.renamed(path)).replace("[]", "[0]")


def driven(coroutine: Coroutine[Any, Any, object]) -> object:
    """The call ends without waiting for anything: there is nothing to wait for before it reaches somebody."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        raise Reached from end
    finally:
        coroutine.close()
    raise AssertionError("it waits before it has reached anybody")


def reaches(answer: object) -> object:
    """For rules that are called alone: what they answer would be acted upon."""
    raise Reached(str(answer))


def renamed(path: str) -> str:
    for theirs, ours in RENAMED:
        path = path.replace(theirs, ours)
    return path


def joined(at: str, path: str) -> str:
    return f"{at}.{path}" if at and path and not path.startswith("[") else at + path


def limits_at(at: str, limits: Limits) -> Limits:
    """The table of a part of a call, under the paths of the whole."""
    return {joined(at, path): limit for path, limit in limits.items()}


def choices_at(at: str, choices: Choices) -> Choices:
    return {joined(at, path): names for path, names in choices.items()}


def needs_at(at: str, needs: Needs) -> Needs:
    return tuple(
        replace(
            needed,
            field=joined(at, needed.field),
            when=None if needed.when is None else _when_at(at, needed.when),
        )
        for needed in needs
    )


def _when_at(at: str, when: When) -> When:
    return replace(when, field=joined(at, when.field))


def without(limits: Limits, *paths: str) -> Limits:
    return {path: limit for path, limit in limits.items() if path not in paths}
