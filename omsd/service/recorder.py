"""The object lists of tasks at work: spooled with each commit, handed to a worker at the end, settled one file after another."""

from __future__ import annotations

from dataclasses import replace

from omsd.domain.model import ListPart, ListRecords, ListUpload, Outcome, OutcomeKind
from omsd.domain.object_lists import list_key, next_part
from omsd.ports.listspool import Lines, ListSpool
from omsd.ports.taskchanges import DropListPart, PutListPart
from omsd.service.hot import HotTask, Stage


class ListRecorder:
    """Holds no state but the spool: what is committed is in the HotTask."""

    def __init__(self, spool: ListSpool) -> None:
        self._spool = spool

    async def record(self, stage: Stage) -> None:
        """The outcomes of the stage are durable lines; how far they reach is part of the coming transaction."""
        gathered: dict[tuple[int, OutcomeKind], tuple[HotTask, list[Outcome]]] = {}
        for hot, outcomes in stage.outcomes:
            for kind in OutcomeKind:
                if found := [outcome for outcome in outcomes if outcome.kind is kind]:
                    gathered.setdefault((hot.task.task_id, kind), (hot, []))[1].extend(found)
        hots = [hot for hot, _ in gathered.values()]
        lines = [
            Lines(
                hot.task.task_id,
                hot.task.lists.round,
                _open_part(hot, kind),
                hot.task.spec.consistency_check,
                of_list,
            )
            for (_, kind), (hot, of_list) in gathered.items()
        ]
        for hot, part in zip(hots, await self._spool.append(lines), strict=True):
            hot.list_parts[part.kind, part.number] = part
            stage.changes.append(PutListPart(hot.task.task_id, part))

    async def tidy(self, stage: Stage) -> None:
        """Files that the committed stage has made useless are gone."""
        if stage.stored_lists:
            await self._spool.remove(stage.stored_lists)
        for task_id in stage.discards:
            await self._spool.discard(task_id)

    def uploads_of(self, hot: HotTask) -> tuple[ListUpload, ...]:
        """What a worker has to store: failed objects first, they are what an operator needs most."""
        order = (OutcomeKind.FAILED, OutcomeKind.SKIPPED, OutcomeKind.SUCCESS)
        parts = sorted(hot.list_parts.values(), key=lambda part: (order.index(part.kind), part.number))
        task_id, round_number = hot.task.task_id, hot.task.lists.round
        return tuple(
            ListUpload(
                part,
                self._spool.path_of(task_id, round_number, part),
                list_key(task_id, round_number, part.kind, part.number, hot.task.group_id),
            )
            for part in parts
        )

    def settle(self, hot: HotTask, part: ListPart, key: str, error_code: str, stage: Stage) -> None:
        """The file is stored, or given up; it is no longer waited for. One that is not stored stays on the disk."""
        if hot.list_parts.pop((part.kind, part.number), None) is None:
            return
        task_id = hot.task.task_id
        hot.task = replace(hot.task, lists=_settled(hot.task.lists, part, key, error_code))
        stage.changes.append(DropListPart(task_id, part.kind, part.number))
        if not error_code:
            stage.stored_lists.append(self._spool.path_of(task_id, hot.task.lists.round, part))
        stage.touch(hot)

    def give_up(self, hot: HotTask, error_code: str, stage: Stage) -> None:
        """No file is waited for any more; those that are left have this code."""
        for upload in self.uploads_of(hot):
            self.settle(hot, upload.part, upload.key, error_code, stage)
        hot.lists_pending = False


def _open_part(hot: HotTask, kind: OutcomeKind) -> ListPart:
    numbers = [number for of_kind, number in hot.list_parts if of_kind is kind]
    last = hot.list_parts[kind, max(numbers)] if numbers else None
    return next_part(last, kind, settled_num=_settled_num(hot.task.lists, kind))


def _settled_num(lists: ListRecords, kind: OutcomeKind) -> int:
    """How many files of a list are no longer waited for."""
    match kind:
        case OutcomeKind.SUCCESS:
            return lists.success_parts
        case OutcomeKind.SKIPPED:
            return lists.skipped_parts
        case OutcomeKind.FAILED:
            return lists.failed_parts


def _settled(lists: ListRecords, part: ListPart, key: str, error_code: str) -> ListRecords:
    match part.kind:
        case OutcomeKind.SUCCESS:
            return replace(lists, success_parts=part.number, success_error=lists.success_error or error_code)
        case OutcomeKind.SKIPPED:
            return replace(lists, skipped_parts=part.number, skipped_error=lists.skipped_error or error_code)
        case OutcomeKind.FAILED:
            stored_key = lists.failed_key or ("" if error_code else key)
            return replace(
                lists,
                failed_parts=part.number,
                failed_key=stored_key,
                failed_error=lists.failed_error or error_code,
            )
