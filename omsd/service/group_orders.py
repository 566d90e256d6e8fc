"""What the ledger is told about task groups beside calls: planning steps, and that it is time to look at a group's tasks."""

from __future__ import annotations

from dataclasses import dataclass

from omsd.domain.errors import Failure
from omsd.domain.group_plan import Measured
from omsd.domain.model import GroupId


@dataclass(frozen=True, slots=True)
class PlanTurn:
    """The group's source may be split now. stint: the stretch of planning that is meant; a later one makes this void."""

    group_id: GroupId
    stint: int


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """What was asked last is known."""

    group_id: GroupId
    stint: int
    answer: Measured


@dataclass(frozen=True, slots=True)
class PlanTrouble:
    """It cannot be known."""

    group_id: GroupId
    stint: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class LookAtGroup:
    """Its tasks have moved, or are to be brought to its goal."""

    group_id: GroupId


GroupOrder = PlanTurn | PlanAnswer | PlanTrouble | LookAtGroup
