"""Asks workers how the sources of groups are split. It decides nothing: what is asked, and what an answer means, is the ledger's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from omsd.domain.errors import Failure, OmsdError, RequestError, Side, StoreError, failure_of
from omsd.domain.group_plan import Lists, Measured, Stretch
from omsd.domain.manifest import failure_of_list
from omsd.domain.model import GroupId
from omsd.domain.questions import FindListFiles, MeasureStretch
from omsd.ports.clock import Clock
from omsd.ports.executor import Asker
from omsd.service.group_orders import GroupOrder, PlanAnswer, PlanTrouble, PlanTurn
from omsd.telemetry.logging import get_logger

_log = get_logger(__name__)

# Sources that are split at the same time; each is one listing, whatever the number of workers.
PLANNED_AT_ONCE = 4
# An answer takes some seconds by itself, see engine/scan.py.
_DEADLINE_S = 60.0
_ATTEMPTS = 12
_FIRST_WAIT_S = 1.0
_MAX_WAIT_S = 30.0
# A group that may make no more tasks for now looks again after this.
ROOM_WAIT_S = 5.0

PlanQuestion = MeasureStretch | FindListFiles


@dataclass(frozen=True, slots=True)
class _Ask:
    group_id: GroupId
    stint: int
    question: PlanQuestion


class GroupPlanner:
    """Methods but run() are called by the ledger, after its commits; none waits."""

    def __init__(self, asker: Asker, clock: Clock, post: Callable[[GroupOrder], None]) -> None:
        self._asker = asker
        self._clock = clock
        self._post = post
        self._waiting: deque[PlanTurn] = deque()
        self._turns: set[GroupId] = set()
        self._to_ask: list[_Ask] = []
        self._postponed: list[PlanTurn] = []
        self._asking: dict[GroupId, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Asks until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                while self._waiting and len(self._turns) < PLANNED_AT_ONCE:
                    turn = self._waiting.popleft()
                    self._turns.add(turn.group_id)
                    self._post(turn)
                for ask in self._to_ask:
                    task = group.create_task(self._ask(ask), name=f"splitting of group {ask.group_id}")
                    self._asking[ask.group_id] = task
                for turn in self._postponed:
                    task = group.create_task(self._come_later(turn), name=f"pause of group {turn.group_id}")
                    self._asking[turn.group_id] = task
                self._to_ask, self._postponed = [], []
                await self._wake.wait()

    def enqueue(self, group_id: GroupId, stint: int) -> None:
        """The group waits for its turn."""
        self._waiting.append(PlanTurn(group_id, stint))
        self._wake.set()

    def ask(self, group_id: GroupId, stint: int, question: PlanQuestion) -> None:
        """The question of a group whose turn it is; one at a time."""
        self._to_ask.append(_Ask(group_id, stint, question))
        self._wake.set()

    def postpone(self, group_id: GroupId, stint: int) -> None:
        """The group may make no task now: others have their turn, and it waits for another one in a while."""
        self._turns.discard(group_id)
        self._postponed.append(PlanTurn(group_id, stint))
        self._wake.set()

    def drop(self, group_id: GroupId) -> None:
        """The group is not split any more: its turn is over, what is asked is not answered."""
        self._waiting = deque(turn for turn in self._waiting if turn.group_id != group_id)
        self._to_ask = [ask for ask in self._to_ask if ask.group_id != group_id]
        self._postponed = [turn for turn in self._postponed if turn.group_id != group_id]
        self._turns.discard(group_id)
        task = self._asking.pop(group_id, None)
        if task is not None:
            task.cancel()
        self._wake.set()

    async def _come_later(self, turn: PlanTurn) -> None:
        await self._clock.sleep(ROOM_WAIT_S)
        self.enqueue(turn.group_id, turn.stint)

    async def _ask(self, ask: _Ask) -> None:
        wait_s = _FIRST_WAIT_S
        for attempt in range(1, _ATTEMPTS + 1):
            answered = await self._answer(ask.question)
            if not isinstance(answered, Failure):
                self._post(PlanAnswer(ask.group_id, ask.stint, answered))
                return
            failure, passing = answered, answered.code in _PASSING
            if not passing or attempt == _ATTEMPTS:
                break
            _log.info("group_source_not_listed", group_id=ask.group_id, reason=failure.message)
            await self._clock.sleep(wait_s)
            wait_s = min(_MAX_WAIT_S, 2 * wait_s)
        self._post(PlanTrouble(ask.group_id, ask.stint, failure))

    async def _answer(self, question: PlanQuestion) -> Measured | Failure:
        try:
            if isinstance(question, MeasureStretch):
                return await self._asker.ask(question, Stretch, deadline_s=_DEADLINE_S)
            return await self._asker.ask(question, Lists, deadline_s=_DEADLINE_S)
        except StoreError as error:
            if isinstance(question, MeasureStretch):
                return failure_of(error, Side.SOURCE)
            return failure_of_list(error, question.wanted.folder)
        except RequestError as error:
            return Failure("TRF.0003", f"no worker could list the source: {error.message}; retry the group")
        except OmsdError as error:
            return Failure("TRF.0001", error.message)


# Service trouble, throttling and missing workers: what may be gone in a minute.
_PASSING = frozenset({"TRF.0003", "TRF.0061", "TRF.0157", "TRF.0159"})
