"""Carries out what the group machine decides: as changes of the coming transaction, and as orders for after it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from omsd.domain.group import GroupState, GroupSums
from omsd.domain.group_machine import Act, Effect, GroupEvent, SetWindows, add_active, evolve, step
from omsd.domain.model import TaskCredentials
from omsd.domain.notice_facts import group_facts_of
from omsd.domain.notices import group_owner
from omsd.ports.clock import Clock
from omsd.ports.groupstore import DropGroupCredentials, PutGroupCredentials
from omsd.ports.notices import AddNotice, DropNotices
from omsd.scheduler.scheduler import Scheduler
from omsd.service.group_planner import GroupPlanner
from omsd.service.hot import HotGroup, HotState, Stage


class GroupMover:
    """No waiting and no reading in here: state and stage change together."""

    def __init__(
        self,
        state: HotState,
        scheduler: Scheduler,
        clock: Clock,
        planner: GroupPlanner,
        wake_notifier: Callable[[], None],
    ) -> None:
        self._state = state
        self._scheduler = scheduler
        self._clock = clock
        self._planner = planner
        self._wake_notifier = wake_notifier

    def check(self, hot: HotGroup, event: GroupEvent) -> None:
        """Raises RequestError if the group refuses the event."""
        step(hot.group, event)

    def move(
        self,
        hot: HotGroup,
        event: GroupEvent,
        stage: Stage,
        credentials: TaskCredentials | None = None,
        *,
        sums: GroupSums | None = None,
    ) -> None:
        """The group has taken the event. Raises RequestError if it is refused; then nothing has changed.

        sums: of its tasks, where the event may end a group that tells of its end.
        """
        transition = step(hot.group, event)
        if transition.state is hot.group.state and not transition.effects:
            return
        self.count_active(hot)
        hot.group = evolve(hot.group, transition, now_ms=self._now_ms())
        for effect in transition.effects:
            self._carry_out(hot, effect, stage, credentials, sums)
        stage.groups[hot.group.group_id] = hot
        if hot.group.state is GroupState.DELETED:
            self._state.groups.pop(hot.group.group_id, None)
            stage.after.append(partial(self._scheduler.set_group_windows, hot.group.group_id, ()))

    def count_active(self, hot: HotGroup) -> None:
        """The time of work up to now is in active_ms."""
        if hot.active_from_s is not None:
            elapsed_ms = int((self._clock.monotonic_s() - hot.active_from_s) * 1000)
            hot.active_from_s += elapsed_ms / 1000
            hot.group = add_active(hot.group, elapsed_ms, now_ms=self._now_ms())

    def _carry_out(
        self,
        hot: HotGroup,
        effect: Effect,
        stage: Stage,
        credentials: TaskCredentials | None,
        sums: GroupSums | None,
    ) -> None:
        group_id = hot.group.group_id
        match effect:
            case SetWindows():
                stage.after.append(partial(self._scheduler.set_group_windows, group_id, effect.windows))
            case Act.AWAIT_TURN:
                hot.stint = self._state.next_stint()
                stage.after.append(partial(self._planner.enqueue, group_id, hot.stint))
            case Act.END_PLANNING:
                hot.stint = 0
                stage.after.append(partial(self._planner.drop, group_id))
            case Act.KEEP_CREDENTIALS:
                if credentials is None:
                    raise ValueError("a start without credentials")
                hot.keys = credentials
                stage.changes.append(PutGroupCredentials(hot.group, credentials))
            case Act.DROP_CREDENTIALS:
                hot.keys = None
                stage.changes.append(DropGroupCredentials(hot.group.number))
            case Act.BEGIN_ACTIVE:
                hot.active_from_s = self._clock.monotonic_s()
            case Act.END_ACTIVE:
                hot.active_from_s = None
            case Act.LOOK_AGAIN:
                stage.look_at.add(group_id)
            case Act.NOTIFY:
                self._notify(hot, sums, stage)
            case Act.FORGET_NOTICE if hot.group.spec.smn is not None:
                stage.changes.append(DropNotices(group_owner(group_id)))
            case _:
                pass  # evolve() has written it

    def _notify(self, hot: HotGroup, sums: GroupSums | None, stage: Stage) -> None:
        """A notice is due in the transaction that ends the group; what is told of an earlier end is shown no more."""
        config, owner = hot.group.spec.smn, group_owner(hot.group.group_id)
        if config is None:
            return
        if config.wants(succeeded=hot.group.state is GroupState.COMPLETED):
            if sums is None:
                raise ValueError("an end that is told without sums")
            stage.changes.append(AddNotice(owner, config, group_facts_of(hot.group, sums)))
            stage.after.append(self._wake_notifier)
        else:
            stage.changes.append(DropNotices(owner))

    def _now_ms(self) -> int:
        return int(self._clock.now_s() * 1000)
