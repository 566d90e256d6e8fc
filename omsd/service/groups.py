"""What callers may ask of task groups: validated here, decided by the ledger, answered after its commit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from omsd.domain import group_machine
from omsd.domain.group import GroupState, GroupSums, MemberTally, TaskGroup
from omsd.domain.model import Credentials, TaskId, TaskState
from omsd.domain.notices import group_owner
from omsd.domain.object_lists import group_folder
from omsd.ports.clock import Clock
from omsd.ports.groupstore import GroupQuery, GroupStore
from omsd.ports.notices import NoticeStore
from omsd.ports.taskstore import TaskStore
from omsd.service.calls import ChangeGroup, CreateGroup
from omsd.service.channel import EventChannel
from omsd.service.group_requests import CreateTaskGroup, ListTaskGroups, RetryTaskGroup, StartTaskGroup
from omsd.service.group_validation import (
    validate_create_group,
    validate_list_groups,
    validate_retry_group,
    validate_start_group,
)
from omsd.service.group_views import GroupPage, GroupView, WatchedGroup
from omsd.service.identifiers import validate_group_id, validate_request_id
from omsd.service.live import LiveBoard
from omsd.service.locations import ValidationPolicy
from omsd.service.probing import EndsProbe
from omsd.service.quotas import QuotaKeeper
from omsd.service.refusals import same_request, unknown_group
from omsd.service.requests import BandwidthRule
from omsd.service.tasks import fingerprint_of, rest_of_watch
from omsd.service.validation import validate_bandwidth
from omsd.service.views import TaskView

_TOLD = frozenset({GroupState.CREATION_FAILED, GroupState.MIGRATION_FAILED, GroupState.COMPLETED})
_WATCH_ENDS = _TOLD | {GroupState.DELETED}
# Shown until the group is completed.
_ALMOST_DONE = 0.999


class GroupService:
    """Task groups of all projects; one is seen by its own project only. Every call raises RequestError if it is refused."""

    def __init__(
        self,
        store: GroupStore,
        tasks: TaskStore,
        channel: EventChannel,
        board: LiveBoard,
        ends: EndsProbe,
        clock: Clock,
        policy: ValidationPolicy,
        notices: NoticeStore,
        quotas: QuotaKeeper,
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._channel = channel
        self._board = board
        self._ends = ends
        self._clock = clock
        self._policy = policy
        self._notices = notices
        self._quotas = quotas

    async def create(self, project_id: str, request: CreateTaskGroup) -> TaskGroup:
        """The group waits to be split; a repeat with the same request_id returns the same group. Source: API reference 5.4.2."""
        request_id = validate_request_id(request.request_id)
        valid = validate_create_group(request, self._policy, project_id=project_id)
        fingerprint = fingerprint_of(valid.spec, valid.windows)
        if request_id:
            earlier = await self._store.find_group_request(project_id, request_id)
            if earlier is not None:
                return same_request(earlier, fingerprint)
        # The ledger decides; but who has no room left need not wait for two clouds to hear it, nor bother them.
        now_ms = int(self._clock.now_s() * 1000)
        await self._quotas.check_group(project_id, now_ms)
        await self._ends.check(valid.spec, valid.credentials)
        wish = CreateGroup(project_id, valid.spec, valid.credentials, valid.windows, request_id, fingerprint)
        group = await self._channel.call(wish)
        if not isinstance(group, TaskGroup):
            raise TypeError("a creation was answered without a group")
        return group

    async def get(self, project_id: str, group_id: str) -> GroupView:
        """The group with live sums. Raises OMS.1009 if the project has no such group."""
        return await self._view(await self._find(project_id, group_id))

    async def list(self, project_id: str, request: ListTaskGroups) -> GroupPage:
        """A page of the project's groups, newest first. Source: API reference 5.4.1."""
        valid = validate_list_groups(request)
        query = GroupQuery(project_id, valid.offset, valid.limit, valid.state)
        groups, count = await self._store.list_groups(query)
        return GroupPage(tuple([await self._view(group) for group in groups]), count)

    async def start(self, project_id: str, group_id: str, request: StartTaskGroup) -> None:
        """A paused group goes on, and its paused tasks, with these keys. Source: API reference 5.4.6."""
        group = await self._find(project_id, group_id)
        keys = validate_start_group(request, group.spec)
        await self._change(project_id, group_id, group_machine.Start(), keys.source, keys.destination)

    async def retry(self, project_id: str, group_id: str, request: RetryTaskGroup) -> None:
        """A failed group is tried again, with these keys or those that are stored. Source: API reference 5.4.7."""
        await self._find(project_id, group_id)
        valid = validate_retry_group(request)
        event = group_machine.Retry(valid.failed_only)
        await self._change(project_id, group_id, event, valid.source, valid.destination)

    async def stop(self, project_id: str, group_id: str) -> None:
        """No more tasks are made; those that wait or run are paused."""
        await self._change(project_id, group_id, group_machine.Stop())

    async def delete(self, project_id: str, group_id: str) -> None:
        """The group and its tasks go; what they migrated stays."""
        await self._change(project_id, group_id, group_machine.Delete())

    async def update(self, project_id: str, group_id: str, rules: tuple[BandwidthRule, ...] | None) -> None:
        """These rules replace all others of the group, at once. Source: API reference 5.4.8."""
        await self._find(project_id, group_id)
        windows = validate_bandwidth(rules)
        await self._change(project_id, group_id, group_machine.UpdateBandwidth(windows))

    async def watch(self, project_id: str, group_id: str) -> AsyncIterator[WatchedGroup]:
        """The group now, then after changes of it and its tasks, twice a second at most but at once when its state changes.

        Ends when it is completed, has failed or is deleted.
        """
        with self._board.subscribe(validate_group_id(group_id)) as watcher:
            group: TaskGroup | None = await self._find(project_id, group_id)
            while group is not None and group.state is not GroupState.DELETED:
                running = await self._views(self._board.working(group.group_id))
                yield WatchedGroup(await self._view(group), tuple(running))
                if group.state in _WATCH_ENDS:
                    return
                await rest_of_watch(self._clock, watcher.turned)
                await watcher.changed.wait()
                watcher.clear()
                group = await self._store.get_group(group.group_id)

    async def _views(self, task_ids: tuple[TaskId, ...]) -> Sequence[TaskView]:
        """The tasks as they are now, also those that came to rest meanwhile."""
        found = [self._board.task(task_id) or await self._tasks.get_task(task_id) for task_id in task_ids]
        return [self._board.view(task) for task in found if task is not None]

    async def _view(self, group: TaskGroup) -> GroupView:
        """Each task counts once: those that move something as they are now, all others as they are stored."""
        while True:
            working = self._board.working(group.group_id)
            sums = await self._store.group_sums(group.group_id, working)
            # What was measured is either before the coming task or in it: a step in between would count it twice, or not at all.
            again = await self._store.get_group(group.group_id) or group
            if again.position == group.position:
                break
            group = again
        view = _joined(group, sums, await self._views(working), int(self._clock.now_s() * 1000))
        if group.spec.smn is None or group.state not in _TOLD:
            return view
        owner = group_owner(group.group_id)
        return replace(view, smn=(await self._notices.smn_infos((owner,))).get(owner))

    async def _find(self, project_id: str, group_id: str) -> TaskGroup:
        wanted = validate_group_id(group_id)
        group = await self._store.get_group(wanted)
        if group is None or group.project_id != project_id or group.state is GroupState.DELETED:
            raise unknown_group(group_id)
        return group

    async def _change(
        self,
        project_id: str,
        group_id: str,
        event: group_machine.Call,
        source: Credentials | None = None,
        destination: Credentials | None = None,
    ) -> None:
        wanted = validate_group_id(group_id)
        await self._channel.call(ChangeGroup(project_id, wanted, event, source, destination))


def _joined(group: TaskGroup, sums: GroupSums, views: Sequence[TaskView], now_ms: int) -> GroupView:
    numbers = {state: getattr(sums.tally, state.name.lower()) for state in TaskState}
    counters, expected_num, expected_size = sums.counters, sums.expected_num, sums.expected_size_bytes
    complete = counters.successful_size_bytes + counters.skipped_size_bytes + sums.parts_size_bytes
    for view in views:
        task = view.task
        numbers[task.state] += 1
        counters = counters.plus(view.counters)
        complete += view.complete_size_bytes
        over = view.listing_over
        expected_num += max(0 if over else task.expected_num, view.counters.listed_num)
        expected_size += max(0 if over else task.expected_size_bytes, view.counters.listed_size_bytes)
    tally = MemberTally.of(numbers)
    position = group.position
    result = GroupView(
        group=group,
        tally=tally,
        total_task_num=tally.total + bool(position.found_num),
        counters=counters,
        total_num=expected_num + position.found_num,
        total_size_bytes=expected_size + position.found_size_bytes,
        created_num=expected_num,
        created_size_bytes=expected_size,
        complete_size_bytes=complete,
        real_size_bytes=counters.successful_size_bytes,
        progress=0.0,
        speed_bytes_per_s=sum(view.speed_bytes_per_s for view in views),
        total_ms=group.active_ms + max(0, now_ms - group.active_since_ms) * bool(group.active_since_ms),
        failed_record_key=group_folder(group.group_id) if sums.failed_lists_num else "",
        failed_record_error=sums.failed_list_error,
    )
    return replace(result, progress=_progress(result))


def _progress(view: GroupView) -> float:
    if view.group.state is GroupState.COMPLETED:
        return 1.0
    if view.total_size_bytes:
        return min(_ALMOST_DONE, view.complete_size_bytes / view.total_size_bytes)
    if view.total_num:
        return min(_ALMOST_DONE, (view.counters.successful_num + view.counters.skipped_num) / view.total_num)
    return 0.0
