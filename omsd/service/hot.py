"""What the ledger holds in memory: tasks with something under way, and the leases that are out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from omsd.domain.errors import Failure
from omsd.domain.group import GroupNumber, MemberTally, TaskGroup
from omsd.domain.model import (
    GroupId,
    LeaseId,
    ListPart,
    Outcome,
    OutcomeKind,
    ShardId,
    Task,
    TaskCredentials,
    TaskId,
    TaskState,
)
from omsd.domain.shards import Checkpoint, OpenUpload, Shard
from omsd.ports.groupstore import UpdateGroup
from omsd.ports.taskchanges import Change, UpdateTask
from omsd.ports.taskstore import OpenUploads
from omsd.service.calls import Call, Made

_NO_GROUPS = GroupNumber(0)


@dataclass(slots=True)
class Lease:
    """shard: as it is stored but for its checkpoint. current: what it reports counts. An end is still waited for when it does not."""

    task_id: TaskId
    shard: Shard
    checkpoint: Checkpoint
    current: bool = True

    @property
    def shard_id(self) -> ShardId:
        """Of the shard it is a lease of."""
        return self.shard.shard_id


@dataclass(slots=True)
class HotShard:
    """A shard that is not finished. failures: in a row, without an object done in between. report: uploads the lists.

    large_key: of the object whose parts it sends. leads: as in Shard; waiting: it goes on when the object's other shards are done.
    """

    already_listed: bool = False
    failures: int = 0
    report: bool = False
    large_key: str = ""
    leads: bool = False
    waiting: bool = False


@dataclass(slots=True)
class HotTask:
    """stint: number of the present stretch of work, 0 = it does not work.

    open_shards: known while the task works. tally: as the store's.
    active_from_s: monotonic time up to which active_ms is counted.
    keys: while it works, and once more when it stops. uploads, intents: recorded as open; parts: sizes by number of those uploads that
    are gone on with. All three known while the task works.
    held: shards that are leased no sooner than fewer large objects are open.
    list_parts: what is spooled and committed, by list and number. lists_pending: something is spooled, or will be with the coming
    commit. reporting: the shard that uploads the lists is out in this stretch. doom: why the task fails once its lists are up.
    """

    task: Task
    stint: int = 0
    open_shards: dict[ShardId, HotShard] = field(default_factory=dict)
    tally: dict[str, tuple[int, str]] = field(default_factory=dict)
    leases: set[LeaseId] = field(default_factory=set)
    active_from_s: float | None = None
    keys: TaskCredentials | None = None
    uploads: set[OpenUpload] = field(default_factory=set)
    intents: set[str] = field(default_factory=set)
    parts: dict[OpenUpload, dict[int, int]] = field(default_factory=dict)
    held: set[ShardId] = field(default_factory=set)
    list_parts: dict[tuple[OutcomeKind, int], ListPart] = field(default_factory=dict)
    lists_pending: bool = False
    reporting: bool = False
    doom: Failure | None = None

    def work_left(self) -> bool:
        """Is any shard open that moves objects?"""
        return any(not shard.report for shard in self.open_shards.values())

    def large_num(self) -> int:
        """Large objects that have shards of their own."""
        return sum(shard.leads for shard in self.open_shards.values())

    def unlisted_num(self) -> int:
        """Open shards whose objects are not yet all in the listed counters."""
        return sum(not shard.already_listed for shard in self.open_shards.values())

    def take_uploads(self, found: OpenUploads) -> None:
        """What the store has recorded as open."""
        self.uploads = set(found.uploads)
        self.intents = {intent.key for intent in found.intents}
        self.parts = {upload: dict(sizes) for upload, sizes in found.parts.items()}
        # Parts are stored without the task's row, so that one says how many there were when it was written last.
        stored_bytes = sum(sum(sizes.values()) for sizes in self.parts.values())
        self.task = replace(self.task, parts_size_bytes=stored_bytes)

    def may_run(self, shard_id: ShardId) -> bool:
        """Lists go up when nothing more is added to them; a doomed task begins nothing else."""
        if self.open_shards[shard_id].report:
            return self.reporting
        return self.doom is None


@dataclass(slots=True)
class HotGroup:
    """A group that does something, or of which a task does. numbers: its tasks by state, as the store's.

    stint: number of the present stretch of planning, 0 = its source is not being split. keys: once they were needed.
    active_from_s: monotonic time up to which active_ms is counted. looking: it will be looked at already.
    promised: a stint, and how many tasks the answer to its question may make.
    """

    group: TaskGroup
    numbers: dict[TaskState, int]
    stint: int = 0
    keys: TaskCredentials | None = None
    active_from_s: float | None = None
    looking: bool = False
    promised: tuple[int, int] = (0, 0)

    @property
    def promised_num(self) -> int:
        """Tasks that may come of what is being asked: of a stint that is over none will."""
        stint, num = self.promised
        return num if stint == self.stint else 0

    @property
    def tally(self) -> MemberTally:
        """Its tasks by state."""
        return MemberTally.of(self.numbers)

    def count(self, before: TaskState | None, after: TaskState | None) -> None:
        """A task of it has moved; None: it was made, or is deleted."""
        if before is not None:
            self.numbers[before] -= 1
        if after is not None:
            self.numbers[after] = self.numbers.get(after, 0) + 1


@dataclass(slots=True)
class HotState:
    """Ids are given out here; lease ids and stints live no longer than the process.

    groups: also that of every task that works or waits.
    """

    last_task_id: TaskId
    last_shard_id: ShardId
    last_lease_num: int = 0
    last_stint: int = 0
    tasks: dict[TaskId, HotTask] = field(default_factory=dict)
    leases: dict[LeaseId, Lease] = field(default_factory=dict)
    groups: dict[GroupId, HotGroup] = field(default_factory=dict)
    last_group_number: GroupNumber = _NO_GROUPS

    def next_group_number(self) -> GroupNumber:
        """Higher than every other."""
        self.last_group_number = GroupNumber(self.last_group_number + 1)
        return self.last_group_number

    def next_shard_id(self) -> ShardId:
        """Higher than every other."""
        self.last_shard_id = ShardId(self.last_shard_id + 1)
        return self.last_shard_id

    def next_lease_id(self) -> LeaseId:
        """Not given before in this process."""
        self.last_lease_num += 1
        return LeaseId(self.last_lease_num)

    def next_stint(self) -> int:
        """Not given before in this process."""
        self.last_stint += 1
        return self.last_stint


@dataclass(slots=True)
class Stage:
    """What one transaction will hold, and what is done once it is committed, in this order: `after`, then the answers.

    touched: tasks whose row is written; shown: tasks that changed for those who look, but for nothing that their row must tell.
    outcomes: what goes into the object lists, spooled before the commit. stored_lists: spool files that are no longer needed;
    discards: tasks whose spool is dropped; both after the commit. groups: those whose rows are written. look_at: those that may have
    to be looked at then, moved_groups: those of which a task has moved.
    """

    changes: list[Change] = field(default_factory=list)
    touched: dict[TaskId, HotTask] = field(default_factory=dict)
    shown: dict[TaskId, HotTask] = field(default_factory=dict)
    after: list[Callable[[], None]] = field(default_factory=list)
    answers: list[tuple[Call, Made]] = field(default_factory=list)
    outcomes: list[tuple[HotTask, Sequence[Outcome]]] = field(default_factory=list)
    stored_lists: list[str] = field(default_factory=list)
    discards: list[TaskId] = field(default_factory=list)
    groups: dict[GroupId, HotGroup] = field(default_factory=dict)
    look_at: set[GroupId] = field(default_factory=set)
    moved_groups: set[GroupId] = field(default_factory=set)

    def touch(self, hot: HotTask) -> None:
        """The task's row is written with this transaction, once."""
        self.touched[hot.task.task_id] = hot

    def show(self, hot: HotTask) -> None:
        """Whoever looks at the task sees it as it is after this transaction; its row can wait."""
        self.shown[hot.task.task_id] = hot

    def all_changes(self) -> list[Change]:
        """The changes, and the rows of what was touched, behind them."""
        return [
            *self.changes,
            *(UpdateTask(hot.task) for hot in self.touched.values()),
            *(UpdateGroup(hot.group) for hot in self.groups.values()),
        ]
