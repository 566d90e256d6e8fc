"""A task store that dies at a chosen commit."""

from __future__ import annotations

from collections.abc import Sequence

from omsd.ports.taskchanges import Change
from omsd.ports.taskstore import TaskStoreError
from omsd.store.sqlite import SqliteTaskStore


class FaultyStore:
    """Everything is passed on to a real store; commit number die_at fails, before or after it is durable, and all later ones."""

    def __init__(self, store: SqliteTaskStore, *, die_at: int = 0, durable: bool = False) -> None:
        self.real = store
        self.commits_num = 0
        self._die_at = die_at
        self._durable = durable
        self.get_task = store.get_task
        self.find_request = store.find_request
        self.list_tasks = store.list_tasks
        self.count_in = store.count_in
        self.count_created = store.count_created
        self.created_at = store.created_at
        self.tasks_in = store.tasks_in
        self.credentials = store.credentials
        self.open_shards = store.open_shards
        self.get_shard = store.get_shard
        self.stale_uploads = store.stale_uploads
        self.stale_intents = store.stale_intents
        self.kept_upload = store.kept_upload
        self.open_uploads = store.open_uploads
        self.due_sweeps = store.due_sweeps
        self.get_sweep = store.get_sweep
        self.failed_page = store.failed_page
        self.failure_tally = store.failure_tally
        self.list_parts = store.list_parts
        self.last_ids = store.last_ids
        self.close = store.close

    async def commit(self, changes: Sequence[Change]) -> None:
        self.commits_num += 1
        if self._die_at and self.commits_num >= self._die_at:
            if self._durable and self.commits_num == self._die_at:
                await self.real.commit(changes)
            raise TaskStoreError("database or disk is full")
        await self.real.commit(changes)
